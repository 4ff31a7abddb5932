"""What hosts are told, what is capacity and what is demand; and what no plan ever does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import DeleteReason, FenceReason, KeepReason
from autoscaler_app.passes.snapshot import (
    GangSeen,
    HostSeen,
    JobSeen,
    QueueSeen,
    Snapshot,
    TimesSeen,
    decode,
    encode,
)
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node, times
from tests.unit.autoscaler_app.passes.decide.test_fate import fate

Make = Callable[..., Snapshot]
IDLE = times(last_active=LONG_AGO, last_needed=LONG_AGO)
SURPLUS = times(last_active=NOW, last_needed=LONG_AGO)
BUSY = [JobSeen(name="celery on ip-1", constraints={"ncpus": 1}, executing_hostnames=("ip-1",))]


def test_a_fleet_that_nibbles_at_one_queue_shrinks(snapshot: Make) -> None:
    """Three nodes, one small task now and then: two of them could be done without, and have been for long."""
    numbers = (1, 2, 3)
    seen = snapshot(
        nodes=[node(n) for n in numbers],
        hosts=[host(n, running=1 if n == 2 else 0) for n in numbers],
        history={f"id-{n}": SURPLUS if n != 2 else times() for n in numbers},
        jobs=[JobSeen(name="celery on ip-2", constraints={"ncpus": 1}, executing_hostnames=("ip-2",))],
    )
    plan = decide(seen).plan
    assert {entry.node for entry in plan.fence} == {"worker-1", "worker-3"}
    assert {entry.reason for entry in plan.fence} == {FenceReason.SURPLUS}


def test_a_node_never_joined_only_in_the_time_in_which_somebody_listened(snapshot: Make) -> None:
    for listening, goes in ((NOW - timedelta(seconds=180), False), (NOW - timedelta(seconds=181), True)):
        seen = snapshot(nodes=[node(1)], listening_since=listening)
        assert bool(decide(seen).plan.delete) is goes


def test_a_host_in_a_gang_is_told_nothing(snapshot: Make) -> None:
    """It keeps itself free for the gang's task, or runs it: nothing else is to come there."""
    gang = GangSeen(id="pairs/1", hosts=("ip-1", "ip-2"), role="waits")
    follows = msgspec.structs.replace(gang, role="follows")
    pairs = QueueSeen(queue="pairs", constraints={"ncpus": 1}, node_count=2, waiting=1)
    seen = snapshot(
        nodes=[node(1), node(2), node(3)],
        hosts=[host(1, gang=gang, queues=()), host(2, gang=follows, queues=()), host(3, queues=())],
        queues=[QueueSeen(queue="celery", waiting=6), pairs],
    )
    assert [entry.hostname for entry in decide(seen).plan.join] == ["ip-3"]


def test_a_host_that_is_not_known_now_is_told_nothing(snapshot: Make) -> None:
    for heard, told in ((45.0, ["ip-1"]), (46.0, []), (None, [])):
        seen = snapshot(
            nodes=[node(1, KeepAlive=True)],
            hosts=[host(1, queues=(), heard_seconds_ago=heard)],
            queues=[QueueSeen(queue="celery", waiting=1)],
        )
        assert [entry.hostname for entry in decide(seen).plan.join] == told


def test_a_host_that_consumes_what_it_is_to_consume_is_told_nothing(snapshot: Make) -> None:
    queues = [QueueSeen(queue="a", waiting=1), QueueSeen(queue="b", waiting=1)]
    for consumed, told in ((("b", "a"), 0), (("a",), 1), (("a", "b", "c"), 1), (None, 1)):
        seen = snapshot(nodes=[node(1)], hosts=[host(1, queues=consumed)], queues=queues)
        assert len(decide(seen).plan.join) == told


def test_a_host_that_is_kept_warm_consumes_what_fits_it(snapshot: Make) -> None:
    """Else nothing would start there before the next pass, and it was to be ready for just that."""
    seen = snapshot(nodes=[node(1)], hosts=[host(1, queues=())], config={"warm_pool": {"minimum": 2}})
    assert [entry.queues for entry in decide(seen).plan.join] == [("celery",)]


def test_a_host_that_is_kept_warm_is_not_fenced_though_the_plan_could_do_without_it(snapshot: Make) -> None:
    """The pool was put on the small one, and would fit on the large one, which is empty, too."""
    seen = snapshot(
        nodes=[node(1, MachineType="S8"), node(2)],
        hosts=[host(1, total={"ncpus": 8, "memgb": 32}), host(2)],
        history={"id-1": IDLE, "id-2": IDLE},
        config={"warm_pool": {"buffer": 2}},
    )
    plan = decide(seen).plan
    assert fate(plan, "id-2") is KeepReason.WARM
    assert plan.fence == ()


