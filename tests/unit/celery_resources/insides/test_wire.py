"""Which format an answer and an event of a node have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.pidbox import Mailbox, Node

from celery_resources.insides.wire import JSON, Understood, _AnswersAlike, tell_in_json


class Replies:
    """A mailbox that notes in what it answered."""

    serializer, clock = "pickle", SimpleNamespace(adjust=lambda other: None)

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def _publish_reply(self, *said: Any, **how: Any) -> None:
        self.sent.append((*said, how))


@pytest.mark.parametrize(
    ("asked_in", "answered_in"),
    [(JSON, "json"), ("application/x-python-serialize", "pickle"), ("", "pickle")],
)
def test_an_answer_goes_back_as_the_question_came(asked_in: str, answered_in: str) -> None:
    mailbox: Any = Replies()
    node = _AnswersAlike("celery@n1", mailbox=mailbox, channel="c", handlers={"here": lambda state: "yes"})
    body = {
        "method": "here",
        "arguments": {},
        "reply_to": {"exchange": "e", "routing_key": "r"},
        "ticket": "t",
    }
    node.handle_message(body, SimpleNamespace(content_type=asked_in, headers={}))
    assert mailbox.sent == [
        ({"celery@n1": "yes"}, "e", "r", "t", {"channel": "c", "serializer": answered_in})
    ]


@pytest.mark.parametrize(
    ("resources", "accept", "takes"),
    [
        ("ncpus=4", ["pickle"], ["json", "pickle"]),
        ("ncpus=4", ["json"], ["json"]),
        (None, ["pickle"], ["pickle"]),
    ],
)
def test_a_node_takes_json_beside_what_is_set_and_another_worker_is_left_alone(
    resources: str | None, accept: list[str], takes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_RESOURCES", raising=False)
    mailbox = Mailbox("celery", accept=accept)
    parent = SimpleNamespace(
        options={"resources": resources}, app=SimpleNamespace(control=SimpleNamespace(mailbox=mailbox))
    )
    Understood(parent)
    assert mailbox.accept == takes
    assert mailbox.node_cls is (Node if resources is None else _AnswersAlike)


def test_events_are_json_also_where_there_are_none() -> None:
    dispatcher = SimpleNamespace(serializer="pickle")
    tell_in_json(dispatcher)
    tell_in_json(None)
    assert dispatcher.serializer == "json"
