"""What a pass works with, put together once per process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from autoscaler_app import settings as settings_module
from autoscaler_app.brokers import Broker, open_broker
from autoscaler_app.listening.activity import Activity, coming
from autoscaler_app.listening.listener import Listener
from autoscaler_app.listening.reluctant import Reluctant
from autoscaler_app.listening.trust import Trust, open_trust
from autoscaler_app.listening.workers import BrokersWorkers, Workers
from autoscaler_app.memory.figures import FiguresBook
from autoscaler_app.memory.queues import KnownQueues
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.memory.state import State
from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.passes.act.tied import TiedBroker, TiedWorkers
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.lease.keeping import Lease
from autoscaler_app.passes.lease.opening import open_lease
from autoscaler_app.passes.observe.strays import StrayWatch
from autoscaler_app.passes.report import Report
from autoscaler_app.periodic import Periodic
from autoscaler_app.settings import Settings
from scalelib.clouds import open_provider
from scalelib.history import SQLiteNodeHistory
from scalelib.provider import Provider
from scalelib.readonly import ReadOnly


def utc_now() -> datetime:
    """The clock of the control side."""
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Control:
    """The control side of one process: what it was told, remembers, hears and can reach."""

    app: Any
    settings: Settings
    state: State
    history: SQLiteNodeHistory
    stories: StoryBook
    figures: FiguresBook
    provider: Provider
    broker: Broker
    workers: Workers
    activity: Activity
    queues: KnownQueues
    runtimes: Runtimes
    periodic: Periodic
    strays: StrayWatch
    lease: Lease
    """Whether it may act."""
    in_shadow: bool = False
    """It decides and reports, and does nothing."""
    trust: Trust | None = None
    """None: whoever speaks is believed."""
    reluctant: Reluctant = field(default_factory=Reluctant)
    """Workers that did not answer when they were asked last: a pass does not wait for them again."""
    busy: Mapping[str, float] = field(default_factory=dict)
    """By queue: how many tasks that have ended ran at once, on average, in the time since the pass before."""
    busy_since: datetime | None = None
    """Until when that was counted."""
    nodename: str = ""
    """The control worker's own name; empty in a command."""
    in_line: int = 0
    """Messages that were in the control queue when the last pass began."""
    own_tasks: Callable[[], Collection[str]] = tuple
    """The tasks of the control queue that this process has now."""
    listener: Listener | None = None
    """None in a command: then the hosts are asked."""
    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    clock_offset: float | None = None
    """Seconds between the two at the last pass; None before the first."""

    @classmethod
    def open(
        cls, app: Any, settings: Settings | None = None, *, look: bool = False, shadow: bool = False
    ) -> Control:
        """Read the settings and open everything they name; nothing is sent anywhere yet.

        To `look` only: what is remembered is read, and nothing is written anywhere. In the `shadow`, as the
        setting has it too, it is remembered what was seen, and nothing is done. Raises InvalidConfig.
        """
        settings = settings or settings_module.load()
        in_shadow = shadow or settings.autoscaler.shadow
        path = settings.state_file
        state = State.look(path) if look else State(path)
        provider = open_provider(settings.config, state_file=path, look=look)
        trust = open_trust(settings, state) if settings.autoscaler.signing else None
        activity = Activity()
        activity.expect(coming.from_json(state.fact("coming") or ()), utc_now())
        broker = open_broker(app, management_url=settings.autoscaler.rabbitmq_management_url)
        workers = BrokersWorkers(app, settings.autoscaler.ask_timeout, trust)
        hands_are_tied = look or in_shadow
        return cls(
            app=app,
            settings=settings,
            state=state,
            history=SQLiteNodeHistory.look(path) if look else SQLiteNodeHistory(path),
            stories=StoryBook.look(path) if look else StoryBook(path),
            figures=FiguresBook.look(path) if look else FiguresBook(path),
            provider=ReadOnly(provider) if hands_are_tied else provider,
            broker=TiedBroker(broker) if hands_are_tied else broker,
            workers=TiedWorkers(workers) if hands_are_tied else workers,
            in_shadow=in_shadow,
            activity=activity,
            queues=KnownQueues(app, settings, state),
            runtimes=Runtimes.from_json(state.fact("runtimes") or {}),
            periodic=Periodic(settings.autoscaler.beat_schedule_app, state),
            strays=StrayWatch(settings.autoscaler.give_back_after),
            # Who does nothing may look on while another control side acts.
            lease=open_lease(app, settings, needed=not shadow),
            trust=trust,
        )

    def runtime_of(self, queue: str) -> float | None:
        """Mean run time of the tasks of a queue, in seconds, as far as it is known."""
        return self.runtimes.mean(queue)

    def boot_time(self) -> timedelta:
        """How long nodes take to boot here, remembered when the last is long gone; zero before the first."""
        known = self.history.boot_time()
        return timedelta(seconds=self.state.fact("boot_seconds") or 0.0) if known is None else known

    def reports(self, last: int) -> list[Report]:
        """The newest reports of the journal, newest first."""
        return Journal(state=self.state).reports(last)

    def close(self) -> None:
        """Stop listening and let go of every file and connection."""
        if self.listener is not None:
            self.listener.stop()
        self.lease.stop()
        self.provider.close()
        self.history.close()
        self.stories.close()
        self.figures.close()
        self.state.close()