def test_a_host_that_is_opened_again_is_told_what_to_consume(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1)],
        hosts=[host(1, fenced=True, queues=())],
        queues=[QueueSeen(queue="celery", waiting=1)],
    )
    plan = decide(seen).plan
    assert [entry.hostname for entry in plan.unfence] == ["ip-1"]
    assert [entry.queues for entry in plan.join] == [("celery",)]


def test_a_task_that_began_since_the_last_pass_keeps_its_node_though_its_clock_says_idle(
    snapshot: Make,
) -> None:
    seen = snapshot(
        nodes=[node(1), node(2)],
        hosts=[host(1, running=1), host(2, running=1)],
        history={"id-1": times(), "id-2": times(last_active=LONG_AGO, last_needed=NOW)},
        jobs=[
            JobSeen(name=f"celery on ip-{n}", constraints={"ncpus": 1}, executing_hostnames=(f"ip-{n}",))
            for n in (1, 2)
        ],
    )
    plan = decide(seen).plan
    assert fate(plan, "id-2") is KeepReason.RUNNING
    assert plan.fence == ()


def test_work_that_is_meant_for_a_node_resets_its_idle_clock_as_work_that_runs_does(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1), node(2), node(3)],
        hosts=[host(1, running=2), host(2), host(3)],
        jobs=[
            JobSeen(name="r", constraints={"ncpus": 1}, iterations=2, executing_hostnames=("ip-1",)),
        ],
        queues=[QueueSeen(queue="celery", waiting=2)],
    )
    decision = decide(seen)
    assert sorted(decision.active) == ["id-1", "id-2"]
    assert sorted(decision.needed) == ["id-1", "id-2"]


@pytest.mark.parametrize("stage", ["leaving", "left"])
def test_a_host_that_is_shutting_down_or_gone_is_no_capacity(snapshot: Make, stage: str) -> None:
    seen = snapshot(
        nodes=[node(1)],
        hosts=[host(1, fenced=True, stage=stage)],
        queues=[QueueSeen(queue="celery", waiting=2)],
    )
    plan = decide(seen).plan
    assert sum(launch.count for launch in plan.launch) == 1
    assert plan.unfence == ()


@pytest.mark.parametrize(
    "facts", [{"heard_seconds_ago": 601.0}, {"hungry_seconds": 181.0}, {"evicted": True}], ids=str
)
def test_a_host_that_is_silent_hungry_or_evicted_is_no_capacity(
    snapshot: Make, facts: dict[str, Any]
) -> None:
    seen = snapshot(nodes=[node(1)], hosts=[host(1, **facts)], queues=[QueueSeen(queue="celery", waiting=2)])
    assert sum(launch.count for launch in decide(seen).plan.launch) == 1


def test_a_fenced_host_is_opened_before_a_new_machine_is_bought_and_after_all_that_are_open(
    snapshot: Make,
) -> None:
    for waiting, opened, bought in ((2, 0, 0), (4, 1, 0), (6, 1, 1)):
        seen = snapshot(
            nodes=[node(1), node(2)],
            hosts=[host(1, fenced=True), host(2)],
            queues=[QueueSeen(queue="celery", waiting=waiting)],
        )
        plan = decide(seen).plan
        assert (len(plan.unfence), sum(launch.count for launch in plan.launch)) == (opened, bought)


def test_what_a_machine_was_seen_to_have_replaces_what_its_size_promises(snapshot: Make) -> None:
    for cpus, bought in ((2, 0), (1, 1)):
        seen = snapshot(
            nodes=[node(1)],
            hosts=[host(1, total={"ncpus": cpus, "memgb": 4})],
            queues=[QueueSeen(queue="celery", waiting=2)],
        )
        assert sum(launch.count for launch in decide(seen).plan.launch) == bought


def test_what_falls_due_before_a_node_could_boot_is_demand(snapshot: Make) -> None:
    seen = snapshot(queues=[QueueSeen(queue="celery", due=(10.0, 20.0))])
    assert sum(launch.jobs["celery"] for launch in decide(seen).plan.launch) == 2


def test_tasks_of_several_nodes_each_get_a_gang_of_their_own_whatever_their_run_time(snapshot: Make) -> None:
    pairs = QueueSeen(
        queue="pairs", constraints={"ncpus": 2}, node_count=2, waiting=3, runtime_seconds=1.0, running=1
    )
    plan = decide(snapshot(queues=[pairs])).plan
    assert sum(launch.count for launch in plan.launch) == 6


def test_a_bucket_that_is_set_aside_gets_nothing(snapshot: Make) -> None:
    seen = snapshot(queues=[QueueSeen(queue="celery", waiting=2)], set_aside={"bucket-S2": "no capacity"})
    assert [launch.vm_size for launch in decide(seen).plan.launch] == ["S8"]


