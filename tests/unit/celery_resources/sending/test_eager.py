"""A task that runs where it is called is checked as if it were sent, and finds what it needs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, chain, group

from celery_resources import (
    ConflictingQueue,
    InvalidRequirement,
    TooBig,
    UnknownResource,
    with_resources,
)

TWO = {"constraints": {"ncpus": 2}}


def _app(*, wrapped: bool = True, **conf: Any) -> Any:
    app: Any = Celery(f"eager-{uuid.uuid4()}", set_as_current=False)
    app = with_resources(app) if wrapped else app
    # A broker that nobody may ask: nothing is sent.
    app.conf.update(broker_url="redis://127.0.0.1:1", result_backend="cache+memory://", **conf)

    @app.task(name="plain", bind=True, shared=False)
    def plain(self: Any, *args: Any) -> Any:
        return getattr(self.request, "resources", None)

    @app.task(name="two", bind=True, shared=False, constraints={"ncpus": 2})
    def two(self: Any, *args: Any) -> Any:
        return getattr(self.request, "resources", None)

    @app.task(name="again", bind=True, shared=False)
    def again(self: Any, seen: Any = ()) -> Any:
        seen = [*seen, self.request.resources]
        if self.request.retries < 1:
            raise self.retry(args=(seen,), countdown=0)
        return seen

    app.finalize()
    return app


CALLS: dict[str, Callable[..., Any]] = {
    "apply": lambda task, **options: task.apply(**options),
    "apply_async": lambda task, **options: task.apply_async(**options),
    "a signature": lambda task, **options: task.s().set(**options).apply(),
    "a signature that is sent": lambda task, **options: task.s().set(**options).delay(),
    "a part of a chain": lambda task, **options: chain(task.si(), task.si().set(**options)).apply(),
    "a part of a group": lambda task, **options: group(task.si().set(**options)).apply().results[0],
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_task_finds_what_the_call_says(call: Callable[..., Any]) -> None:
    app = _app(task_always_eager=True)
    four = {"constraints": {"ncpus": 4}, "exclusive": True}
    assert call(app.tasks["plain"], **four).get() == four
    assert call(app.tasks["two"]).get() == TWO
    assert call(app.tasks["two"], constraints={"ncpus": 4}).get() == {"constraints": {"ncpus": 4}}
    assert call(app.tasks["plain"]).get() is None


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_wrong_is_the_error_that_sending_it_would_be(call: Callable[..., Any]) -> None:
    app = _app(
        task_always_eager=True,
        resource_node_kinds=[{"ncpus": 4}],
        resource_too_big="error",
        resource_queues={"gpu": {"ngpus": 1}},
    )
    task = app.tasks["plain"]
    with pytest.raises(UnknownResource, match="did you mean 'ncpus'"):
        call(task, constraints={"ncpu": 2})
    with pytest.raises(InvalidRequirement, match="task plain"):
        call(task, constraints={"ncpus": -1})
    with pytest.raises(TooBig):
        call(task, constraints={"ncpus": 64})
    with pytest.raises(ConflictingQueue, match="'gpu'"):
        call(task, constraints={"ncpus": 2}, queue="gpu")


def test_routes_and_declared_queues_say_it_too() -> None:
    app = _app(
        task_always_eager=True,
        resource_queues={"gpu": {"ngpus": 1}},
        task_routes={"plain": {"constraints": {"ncpus": 2}}, "two": {"queue": "special"}},
    )
    assert app.tasks["plain"].delay().get() == TWO
    assert app.tasks["two"].delay().get() == TWO
    app = _app(task_always_eager=True, resource_queues={"gpu": {"ngpus": 1}})
    assert app.tasks["plain"].apply_async(queue="gpu").get() == {"constraints": {"ngpus": 1}}
    app = _app(task_always_eager=True, task_create_missing_queues=False)
    assert app.tasks["two"].apply_async(queue="nowhere").get() == TWO, "no queue is made or asked for"


def test_a_retry_keeps_what_its_call_said() -> None:
    app = _app(task_always_eager=True)
    assert app.tasks["again"].apply(**TWO).get() == [TWO, TWO]


def test_a_header_of_the_user_s_own_and_other_apps_are_as_ever() -> None:
    app = _app()
    assert app.tasks["two"].apply(headers={"resources": "mine"}).get() is None
    other = _app(wrapped=False)
    assert other.tasks["two"].apply(constraints={"ncpu": 1}).get() is None


def test_of_what_a_node_told_a_task_nothing_is_told_to_one_that_it_calls_with_its_own_headers() -> None:
    app = _app()

    @app.task(name="headers", bind=True, shared=False)
    def headers(self: Any) -> Any:
        return self.request.headers

    told = {"gpus": ["0"], "autoscale_gpus": ["0"], "hosts": ["mine"], "autoscale_hosts": ["n1"]}
    assert headers.apply(headers={**told, "tenant": "t"}).get() == {"tenant": "t", "hosts": ["mine"]}
