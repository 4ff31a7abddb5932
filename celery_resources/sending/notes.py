"""A note: what a producer or a node has to say to the control side. Ours, whatever the app's settings are.

Its format, its queue and the way it is published are fixed here. The app's serializer, compression, protocol,
routes, priorities and kinds of queue are made for its own tasks; a note in one of those could not be read, or
would declare our queue with arguments that the control worker does not share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from celery.utils.log import get_logger
from kombu import Producer, Queue

from celery_resources.sending.brief import NoWord, bound_waiting, brief_connection

logger = get_logger(__name__)

HURRIED = {"max_retries": 3, "interval_start": 0.0, "interval_step": 0.2, "interval_max": 0.2}
"""How often to try again where somebody waits: Celery's own choice for what is published."""

PATIENT = {"max_retries": 30, "interval_start": 0.2, "interval_step": 0.4, "interval_max": 2.0}
"""For a minute: a broker that restarts is back by then."""


def notes_queue(control_queue: str) -> str:
    """The queue that takes the notes for the control side that serves this control queue."""
    return f"{control_queue}.notes"


def definition(control_queue: str) -> Queue:
    """The queue of notes as the control worker declares it, and nobody in another way."""
    return Queue(notes_queue(control_queue), durable=True, auto_delete=False, exclusive=False)


def send_note(app: Any, control_queue: str, *, policy: Mapping[str, float] = HURRIED, **facts: Any) -> None:
    """One durable message without expiry to the control side, over a connection of its own.

    Its own, because the caller may be shutting down, or may hold the only connection of a pool of one.
    Raises kombu's OperationalError where the broker cannot be reached for as long as the policy says, NoWord
    (one of them) where it does not say that it has the note, and TypeError for a fact that is not JSON.
    """
    body = json.dumps(facts, separators=(",", ":"))
    with brief_connection(app) as connection:
        # RabbitMQ says only to one who waits for its word that a note found no queue.
        connection.transport_options = {**connection.transport_options, "confirm_publish": True}
        # The retries of publishing are for a connection that breaks, not for one that cannot be made.
        connection.ensure_connection(**policy)
        publish = connection.ensure(_Post(), _publish, **policy)
        publish(connection, control_queue, body)


class _Post:
    """What kombu revives when a connection was made anew: nothing, each try opens a channel."""

    def revive(self, channel: Any) -> None:
        """There is nothing to revive."""


def _publish(connection: Any, control_queue: str, body: str) -> None:
    bound_waiting(connection)
    try:
        _publish_or_wait(connection, control_queue, body)
    except TimeoutError as error:
        # Not to be tried again like a connection that broke: it may well be there.
        raise NoWord from error


def _publish_or_wait(connection: Any, control_queue: str, body: str) -> None:
    channel = connection.channel()  # closed with the connection
    undelivered: list[object] = []
    if hasattr(channel, "events"):  # RabbitMQ; in Redis every queue is there
        channel.events["basic_return"].add(lambda *returned: undelivered.append(returned))
    producer = Producer(channel, auto_declare=False)
    _put(producer, control_queue, body)
    if undelivered:
        # No control worker has ever run here. Whoever is first makes the queue, in the one way there is: a
        # program that sends a task and ends could not say it again.
        logger.info("made the queue %r: no control side has run here yet", notes_queue(control_queue))
        definition(control_queue)(channel).queue_declare()
        _put(producer, control_queue, body)


def _put(producer: Producer, control_queue: str, body: str) -> None:
    """To the default exchange, which every broker has and nobody declares."""
    producer.publish(
        body,
        exchange="",
        routing_key=notes_queue(control_queue),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        mandatory=True,
        retry=False,
    )
