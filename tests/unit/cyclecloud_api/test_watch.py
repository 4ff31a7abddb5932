"""What is remembered from look to look, and how it shows in the cloud that the engine plans with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cyclecloud_api import deadlines
from cyclecloud_api.breaker import BreakerState
from cyclecloud_api.inventory import Inventory, inventory
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import Document, OnlyLooked, Rules, SQLiteMemory, Watch
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest

Make = Callable[..., dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def wish(count: int = 40, **changes: Any) -> LaunchRequest:
    facts = {"nodearray": "worker", "vm_size": "Standard_D4s_v5", "count": count, **changes}
    return LaunchRequest(request_id="r", **facts)


class Kept:
    """A store in memory that counts how often it is written."""

    def __init__(self) -> None:
        self.document: bytes | None = None
        self.saves = 0

    def load(self) -> bytes | None:
        return self.document

    def save(self, document: bytes) -> None:
        self.document = document
        self.saves += 1

    def transaction(self) -> AbstractContextManager[object]:
        return nullcontext()


def test_a_failed_create_sets_aside_at_once_and_only_that_offering(see: Callable[..., Inventory]) -> None:
    watch = Watch()
    cloud = watch.look(see(), NOON)
    assert [b.set_aside for b in cloud.buckets] == ["", ""]
    watch.create_failed(wish(), "no capacity in westeurope", NOON)
    aside = watch.set_aside(cloud, NOON)
    assert list(aside) == ["id-Standard_D4s_v5"]
    assert "no capacity in westeurope; tried again after 12:05:00 UTC" in aside["id-Standard_D4s_v5"]
    assert watch.allowance(wish(), later(10)) == (0, f"set aside: {aside['id-Standard_D4s_v5']}")
    assert watch.allowance(wish(nodearray="worker-spot", spot=True), later(10)) == (40, "")


def test_after_the_window_one_node_may_be_tried_and_no_more_until_its_fate_is_known(
    see: Callable[..., Inventory],
) -> None:
    watch = Watch()
    watch.create_failed(wish(), "no capacity", NOON)
    count, why = watch.allowance(wish(), later(301))
    assert (count, why) == (1, "one node first, to see whether there is capacity again")
    watch.created(wish(), [], later(301))
    assert watch.allowance(wish(), later(302))[0] == 0


def test_nothing_is_bought_in_place_of_a_node_that_one_list_alone_lacks(
    see: Callable[..., Inventory], node: Make
) -> None:
    """The list may be older than its create. Elsewhere, and when the next one lacks it too, it may."""
    watch = Watch()
    watch.created(wish(count=1), [NodeId("node-1")], NOON)
    watch.look(see(), later(15))
    count, why = watch.allowance(wish(), later(15))
    assert (count, why) == (
        0,
        "one that was created there was not listed at the last look; the next one tells",
    )
    assert watch.allowance(wish(nodearray="worker-spot", spot=True), later(15)) == (40, "")
    watch.look(see(node(1, Status="Acquiring")), later(30))
    assert watch.allowance(wish(), later(30)) == (40, ""), "it is there"
    watch.look(see(), later(45))
    watch.look(see(), later(60))
    assert "vanished" in watch.allowance(wish(), later(60))[1]
    assert watch.allowance(wish(), later(60 + 301))[0] == 1


def test_a_failing_placement_group_is_set_aside_and_its_size_is_not(see: Callable[..., Inventory]) -> None:
    watch = Watch()
    watch.create_failed(wish(placement_group="pg0"), "no capacity", NOON)
    seen = see(placementGroups=[{"name": "pg1", "activeCount": 2}])
    cloud = watch.look(seen, later(1))
    bucket, spot = cloud.buckets
    assert (bucket.set_aside, list(bucket.failing_groups), spot.failing_groups) == ("", ["pg0"], {})
    assert bucket.placement_groups == {"pg1": 2}
    assert watch.set_aside(cloud, later(1)) == {f"{bucket.id}@pg0": bucket.failing_groups["pg0"]}
    assert "no capacity; tried again after 12:05:00 UTC" in bucket.failing_groups["pg0"]
    assert watch.allowance(wish(placement_group="pg0"), later(2))[0] == 0
    assert watch.allowance(wish(placement_group="pg1"), later(2))[0] == 40
    assert watch.look(seen, later(301)).buckets[0].failing_groups == {}
    assert watch.allowance(wish(placement_group="pg0"), later(301))[0] == 1


def test_none_available_without_a_reason_is_said(see: Callable[..., Inventory]) -> None:
    cloud = Watch().look(see(availableCount=0), NOON)
    assert "none available now" in cloud.buckets[0].set_aside


LIMITS: dict[str, dict[str, Any]] = {
    "family quota": {"familyQuotaCoreCount": 3},
    "quota of the region, used by others": {"regionalConsumedCoreCount": 1999},
    "the size's own ceiling": {"maxCount": 7, "activeCount": 7},
    "the nodearray, used by our own nodes": {"activeCount": 100, "maxCount": 500},
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_none_available_because_of_a_limit_is_that_limit_and_no_failure(
    see: Callable[..., Inventory], node: Make, limit: dict[str, Any]
) -> None:
    nodes = [node(i) for i in range(limit.get("activeCount", 0))]
    watch = Watch()
    for seconds in (0, 15, 30):
        cloud = watch.look(see(*nodes, availableCount=0, **limit), later(seconds))
        assert cloud.buckets[0].set_aside == ""
    assert watch.document.failures.episodes == {}


def test_none_available_in_a_full_placement_group_that_is_forced_on_all_is_no_failure(
    status: Make, array: Make, bucket: Make
) -> None:
    full = bucket(availableCount=0, placementGroups=[{"name": "pg", "activeCount": 40}])
    raw = status(array("worker", full, PlacementGroupId="pg"))
    assert inventory(raw, cluster="c", prices={}).withheld == frozenset()


def test_none_available_is_remembered_and_the_window_grows_when_it_comes_back(
    see: Callable[..., Inventory],
) -> None:
    watch, none, some = Watch(), see(availableCount=0), see()
    watch.look(none, NOON)
    assert watch.document.failures.episodes == {}, "one look may have caught the server at work"
    watch.look(none, later(15))
    (episode,) = watch.document.failures.episodes.values()
    assert (episode.failures, episode.until) == (1, later(315))
    # Back before the window is over: nothing yet; after it: one node.
    watch.look(some, later(60))
    assert watch.allowance(wish(), later(60))[0] == 0
    assert watch.look(some, later(320)).buckets[0].set_aside == ""
    assert watch.allowance(wish(), later(320))[0] == 1
    watch.created(wish(), [], later(320))
    for seconds in (335, 350):
        watch.look(none, later(seconds))
    (episode,) = watch.document.failures.episodes.values()
    assert (episode.failures, episode.until) == (2, later(350 + 600))


def test_none_available_for_hours_is_one_failure_and_then_one_node_is_tried(
    see: Callable[..., Inventory],
) -> None:
    watch = Watch()
    for minute in range(0, 180, 5):
        cloud = watch.look(see(availableCount=0), later(60 * minute))
        assert "none available now" in cloud.buckets[0].set_aside
        assert watch.allowance(wish(), later(60 * minute))[0] == 0
    (episode,) = watch.document.failures.episodes.values()
    assert episode.failures == 1
    watch.look(see(), later(60 * 180))
    assert watch.allowance(wish(), later(60 * 180))[0] == 1


@pytest.mark.parametrize(
    "unknown",
    [
        {"regionalQuotaCoreCount": None},
        {"availableCount": None},
    ],
)
def test_where_the_server_tells_too_little_none_available_is_no_failure(
    see: Callable[..., Inventory], unknown: dict[str, Any]
) -> None:
    watch = Watch()
    for seconds in (0, 15, 30):
        cloud = watch.look(see(**{"availableCount": 0, **unknown}), later(seconds))
        assert bool(cloud.buckets[0].set_aside) is (unknown.get("availableCount", 0) is not None)
    assert watch.document.failures.episodes == {}
    assert watch.look(see(), later(45)).buckets[0].set_aside == ""
    assert watch.allowance(wish(), later(45))[0] == 40


def test_spot_falls_back_to_regular_unless_told_not_to(see: Callable[..., Inventory]) -> None:
    seen = see(spot={"lastCapacityFailure": 5.0})
    regular, spot = Watch().look(seen, NOON).buckets
    assert (regular.set_aside, bool(spot.set_aside)) == ("", True)
    regular, spot = Watch(Rules(spot_fallback=False)).look(seen, NOON).buckets
    assert "spot_fallback is off" in regular.set_aside


def test_a_node_that_gets_its_id_did_not_vanish(see: Callable[..., Inventory], node: Make) -> None:
    watch = Watch()
    watch.look(see(node(1, NodeId=None, Status="Acquiring")), NOON)
    for seconds in (15, 30, 45):
        watch.look(see(node(1, Status="Acquiring")), later(seconds))
    assert watch.document.failures.episodes == {}
    assert watch.overdue((), later(45)) == ()


@pytest.mark.parametrize(
    ("changes", "seconds", "said"),
    [
        ({"Status": "Preparing"}, 1800, "node worker-1 is booting for 1800 s"),
        ({"Status": "Failed"}, 120, "node worker-1 is failed for 120 s"),
        ({"Status": "Whatever"}, 600, "node worker-1 is in an unknown state for 600 s"),
        ({"TargetState": "Terminated"}, 1800, "not wanted by the server, and still up for 1800 s"),
        ({"Status": "Preparing", "KeepAlive": True}, 1800, "protected, so it is left alone"),
    ],
)
def test_a_look_warns_of_every_node_that_is_late_and_is_to_be_reported(
    see: Callable[..., Inventory], node: Make, changes: dict[str, Any], seconds: int, said: str
) -> None:
    watch, sound = Watch(), [node(i) for i in range(2, 9)]
    for at in (0, seconds - 1):
        assert said not in " ".join(watch.look(see(node(1, **changes), *sound), later(at)).warnings)
    assert said in " ".join(watch.look(see(node(1, **changes), *sound), later(seconds)).warnings)


# -- the clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["told", "after a restart"])
def test_a_clock_that_is_set_back_stops_nothing_for_longer_than_it_would_have_been(
    see: Callable[..., Inventory], node: Make, told: bool
) -> None:
    """Or else nothing is launched, and nothing deleted, until the clock is where it was."""
    day = timedelta(days=1)
    watch = Watch()
    bad = see(*(node(i, Status="Failed", StatusMessage="script") for i in range(4)))
    watch.look(bad, NOON + day)
    watch.create_failed(wish(), "no capacity", NOON + day)
    if told:
        watch.clock_was_set(-day, NOON)
    watch.look(bad, NOON)
    watch.look(bad, later(601))
    assert watch.document.breaker.state is BreakerState.TRYING
    watch.look(see(node(9)), later(616))
    assert watch.document.breaker.state is BreakerState.CLOSED
    assert watch.allowance(wish(), later(616)) == (40, "")


def test_a_clock_that_is_set_forward_makes_nobody_late(see: Callable[..., Inventory], node: Make) -> None:
    hour, watch = timedelta(hours=1), Watch()
    booting = see(*(node(i, Status="Preparing") for i in range(4)))
    watch.look(booting, NOON)
    watch.create_failed(wish(), "no capacity", NOON)
    watch.clock_was_set(hour, later(15) + hour)
    watch.look(booting, later(15) + hour)
    assert watch.document.breaker.state is BreakerState.CLOSED
    assert watch.allowance(wish(), later(15) + hour)[0] == 0
    assert watch.document.clocks[NodeId("node-1")].since == NOON + hour


# -- keeping --------------------------------------------------------------------------------------------


def test_what_is_remembered_survives_a_restart(see: Callable[..., Inventory], node: Make) -> None:
    store = Kept()
    first = Watch(store=store)
    first.look(see(node(1, Status="Preparing")), NOON)
    first.create_failed(wish(placement_group="pg0"), "no capacity", NOON)
    first.ending([NodeId("node-1")], NOON)
    second = Watch(store=store)
    assert second.document == first.document
    assert second.allowance(wish(placement_group="pg0"), later(5))[0] == 0


def test_two_processes_share_what_they_know(see: Callable[..., Inventory], node: Make) -> None:
    """What a command ended does not look like an eviction to the control worker."""
    store = Kept()
    worker, command = Watch(store=store), Watch(store=store)
    worker.look(see(*(node(i) for i in range(8))), NOON)
    command.ending([NodeId(f"node-{i}") for i in range(8)], later(5))
    leaving = {"Status": "Terminating", "TargetState": "Terminated"}
    worker.look(see(*(node(i, **leaving) for i in range(8))), later(15))
    assert worker.document.breaker.state is BreakerState.CLOSED
    assert len(worker.document.ended) == 8


def test_a_look_that_tells_nothing_new_writes_nothing(see: Callable[..., Inventory], node: Make) -> None:
    store = Kept()
    watch = Watch(store=store)
    for seconds in (0, 15, 30, 45):
        watch.look(see(node(1), node(2)), later(seconds))
    assert store.saves == 1


def test_a_document_that_cannot_be_read_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    store = Kept()
    store.document = b'{"clocks": 5}'
    assert Watch(store=store).document == Document()
    assert "cannot be read" in caplog.text


def test_who_only_looks_sees_what_is_remembered_and_what_is_new_and_saves_nothing(
    see: Callable[..., Inventory],
) -> None:
    kept = Kept()
    Watch(Rules(), kept).create_failed(wish(), "no capacity", NOON)
    saves = kept.saves
    looking = Watch(Rules(), OnlyLooked(kept))
    cloud = looking.look(see(spot={"availableCount": 0, "lastCapacityFailure": 10.0}), later(5))
    assert [bool(bucket.set_aside) for bucket in cloud.buckets] == [True, True]
    assert kept.saves == saves


def test_a_mark_that_another_process_sets_during_a_look_is_not_lost(
    see: Callable[..., Inventory], node: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends nodes while this one looks; without its marks they would be evictions, and open the breaker."""
    path = tmp_path / "state.db"
    numbers = range(8)

    def end() -> None:
        with closing(StateFile(path)) as file:
            Watch(store=SQLiteMemory(file)).ending([NodeId(f"node-{number}") for number in numbers], NOON)

    other, tick = threading.Thread(target=end), deadlines.tick

    def tick_slowly(*words: Any, **facts: Any) -> Any:
        other.start()
        other.join(0.3)  # it has to wait for us: nobody comes between what was read and what is written of it
        return tick(*words, **facts)

    with closing(StateFile(path)) as file:
        watch = Watch(store=SQLiteMemory(file))
        with monkeypatch.context() as patch:
            patch.setattr(deadlines, "tick", tick_slowly)
            watch.look(see(*(node(i) for i in numbers)), NOON)
        other.join(30)
        leaving = {"Status": "Terminating", "TargetState": "Terminated"}
        watch.look(see(*(node(i, **leaving) for i in numbers)), later(15))
        assert len(watch.document.ended) == 8
        assert watch.document.breaker.state is BreakerState.CLOSED
