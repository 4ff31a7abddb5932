"""Gangs are formed whole or not at all, and set free when nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from autoscaler_app.passes.decide import gangs
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.decide.gangs import Candidate, Reserved
from autoscaler_app.passes.plan import GangOrder, Plan
from autoscaler_app.passes.snapshot import GangSeen, HostSeen, QueueSeen, Snapshot
from tests.unit.autoscaler_app.conftest import host, node

Make = Callable[..., Snapshot]
PAIR = QueueSeen(queue="res:ncpus=2:nodes=2", constraints={"ncpus": 2}, node_count=2, waiting=1)
TOGETHER = QueueSeen(
    queue="res:ncpus=2:nodes=2:colocated", constraints={"ncpus": 2}, node_count=2, colocated=True, waiting=1
)
PAIR_WITHOUT_WORK = QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2)


def in_gang(
    number: int, role: str, *, hosts: tuple[str, ...] = ("ip-1", "ip-2"), **changes: object
) -> HostSeen:
    lacks = changes.pop("lacks", ())
    gang = GangSeen(id=f"{PAIR.queue}/abc", hosts=hosts, role=role, lacks=lacks)  # type: ignore[arg-type]
    return host(number, gang=gang, **changes)


def orders(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(order.order, order.hosts) for order in plan.gangs]


def test_a_gang_is_formed_when_all_of_its_nodes_are_up(snapshot: Make) -> None:
    seen = snapshot(nodes=[node(1), node(2)], hosts=[host(1), host(2)], queues=[PAIR])
    plan = decide(seen).plan
    assert plan.gangs == (
        GangOrder(
            order="form",
            gang="",
            queue=PAIR.queue,
            hosts=("ip-1", "ip-2"),
            reason="all of its nodes are free",
        ),
    )
    assert plan.launch == ()


def test_a_gang_with_a_node_that_is_not_up_waits(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1), node(2, Status="Preparing", Hostname=None)], hosts=[host(1)], queues=[PAIR]
    )
    plan = decide(seen).plan
    assert plan.gangs == ()
    assert plan.launch == (), "the node that is booting is meant for it"


def test_with_room_for_one_of_two_gangs_one_gets_all_and_the_other_waits(snapshot: Make) -> None:
    numbers = (1, 2, 3)
    two = QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2, waiting=2)
    seen = snapshot(nodes=[node(n) for n in numbers], hosts=[host(n) for n in numbers], queues=[two])
    assert orders(decide(seen).plan) == [("form", ("ip-1", "ip-2"))]


def test_colocated_nodes_come_out_of_one_placement_group(snapshot: Make) -> None:
    groups = {1: "pg0", 2: "pg1", 3: "pg1"}
    seen = snapshot(
        nodes=[node(n, PlacementGroupId=group) for n, group in groups.items()],
        hosts=[host(n) for n in groups],
        queues=[TOGETHER],
    )
    assert orders(decide(seen).plan) == [("form", ("ip-2", "ip-3"))]


def test_nodes_of_a_gang_are_taken_for_everything_else(snapshot: Make) -> None:
    small = QueueSeen(queue="celery", waiting=2)
    done = QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2)
    seen = snapshot(
        nodes=[node(1), node(2)],
        hosts=[in_gang(1, "runs", running=1), in_gang(2, "follows")],
        queues=[small, done],
    )
    plan = decide(seen).plan
    assert sum(launch.count for launch in plan.launch) == 1
    assert plan.gangs == ()
    assert plan.join == ()
    assert {entry.node for entry in plan.keep} == {"worker-1", "worker-2"}


def test_a_message_that_a_gang_waits_for_needs_no_second_gang(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(n) for n in (1, 2)],
        hosts=[in_gang(1, "waits"), in_gang(2, "follows")],
        queues=[PAIR],
    )
    plan = decide(seen).plan
    assert plan.gangs == ()
    assert plan.launch == ()


def test_a_gang_for_which_nothing_waits_any_more_is_set_free_head_first(snapshot: Make) -> None:
    done = QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2)
    seen = snapshot(
        nodes=[node(1), node(2)], hosts=[in_gang(1, "waits"), in_gang(2, "follows")], queues=[done]
    )
    assert orders(decide(seen).plan) == [("disband", ("ip-1", "ip-2"))]


def test_members_of_a_gang_whose_head_is_gone_are_set_free(snapshot: Make) -> None:
    seen = snapshot(nodes=[node(2)], hosts=[in_gang(2, "follows")], queues=[PAIR])
    assert ("disband", ("ip-2",)) in orders(decide(seen).plan)


def test_the_head_is_told_of_a_member_that_is_gone(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1), node(2)],
        hosts=[in_gang(1, "runs", running=1), in_gang(2, "follows", heard_seconds_ago=5000.0)],
        queues=[QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2)],
    )
    assert orders(decide(seen).plan) == [("member-lost", ("ip-1", "ip-2"))]


def test_a_head_is_told_which_of_those_it_waits_for_are_empty(snapshot: Make) -> None:
    """Only what says in one account that it follows and has nothing is empty since it follows."""
    for other, expected in (
        (in_gang(2, "follows"), [("ready", ("ip-1", "ip-2"))]),
        (in_gang(2, "follows", running=1), []),
        (in_gang(2, "follows", held=1), []),
        (in_gang(2, "follows", heard_seconds_ago=None), []),
        (host(2), []),
    ):
        seen = snapshot(
            nodes=[node(1), node(2)], hosts=[in_gang(1, "waits", lacks=("ip-2",)), other], queues=[PAIR]
        )
        assert orders(decide(seen).plan) == expected
    waits = in_gang(1, "waits")
    seen = snapshot(nodes=[node(1), node(2)], hosts=[waits, in_gang(2, "follows")], queues=[PAIR])
    assert orders(decide(seen).plan) == [], "it waits for nobody"


def test_hosts_with_nothing_to_wait_for_come_first(snapshot: Make) -> None:
    numbers = (1, 2, 3)
    hosts = [host(1, running=1, total={"ncpus": 8}), host(2), host(3)]
    seen = snapshot(nodes=[node(n) for n in numbers], hosts=hosts, queues=[PAIR])
    assert orders(decide(seen).plan) == [("form", ("ip-2", "ip-3"))]


def test_a_member_of_which_nothing_is_known_now_is_not_gone(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(1), node(2)],
        hosts=[in_gang(1, "runs", running=1), in_gang(2, "follows", heard_seconds_ago=None)],
        queues=[QueueSeen(queue=PAIR.queue, constraints={"ncpus": 2}, node_count=2)],
    )
    assert orders(decide(seen).plan) == []


def test_a_host_that_is_in_a_gang_still_is_taken_for_no_other(snapshot: Make) -> None:
    """Its task has ended, and it is being set free: it is asked for another one when it says that it is."""
    seen = snapshot(
        nodes=[node(1), node(2)], hosts=[in_gang(1, "done"), in_gang(2, "follows")], queues=[PAIR]
    )
    assert {order for order, _ in orders(decide(seen).plan)} == {"disband"}


def test_a_gang_whose_task_has_ended_is_no_job_any_more(snapshot: Make) -> None:
    """Its nodes have room for what waits, and nothing new is bought."""
    waiting = [QueueSeen(queue="celery", waiting=4), PAIR_WITHOUT_WORK]
    for role, bought in (("done", 0), ("runs", 2)):
        seen = snapshot(
            nodes=[node(1), node(2)], hosts=[in_gang(1, role), in_gang(2, "follows")], queues=waiting
        )
        assert sum(launch.count for launch in decide(seen).plan.launch) == bought


def test_during_a_pause_no_gang_is_disbanded(snapshot: Make) -> None:
    facts = {
        "nodes": [node(1), node(2)],
        "hosts": [in_gang(1, "done"), in_gang(2, "follows")],
        "queues": [PAIR],
    }
    assert decide(snapshot(**facts)).plan.gangs
    assert decide(snapshot(**facts, paused=True)).plan.gangs == ()


def test_a_head_that_fell_silent_is_gone_and_one_that_is_not_known_now_is_not(snapshot: Make) -> None:
    for heard, disbanded in ((601.0, True), (None, False), (1.0, False)):
        seen = snapshot(
            nodes=[node(1), node(2)],
            hosts=[in_gang(1, "runs", heard_seconds_ago=heard), in_gang(2, "follows")],
            queues=[PAIR_WITHOUT_WORK],
        )
        assert bool(orders(decide(seen).plan)) is disbanded


# -- orders by themselves


def free(**groups: str | None) -> list[Candidate]:
    return [Candidate(hostname=name, placement_group=group) for name, group in groups.items()]


def formed(queue: QueueSeen, candidates: list[Candidate], *reserved: Reserved) -> list[tuple[str, ...]]:
    found = gangs.orders(reserved, queues={queue.queue: queue}, dead=(), candidates={queue.queue: candidates})
    return [order.hosts for order in found if order.order == "form"]


def test_no_more_gangs_are_formed_than_messages_wait() -> None:
    hosts = free(a=None, b=None, c=None, d=None, e=None)
    for waiting, expected in ((0, []), (1, [("a", "b")]), (2, [("a", "b"), ("c", "d")])):
        queue = msgspec.structs.replace(PAIR, waiting=waiting)
        assert formed(queue, hosts) == expected
    waits = Reserved(id=f"{PAIR.queue}/1", hosts=("x", "y"), role="waits", telling=("x", "y"))
    two = msgspec.structs.replace(PAIR, waiting=2)
    assert formed(two, hosts, waits) == [("a", "b")], "one of the two is awaited already"


def test_where_nodes_need_not_be_together_any_of_them_will_do() -> None:
    queue = msgspec.structs.replace(PAIR, waiting=9)
    assert formed(queue, free(a="pg1", b=None, c="pg2", d=None)) == [("b", "d"), ("a", "c")]


def test_nodes_that_need_to_be_together_are_of_one_placement_group_and_never_of_none() -> None:
    queue = msgspec.structs.replace(TOGETHER, waiting=9)
    assert formed(queue, free(a=None, b=None, c=None)) == []
    assert formed(queue, free(a="pg1", b=None, c="pg2", d="pg1", e="pg2", f="pg2")) == [
        ("a", "d"),
        ("c", "e"),
    ]


def test_a_gang_that_waits_and_lost_a_member_is_set_free_though_its_message_waits() -> None:
    waits = Reserved(id=f"{PAIR.queue}/1", hosts=("x", "y"), role="waits", telling=("x",))
    (order,) = gangs.orders([waits], queues={PAIR.queue: PAIR}, dead={"y"}, candidates={})
    assert (order.order, order.hosts, order.reason) == ("disband", ("x",), "y is gone")
