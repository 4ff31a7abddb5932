"""Which answers to a question count, line by line; on every broker it is tried in tests/contract/brokers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Producer

from autoscaler_app.listening.ask import _Question, together

Answers = Callable[..., dict[str, Any]]


@pytest.fixture
def answers() -> Iterator[Answers]:
    """What is found of bodies that come to the queue of a question, with its ticket or another."""
    with Celery("asking", broker="memory://", set_as_current=False) as app, app.connection() as connection:

        def found(*bodies: object, ticket: str | None = None) -> dict[str, Any]:
            question = _Question(app, connection, "resources", logging.WARNING, None)
            with question.answers:
                for body in bodies:
                    Producer(question._channel, auto_declare=False).publish(
                        body,
                        exchange=question._reply_queue.exchange.name,
                        routing_key=question._ticket,
                        headers={"ticket": ticket or question._ticket},
                        serializer="json",
                    )
                for _ in bodies:
                    question.wait(1.0)
            return question.found

        yield found


def test_an_answer_to_another_question_is_none(answers: Answers) -> None:
    assert answers({"w@n1": {"ok": {"pid": 1}}}, ticket="another") == {}
    assert answers({"w@n1": {"ok": {"pid": 1}}}) == {"w@n1": {"pid": 1}}


def test_what_is_no_answer_spoils_no_other(answers: Answers) -> None:
    assert answers([1], "text", None, {"w@n1": {"ok": ["t"]}}) == {"w@n1": ["t"]}


def test_one_that_could_not_has_none_and_one_that_says_more_than_ok_is_taken_whole(answers: Answers) -> None:
    assert answers({"w@n1": {"error": "busy"}, "w@n2": {"ok": 1, "signed": 2}, "w@n3": 5}) == {
        "w@n1": None,
        "w@n2": {"ok": 1, "signed": 2},
        "w@n3": 5,
    }


def test_nobody_says_anything_for_others_and_two_processes_of_a_name_hide_nothing(answers: Answers) -> None:
    forged = {"ok": {"pid": 1, "others": [{"pid": 9}]}}
    assert answers({"w@n1": forged}) == {"w@n1": {"pid": 1}}
    assert answers({"w@n1": forged}, {"w@n1": {"ok": {"pid": 2}}}, {"w@n1": {"ok": {"pid": 3}}}) == {
        "w@n1": {"pid": 1, "others": [{"pid": 2}, {"pid": 3}]}
    }


def test_of_one_process_the_last_answer_counts_and_lists_add_up() -> None:
    assert together({"pid": 1, "seq": 1}, {"pid": 1, "seq": 2}) == {"pid": 1, "seq": 2}
    assert together(["a"], ["b"]) == ["a", "b"]
    assert together(None, {"pid": 1}) == {"pid": 1}
