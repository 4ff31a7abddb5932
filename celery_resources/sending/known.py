"""Which queues an app's tasks may stand in, besides those that Celery lists: for `purge` and for people.

A kind's queue is made when its first task is sent, by whoever sends it. So this asks around: the settings,
the tasks' definitions, what this process has sent, the board (where no autoscaler is told of kinds), the
nodes that are up and, on Redis, the broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celery.utils.log import get_logger

from celery_resources.errors import ResourceError
from celery_resources.insides.messages import bound_exchanges
from celery_resources.need.naming import is_derived
from celery_resources.need.requirement import Requirement
from celery_resources.sending import board

logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class KnownQueue:
    """A queue, and what is known of it."""

    name: str
    requirement: Requirement | None
    """What its tasks need; None where neither its name nor anybody says."""
    source: str
    """Who told of it first."""


def known_queues(app: Any, *, timeout: float = 1.0) -> dict[str, KnownQueue]:
    """By name: declared and derived queues of this app. `timeout`: seconds to wait for nodes that answer.

    Whoever cannot be asked is left out, and the log says so.
    """
    kinds = app.amqp.router.kinds
    found: dict[str, KnownQueue] = {}
    for source, tell in _SOURCES.items():
        try:
            for name, requirement in tell(app, timeout):
                needs = requirement or kinds.of_queue(name)
                found.setdefault(name, KnownQueue(name=name, requirement=needs, source=source))
        except ResourceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a transport raises: the others may know more
            logger.warning("queues of this app, as told by the %s, are not known: %s", source, error)
    return found


def _declared(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    yield from app.amqp.router.kinds.settings.queues.items()


def _of_tasks(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    router = app.amqp.router
    for task in app.tasks.values():
        if (queue := router.queue_of_task(task)) is not None:
            yield queue, None


def _met(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    yield from app.amqp.router.kinds.met().items()


def _on_board(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    if app.amqp.router.kinds.settings.control_queue is None:
        yield from board.read(app).items()


def _at_nodes(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    answers = app.control.inspect(timeout=timeout).active_queues() or {}
    for queues in answers.values():
        for queue in queues:
            if is_derived(queue["name"]):
                yield queue["name"], None


def _in_broker(app: Any, timeout: float) -> Iterator[tuple[str, Requirement | None]]:
    with app.connection_for_read() as connection:
        for name in bound_exchanges(connection.default_channel):
            if is_derived(name):
                yield name, None


_SOURCES = {
    "settings": _declared,
    "tasks": _of_tasks,
    "process": _met,
    "board": _on_board,
    "nodes": _at_nodes,
    "broker": _in_broker,
}
