"""Tells somebody of what stands, once an hour at most, in a thread of its own: no pass waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from autoscaler_app.listening.shown import printable
from autoscaler_app.memory import orders, tally
from autoscaler_app.memory.state import State
from autoscaler_app.passes.journal import Journal
from autoscaler_app.worker.telling import sending
from autoscaler_app.worker.telling.matters import FAILED_IN_A_ROW, Matter, matters
from scalelib.errors import ScalelibError

log = logging.getLogger(__name__)

TOLD = "alarms"
"""Name of the fact: by matter when it was last told, in seconds since the epoch."""

AT_MOST_EVERY = timedelta(hours=1)
LOOK_EVERY = 10.0
TRY_AGAIN = timedelta(minutes=1)

Send = Callable[[str, dict[str, Any]], None]


class Alarms:
    """Looks at the state file now and then, and tells."""

    def __init__(
        self,
        state_file: Path,
        addresses: Sequence[str],
        *,
        interval: timedelta,
        paused_long: timedelta,
        in_charge: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        send: Send = sending.send,
    ) -> None:
        self._file, self._addresses, self._interval = state_file, tuple(addresses), interval
        self._paused_long, self._in_charge, self._now, self._send = paused_long, in_charge, now, send
        self._since = now()
        self._not_before: dict[Matter, datetime] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaler-alarms", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing any more; one that is being sent is not waited for."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            try:
                self.look()
            except Exception:
                log.exception("alarms: a defect of this program, please report it")

    def look(self) -> None:
        """Tell of each matter that stands and was not told lately."""
        if not self._in_charge():
            self._since = self._now()
            return
        try:
            with closing(State(self._file)) as state:
                self._tell(state)
        except ScalelibError as error:
            log.error("alarms: %s", error)

    def _tell(self, state: State) -> None:
        now, told = self._now(), state.fact(TOLD) or {}
        reports = Journal(state=state).reports(FAILED_IN_A_ROW)
        long = [
            pause.stops
            for pause in orders.recall(state, now).pauses
            if pause.at is not None and now - pause.at > self._paused_long
        ]
        standing = matters(reports, now, since=self._since, interval=self._interval, long_pauses=long)
        for matter, sentence in standing:
            last = told.get(matter)
            is_fresh = last is not None and now.timestamp() - last < AT_MOST_EVERY.total_seconds()
            if is_fresh or now < self._not_before.get(matter, now):
                continue
            alarm = {
                "matter": matter,
                "text": printable(f"autoscaler: {sentence}"),
                "at": now.isoformat(timespec="seconds"),
                "pass": reports[0].number if reports else 0,
            }
            if self._reached_somebody(state, alarm):
                told = {**told, matter: now.timestamp()}
                state.set_fact(TOLD, told)
            else:
                self._not_before[matter] = now + TRY_AGAIN

    def _reached_somebody(self, state: State, alarm: dict[str, Any]) -> bool:
        """Each address is tried; one that fails does not keep it from the others."""
        reached = 0
        for number, address in enumerate(self._addresses, 1):
            try:
                self._send(address, alarm)
                reached += 1
            except sending.FAILURES as error:
                said = alarm["matter"], number, sending.why(error)
                log.warning("alarm %s could not be told to address %d: %s", *said)
                state.change(tally.TALLY, _failed)
        return reached > 0


def _failed(before: Any) -> Any:
    counted = tally.read(before)
    counted.failed_alarms += 1
    return msgspec.to_builtins(counted)
