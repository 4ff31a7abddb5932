"""Publishing: constraints choose the queue and travel in a header, on every way a task can be sent."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.beat import Scheduler

from celery_resources import (
    ConflictingQueue,
    InvalidRequirement,
    Requirement,
    ResourceTask,
    TooBig,
    UnknownResource,
    queue_name,
    requirement_for,
    with_resources,
)
from celery_resources.need.header import HEADER
from celery_resources.sending.announcing import AGAIN_AFTER, Announcer

FOUR = Requirement({"ncpus": 4, "memgb": 8})


class Sent:
    """Collects (task, queue, headers) of everything that an app publishes to its in-memory broker."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, queue: str) -> list[dict[str, Any]]:
        found = []
        with self.app.connection_for_read() as connection:
            bound = self.app.amqp.queues[queue](connection.default_channel)
            bound.declare()
            while (message := bound.get(no_ack=True)) is not None:
                found.append({**message.headers, "payload": message.payload})
        return found

    def tasks(self, queue: str) -> list[str]:
        return [headers["task"] for headers in self(queue)]


@pytest.fixture
def make_app() -> Iterator[Callable[..., Any]]:
    apps = []

    def make(**conf: Any) -> Any:
        app = with_resources(Celery(f"app-{uuid.uuid4()}", set_as_current=False))
        app.conf.update(broker_url=f"memory://{uuid.uuid4()}", result_backend="cache+memory://", **conf)

        @app.task(name="four", constraints={"ncpus": 4, "memgb": 8}, bind=True, shared=False)
        def four(self: Any) -> None: ...

        @app.task(name="plain", shared=False)
        def plain(*args: Any) -> None: ...

        app.finalize()
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


WAYS: dict[str, Callable[[Any], object]] = {
    "apply_async of a task with constraints": lambda app: app.tasks["four"].apply_async(),
    "delay": lambda app: app.tasks["four"].delay(),
    "constraints in the call": lambda app: app.tasks["plain"].apply_async(
        constraints={"memgb": 8.0, "ncpus": 4}
    ),
    "send_task by name": lambda app: app.send_task("elsewhere", constraints={"ncpus": 4, "memgb": 8}),
    "send_task of a registered task": lambda app: app.send_task("four"),
    "signature": lambda app: app.tasks["plain"].s().set(constraints={"ncpus": 4, "memgb": 8}).apply_async(),
    "group": lambda app: group(app.tasks["four"].si(), app=app).apply_async(),
    "chain, its first task": lambda app: chain(
        app.tasks["four"].si(), app.tasks["plain"].si(), app=app
    ).apply_async(),
    "chord header": lambda app: chord(
        [app.tasks["four"].si()], app.tasks["plain"].si(), app=app
    ).apply_async(),
    "with a countdown": lambda app: app.tasks["four"].apply_async(countdown=5),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_of_sending_ends_in_the_queue_of_the_requirement(
    way: Callable[[Any], object], make_app: Callable[..., Any]
) -> None:
    app = make_app()
    way(app)
    (headers,) = Sent(app)(queue_name(FOUR))
    assert headers[HEADER] == FOUR.to_json()
    assert Sent(app)("celery") == []


def test_a_beat_entry_may_say_constraints(make_app: Callable[..., Any]) -> None:
    app = make_app(
        beat_schedule={
            "every": {"task": "plain", "schedule": 1.0, "options": {"constraints": {"ncpus": 4, "memgb": 8}}}
        }
    )
    scheduler = Scheduler(app)
    scheduler.setup_schedule()
    scheduler.apply_async(scheduler.schedule["every"], advance=False)
    scheduler.close()
    assert Sent(app).tasks(queue_name(FOUR)) == ["plain"]


def test_a_retry_keeps_the_queue_and_the_header_that_the_call_chose(make_app: Callable[..., Any]) -> None:
    app = make_app()
    two = Requirement({"ncpus": 2})
    task = app.tasks["four"]
    task.apply_async(constraints={"ncpus": 2})
    (headers,) = Sent(app)(queue_name(two))
    headers.pop("payload")
    task.push_request(
        **headers,
        args=[],
        kwargs={},
        called_directly=False,
        delivery_info={"exchange": "", "routing_key": queue_name(two)},
    )
    try:
        task.signature_from_request(retries=1).apply_async()
        task.signature_from_request(retries=2, constraints={"ncpus": 3}).apply_async()
    finally:
        task.pop_request()
    (again,) = Sent(app)(queue_name(two))
    assert again[HEADER] == two.to_json()
    assert again["retries"] == 1
    (moved,) = Sent(app)(queue_name(Requirement({"ncpus": 3})))
    assert moved["retries"] == 2


def test_a_task_without_constraints_is_a_plain_celery_task(make_app: Callable[..., Any]) -> None:
    app = make_app(resource_control_queue="control")
    app.tasks["plain"].delay()
    app.tasks["four"].apply_async(constraints={})
    first, second = Sent(app)("celery")
    assert HEADER not in first
    assert HEADER not in second
    assert Sent(app)("control") == []


def test_a_declared_queue_serves_its_requirement_and_its_tasks_carry_it(make_app: Callable[..., Any]) -> None:
    app = make_app(resource_queues={"gpu": {"ngpus": 1}})
    app.tasks["plain"].apply_async(queue="gpu")
    app.tasks["plain"].apply_async(constraints={"ngpus": 1})
    first, second = Sent(app)("gpu")
    assert first[HEADER] == second[HEADER] == {"constraints": {"ngpus": 1}}
    assert requirement_for(app, "gpu") == Requirement({"ngpus": 1})
    assert requirement_for(app, "celery") is None


def test_a_queue_that_is_named_stays_and_the_requirement_rides_along(make_app: Callable[..., Any]) -> None:
    app = make_app()
    app.tasks["four"].apply_async(queue="mine")
    (headers,) = Sent(app)("mine")
    assert headers[HEADER] == FOUR.to_json()


def test_flags_of_the_call_add_to_the_constraints_of_the_task(make_app: Callable[..., Any]) -> None:
    app = make_app()
    app.tasks["four"].apply_async(exclusive=True, node_count=2, colocated=True)
    wanted = Requirement(FOUR.constraints, exclusive=True, node_count=2, colocated=True)
    assert Sent(app).tasks(queue_name(wanted)) == ["four"]


def test_the_task_class_alone_is_enough() -> None:
    app = Celery("by-class", task_cls=ResourceTask, set_as_current=False)
    app.conf.update(broker_url=f"memory://{uuid.uuid4()}")

    @app.task(name="four", constraints={"ncpus": 4, "memgb": 8}, shared=False)
    def four() -> None: ...

    app.finalize()
    app.tasks["four"].delay()
    assert Sent(app).tasks(queue_name(FOUR)) == ["four"]
    app.close()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"constraints": {"ncpu": 4}}, UnknownResource, "task plain: unknown resource 'ncpu' in constraints"),
        ({"constraints": {"ncpu": 4}}, UnknownResource, "did you mean 'ncpus'?"),
        ({"constraints": {"ncpus": "four"}}, InvalidRequirement, "constraints.ncpus: 'four' is no amount"),
        ({"constraints": {"ncpus": -1}}, InvalidRequirement, "ncpus: -1 is negative"),
        ({"constraints": [4]}, InvalidRequirement, "constraints must be a mapping"),
        ({"node_count": 1.5}, InvalidRequirement, "node_count must be a whole number"),
        (
            {"constraints": {"ngpus": 2}, "queue": "gpu"},
            ConflictingQueue,
            "is sent to queue 'gpu', whose tasks",
        ),
        ({"constraints": {"ncpus": 64}}, TooBig, "no known kind of node has {'ncpus': 64}"),
    ],
)
def test_a_bad_requirement_is_an_error_where_the_task_is_sent(
    options: dict[str, Any], error: type[Exception], says: str, make_app: Callable[..., Any]
) -> None:
    app = make_app(
        resource_queues={"gpu": {"ngpus": 1}},
        resource_node_kinds=[{"ncpus": 4, "memgb": 16, "ngpus": 4}],
        resource_too_big="error",
    )
    with pytest.raises(error, match=re.escape(says)):
        app.tasks["plain"].apply_async(**options)


