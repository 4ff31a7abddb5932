"""What the network may say: the door, and whole passes that hear anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler_app.listening import door
from autoscaler_app.listening.activity.accounts import LONGEST_RUN
from autoscaler_app.listening.notes import Notes
from tests.unit.autoscaler_app.world import Host, World


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "queue is None; a name"),
        (5, "queue is 5; a name"),
        ("", "queue is ''; a name"),
        (["a"], r"queue is \['a'\]; a name"),
        ("a\0b", r"queue is 'a\\x00b'; printable"),
        ("\x1b[2Jroot", "printable"),
        ("\u202eevil", r"'\\u202eevil'; printable"),
        ("\ud800x", "printable"),
        ("q" * 256, "at most 255 bytes"),
        ("ü" * 128, "at most 255 bytes"),
        ("autoscale", "the control side's own"),
        ("autoscale.notes", "the control side's own"),
        ("celery@n1.celery.pidbox", "Celery keeps for itself"),
        ("_kombu.binding.celery", "Celery keeps for itself"),
        ("celeryev.1", "Celery keeps for itself"),
        ("celery_delayed_3", "Celery keeps for itself"),
    ],
)
def test_a_name_that_is_no_queue_is_refused_with_what_is_wrong(value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        door.queue_name(value)
    assert not door.is_queue_name(value)


@pytest.mark.parametrize("value", ["celery", "res:ncpus=4,memgb=8", "ü" * 127, "q" * 255, "a b", "Müller/1"])
def test_a_name_of_a_queue_is_taken_as_it_is(value: str) -> None:
    assert door.queue_name(value) == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (5, "a requirement is constraints"),
        ({"constraints": {"ncpus": float("nan")}}, "finite number"),
        ({"constraints": {"ncpus": 1e300}}, "below 1e18"),
        ({"constraints": {"ncpus": 10**400}}, "below 1e18"),
        ({"constraints": {"\x1b[31m": 1}}, "a resource is .*printable"),
        ({"constraints": {"node.nodearray": "\x1b[31m"}}, "printable"),
        ({"constraints": {"x": ["a"] * 65}}, "short list"),
        ({"constraints": {"x": [[[[[["a"]]]]]]}}, "short list"),
        ({"constraints": {"x": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}, "short list"),
        ({"constraints": {"x": {f"r{i}": 1 for i in range(65)}}}, "short list"),
        ({"constraints": {"x": {"a": "\x1b[31m"}}}, "printable"),
        ({"constraints": {"x": {"\x1b[31m": 1}}}, "printable"),
        ({"constraints": {"x": ["\x1b[31m"]}}, "printable"),
        ({"constraints": {"x": json.loads("[" * 800 + "]" * 800)}}, "."),
        ({"constraints": {"ncpus": float("-inf")}}, "finite number"),
        ({"constraints": {f"r{i}": 1 for i in range(65)}}, "65 constraints; at most 64"),
        ({"constraints": {}, "node_count": 10**9}, "node_count is 1000000000; at most"),
        ({"constraints": {}, "node_count": -1}, "node_count"),
    ],
)
def test_a_requirement_that_nobody_could_mean_is_refused(value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        door.requirement(value)


def test_a_requirement_is_taken_with_all_its_parts() -> None:
    said = {
        "constraints": {
            "ncpus": 4,
            "node.vm_size": ["A", "B"],
            "or": [{"ngpus": 1}],
            "fast": True,
            "x": None,
        },
        "node_count": 2,
        "colocated": True,
    }
    assert door.requirement(said).to_json() == said


@pytest.mark.parametrize(
    "constraints",
    [
        {f"r{i}": 1 for i in range(64)},
        {"x": ["a"] * 64},
        {"x": {f"r{i}": 1 for i in range(64)}},
        {"x": ""},
        {"x": 10**18},
        {"x": [[[["a"]]]]},
    ],
    ids=lambda constraints: str(constraints)[:30],
)
def test_what_is_within_all_bounds_is_taken(constraints: dict[str, Any]) -> None:
    said = {"constraints": constraints, "node_count": 100_000}
    assert door.requirement(said).to_json() == said


def test_what_is_said_of_a_requirement_that_is_refused_is_short() -> None:
    with pytest.raises(ValueError, match="xxx") as refused:
        door.requirement({"constraints": {}, "x" * 60_000: 1})
    assert len(str(refused.value)) < 500


# -- anything at all, said to a control side whose node is at work

_ANYTHING: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["celery@n1", "n1", "celery", "autoscale", "announce", "left", "worker-resources", "x" * 400]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_NOTE = st.fixed_dictionaries(
    {"kind": st.sampled_from(["announce", "left", "gang-ended"]) | _ANYTHING},
    optional={
        "queue": _ANYTHING,
        "requirement": _ANYTHING | st.fixed_dictionaries({"constraints": _ANYTHING}),
        "hostname": _ANYTHING,
        # The true name: to forge that, and the process too, is what signatures are for.
        "nodename": _ANYTHING.filter(lambda said: said != "celery@n1"),
        "pid": _ANYTHING,
    },
)
_EVENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["worker-resources", "task-sent", "task-received", "task-started", "worker-offline"]
        )
        | _ANYTHING,
        "hostname": _ANYTHING.filter(lambda said: said != "celery@n1"),
    },
    optional=dict.fromkeys(
        (
            *("uuid", "name", "queue", "eta", "timestamp", "pid", "total", "free", "running", "held"),
            *("queues", "fenced", "gang", "seq", "started", "scheduled", "ended", "pace", "runtime"),
            "ended_tasks",
        ),
        _ANYTHING,
    ),
)


@pytest.fixture
def busy(world: World) -> World:
    """One node, at work, heard, and idle by no word of its own."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.go_on(60)
    (host,) = world.boot()
    host.running = ["t1", "t2"]
    world.queues.waiting["celery"] = 0
    world.listen()
    world.make_pass()
    return world


