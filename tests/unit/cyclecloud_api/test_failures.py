"""The failure memory: what is set aside, for how long, and what gets it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclecloud_api import failures
from cyclecloud_api.failures import Backoff, Memory, blocked, must_probe, offering
from cyclecloud_api.inventory import Inventory, inventory
from cyclecloud_api.news import observe
from scalelib.node import NodeId

Make = Callable[..., dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
D4 = offering("worker", "Standard_D4s_v5")
WINDOW = timedelta(seconds=300)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def look(status: Make, array: Make, bucket: Make) -> Callable[..., Inventory]:
    """An inventory of these nodes; `failure` is the server's own figure of seconds since the last one."""

    def make(*nodes: dict[str, Any], failure: float = -1.0, spot: bool = False) -> Inventory:
        raw = status(array("worker", bucket(lastCapacityFailure=failure), spot=spot), nodes=list(nodes))
        return inventory(raw, cluster="c", prices={})

    return make


def acquiring(node: Make, number: int = 1, **changes: Any) -> dict[str, Any]:
    return node(number, Status="Acquiring", InstanceId=None, Hostname=None, PrivateIp=None, **changes)


def test_a_failure_sets_aside_for_a_window_and_then_one_probe_may_go() -> None:
    memory = failures.failed(Memory(), D4, "no capacity", NOON, first_window=WINDOW)
    assert blocked(memory, D4, later(1)) == "no capacity; tried again after 12:05:00 UTC"
    assert blocked(memory, D4, later(299)) != ""
    assert blocked(memory, D4, later(300)) == ""
    assert must_probe(memory, D4)
    probing = failures.created(memory, D4, [], later(300))
    assert "one node is being tried" in blocked(probing, D4, later(301))
    assert blocked(probing, D4, later(300) + failures.PROBE_PATIENCE) == ""


def test_each_failed_probe_doubles_the_window_up_to_an_hour() -> None:
    memory, now, windows = Memory(), NOON, []
    for _ in range(7):
        memory = failures.failed(memory, D4, "none", now, first_window=WINDOW)
        episode = memory.episodes[D4]
        windows.append((episode.until - now).total_seconds())
        now = episode.until
        memory = failures.created(memory, D4, [], now)
    assert windows == [300, 600, 1200, 2400, 3600, 3600, 3600]


def test_what_a_person_forgives_is_tried_at_once_and_forgets_nothing_of_the_window() -> None:
    memory = failures.failed(Memory(), D4, "no capacity", NOON, first_window=WINDOW)
    memory, which = failures.forgiven(memory, later(1))
    assert (which, blocked(memory, D4, later(1)), must_probe(memory, D4)) == ([D4], "", True)
    probing = failures.created(memory, D4, [], later(2))
    again = failures.failed(probing, D4, "no capacity", later(3), first_window=WINDOW)
    assert again.episodes[D4].until == later(3) + 2 * WINDOW
    assert failures.forgiven(Memory(), NOON) == (Memory(), [])


def test_a_person_may_have_ten_failed_creates_forgotten() -> None:
    creates = {D4: (NOON,) * failures.MOST_FAILED_CREATES}
    memory, which = failures.forgiven(Memory(failed_creates=creates), later(1))
    assert (which, blocked(memory, D4, later(1))) == ([D4], "")


def test_failures_inside_a_window_are_the_same_piece_of_news() -> None:
    memory = failures.failed(Memory(), D4, "none", NOON, first_window=WINDOW)
    assert failures.failed(memory, D4, "none", later(299), first_window=WINDOW) == memory


def test_other_offerings_are_not_touched() -> None:
    memory = failures.failed(Memory(), D4, "none", NOON, first_window=WINDOW)
    spot = offering("worker", "Standard_D4s_v5", spot=True)
    group = offering("worker", "Standard_D4s_v5", placement_group="pg0")
    assert len({D4, spot, group}) == 3
    assert blocked(memory, spot, NOON) == blocked(memory, group, NOON) == ""