def test_during_a_pause_nothing_is_launched_joined_or_reserved(snapshot: Make) -> None:
    pairs = QueueSeen(queue="pairs", constraints={"ncpus": 2}, node_count=2, waiting=1)
    facts = {
        "nodes": [node(1), node(2), node(3)],
        "hosts": [host(n, queues=()) for n in (1, 2, 3)],
        "queues": [pairs, QueueSeen(queue="celery", waiting=9)],
    }
    plan = decide(snapshot(**facts)).plan
    assert plan.launch
    assert plan.gangs
    assert plan.join
    plan = decide(snapshot(**facts, paused=True)).plan
    assert (plan.launch, plan.gangs, plan.join, plan.fence, plan.unfence, plan.delete) == ((),) * 6


def test_two_nodes_that_claim_one_host_name_are_both_unknown(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1), node(2, Hostname="ip-1")],
        hosts=[host(1, fenced=True)],
        history={"id-1": IDLE, "id-2": IDLE},
    )
    assert decide(seen).plan.delete == ()


@pytest.mark.parametrize("heard", [1.0, None, 601.0])
def test_a_node_whose_name_another_had_has_joined_for_all_we_know_while_that_is_heard(
    snapshot: Make, heard: float | None
) -> None:
    seen = snapshot(
        nodes=[node(1, Status="Terminating", TargetState="Terminated"), node(2, Hostname="ip-1")],
        hosts=[host(1, running=1, heard_seconds_ago=heard)],
    )
    is_silent = heard == 601.0
    assert [entry.reason.value for entry in decide(seen).plan.delete] == ["never-joined"] * is_silent


def test_a_host_is_narrowed_to_the_work_that_the_plan_gave_it(snapshot: Make) -> None:
    big = QueueSeen(queue="res:ncpus=8", constraints={"ncpus": 8}, waiting=1)
    seen = snapshot(
        nodes=[node(1), node(2, MachineType="S8")],
        hosts=[host(1), host(2, total={"ncpus": 8, "memgb": 32})],
        queues=[QueueSeen(queue="celery", waiting=2), big],
    )
    joins = {entry.hostname: entry.queues for entry in decide(seen).plan.join}
    assert joins == {"ip-2": ("res:ncpus=8",)}


def test_a_host_without_work_in_the_plan_consumes_what_fits_it(snapshot: Make) -> None:
    big = QueueSeen(queue="res:ncpus=8", constraints={"ncpus": 8})
    seen = snapshot(
        nodes=[node(1), node(2, MachineType="S8")],
        hosts=[host(1), host(2, total={"ncpus": 8, "memgb": 32})],
        queues=[QueueSeen(queue="celery"), big],
    )
    joins = {entry.hostname: entry.queues for entry in decide(seen).plan.join}
    assert joins == {"ip-2": ("celery", "res:ncpus=8")}


def test_a_known_run_time_and_a_target_make_fewer_slots_than_tasks(snapshot: Make) -> None:
    seen = snapshot(queues=[QueueSeen(queue="celery", waiting=120, runtime_seconds=10.0)])
    assert sum(launch.jobs["celery"] for launch in decide(seen).plan.launch) == 4
    off = snapshot(
        queues=[QueueSeen(queue="celery", waiting=12, runtime_seconds=10.0)],
        autoscaler={"estimate_run_times": False},
    )
    assert sum(launch.jobs["celery"] for launch in decide(off).plan.launch) == 12


def test_a_node_that_is_about_to_be_evicted_is_no_capacity(snapshot: Make) -> None:
    for evicted, launched in ((False, 0), (True, 1)):
        seen = snapshot(
            nodes=[node(1)],
            hosts=[host(1, fenced=True, evicted=evicted)],
            queues=[QueueSeen(queue="celery", waiting=1)],
        )
        plan = decide(seen).plan
        assert sum(launch.count for launch in plan.launch) == launched
        assert bool(plan.unfence) is not evicted


def test_a_placement_group_that_is_set_aside_is_left_alone_and_a_file_tells_so(snapshot: Make) -> None:
    """`replay` plans from the file alone: it has to hold what the provider knows of a group."""
    gang = QueueSeen(queue="res:ncpus=2:x2:colocated", constraints={"ncpus": 2}, node_count=2, colocated=True)
    seen = snapshot(queues=[msgspec.structs.replace(gang, waiting=1)])

    def groups(aside: dict[str, str]) -> list[str | None]:
        made = msgspec.structs.replace(seen, set_aside=aside)
        return [launch.placement_group for launch in decide(decode(encode(made))).plan.launch]

    assert groups({}) == ["S2_pg0"]
    assert groups({"bucket-S2@S2_pg0": "no capacity"}) == ["S2_pg1"]
    assert groups({"bucket-S2": "no capacity", "bucket-S8@S8_pg0": "no capacity"}) == ["S8_pg1"]


