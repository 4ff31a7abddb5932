"""What a message asks for besides a pass or a note, a control worker does not do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.app.trace import trace_task

from autoscaler_app import autoscale
from autoscaler_app.worker import steps
from autoscaler_app.worker.narrow import carry_nothing_on, keep_to_own_tasks
from celery_resources.sending.depth import messages_waiting


@pytest.fixture
def app() -> Iterator[Any]:
    with Celery(f"a{uuid.uuid4()}", broker=f"memory://{uuid.uuid4()}", set_as_current=False) as app:

        @app.task(name="ours", shared=False)
        def ours(fails: bool = False) -> None:
            if fails:
                raise ValueError

        @app.task(name="other", shared=False)
        def other() -> None: ...

        yield app


@pytest.mark.parametrize("fails", [False, True], ids=["link", "link_error"])
def test_a_signature_that_a_request_carries_is_not_sent(app: Any, fails: bool) -> None:
    """As a worker runs it: eagerly Celery would run an errback here, and send nothing."""
    queue = f"q{uuid.uuid4()}"  # all brokers in memory are one
    other = app.signature("other", queue=queue, immutable=True)
    request = {"errbacks" if fails else "callbacks": [other], "delivery_info": {}}
    trace_task(app.tasks["ours"], "one", (fails,), {}, request=request, app=app)
    assert messages_waiting(app, [queue]) == {queue: 1}, "Celery would send it"
    signals.task_prerun.connect(carry_nothing_on)
    try:
        trace_task(app.tasks["ours"], "two", (fails,), {}, request=request, app=app)
    finally:
        signals.task_prerun.disconnect(carry_nothing_on)
    assert messages_waiting(app, [queue]) == {queue: 1}


def test_the_rest_of_a_chain_and_a_chord_are_not_carried_on_either() -> None:
    request = {"chain": ["next"], "chord": {"task": "body"}, "id": "1"}
    carry_nothing_on(task=SimpleNamespace(request=request))
    assert (request["chain"], request["chord"], request["id"]) == (None, None, "1")


def test_a_control_worker_knows_its_own_tasks_and_none_that_celery_has_built_in() -> None:
    tasks = dict(autoscale.app.tasks)
    assert "celery.group" in tasks
    keep_to_own_tasks(tasks, "autoscaler_app.")
    assert sorted(tasks) == ["autoscaler_app.autoscale"]


def test_a_control_worker_is_narrow_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    narrowed: list[Any] = []
    monkeypatch.setattr(steps, "be_narrow", narrowed.append)
    for queue, expected in (("celery", []), ("autoscale", [steps.app])):
        queues = SimpleNamespace(consume_from=(queue,))
        steps.KeepsToItself(
            SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)), options={})
        )
        assert narrowed == expected
