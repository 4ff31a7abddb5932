"""A broker that takes what is published and answers nothing more, as RabbitMQ does in an alarm."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_resources import with_resources
from celery_resources.sending import announcing, board, brief, notes
from celery_resources.sending.brief import NoWord
from celery_resources.sending.notes import send_note

MakeApp = Callable[..., Celery]


@pytest.fixture
def url(amqp_url: str) -> str:
    """Redis is not asked for its word."""
    return amqp_url


@pytest.fixture
def alarm(wire: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A broker that is silent from the first message on; its URL."""
    real_note, real_kind = notes._put, board.Producer.publish

    def note(*arguments: Any) -> None:
        wire.silence()
        real_note(*arguments)

    def kind(*arguments: Any, **options: Any) -> Any:
        wire.silence()
        return real_kind(*arguments, **options)

    monkeypatch.setattr(notes, "_put", note)
    monkeypatch.setattr(board.Producer, "publish", kind)
    monkeypatch.setattr(brief, "WORD", 0.3)
    return str(wire.url)


def test_who_sends_a_note_is_told_that_nobody_says_it_is_there(alarm: str, make_app: MakeApp) -> None:
    began = time.monotonic()
    with pytest.raises(NoWord, match="alarm"):
        send_note(make_app(alarm), "autoscale", kind="left")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("control_queue", ["autoscale", None])
def test_who_sends_a_task_does_not_wait_for_it_and_announces_its_kind_again_soon(
    alarm: str, wire: Any, make_app: MakeApp, control_queue: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_resources(make_app(alarm, resource_control_queue=control_queue))
    announced: list[str] = []
    real = announcing.Announcer._say
    monkeypatch.setattr(
        announcing.Announcer,
        "_say",
        lambda self, queue, need: announced.append(queue) or real(self, queue, need),
    )
    now = [0.0]
    router: Any = app.amqp.router
    router._announcer._clock = lambda: now[0]
    began = time.monotonic()
    for after in (0.0, announcing.AGAIN_SOON - 1, announcing.AGAIN_SOON):
        now[0] = after
        wire.heal()
        router.route({"constraints": {"ncpus": 2}}, "t")
    assert time.monotonic() - began < 5
    assert announced == ["res:ncpus=2"] * 2
