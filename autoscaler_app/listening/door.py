"""What may come in from the network: checked where it enters, by type, length, character and meaning. Pure.

Anybody who may write to the broker can say anything. What passes here can be kept, asked for, and shown on a
terminal; what does not is refused with a ValueError that names the value, the place and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autoscaler_app import schedule
from autoscaler_app.listening.shown import shortened
from celery_resources import Requirement
from celery_resources.errors import ResourceError

MAX_BYTES = 255
"""Of a name: AMQP's own bound for the name of a queue (a short string)."""

MAX_CONSTRAINTS = 64
"""Of one requirement."""

MAX_NODES = 100_000
"""Of one gang."""

NO_SENSE = (
    msgspec.MsgspecError,  # in newer versions of it a ValueError as well
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,  # of a time that the machine's clock cannot have
)
"""What looking into a value may raise that anybody may have sent."""

_OTHERS = ("_kombu.", "celeryev", "celery_delayed_", "amq.")
"""Prefixes of queues in which no task of a user waits: kombu's, Celery's events, Celery's delays, AMQP's."""


def name(value: object, what: str) -> str:
    """A name of something; `what` says in the error of what."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is {shortened(value)}; a name would be right")
    if not value.isprintable():
        raise ValueError(f"{what} is {shortened(value)}; printable characters would be right")
    if len(value.encode(errors="replace")) > MAX_BYTES:
        raise ValueError(f"{what} is {shortened(value)}; at most {MAX_BYTES} bytes would be right")
    return value


def queue_name(value: object) -> str:
    """The name of a queue in which tasks of nodes may wait."""
    queue = name(value, "queue")
    if queue in (schedule.CONTROL_QUEUE, schedule.NOTES_QUEUE):
        raise ValueError(
            f"queue is {queue!r}, which is the control side's own; a queue of tasks would be right"
        )
    if queue.startswith(_OTHERS) or queue.endswith(".pidbox"):
        raise ValueError(
            f"queue is {queue!r}, which Celery keeps for itself; a queue of tasks would be right"
        )
    return queue


def is_queue_name(value: object) -> bool:
    """Whether `queue_name` takes it."""
    try:
        queue_name(value)
    except ValueError:
        return False
    return True


def requirement(value: object) -> Requirement:
    """What the tasks of a queue need."""
    try:
        need = Requirement.from_json(value)
    except (ResourceError, RecursionError) as error:
        raise ValueError(shortened(str(error), 400)) from error
    if len(need.constraints) > MAX_CONSTRAINTS:
        raise ValueError(
            f"a requirement has {len(need.constraints)} constraints; at most {MAX_CONSTRAINTS} would be right"
        )
    if need.node_count > MAX_NODES:
        raise ValueError(f"node_count is {need.node_count}; at most {MAX_NODES} would be right")
    for resource, amount in need.constraints.items():
        _check(amount, f"constraint {name(resource, 'a resource')!r}", depth=4)
    return need


def _check(value: object, place: str, depth: int) -> None:
    """A value of a constraint: a finite number, a text that can be shown, a truth, or a few of these."""
    if value is None:
        return
    if isinstance(value, str):
        if value:
            name(value, place)
    elif isinstance(value, int | float):
        if abs(value) > 1e18:
            raise ValueError(f"{place} is {shortened(value)}; an amount below 1e18 would be right")
    elif depth and isinstance(value, list) and len(value) <= MAX_CONSTRAINTS:
        for each in value:
            _check(each, place, depth - 1)
    elif depth and isinstance(value, Mapping) and len(value) <= MAX_CONSTRAINTS:
        for key, each in value.items():
            _check(each, f"{place}[{name(key, place)!r}]", depth - 1)
    else:
        raise ValueError(f"{place} is {shortened(value)}; an amount, a text or a short list would be right")