def test_ten_failed_creates_within_an_hour_are_the_end_of_it() -> None:
    """Whatever the windows are: even if each is over at once."""
    memory, backoff = Memory(), Backoff(trouble=timedelta(seconds=1))
    times = [later(60 * i) for i in range(10)]
    for at in times:
        memory = failures.create_failed(memory, D4, "HTTP 500", at, backoff)
    assert "10 creates failed within an hour" in blocked(memory, D4, later(3599))
    assert blocked(memory, D4, later(3600)) == "", "an hour after the first of them"
    memory = observe(memory, _empty(), later(3600 * 3))
    assert blocked(memory, D4, later(3600 * 3)) == ""
    assert not must_probe(memory, D4)


@given(
    st.lists(
        st.tuples(st.integers(1, 900), st.sampled_from(["trouble", "no capacity", "machine", "lost answer"])),
        max_size=120,
    )
)
def test_whatever_happens_no_hour_sees_more_than_ten_failed_creates(
    steps: list[tuple[int, str]],
) -> None:
    memory, now, failed_at = Memory(), NOON, []
    for seconds, outcome in steps:
        now += timedelta(seconds=seconds)
        if blocked(memory, D4, now):
            continue
        if outcome == "machine":
            memory = failures.created(memory, D4, [], now)
        elif outcome == "lost answer":
            memory = failures.create_failed(memory, D4, outcome, now, Backoff())
            memory = failures.arrived(memory, D4, now)
        else:
            failed_at.append(now)
            memory = failures.create_failed(memory, D4, outcome, now, Backoff())
        recent = [at for at in failed_at if now - at < timedelta(hours=1)]
        assert len(recent) <= failures.MOST_FAILED_CREATES


def _empty() -> Inventory:
    raw = {"nodearrays": [{"name": "worker", "buckets": []}], "nodes": []}
    return inventory(raw, cluster="c", prices={})


def test_creates_that_fail_for_capacity_wait_longer_than_those_that_meet_trouble() -> None:
    no_capacity = failures.create_failed(Memory(), D4, "SkuNotAvailable in region", NOON, Backoff())
    trouble = failures.create_failed(Memory(), D4, "HTTP 503: busy", NOON, Backoff())
    assert blocked(no_capacity, D4, later(120)) != ""
    assert blocked(trouble, D4, later(120)) == ""


# -- what a look tells ----------------------------------------------------------------------------------


def test_the_servers_capacity_failure_counts_from_when_it_happened(look: Callable[..., Inventory]) -> None:
    memory = observe(Memory(), look(failure=100.0), NOON)
    assert blocked(memory, D4, later(199)) != ""
    assert blocked(memory, D4, later(200)) == ""


@pytest.mark.parametrize("age", [-1.0, 3600.0, None])
def test_no_failure_or_one_of_long_ago_is_no_news(look: Callable[..., Inventory], age: float | None) -> None:
    assert observe(Memory(), look(failure=age), NOON).episodes == {}


def test_the_same_failure_seen_again_and_again_counts_once(look: Callable[..., Inventory]) -> None:
    memory = Memory()
    for seconds in range(0, 320, 15):
        memory = observe(memory, look(failure=10.0 + seconds), later(seconds))
    assert memory.episodes[D4].failures == 1
    assert blocked(memory, D4, later(320)) == ""


def test_a_later_failure_after_the_window_counts_again(look: Callable[..., Inventory]) -> None:
    memory = observe(Memory(), look(failure=0.0), NOON)
    memory = observe(memory, look(failure=0.0), later(310))
    assert memory.episodes[D4].failures == 2


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"Status": "Failed", "InstanceId": None, "StatusMessage": None}, True),
        ({"Status": "Unavailable", "InstanceId": None}, True),
        ({"Status": "Failed", "StatusMessage": "Allocation failed: ZonalAllocationFailed"}, True),
        ({"Status": "Failed", "StatusMessage": "Timed out waiting for the machine to report in"}, False),
        ({"Status": "Failed", "InstanceId": None, "StatusMessage": "Script exited with 1"}, False),
        ({"Status": "Ready"}, False),
    ],
)
def test_only_failures_for_want_of_a_machine_count(
    look: Callable[..., Inventory], node: Make, changes: dict[str, Any], counts: bool
) -> None:
    memory = observe(Memory(), look(node(1, **changes)), NOON)
    assert (D4 in memory.episodes) is counts


