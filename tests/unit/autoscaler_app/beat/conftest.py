"""A beat whose clock is scripted: nothing sleeps, and every request it sends is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, _state
from celery.signals import after_task_publish

from autoscaler_app.beat import FileScheduler
from autoscaler_app.schedule import AUTOSCALE, every


class Clock:
    """Time that goes on as told, and a clock on the wall that may be set."""

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.elapsed = 0.0

    def go_on(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall += timedelta(seconds=seconds)

    def set_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


class Beat:
    """A scheduler, ticked as `celery beat` ticks it."""

    def __init__(self, make: Callable[[], Any], clock: Clock) -> None:
        self._make, self.clock = make, clock
        self.scheduler = make()
        self.sent: list[float] = []
        """When each request was sent, in seconds since the start, whatever the wall said."""

    def run(self, seconds: float) -> None:
        until = self.clock.elapsed + seconds
        while True:
            # A tick takes time, also one that asks for the next at once.
            wait = max(self.scheduler.tick(), 0.001)
            if self.clock.elapsed + wait > until:
                self.clock.go_on(until - self.clock.elapsed)
                return
            self.clock.go_on(wait)

    def restart(self) -> None:
        self.scheduler.close()
        self.scheduler = self._make()

    def longest_gap(self) -> float:
        return max(later - sooner for sooner, later in zip(self.sent, self.sent[1:], strict=False))


@pytest.fixture
def start_beat(tmp_path: Path) -> Iterator[Callable[..., Beat]]:
    """Starts a beat of the default scheduler at a moment, in a time zone."""
    beats: list[Beat] = []
    handlers = []
    current = _state._get_current_app()

    def start(
        interval: float = 15.0, wall: datetime = datetime(2026, 6, 1, 12, tzinfo=UTC), timezone: str = "UTC"
    ) -> Beat:
        clock = Clock(wall)

        class App(Celery):
            def now(self) -> datetime:
                return clock.wall.astimezone(self.timezone)

        # A schedule that was read from the file knows no app, and asks the current one for the time.
        app = App(broker="memory://", set_as_current=True)
        app.conf.update(timezone=timezone, beat_schedule=every(interval), result_expires=None)
        file = str(tmp_path / f"schedule-{len(beats)}")
        beat = Beat(lambda: FileScheduler(app=app, schedule_filename=file), clock)

        def note(sender: str | None = None, **_: Any) -> None:
            if sender == AUTOSCALE:
                beat.sent.append(clock.elapsed)

        after_task_publish.connect(note, weak=False)
        handlers.append(note)
        beats.append(beat)
        return beat

    yield start
    for note in handlers:
        after_task_publish.disconnect(note)
    for beat in beats:
        beat.scheduler.close()
        beat.scheduler.app.close()
    _state._set_current_app(current)
