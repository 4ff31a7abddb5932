"""How a story goes on: time and money add up, a worker that begins anew counts anew, unknown is not idle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.memory.stories.story import BOOTING, IDLE, MOST_MOMENTS, UNHEARD, Moment, Spent, Story
from autoscaler_app.memory.stories.telling import (
    COSTS_NOTHING,
    Deed,
    Now,
    done_to,
    ended,
    first_seen,
    sum_of,
    told_on,
    with_moment,
)
from scalelib.node import Node, NodeId, NodeState

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NODE = Node(
    id=NodeId("id-1"),
    name="worker-1",
    nodearray="celery",
    vm_size="small",
    bucket_id="b",
    state=NodeState.READY,
    status="Ready",
    hostname="host-1",
    price_per_hour=3.6,
)
BOOTS = replace(NODE, state=NodeState.PREPARING, status="Preparing", hostname=None)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def uses(spent: list[Spent]) -> dict[str, float]:
    return {each.use: pytest.approx(each.seconds) for each in spent}


def up(**heard: object) -> Now:
    return Now(node=NODE, is_heard=True, **heard)  # type: ignore[arg-type]


def test_a_node_boots_works_and_idles_and_every_second_and_cent_is_told_once() -> None:
    story = first_seen(Now(node=BOOTS, jobs={"celery": 3}), NOON, 1)
    story, boot = told_on(story, Now(node=BOOTS), after(60), 2)
    story, joined = told_on(story, up(), after(70), 3)
    story, work = told_on(story, up(counted={"a": (5, 6.0)}, running={"b": 2.0}), after(80), 4)
    story, more = told_on(story, up(counted={"a": (5, 6.0), "b": (1, 7.0)}), after(90), 5)
    assert [uses(each) for each in (boot, joined, work, more)] == [
        {BOOTING: 60.0},
        {IDLE: 10.0},
        {"a": 6.0, "b": 2.0, IDLE: 2.0},
        {"b": 5.0, IDLE: 5.0},
    ]
    assert [(m.what, m.why, m.number) for m in story.moments] == [
        ("seen", "for 3 x celery", 1),
        ("ready", "", 3),
        ("joined", "host-1", 3),
    ]
    assert story.ran == {"a": (5, 6.0), "b": (1, 7.0)}
    assert (story.runs, story.busy_share) == (6, pytest.approx(13 / 30))
    assert story.cost == pytest.approx(90 * 0.001)
    assert sum(each.money for each in sum_of([*boot, *joined, *work, *more])) == pytest.approx(story.cost)


def test_tasks_that_ran_side_by_side_take_no_more_time_than_passed() -> None:
    story = first_seen(up(), NOON, 1)
    story, spent = told_on(story, up(running={"a": 30.0, "b": 10.0}), after(20), 2)
    assert uses(spent) == {"a": 15.0, "b": 5.0}
    assert story.idle_seconds == 0


def test_a_worker_that_was_started_anew_counts_from_nothing() -> None:
    story = first_seen(up(counted={"a": (9, 90.0)}), NOON, 1)
    assert story.ran == {}, "what ran before it was seen is not told twice after a restart of ours"
    story, _ = told_on(story, up(counted={"a": (10, 95.0)}), after(10), 2)
    story, _ = told_on(story, up(counted={"a": (2, 3.0)}), after(20), 3)
    assert story.ran == {"a": (3, 8.0)}


def test_of_a_counter_that_others_have_displaced_nothing_is_counted_twice() -> None:
    """A worker tells of its latest queues only: one that is left out is no sign of a new start."""
    story = first_seen(up(counted={"a": (5, 5.0), "b": (7, 70.0)}), NOON, 1)
    story, _ = told_on(story, up(counted={"b": (8, 72.0), "c": (1, 1.0)}), after(10), 2)
    assert story.ran == {"b": (1, 2.0), "c": (1, 1.0)}
    story, _ = told_on(story, up(counted={"b": (8, 72.0), "a": (1, 3.0)}), after(20), 3)
    assert story.ran == {"b": (1, 2.0), "c": (1, 1.0), "a": (1, 3.0)}


def by_task(spent: list[Spent]) -> dict[tuple[str, str], float]:
    return {(each.use, each.task): pytest.approx(each.seconds) for each in spent}


def test_the_seconds_of_a_queue_are_told_by_the_names_of_its_tasks() -> None:
    story = first_seen(up(), NOON, 1)
    running = {"running": {"a": 4.0}, "running_tasks": {"a": {"draw": 3.0, "mix": 1.0}}}
    story, spent = told_on(story, up(**running), after(10), 2)
    assert by_task(spent) == {("a", "draw"): 3.0, ("a", "mix"): 1.0, (IDLE, ""): 6.0}
    ended = {"counted": {"a": (2, 9.0)}, "counted_tasks": {"a": {"draw": (1, 5.0), "mix": (1, 4.0)}}}
    story, spent = told_on(story, up(**ended), after(20), 3)
    assert by_task(spent) == {("a", "draw"): 2.0, ("a", "mix"): 3.0, (IDLE, ""): 5.0}, "no second twice"


def test_what_no_name_is_told_for_has_none_and_what_is_done_is_told_all_the_same() -> None:
    story = first_seen(up(), NOON, 1)
    story, spent = told_on(
        story, up(counted={"a": (2, 8.0)}, counted_tasks={"a": {"draw": (1, 6.0)}}), after(10), 2
    )
    assert by_task(spent) == {("a", "draw"): 6.0, ("a", ""): 2.0, (IDLE, ""): 2.0}
    assert by_task(told_on(story, up(counted={"b": (1, 3.0)}), after(20), 3)[1]) == {
        ("b", ""): 3.0,
        (IDLE, ""): 7.0,
    }


def test_what_is_only_needed_to_tell_on_goes_with_the_node() -> None:
    told = up(counted={"a": (1, 1.0)}, running={"a": 1.0}, counted_tasks={"a": {"t": (1, 1.0)}})
    story = ended(first_seen(told, NOON, 1), after(1), 2)
    assert (story.last_count, story.last_running, story.last_tasks) == ({}, {}, {})


def test_a_node_that_is_not_heard_is_not_idle() -> None:
    story = first_seen(up(counted={"a": (1, 1.0)}), NOON, 1)
    story, spent = told_on(story, Now(node=NODE), after(10), 2)
    assert uses(spent) == {UNHEARD: 10.0}
    story, spent = told_on(story, up(counted={"a": (2, 4.0)}), after(20), 3)
    assert uses(spent) == {"a": 3.0, IDLE: 7.0}, "it goes on where it was heard last"
    assert (story.unheard_seconds, story.busy_share) == (10.0, pytest.approx(0.3))


@pytest.mark.parametrize("state", sorted(COSTS_NOTHING, key=lambda state: state.value))
def test_what_is_no_machine_costs_nothing(state: NodeState) -> None:
    off = Now(node=replace(NODE, state=state))
    story, spent = told_on(first_seen(off, NOON, 1), off, after(3600), 2)
    assert (story.cost, spent) == (0.0, [])


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    story, spent = told_on(first_seen(up(), NOON, 1), up(), after(-3600), 2)
    assert (story.cost, spent, story.seen) == (0.0, [], NOON)


def test_how_it_went_is_told_and_why() -> None:
    story = first_seen(up(), NOON, 1)
    gone_by_itself = ended(story, after(9), 2)
    assert gone_by_itself.gone == after(9)
    assert gone_by_itself.moments[-1].why == "not by us: it was Ready when it was seen last"
    for seconds in (5, 6):
        story = done_to(story, Deed(node_id="id-1", what="deleted", why="idle"), after(seconds), 2)
    story = ended(story, after(9), 3)
    assert [(m.what, m.why) for m in story.moments[1:]] == [("deleted", "idle"), ("gone", "idle")]


def test_of_very_many_moments_the_first_and_the_latest_are_kept() -> None:
    story = first_seen(up(), NOON, 1)
    for number in range(2, 500):
        story = with_moment(story, Moment(at=NOON, what="fenced", number=number))
    assert len(story.moments) <= MOST_MOMENTS
    assert (story.moments[0].number, story.moments[-1].number) == (1, 499)


SIGHTS = st.builds(
    Now,
    node=st.sampled_from([NODE, BOOTS, replace(NODE, state=NodeState.DEALLOCATED)]),
    is_heard=st.booleans(),
    counted=st.dictionaries(
        st.sampled_from("ab"), st.tuples(st.integers(0, 9), st.floats(0, 1e5)), max_size=2
    ),
    running=st.dictionaries(st.sampled_from("ab"), st.floats(0, 1e5), max_size=2),
)


@given(sights=st.lists(st.tuples(SIGHTS, st.floats(-1e4, 1e4)), max_size=12))
def test_whatever_is_told_time_and_money_add_up_and_nothing_is_negative(
    sights: list[tuple[Now, float]],
) -> None:
    story: Story = first_seen(up(), NOON, 1)
    at, spent, passed, latest = NOON, list[Spent](), 0.0, NOON
    for now, seconds in sights:
        at += timedelta(seconds=seconds)
        passed += max(0.0, (at - latest).total_seconds())
        latest = max(latest, at)
        story, more = told_on(story, now, at, 2)
        spent += more
    parts = (story.booting_seconds, story.busy_seconds, story.idle_seconds, story.unheard_seconds)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(passed, abs=1e-3)
    assert all(each.seconds > 0 and each.money >= 0 for each in spent)
    assert sum(each.money for each in spent) == pytest.approx(story.cost, abs=1e-6)
    assert all(runs >= 0 and seconds >= 0 for runs, seconds in story.ran.values())