def test_a_failed_node_counts_once_however_long_it_is_listed(
    look: Callable[..., Inventory], node: Make
) -> None:
    memory = Memory()
    failed_node = node(1, Status="Unavailable", InstanceId=None)
    for seconds in (0, 15, 400, 800):
        memory = observe(memory, look(failed_node), later(seconds))
    assert memory.episodes[D4].failures == 1


@pytest.mark.parametrize("words", ["Acquiring", "Preparing"])
def test_a_node_that_vanishes_before_it_is_up_is_a_failure(
    look: Callable[..., Inventory], node: Make, words: str
) -> None:
    """Only the second look without it counts: a list may be incomplete once."""
    memory = observe(Memory(), look(node(1, Status=words)), NOON)
    memory = observe(memory, look(), later(15))
    assert memory.episodes == {}
    memory = observe(memory, look(), later(30))
    assert "before it was up" in blocked(memory, D4, later(30))


def test_where_machines_were_lost_only_a_node_that_is_up_heals(
    look: Callable[..., Inventory], node: Make
) -> None:
    memory = observe(Memory(), look(node(1, Status="Preparing")), NOON)
    memory = observe(observe(memory, look(), later(15)), look(), later(30))
    memory = failures.created(memory, D4, [NodeId("node-2")], later(340))
    memory = observe(memory, look(node(2, Status="Preparing")), later(360))
    assert D4 in memory.episodes
    assert observe(memory, look(node(2)), later(375)).episodes == {}


def test_a_node_that_is_missing_once_and_back_is_no_news(look: Callable[..., Inventory], node: Make) -> None:
    memory = Memory()
    for seconds, nodes in enumerate(([acquiring(node)], [], [acquiring(node)], [])):
        memory = observe(memory, look(*nodes), later(seconds))
    assert memory.episodes == {}


def test_a_node_that_we_ended_is_no_failure(look: Callable[..., Inventory], node: Make) -> None:
    memory = observe(Memory(), look(acquiring(node)), NOON)
    for seconds in (15, 30, 45):
        memory = observe(memory, look(), later(seconds), ended=[NodeId("node-1")])
    assert memory.episodes == {}


@pytest.mark.parametrize(
    "gone", [None, {"Status": "Terminating", "TargetState": "Terminated"}, {"Status": "Unavailable"}]
)
def test_a_spot_node_that_goes_by_itself_was_evicted(
    look: Callable[..., Inventory], node: Make, gone: dict[str, Any] | None
) -> None:
    memory = observe(Memory(), look(node(1, Interruptible=True), spot=True), NOON)
    after = [] if gone is None else [node(1, Interruptible=True, **gone)]
    for seconds in (15, 30):
        memory = observe(memory, look(*after, spot=True), later(seconds))
    which = offering("worker", "Standard_D4s_v5", spot=True)
    assert memory.episodes[which].reason == "a spot node was evicted"
    assert memory.episodes[which].failures == 0


SPOT_D4 = offering("worker", "Standard_D4s_v5", spot=True)


def test_after_an_eviction_one_node_is_tried_at_once_and_the_others_go_elsewhere() -> None:
    """It may be the only offering that fits: what waits must not wait for a window."""
    memory = failures.evicted(Memory(), SPOT_D4, NOON)
    assert blocked(memory, SPOT_D4, NOON) == ""
    assert failures.must_probe(memory, SPOT_D4)
    memory = failures.created(memory, SPOT_D4, [NodeId("node-2")], later(1))
    assert "one node is being tried" in blocked(memory, SPOT_D4, later(2))


