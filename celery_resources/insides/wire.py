"""What a node says to the control side is JSON, whatever serializer the app has chosen for its own messages.

Answers to remote control go back as the question came: the control side asks in JSON, the app's own programs
in what they have agreed on.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from kombu.pidbox import Node

from celery_resources.room.node import is_node

JSON = "application/json"


class _AnswersAlike(Node):
    """Celery's mailbox of a worker, which answers in JSON who asked in JSON."""

    _asked_in = ""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        self._asked_in = getattr(message, "content_type", "")
        return super().handle_message(body, message)

    def reply(self, data: Any, exchange: Any, routing_key: Any, ticket: Any, **kwargs: Any) -> None:
        mailbox = self.mailbox
        serializer = "json" if self._asked_in == JSON else mailbox.serializer
        mailbox._publish_reply(
            data, exchange, routing_key, ticket, channel=self.channel, serializer=serializer
        )


class Understood(bootsteps.Step):
    """Lets a node's mailbox take JSON and answer in it, before the mailbox is made."""

    label = "Understood"

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        if not is_node(parent.options.get("resources")):
            return
        mailbox = parent.app.control.mailbox
        mailbox.node_cls = _AnswersAlike
        mailbox.accept = sorted({*mailbox.accept, "json"})


def tell_in_json(dispatcher: Any) -> None:
    """Send the events of this dispatcher as JSON: every monitor reads that, beside what is set."""
    if dispatcher is not None:
        dispatcher.serializer = "json"