hosts = st.builds(
    host,
    st.just(1),
    running=st.integers(0, 2),
    held=st.integers(0, 1),
    fenced=st.booleans(),
    heard_seconds_ago=st.none() | st.floats(0, 700),
    stage=st.sampled_from([None, "serving", "fenced", "leaving"]),
)
clocks = st.builds(
    times, last_active=st.sampled_from([NOW, LONG_AGO]), last_needed=st.sampled_from([NOW, LONG_AGO])
)


@given(
    seen=hosts,
    clock=clocks,
    waiting=st.integers(0, 3),
    status=st.sampled_from(["Ready", "Failed", "Unavailable"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_seen_a_busy_or_unknown_node_is_not_deleted(
    snapshot: Make, seen: HostSeen, clock: TimesSeen, waiting: int, status: str
) -> None:
    made = snapshot(
        nodes=[node(1, Status=status)],
        hosts=[seen],
        history={"id-1": clock},
        queues=[QueueSeen(queue="celery", waiting=waiting)],
    )
    plan = decide(made).plan
    assert msgspec.structs.replace(decide(made).plan, planning_seconds=0) == msgspec.structs.replace(
        plan, planning_seconds=0
    ), "the same snapshot gives the same plan"
    for entry in plan.delete:
        proven = entry.reason in (DeleteReason.IDLE, DeleteReason.SURPLUS)
        if proven:
            assert seen.heard_seconds_ago is not None
            assert not seen.running
            assert not seen.held
            assert seen.on_its_way == "fenced"
        if entry.reason is DeleteReason.SILENT:
            assert seen.heard_seconds_ago is not None
            assert seen.heard_seconds_ago > 600
        if entry.reason is DeleteReason.FAILED:
            assert status != "Ready"


@pytest.mark.parametrize(
    ("stranger", "seconds", "held_back"),
    [
        (host(9, running=1), 1000, True),
        (host(9, running=1), 100_000, True),
        (host(9), 600, True),
        (host(9), 800, False),
        (host(9, running=1, heard_seconds_ago=50.0), 600, False),
        (host(9, running=1, began=NOW - timedelta(days=9)), 600, False),
        (host(9, running=1, began=NOW - timedelta(seconds=300)), 600, True),
    ],
    ids=[
        "it works",
        "it works for long",
        "it is idle",
        "it is idle for long",
        "it is not heard",
        "it was there before the node",
        "it began after the node was asked for",
    ],
)
def test_a_worker_on_no_node_may_be_that_of_one_on_which_nobody_is_heard(
    snapshot: Make, stranger: HostSeen, seconds: float, held_back: bool
) -> None:
    """Its name is another, and its machine hidden from it: the node would be ended under its task."""
    ready = NOW - timedelta(seconds=seconds)
    seen = snapshot(
        nodes=[node(1)],
        hosts=[stranger],
        history={"id-1": times(created=ready - timedelta(seconds=60), ready=ready)},
    )
    plan = decide(seen).plan
    assert [entry.reason.value for entry in plan.delete] == ["never-joined"] * (not held_back)
    if held_back:
        (kept,) = plan.keep
        assert (kept.reason, stranger.hostname in kept.detail) == (KeepReason.HELD_BACK, True)


def test_while_it_is_paused_that_is_a_warning(snapshot: Make) -> None:
    waits = {"queues": [QueueSeen(queue="celery", waiting=1)]}
    paused = decide(snapshot(paused=True, **waits)).plan
    assert (paused.launch, ["`autoscaler resume`" in each for each in paused.warnings]) == ((), [True])
    resumed = decide(snapshot(**waits)).plan
    assert (len(resumed.launch), resumed.warnings) == (1, ())


def test_what_is_set_aside_is_a_warning_while_it_is(snapshot: Make) -> None:
    waits = {"queues": [QueueSeen(queue="celery", waiting=1)]}
    aside = decide(snapshot(set_aside={"bucket-S2": "none; tried again after 12:05:00 UTC"}, **waits)).plan
    assert aside.warnings == ("nothing is launched in bucket-S2: none; tried again after 12:05:00 UTC",)
    assert [launch.vm_size for launch in aside.launch] == ["S8"]
    after = decide(snapshot(**waits)).plan
    assert ([launch.vm_size for launch in after.launch], after.warnings) == (["S2"], ())
    many = decide(snapshot(set_aside={f"b{i}": "none" for i in range(7)})).plan
    assert len(many.warnings) == 6
    assert many.warnings[-1].startswith("nor in 2 others")
