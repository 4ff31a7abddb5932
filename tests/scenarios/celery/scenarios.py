"""What people do with Celery, each with what has to come of it, whether the app is wrapped or not."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import chain, chord, group, signature

from tests.scenarios.celery.app import (
    WRAPPED,
    add,
    add_two_cpus,
    again,
    app,
    by_itself,
    die_once,
    facts,
    fail,
    nap,
    need,
    rated,
    reject_once,
    remember,
    replaced,
    soft,
    total,
)

PATIENCE = 40.0
Scenario = Callable[[], Any]
SCENARIOS: dict[str, tuple[Scenario, Any]] = {}
"""By what it is called: what to do, and what has to come of it."""


def scenario(name: str, expected: Any) -> Callable[[Scenario], Scenario]:
    def enter(do: Scenario) -> Scenario:
        SCENARIOS[name] = do, expected
        return do

    return enter


def got(result: Any) -> Any:
    return result.get(timeout=PATIENCE)


def end_of(result: Any) -> str:
    """The state, or the error's class."""
    try:
        got(result)
    except Exception as error:  # noqa: BLE001 - its class is the answer
        return type(error).__name__
    return str(result.state)


def becomes(expected: Any, look: Callable[[], Any]) -> Any:
    """What `look` says at last."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)  # between two looks
    return found


def needs(**constraints: Any) -> Any:
    """As `facts` tells them."""
    return constraints.get("ncpus") if WRAPPED else None


def remembered(key: str, times: int) -> int:
    return int(becomes(times, lambda: int(app.backend.client.get(f"scenario:{key}") or 0)))


scenario("a task", 3)(lambda: got(add.delay(1, 2)))
scenario("a call with constraints", True)(
    lambda: got(facts.apply_async(**need(ncpus=3)))["ncpus"] == needs(ncpus=3)
)
scenario("a task with constraints", 3)(lambda: got(add_two_cpus.delay(1, 2)))
scenario("sent by its name", 3)(lambda: got(app.send_task(add.name, (1, 2), **need(ncpus=2))))
scenario("chain", 10)(lambda: got(chain(add.s(1, 2).set(**need(ncpus=2)), add.s(3), add_two_cpus.s(4))()))
scenario("group", [2, 4, 6])(
    lambda: got(group(add.s(1, 1), add_two_cpus.s(2, 2), add.s(3, 3).set(**need(ncpus=4)))())
)
scenario("group with options for all", [2, 4])(
    lambda: got(group(add.s(1, 1), add.s(2, 2)).apply_async(**need(ncpus=2)))
)
scenario("chord", 20)(
    lambda: got(chord([add.s(i, i).set(**need(ncpus=2)) for i in range(5)], total.s().set(**need(ncpus=4)))())
)
scenario("chord in a chord", 12)(
    lambda: got(
        chord([chord([add.s(1, 1), add.s(2, 2)], total.s().set(**need(ncpus=2))), add.s(3, 3)], total.s())()
    )
)
scenario("chord whose part fails", "ValueError")(
    lambda: end_of(chord([add.s(1, 1), fail.s().set(**need(ncpus=2))], total.s())())
)
scenario("group between chains", 9)(
    lambda: got(chain(add.s(1, 1), group(add.s(1), add.s(2).set(**need(ncpus=2))), total.s(), add.s(2))())
)
scenario("chunks", [[0, 2], [4, 6]])(lambda: got(add.chunks(zip(range(4), range(4), strict=True), 2)()))
scenario("map", [3, 7])(lambda: got(total.map([[1, 2], [3, 4]]).set(**need(ncpus=2)).apply_async()))
scenario("starmap", [3, 7])(lambda: got(add.starmap([(1, 2), (3, 4)]).apply_async(**need(ncpus=2))))
scenario("immutable signature", 10)(lambda: got(chain(add.s(1, 1), add.si(5, 5).set(**need(ncpus=2)))()))
scenario("signature through JSON", 3)(
    lambda: got(signature(json.loads(json.dumps(add.s(1, 2).set(**need(ncpus=2)))), app=app).apply_async())
)
scenario("retry", 2)(lambda: got(again.apply_async((2,), **need(ncpus=3))))
scenario("automatic retry", 2)(lambda: got(by_itself.apply_async((2,), **need(ncpus=3))))
scenario("failure", "ValueError")(lambda: end_of(fail.apply_async(**need(ncpus=2))))
scenario("soft time limit", "soft")(lambda: got(soft.apply_async(**need(ncpus=4))))
scenario("time limit of a call", "TimeLimitExceeded")(
    lambda: end_of(nap.apply_async((20,), time_limit=1, **need(ncpus=4)))
)
scenario("priority", 3)(lambda: got(facts.apply_async(priority=3, **need(ncpus=2)))["priority"])
scenario("headers", "t1")(
    lambda: got(facts.apply_async(headers={"tenant": "t1"}, **need(ncpus=2)))["headers"]
)
scenario("pickle", 3)(lambda: got(add.apply_async((1, 2), serializer="pickle", **need(ncpus=2))))
scenario("compression", 3)(lambda: got(add.apply_async((1, 2), compression="zlib", **need(ncpus=2))))
scenario("child killed, run again", 2)(lambda: got(die_once.apply_async(**need(ncpus=2))))
scenario("reject and requeue", 2)(lambda: got(reject_once.apply_async(**need(ncpus=2))))
scenario("replace by a task", 3)(lambda: got(replaced.apply_async(("task",), **need(ncpus=4))))
scenario("replace by a chain", 6)(lambda: got(replaced.apply_async(("chain",), **need(ncpus=4))))
scenario("replace by a group", [2, 4])(lambda: got(replaced.apply_async(("group",), **need(ncpus=4))))
scenario("apply, where it is called", 3)(lambda: got(add.apply((1, 2), **need(ncpus=2))))
scenario("a named queue", 3)(lambda: got(add.apply_async((1, 2), queue="celery", **need(ncpus=2))))


@scenario("link", 2)
def link() -> int:
    key = uuid.uuid4().hex
    got(add.apply_async((1, 1), link=[remember.si(key).set(**need(ncpus=2)), remember.si(key)]))
    return remembered(key, 2)


@scenario("link_error", 1)
def link_error() -> int:
    key = uuid.uuid4().hex
    end_of(fail.apply_async(link_error=remember.si(key).set(**need(ncpus=2)), **need(ncpus=2)))
    return remembered(key, 1)


@scenario("countdown", True)
def countdown() -> bool:
    began = time.time()
    got(add.apply_async((1, 2), countdown=1.5, **need(ncpus=2)))
    return time.time() - began >= 1.4


@scenario("eta", True)
def eta() -> bool:
    began = time.time()
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    got(add.apply_async((1, 2), eta=at, **need(ncpus=2)))
    return time.time() - began >= 1.4


@scenario("expires before its time", "REVOKED")
def expires() -> Any:
    result = add.apply_async((1, 2), expires=1, countdown=2, **need(ncpus=2))
    return becomes("REVOKED", lambda: result.state)


@scenario("revoke while it waits", "TaskRevokedError")
def revoke() -> str:
    first = nap.apply_async((2,), **need(ncpus=4))
    second = nap.apply_async((0,), countdown=2, **need(ncpus=4))
    second.revoke()
    got(first)
    return end_of(second)


@scenario("revoke and terminate", "TaskRevokedError")
def terminate() -> str:
    result = nap.apply_async((30,), **need(ncpus=4))
    running = lambda: result.id in str(app.control.inspect(timeout=1).active() or {})  # noqa: E731
    becomes(True, running)
    result.revoke(terminate=True)
    return end_of(result)


@scenario("rate limit", True)
def rate() -> bool:
    times = sorted(got(result) for result in [rated.apply_async(**need(ncpus=1)) for _ in range(6)])
    return times[-1] - times[0] >= 0.7


@scenario("stamping", "t1")
def stamping() -> Any:
    part = facts.s().set(**need(ncpus=2))
    part.stamp(tenant="t1")
    return got(part.apply_async())["stamps"]


@scenario("ignore_result", "PENDING")
def ignore_result() -> str:
    result = add.apply_async((1, 2), ignore_result=True, **need(ncpus=2))
    got(add.apply_async((1, 2), **need(ncpus=2)))
    return str(app.AsyncResult(result.id).state)


@scenario("two hundred at once", 39_800)
def many() -> float:
    sizes = ({}, need(ncpus=1), need(ncpus=3), need(ncpus=4))
    return sum(got(result) for result in [add.apply_async((i, i), **sizes[i % 4]) for i in range(200)])


@scenario("inspect and query_task", True)
def inspect() -> bool:
    result = nap.apply_async((3,), **need(ncpus=2))
    found = becomes(
        True, lambda: result.id in str(app.control.inspect(timeout=1).query_task(result.id) or {})
    )
    got(result)
    return bool(found)


def only(answers: Any) -> Any:
    """What the one worker has answered."""
    (answer,) = (answers or {"": None}).values()
    return answer


@scenario("inspect in its other forms", [])
def other_forms() -> list[str]:
    """Those that do not answer as they have to."""
    ask = app.control.inspect(timeout=1)
    running, waiting = nap.apply_async((3,), **need(ncpus=2)), nap.apply_async((0,), countdown=4)
    wanted: dict[str, Callable[[], Any]] = {
        "active": lambda: [each["id"] for each in only(ask.active())] == [running.id],
        "scheduled": lambda: [each["request"]["id"] for each in only(ask.scheduled())] == [waiting.id],
        "reserved": lambda: only(ask.reserved()) == [],
        "active_queues": lambda: "celery" in [each["name"] for each in only(ask.active_queues())],
        "registered": lambda: add.name in only(ask.registered()),
        "stats": lambda: only(ask.stats())["pool"]["max-concurrency"] == 4 and only(ask.stats())["total"],
        "ping": lambda: only(ask.ping()) == {"ok": "pong"},
        "clock": lambda: only(ask.clock())["clock"] > 0,
        "conf": lambda: only(ask.conf())["task_acks_late"],
        "report": lambda: "celery" in only(ask.report())["ok"],
        "revoked": lambda: isinstance(only(ask.revoked()), list),
    }
    becomes(True, wanted["active"])
    found = [form for form, look in wanted.items() if not becomes(True, lambda look=look: bool(look()))]
    got(running)
    got(waiting)
    return found


@scenario("limits by remote control", ["new rate limit set successfully", "time limits set successfully"])
def limits_by_control() -> list[str]:
    control = {"reply": True, "timeout": 10, "limit": 1}
    said = [
        app.control.rate_limit(nap.name, "50/s", **control),
        app.control.time_limit(nap.name, 30, **control),
    ]
    got(nap.apply_async((0,), **need(ncpus=1)))
    app.control.rate_limit(nap.name, 0, **control)
    return [only(answer)["ok"] for (answer,) in said]


def children() -> set[int]:
    """The worker's child processes; none if it does not answer in time."""
    stats = only(app.control.inspect(timeout=2).stats()) or {}
    return set(stats.get("pool", {}).get("processes", ()))


