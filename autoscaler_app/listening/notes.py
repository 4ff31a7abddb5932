"""What producers and nodes have to say to the control side, taken many at a time.

Every note may come twice. One that cannot be read spoils itself only: it is counted, told in the log and in
the report of the next pass, and gone.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from autoscaler_app.listening import door
from autoscaler_app.listening.activity import Activity, process_name
from autoscaler_app.listening.shown import shortened
from autoscaler_app.listening.trust import Trust
from autoscaler_app.memory.state import State
from scalelib.errors import InvalidConfig

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
"""Of one note."""

YOUNG = timedelta(minutes=5)
"""A kind that was announced since is not written down again."""

DROPPED = "notes_dropped"
"""Name of the fact that counts what was dropped since the last pass, by why."""

FULL = "the most kinds that are kept are known"
UNREADABLE = "it could not be read"


def read(body: bytes) -> Any:
    """A note as it lies in the broker. Raises ValueError if it is none."""
    if len(body) > MAX_BYTES:
        raise ValueError(f"a note has {len(body)} bytes; at most {MAX_BYTES} would be right")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a note is {shortened(body)}; JSON would be right") from error


class Notes:
    """Takes notes into the memory that passes read."""

    def __init__(self, state: State, activity: Activity, trust: Trust | None = None) -> None:
        """`trust`: who judges last words; None: whoever speaks is believed."""
        self._state, self._activity, self._trust = state, activity, trust

    def take(self, bodies: Iterable[bytes], now: datetime) -> bool:
        """Take these notes, all in one transaction; True if they make a pass worth while."""
        notes, unreadable = [], 0
        # Of equal ones one is read; what is dropped is counted as often as it came.
        for body, times in Counter(bodies).items():
            try:
                notes.append((read(body), times))
            except ValueError as error:
                unreadable += times
                log.warning("a note was dropped: %s", error)
        return self._take(notes, now, unreadable)

    def take_read(self, notes: Iterable[Any], now: datetime) -> bool:
        """The same for notes that have been decoded already."""
        return self._take([(note, 1) for note in notes], now, 0)

    def _take(self, notes: Iterable[tuple[Any, int]], now: datetime, unreadable: int) -> bool:
        """Each with how often it came."""
        kinds: dict[str, Mapping[str, Any]] = {}
        dropped = Counter({UNREADABLE: unreadable})
        worth_a_pass = False
        for note, times in notes:
            try:
                worth_a_pass |= self._take_one(note, kinds, now)
            except InvalidConfig:
                raise  # our own file is in trouble: the note is as good as before, and comes again
            except door.NO_SENSE as error:
                dropped[UNREADABLE] += times
                log.warning(
                    "a note was dropped: %s: %s: %s",
                    *(type(error).__name__, shortened(str(error), 300), shortened(note, 300)),
                )
        if kinds:
            new, full = self._state.kinds.announce(kinds, now, young=YOUNG)
            dropped[FULL] += full
            worth_a_pass |= bool(new)
        if +dropped:
            self._state.change(DROPPED, lambda before: dict(Counter(before or {}) + dropped))
        return worth_a_pass

    def _take_one(self, note: Any, kinds: dict[str, Mapping[str, Any]], now: datetime) -> bool:
        kind = note["kind"]
        if kind == "announce":
            kinds[door.queue_name(note["queue"])] = door.requirement(note["requirement"]).to_json()
            return False
        if kind == "left":
            return self._left(note, now)
        if kind == "gang-ended":
            return True
        raise ValueError(f"its kind is {shortened(kind)}; announce, left or gang-ended would be right")

    def _left(self, note: Mapping[str, Any], now: datetime) -> bool:
        if self._trust is not None:
            believed = self._trust.farewell(note, now)
            if believed is None:
                return False
            note = believed
        door.name(note["hostname"], "hostname")
        nodename, pid, started = (
            door.name(note["nodename"], "nodename"),
            note.get("pid"),
            note.get("started", 0.0),
        )
        if isinstance(pid, bool) or not isinstance(pid, int):
            raise ValueError(f"pid is {shortened(pid)}; the number of a process would be right")
        if isinstance(started, bool) or not isinstance(started, int | float):
            raise ValueError(f"started is {shortened(started)}; seconds since the epoch would be right")
        # A note that comes late must not count for the life after the one that it is of.
        is_gone = self._activity.forget_worker(nodename, pid, started)
        return is_gone and self._state.last_word(process_name(nodename, pid, started))
