"""Kinds of task without an autoscaler: a board in the broker that producers write on and nodes read.

With an autoscaler nobody needs it: that is told about new kinds, and tells each node which queues to join.
Without one, a node has to learn by itself which queues there are, also those of tasks that were sent before
it started, by a program that has ended since. The board is a queue of one message per kind, read by taking
all of them and giving them back.
"""

from __future__ import annotations

import time
from typing import Any

from celery.utils.log import get_logger
from kombu import Connection, Message, Producer, Queue

from celery_resources.need.requirement import Requirement
from celery_resources.sending.brief import bound_waiting, brief_connection
from celery_resources.sending.notes import HURRIED

logger = get_logger(__name__)

BOARD = "celery_resources.sending.kinds"
"""Name of the queue that is the board."""

ROOM = 1000
"""Most messages that producers leave on the board while no node reads it, and so takes doubles off."""


def post(app: Any, queue: str, requirement: Requirement) -> None:
    """Write a kind on the board, and tell the nodes that are up at once."""
    kind = {"queue": queue, "requirement": requirement.to_json()}
    with brief_connection(app) as connection:
        connection.ensure_connection(**HURRIED)
        bound_waiting(connection)
        channel = connection.channel()  # closed with the connection
        board = Queue(BOARD, durable=True)(channel)
        if board.queue_declare().message_count < ROOM:
            Producer(channel).publish(
                {**kind, "at": time.time()}, routing_key=BOARD, serializer="json", delivery_mode=2
            )
        app.control.broadcast("notice", arguments=kind, connection=connection)


def read(app: Any) -> dict[str, Requirement]:
    """The kinds on the board. Two that read at once each see a part: read again, and forget nothing."""
    with app.connection_for_read() as connection:
        return _read(connection)


def _read(connection: Connection) -> dict[str, Requirement]:
    board = Queue(BOARD, durable=True)(connection.default_channel)
    board.queue_declare()
    taken: list[Message] = []
    found: dict[str, Requirement] = {}
    while len(taken) < ROOM and (message := board.get(accept=["json"])) is not None:
        taken.append(message)
    for message in taken:
        try:
            queue, requirement = _kind(message)
        # Anybody writes on it: whatever reading it raises, the others are read.
        except Exception as error:  # noqa: BLE001
            logger.error("taken off the board of kinds: %.300r is none: %.300s", message.body, error)
            message.ack()
            continue
        if found.get(queue) == requirement:
            message.ack()
        else:
            found[queue] = requirement
            message.requeue()
    return found


def _kind(message: Message) -> tuple[str, Requirement]:
    said = message.decode()
    return str(said["queue"]), Requirement.from_json(said["requirement"])