@scenario("pool_grow and pool_shrink", [6, 4, 3])
def pool_size() -> list[Any]:
    size = lambda: len(children())  # noqa: E731
    becomes(4, size)
    app.control.pool_grow(2, reply=True, timeout=10, limit=1)
    grown = becomes(6, size)
    app.control.pool_shrink(2, reply=True, timeout=10, limit=1)
    return [grown, becomes(4, size), got(add.apply_async((1, 2), **need(ncpus=4)))]


@scenario("pool_restart", ["reload started", 20, []])
def pool_restart() -> list[Any]:
    """All that is sent meanwhile runs, and nothing counts as running for ever."""
    (said,) = app.control.pool_restart(reply=True, timeout=10, limit=1)
    results = [add.apply_async((number, 1), **need(ncpus=1 + number % 4)) for number in range(20)]
    count = len([got(result) for result in results])
    running = becomes([], lambda: only(app.control.inspect(timeout=2).active()))
    return [only(said)["ok"], count, running]


@scenario("add_consumer and cancel_consumer", [3, "PENDING", 3])
def consumers() -> list[Any]:
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    app.control.add_consumer(name, reply=True, timeout=10, limit=1)
    first = got(add.apply_async((1, 2), queue=name))
    app.control.cancel_consumer(name, reply=True, timeout=10, limit=1)
    result = add.apply_async((1, 2), queue=name)
    # What is sent later to another queue has run: this one would have, too.
    got(nap.apply_async((1.5,)))
    state = str(result.state)
    app.control.add_consumer(name, reply=True, timeout=10, limit=1)
    return [first, state, got(result)]