def test_the_probe_after_an_eviction_heals_or_opens_the_first_window(
    look: Callable[..., Inventory], node: Make
) -> None:
    memory = failures.evicted(Memory(), SPOT_D4, NOON)
    memory = failures.created(memory, SPOT_D4, [NodeId("node-2")], later(1))
    came = observe(memory, look(node(2, Interruptible=True), spot=True), later(60))
    assert came.episodes == {}
    gone = failures.failed(memory, SPOT_D4, "none", later(60), first_window=WINDOW)
    assert (gone.episodes[SPOT_D4].failures, gone.episodes[SPOT_D4].until) == (1, later(60) + WINDOW)


def test_evictions_of_an_offering_in_trouble_make_it_no_worse() -> None:
    memory = failures.evicted(Memory(), SPOT_D4, NOON)
    assert failures.evicted(memory, SPOT_D4, later(15)) == memory
    worse = failures.failed(Memory(), SPOT_D4, "none", NOON, first_window=WINDOW)
    assert failures.evicted(worse, SPOT_D4, later(400)) == worse


def test_a_regular_node_that_goes_by_itself_says_nothing_about_capacity(
    look: Callable[..., Inventory], node: Make
) -> None:
    memory = observe(Memory(), look(node(1)), NOON)
    for seconds in (15, 30):
        memory = observe(memory, look(), later(seconds))
    assert memory.episodes == {}


def test_a_machine_that_comes_after_the_window_heals(look: Callable[..., Inventory], node: Make) -> None:
    memory = failures.failed(Memory(), D4, "none", NOON, first_window=WINDOW)
    memory = failures.created(memory, D4, [], later(310))
    memory = observe(memory, look(acquiring(node)), later(311))
    memory = observe(memory, look(node(1, Status="Preparing")), later(340))
    assert memory.episodes == {}


def test_a_machine_that_comes_between_two_looks_heals_too(look: Callable[..., Inventory], node: Make) -> None:
    memory = failures.failed(Memory(), D4, "none", NOON, first_window=WINDOW)
    memory = failures.created(memory, D4, [NodeId("node-1")], later(310))
    assert observe(memory, look(node(1)), later(340)).episodes == {}
    assert observe(memory, look(node(2)), later(340), new=[NodeId("node-2")]).episodes == {}
    assert D4 in observe(memory, look(node(2)), later(340)).episodes


def test_a_created_node_that_no_look_ever_shows_did_not_get_its_machine(
    look: Callable[..., Inventory],
) -> None:
    memory = failures.created(Memory(), D4, [NodeId("node-1")], NOON)
    memory = observe(observe(memory, look(), later(15)), look(), later(30))
    assert "vanished" in blocked(memory, D4, later(30))


def test_a_machine_that_comes_inside_the_window_heals_nothing(
    look: Callable[..., Inventory], node: Make
) -> None:
    """Of a hundred nodes sixty get a machine while forty fail."""
    memory = observe(Memory(), look(acquiring(node)), NOON)
    memory = failures.failed(memory, D4, "none", later(1), first_window=WINDOW)
    memory = observe(memory, look(node(1, Status="Preparing")), later(20))
    assert D4 in memory.episodes


def test_an_episode_that_nobody_probes_is_forgotten_after_an_hour(look: Callable[..., Inventory]) -> None:
    memory = failures.failed(Memory(), D4, "none", NOON, first_window=WINDOW)
    assert D4 in observe(memory, look(), later(3600)).episodes
    assert D4 not in observe(memory, look(), later(3901)).episodes


def test_a_probe_of_which_nothing_is_heard_is_waited_for_ten_minutes() -> None:
    memory = failures.created(failures.evicted(Memory(), SPOT_D4, NOON), SPOT_D4, [], later(1))
    assert "one node is being tried" in blocked(memory, SPOT_D4, later(600))
    assert blocked(memory, SPOT_D4, later(601)) == ""
    assert failures.must_probe(memory, SPOT_D4), "and then one more is"