def test_more_than_any_node_has_is_a_warning_by_default(
    make_app: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(resource_node_kinds=[{"ncpus": 4}])
    with caplog.at_level(logging.WARNING):
        app.tasks["plain"].apply_async(constraints={"ncpus": 64})
        app.tasks["plain"].apply_async(constraints={"ncpus": 64})
    assert len(caplog.records) == 1
    assert "no known kind of node has {'ncpus': 64}" in caplog.text


def test_a_declared_resource_of_the_app_is_known(make_app: Callable[..., Any]) -> None:
    app = make_app(resource_names=["licenses"])
    app.tasks["plain"].apply_async(constraints={"licenses": 2})
    assert Sent(app).tasks("res:licenses=2") == ["plain"]


def test_a_kind_is_announced_once_before_its_first_task(make_app: Callable[..., Any]) -> None:
    app = make_app(resource_control_queue="control", resource_queues={"gpu": {"ngpus": 1}})
    for _ in range(3):
        app.tasks["four"].delay()
        app.tasks["plain"].apply_async(queue="gpu")
    assert [note["payload"] for note in Sent(app)("control.notes")] == [
        {"kind": "announce", "queue": queue_name(FOUR), "requirement": FOUR.to_json()},
        {"kind": "announce", "queue": "gpu", "requirement": {"constraints": {"ngpus": 1}}},
    ]


def test_a_kind_in_use_is_announced_again_after_a_while(make_app: Callable[..., Any]) -> None:
    app = make_app()
    now = 0.0
    announcer = Announcer(app, "control", clock=lambda: now)
    announcer.announce("q", FOUR)
    now = AGAIN_AFTER - 1
    announcer.announce("q", FOUR)
    assert len(Sent(app)("control.notes")) == 1
    now = AGAIN_AFTER
    announcer.announce("q", FOUR)
    assert len(Sent(app)("control.notes")) == 1