@pytest.mark.parametrize(
    "said",
    [
        {"started": 1e300},
        {"started": float("nan")},
        {"started": float("-inf")},
        {"pace": float("nan")},
        {"pace": -1},
        {"pace": float("inf")},
        {"scheduled": -1},
        {"scheduled": 2**53},
        {"garbage": -1},
        {"garbage": 2**53},
        {"seq": -1},
        {"seq": 2**53},
        {"ended": {"celery": [-1, 1.0]}},
        {"ended": {"celery": [10**300, 1e308]}},
        {"ended_tasks": {"celery": {"t": [-1, 1.0]}}},
    ],
    ids=str,
)
def test_an_account_that_nobody_could_mean_is_as_if_never_told_and_fails_no_pass(
    busy: World, said: dict[str, Any]
) -> None:
    """Of a worker on no node: anybody may say that."""
    activity = busy.control.activity
    for say in (activity.apply, activity.merge):
        say({"type": "worker-resources", "hostname": "w@x", "nodename": "w@x", "pid": 1, **said}, busy.now)
    assert activity.host("x") is None
    assert activity.counters().rejected == 2
    busy.make_pass()


_SECONDS: Any = st.floats() | st.integers() | st.sampled_from([-1e308, 1e308, 1e14, LONGEST_RUN, 10**400])
_ENDED = st.tuples(st.integers() | st.sampled_from([0, 1, 2**53 - 1, 10**300]), _SECONDS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ended=st.lists(_ENDED, min_size=2, max_size=3), runtime=_SECONDS)
def test_whatever_is_said_of_run_times_a_pass_can_reckon_with_it(
    busy: World, ended: list[tuple[int, float]], runtime: float
) -> None:
    """Of a worker on no node, while tasks wait whose number of slots goes by their run time."""
    activity = busy.control.activity
    busy.queues.waiting["celery"] = 1000
    sent = {"type": "task-sent", "hostname": "w@y", "uuid": "u", "name": "x", "queue": "celery"}
    activity.apply({**sent, "timestamp": busy.now.timestamp()}, busy.now)
    done = {"type": "task-succeeded", "hostname": "w@y", "uuid": "u", "runtime": runtime}
    activity.apply({**done, "timestamp": busy.now.timestamp()}, busy.now)
    for seq, said in enumerate(ended, start=1):
        account = {"hostname": "w@x", "nodename": "w@x", "pid": 1, "started": 1.0, "seq": seq}
        activity.merge({"type": "worker-resources", **account, "ended": {"celery": said}}, busy.now)
    busy.make_pass()
    mean = busy.control.runtime_of("celery")
    assert mean is None or 0 <= mean <= LONGEST_RUN * 1.001
    busy.go_on(1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes=st.lists(_NOTE | _ANYTHING, max_size=3), events=st.lists(_EVENT, max_size=3))
def test_whatever_is_said_a_pass_is_made_and_the_busy_node_stays(
    busy: World, notes: list[Any], events: list[Any]
) -> None:
    state, activity = busy.control.state, busy.control.activity
    Notes(state, activity).take([json.dumps(note).encode() for note in notes], busy.now)
    for event in events:
        if isinstance(event, dict):
            activity.apply(event, busy.now)
            activity.merge({**event, "nodename": event["hostname"]}, busy.now)
    busy.go_on(301)
    (host,) = (host for host in busy.hosts.of.values() if isinstance(host, Host))
    activity.merge(host.account(int(busy.monotonic)), busy.now)
    made = busy.make_pass()
    assert [action.kind for action in made.actions if action.kind in ("fence", "delete", "shut-down")] == []
    assert busy.cloud.ended == []
