"""What stands in the control queue, at its head: only requests go on to the slot that makes passes.

Only beat and operators are to write there. But producers and nodes of earlier versions send their notes by
it, and on RabbitMQ whoever may send tasks can put anything into any queue. A note is taken here; what is
neither is dropped, and told in the report of the next pass. And while much stands there, passes are made
without waiting for it: `requests.py` says when.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from autoscaler_app import schedule
from autoscaler_app.brokers.reading import json_of
from autoscaler_app.listening.notes import DROPPED, MAX_BYTES, UNREADABLE
from autoscaler_app.listening.shown import shortened
from autoscaler_app.memory.state import State
from autoscaler_app.worker.requests import Requests
from celery_resources.insides.garbage import set_aside
from scalelib.errors import ScalelibError

log = logging.getLogger(__name__)

NO_REQUEST = "it stood in the control queue and is no request"

MOST_KEPT = 10_000
"""Notes that wait for a state file that cannot be written."""


class Line:
    """Deals with each message of the control queue before Celery does. In the thread that consumes."""

    def __init__(self, requests: Requests, take: Callable[[list[Any]], object]) -> None:
        """`take` takes notes; it may raise ScalelibError, and gets them again then."""
        self._requests, self._take = requests, take
        self._notes: list[Any] = []
        self._dropped: Counter[str] = Counter()
        """How many, by why, since the process began."""
        self._counted: Counter[str] = Counter()
        """Of these, those that are told already."""
        self._is_looked_at = False

    def stand_before(self, consumer: Any, look: Callable[[], object]) -> None:
        """From now on, for each message that this consumer of Celery gets. `look` is called in the slot."""
        make = consumer.create_task_handler

        def create_task_handler(*args: Any, **kwargs: Any) -> Any:
            handle = make(*args, **kwargs)
            lost = (*consumer.connection_errors, *consumer.channel_errors)

            def on_message(message: Any) -> None:
                self._requests.came()
                if self._notes:
                    self._take_notes()
                self._receive(message, handle, lost)
                if not self._is_looked_at and self._requests.is_time_to_look():
                    self._is_looked_at = True
                    consumer.pool.apply_async(self._look, (look,), callback=_ignore)

            return on_message

        consumer.create_task_handler = create_task_handler

    def count_dropped(self, state: State) -> None:
        """Have what was dropped since the last time told by the next report. In the slot."""
        dropped = Counter(self._dropped)
        try:
            if new := dropped - self._counted:
                state.change(DROPPED, lambda before: dict(Counter(before or {}) + new))
        except ScalelibError:
            return  # the pass says what is wrong with the file; the count is as good next time
        self._counted = dropped

    def _receive(self, message: Any, handle: Callable[[Any], object], lost: tuple[type, ...]) -> None:
        task = _task_of(message)
        if task == schedule.AUTOSCALE:
            before = set_aside.count
            handle(message)
            if set_aside.count > before:
                self._drop(message, NO_REQUEST)
            return
        if task == schedule.NOTE:
            try:
                self._notes.append(_note_in(message))
            except ValueError:
                self._drop(message, UNREADABLE)
            else:
                self._take_notes()
        else:
            self._drop(message, NO_REQUEST)
        message.ack_log_error(log, lost)

    def _take_notes(self) -> None:
        del self._notes[:-MOST_KEPT]
        try:
            self._take(self._notes)
        except ScalelibError as error:
            log.warning("a note is kept until it can be written down: %s", error)
        else:
            self._notes.clear()

    def _drop(self, message: Any, why: str) -> None:
        if self._dropped[why] == self._counted[why]:  # of a flood, one for each report is enough
            log.warning(
                "a message was dropped: %s: headers %s, body %s",
                *(why, shortened(message.headers, 300), shortened(message.body, 300)),
            )
        self._dropped[why] += 1

    def _look(self, look: Callable[[], object]) -> None:
        self._is_looked_at = False
        try:
            look()
        except Exception:
            log.exception("looking at the line of the control queue failed; the next look tries again")


def _task_of(message: Any) -> object:
    """The name of the task that a message is for, in either of Celery's protocols; None if there is none."""
    headers = message.headers
    if isinstance(headers, dict) and "task" in headers:
        return headers["task"]
    try:
        body = json_of(message)
    except ValueError:
        return None
    return body.get("task") if isinstance(body, dict) else None


def _note_in(message: Any) -> dict[str, Any]:
    """What a note of an earlier version says. Raises ValueError for one that cannot be read."""
    if len(message.body or "") > MAX_BYTES:
        raise ValueError(f"a note has {len(message.body)} bytes; at most {MAX_BYTES} would be right")
    body = json_of(message)
    said = body.get("kwargs") if isinstance(body, dict) else body[1] if _is_pair(body) else None
    if not isinstance(said, dict):
        raise ValueError(f"a note is {shortened(body)}; arguments by name would be right")
    return {"kind": "", **said}


def _is_pair(body: object) -> bool:
    return isinstance(body, list) and len(body) >= 2


def _ignore(result: object) -> None:
    """What Celery's pool calls when something was done in it."""
