"""A destination that the user names, in any of Celery's ways, is kept, or refused with a sentence."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery._state import _task_stack
from celery.exceptions import QueueNotFound
from kombu import Queue

from celery_resources import (
    ConflictingQueue,
    InvalidRequirement,
    Requirement,
    UnknownResource,
    with_resources,
)
from celery_resources.intake.offers import Offers
from celery_resources.need.header import HEADER, tell

TWO = {"constraints": {"ncpus": 2}}


class Elsewhere:
    """A route by a class, as before Celery 4."""

    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> dict[str, Any]:
        return {"queue": "special"}


def by_function(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
    return "special"


def breaks_without_arguments(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> Any:
    return {"queue": f"special-{args[0]}"}


ROUTES: dict[str, Any] = {
    "dict": {"two": {"queue": "special"}, "plain": {"queue": "special"}},
    "glob": {"*": {"queue": "special"}},
    "text": {"two": "special", "plain": "special"},
    "pairs": [[("two", {"queue": "special"}), ("plain", {"queue": "special"})]],
    "a queue object": {"*": {"queue": Queue("special", routing_key="key")}},
    "function": (by_function,),
    "class": (Elsewhere(),),
}


@pytest.fixture
def make_app() -> Iterator[Callable[..., Any]]:
    apps = []

    def make(routes: Any = None, **conf: Any) -> Any:
        app = with_resources(Celery(f"app-{uuid.uuid4()}", set_as_current=False))
        app.conf.update(broker_url=f"memory://{uuid.uuid4()}", task_routes=routes, **conf)

        @app.task(name="two", shared=False, **TWO)
        def two(*args: Any) -> None: ...

        @app.task(name="plain", shared=False)
        def plain(*args: Any) -> None: ...

        app.finalize()
        for name in set(app.tasks) - {"two", "plain"}:
            # Shared tasks of other tests in this process.
            app.tasks.unregister(name)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


def destination(app: Any, task: str, *args: Any, **options: Any) -> dict[str, Any]:
    """What Celery would publish with: queue (by name), exchange, routing key, priority, and our header."""
    task_type = app.tasks[task]
    options = {**task_type._get_exec_options(), **options}
    routed = app.amqp.router.route(options, task, args, {}, task_type)
    queue = routed.get("queue")
    names = ("exchange", "routing_key", "priority")
    found = {name: routed[name] for name in names if routed.get(name) is not None}
    if queue is not None:
        found["queue"] = getattr(queue, "name", queue)
    if (headers := routed.get("headers")) and HEADER in headers:
        found["needs"] = headers[HEADER]["constraints"]
    return found


@pytest.mark.parametrize("routes", ROUTES.values(), ids=ROUTES)
def test_a_routed_task_that_says_what_it_needs_has_a_queue_of_the_family_of_its_route(
    routes: Any, make_app: Callable[..., Any]
) -> None:
    app = make_app(routes)
    assert destination(app, "two") == {"queue": "res:ncpus=2@special", "needs": {"ncpus": 2}}
    assert destination(app, "plain") == {"queue": "special"}
    assert destination(app, "plain", constraints={"ncpus": 3})["queue"] == "res:ncpus=3@special"
    assert destination(app, "two", queue="mine") == {"queue": "mine", "needs": {"ncpus": 2}}


def test_a_route_is_asked_once_for_each_task(make_app: Callable[..., Any]) -> None:
    asked = []

    def route(name: str, *args: Any, **kwargs: Any) -> None:
        asked.append(name)

    app = make_app((route,))
    assert destination(app, "two")["queue"] == "res:ncpus=2"
    assert destination(app, "plain")["queue"] == "celery"
    assert asked == ["two", "plain"]


def test_a_route_to_the_default_queue_is_no_family_of_its_own(make_app: Callable[..., Any]) -> None:
    app = make_app({"*": {"queue": "main"}}, task_default_queue="main")
    assert destination(app, "two")["queue"] == "res:ncpus=2"


def test_what_a_route_says_besides_is_kept(make_app: Callable[..., Any]) -> None:
    app = make_app({"two": {"queue": "special", "priority": 5}, "plain": {"priority": 4}})
    assert destination(app, "two") == {
        "queue": "res:ncpus=2@special",
        "priority": 5,
        "needs": {"ncpus": 2},
    }
    assert destination(app, "two", priority=7)["priority"] == 7
    assert destination(app, "plain", constraints={"ncpus": 1}) == {
        "queue": "res:ncpus=1",
        "priority": 4,
        "needs": {"ncpus": 1},
    }


def test_constraints_in_a_route_count_where_neither_the_call_nor_the_task_says_any(
    make_app: Callable[..., Any],
) -> None:
    app = make_app({"*": {"constraints": {"ncpus": 8}, "exclusive": True}})
    assert destination(app, "plain") == {"queue": "res:ncpus=8:exclusive", "needs": {"ncpus": 8}}
    assert destination(app, "plain", constraints={"ncpus": 1})["queue"] == "res:ncpus=1:exclusive"
    assert destination(app, "two")["queue"] == "res:ncpus=2:exclusive"
    app = make_app({"plain": {"queue": "special", "constraints": {"ncpsu": 8}}})
    with pytest.raises(UnknownResource, match="task plain: unknown resource 'ncpsu'"):
        destination(app, "plain")


NAMED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "queue": ({"queue": "mine"}, {"queue": "mine"}),
    "queue object": ({"queue": Queue("mine", routing_key="key")}, {"queue": "mine"}),
    "exchange": (
        {"exchange": "ex", "exchange_type": "direct", "routing_key": "rk"},
        {"exchange": "ex", "routing_key": "rk", "queue": "celery"},
    ),
    "routing key": ({"routing_key": "rk"}, {"routing_key": "rk", "queue": "celery"}),
}


@pytest.mark.parametrize(("named", "expected"), NAMED.values(), ids=NAMED)
def test_a_destination_that_the_call_names_is_kept_and_the_header_says_what_it_needs(
    named: dict[str, Any], expected: dict[str, Any], make_app: Callable[..., Any]
) -> None:
    app = make_app()
    assert destination(app, "two", **named) == {**expected, "needs": {"ncpus": 2}}
    assert destination(app, "plain", **named) == expected, "as in plain Celery"


def test_where_nobody_may_make_a_queue_by_its_name_those_of_requirements_are_made_all_the_same(
    make_app: Callable[..., Any],
) -> None:
    app = make_app(task_create_missing_queues=False, task_queues=[Queue("celery")])
    assert destination(app, "two")["queue"] == "res:ncpus=2"
    headers = {HEADER: TWO}
    assert destination(app, "two", headers=headers, queue="res:ncpus=2@special")["queue"] == (
        "res:ncpus=2@special"
    ), "a retry, too"
    with pytest.raises(QueueNotFound):
        destination(app, "two", queue="mine")


def test_an_exchange_that_a_route_names_is_kept(make_app: Callable[..., Any]) -> None:
    app = make_app({"two": {"exchange": "ex", "routing_key": "rk"}})
    assert destination(app, "two") == {"exchange": "ex", "routing_key": "rk", "needs": {"ncpus": 2}}


def test_a_route_to_a_declared_queue_that_says_something_else_is_refused(
    make_app: Callable[..., Any],
) -> None:
    app = make_app({"*": {"queue": "gpu"}}, resource_queues={"gpu": {"ngpus": 1}})
    with pytest.raises(ConflictingQueue, match=r"task two: needs .* is sent to queue 'gpu'"):
        destination(app, "two")
    assert destination(app, "plain") == {"queue": "gpu", "needs": {"ngpus": 1}}
    assert destination(app, "plain", constraints={"ngpus": 1}) == {"queue": "gpu", "needs": {"ngpus": 1}}


def test_a_retry_that_needs_something_else_stays_in_its_family(make_app: Callable[..., Any]) -> None:
    app = make_app()
    for came_by in (
        {"queue": "res:ncpus=2@special"},
        {"exchange": "x", "routing_key": "res:ncpus=2@special"},
    ):
        assert destination(app, "two", constraints={"ncpus": 4}, **came_by) == {
            "queue": "res:ncpus=4@special",
            "needs": {"ncpus": 4},
        }


def test_a_retry_of_what_waited_in_the_broker_for_its_time_goes_to_its_queue(
    make_app: Callable[..., Any],
) -> None:
    app = make_app()
    headers = {HEADER: {"constraints": {"ncpus": 2}}}
    waited = {"exchange": "celery_delayed_delivery", "routing_key": "0." * 27 + "1.res:ncpus=2@special"}
    assert destination(app, "plain", headers=headers, **waited) == {
        "queue": "res:ncpus=2@special",
        "needs": {"ncpus": 2},
    }
    assert destination(app, "two", constraints={"ncpus": 4}, **waited)["queue"] == "res:ncpus=4@special"


def offers(app: Any, *named: str) -> Offers:
    """As on a worker, started with `-Q` if queues are named."""
    if named:
        app.amqp.queues.select(named)
    return Offers(app, app.amqp.router.kinds)


def test_a_family_is_served_by_the_workers_of_its_queue_and_by_no_others(
    make_app: Callable[..., Any],
) -> None:
    routes = {"two": {"queue": "special"}}
    assert list(offers(make_app(routes), "special").queues) == ["special", "res:ncpus=2@special"]
    assert list(offers(make_app(routes), "other").queues) == ["other"]
    assert list(offers(make_app(routes)).queues) == ["celery"]
    of_special, of_others, of_all = (offers(make_app(), *named) for named in (("special",), ("other",), ()))
    for queue, takers in {
        "res:ncpus=4@special": [True, False, False],
        "res:ncpus=4": [False, False, True],
        "res:ncpus=4@celery": [False, False, True],
        "gpu": [False, False, True],
    }.items():
        assert [
            each.add(queue, Requirement({"ncpus": 4})) for each in (of_special, of_others, of_all)
        ] == takers, queue


def test_where_an_autoscaler_tells_which_queues_to_join_no_family_is_served_by_itself(
    make_app: Callable[..., Any],
) -> None:
    app = make_app({"two": {"queue": "special"}}, resource_control_queue="autoscale")
    assert list(offers(app, "special").queues) == ["special"]


def test_a_route_that_needs_arguments_of_a_call_keeps_no_worker_from_starting(
    make_app: Callable[..., Any],
) -> None:
    app = make_app((breaks_without_arguments,))
    assert list(offers(app).queues) == ["celery"]
    assert destination(app, "two", "a")["queue"] == "res:ncpus=2@special-a"


def test_an_app_can_be_pickled_and_routes_as_before(make_app: Callable[..., Any]) -> None:
    app = make_app({"two": {"queue": "special"}})
    again = pickle.loads(pickle.dumps(app))
    sent = {"name": "two", "args": (), "kwargs": {}, "task_type": app.tasks["two"]}
    assert again.amqp.router.route({}, **sent)["queue"].name == "res:ncpus=2@special"
    again.close()


def test_a_header_written_by_hand_is_checked_as_if_the_call_had_said_it(make_app: Callable[..., Any]) -> None:
    app = make_app()
    by_hand = {HEADER: {"constraints": {"ncpus": 4}}}
    assert destination(app, "plain", headers=by_hand)["queue"] == "res:ncpus=4"
    with pytest.raises(UnknownResource, match=f"task plain: header {HEADER}: unknown resource 'ncpsu'"):
        destination(app, "plain", headers={HEADER: {"constraints": {"ncpsu": 4}}})
    with pytest.raises(InvalidRequirement, match=f"task plain: header {HEADER}: .*'four'"):
        destination(app, "plain", headers={HEADER: "four"})


def test_what_a_task_was_sent_with_is_not_checked_again_when_it_is_retried(
    make_app: Callable[..., Any],
) -> None:
    app = make_app()
    headers = {HEADER: {"constraints": {"licences_of_another_app": 1}}}
    task = app.tasks["plain"]
    task.push_request(**headers)
    _task_stack.push(task)
    try:
        assert destination(app, "plain", headers=headers)["queue"] == "res:licences_of_another_app=1"
    finally:
        _task_stack.pop()
        task.pop_request()


def test_headers_of_the_users_own_travel_as_they_are(make_app: Callable[..., Any]) -> None:
    app = make_app()
    own = {"resources": "mine", "gpus": 1, "hosts": ["a"], "hostfile": "f"}
    options = {"headers": own}
    plain, two = (
        app.amqp.router.route(dict(options), name, (), {}, app.tasks[name]) for name in ("plain", "two")
    )
    assert plain["headers"] == own
    assert two["headers"] == {**own, HEADER: {"constraints": {"ncpus": 2}}}
    told: dict[str, Any] = {**own}
    tell(told, gpus=["0"])
    again = app.amqp.router.route({"headers": told}, "plain", (), {}, app.tasks["plain"])
    assert again["headers"] == own, "what a node added stays there"
