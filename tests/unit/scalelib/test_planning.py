"""The pieces of a plan that scenarios only show from outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scalelib.bucket import Pool, PoolKind
from scalelib.errors import InvalidInput
from scalelib.history import NodeTimes
from scalelib.hostnames import by_host, short_name
from scalelib.job import Job
from scalelib.node import NodeState
from scalelib.planning.clocks import tier_of
from scalelib.planning.dealing import JobQueue, undealt
from scalelib.planning.fleet import Tier
from scalelib.planning.kinds import kinds_of
from scalelib.planning.limits import Limits
from scalelib.policy import Expander, Policy


def test_equal_requirements_are_one_kind_however_they_are_written() -> None:
    jobs = [
        Job("a", {"ncpus": 1, "memgb": 2}),
        Job("b", {"memgb": 2, "ncpus": 1}, iterations=3),
        Job("c", {"memgb": 2, "ncpus": 1}, node_count=1),
        Job("d", {"memgb": 2, "ncpus": 1}, priority=1),
        Job("e", {"memgb": 2, "ncpus": 1}, exclusive=True),
    ]
    assert [(kind.jobs, kind.count, kind.priority) for kind in kinds_of(jobs)] == [
        ([("d", 1)], 1, 1),
        ([("a", 1), ("b", 3), ("c", 1)], 5, 0),
        ([("e", 1)], 1, 0),
    ]


def test_one_and_true_are_not_the_same_requirement() -> None:
    assert len(kinds_of([Job("a", {"fast": [1]}), Job("b", {"fast": [True]})])) == 2


def test_jobs_of_one_name_are_added_up() -> None:
    (kind,) = kinds_of([Job("a", {"ncpus": 1}, 2), Job("a", {"ncpus": 1}, 3)])
    assert kind.jobs == [("a", 5)]


def test_slots_are_dealt_in_the_order_of_names() -> None:
    (kind,) = kinds_of([Job("b", {}, 2), Job("a", {}, 3)])
    queue = JobQueue(kind)
    assert queue.take(2) == {"a": 2}
    assert (queue.ahead, queue.take(2)) == (1, {"a": 1, "b": 1})
    assert queue.take(5) == {"b": 1}
    assert undealt(kind, 3) == [("a", 1), ("b", 2)]


def test_each_machine_knows_its_jobs(world: Any) -> None:
    demand = world.plan([Job("a", {"ncpus": 2}, 3), Job("b", {"ncpus": 2})])
    (launch,) = demand.launches
    assert [(name, dict(jobs)) for name, jobs in launch.planned()] == [
        ("worker-1", {"a": 1}),
        ("worker-2", {"a": 1}),
        ("worker-3", {"a": 1}),
        ("worker-4", {"b": 1}),
    ]


def test_a_gang_keeps_its_own_machines(world: Any) -> None:
    """Two gangs of one kind on four nodes: each has two of its own."""
    demand = world.plan([Job("g", {"ncpus": 2}, node_count=2), Job("h", {"ncpus": 2}, node_count=2)])
    on = sorted(str(dict(jobs)) for _, jobs in demand.launches[0].planned())
    assert on == ["{'g': 1}", "{'g': 1}", "{'h': 1}", "{'h': 1}"]


def test_many_gangs_share_large_machines_where_that_is_cheaper(world: Any) -> None:
    cheap = [world.bucket("F2"), replace(world.bucket("E8"), price_per_hour=0.2)]
    few = world.plan([Job("g", {"ncpus": 2}, node_count=2)], buckets=tuple(cheap))
    many = world.plan([Job("g", {"ncpus": 2}, 4, node_count=2)], buckets=tuple(cheap))
    assert [(launch.vm_size, launch.count) for launch in few.launches] == [("F2", 2)]
    assert [(launch.vm_size, launch.count) for launch in many.launches] == [("E8", 2)]


@pytest.mark.parametrize(
    ("expander", "size"),
    [("least-cost", "F2"), ("least-waste", "F4"), ("most-available", "NC6"), ("priority", "E8")],
)
def test_the_expander_decides_for_gangs_too(world: Any, expander: str, size: str) -> None:
    buckets = [replace(b, priority=9 if b.id == "E8" else 1) for b in world.buckets()]
    pools = [replace(p, nodes=99) if p.name == "bucket/NC6" else p for p in world.pools()]
    demand = world.plan(
        [Job("g", {"ncpus": 1, "memgb": 4} if size != "F4" else {"ncpus": 4, "memgb": 8}, node_count=2)],
        buckets=tuple(buckets),
        pools=tuple(pools),
        policy=Policy(expander=Expander(expander), reserved={"worker": False}),
    )
    assert [launch.vm_size for launch in demand.launches] == [size]


def test_a_bucket_under_an_unknown_pool_is_refused(world: Any) -> None:
    with pytest.raises(InvalidInput, match="bucket 'F2': there is no pool 'region'"):
        world.plan([], buckets=(replace(world.bucket("F2"), pools={"region": 2}),))


def test_taking_more_than_there_is_is_a_mistake_of_ours(world: Any) -> None:
    limits = Limits(
        [Pool(name="cluster", kind=PoolKind.CLUSTER, nodes=1), *world.pools()[:-1]], world.buckets(), []
    )
    with pytest.raises(AssertionError, match="more than the limits leave"):
        limits.take(world.bucket("F2"), None, 2)


def test_what_runs_takes_something_wherever_it_could_be_instead(world: Any) -> None:
    """One GPU is not enough for eight tasks that could each have one, and make do with a CPU."""
    either = {"or": [{"ngpus": 1}, {"ncpus": 1}]}
    jobs = [Job(f"r{i}", either, iterations=4, executing_hostnames=[f"ip-{i}"]) for i in (1, 2)]
    nodes = [world.node(1, "F4"), world.node(2, "F4"), world.node(3, "NC6", keep_alive=True)]
    assert [verdict.needed for verdict in world.plan(jobs, nodes).nodes] == [True, True, True]


@pytest.mark.parametrize("choosy", [{"ngpus": 1}, {"in-a-placement-group": True, "ncpus": 2}])
def test_a_gang_leaves_machines_that_others_have_to_have(world: Any, choosy: dict[str, Any]) -> None:
    """Or these others would buy one more at each pass, as long as nodes boot."""
    group = "pg1" if "in-a-placement-group" in choosy else None
    nodes = [
        world.node(1, "F2" if group else "NC6", NodeState.ACQUIRING, placement_group=group),
        *(world.node(i, "F2", NodeState.ACQUIRING) for i in (2, 3)),
    ]
    jobs = [Job("gang", {"ncpus": 1}, node_count=2, exclusive=True), Job("one", choosy)]
    demand = world.plan(jobs, nodes)
    assert demand.launches == ()
    assert [dict(verdict.jobs) for verdict in demand.nodes] == [{"one": 1}, {"gang": 1}, {"gang": 1}]


@pytest.mark.parametrize("once", [False, True])
def test_licences_that_one_kind_has_no_room_for_go_to_another(world: Any, once: bool) -> None:
    """Or work that could run would wait for licences that nobody uses."""
    licence = {
        "shared-consumable-constraint": {"name": "matlab", "total": 5, "amount": 2, "once-per-job": once}
    }
    jobs = [Job(f"a{i}", {"ngpus": 1, "ncpus": 1, **licence}) for i in range(3)]
    jobs += [Job(f"b{i}", {"ncpus": 1, **licence}) for i in range(3)]
    world.sizes = ("F2", "F4")
    world.policy = Policy.from_config({"default_resources": [{"name": "ngpus", "value": 0}]})
    full = replace(world.bucket("NC6"), set_aside="no capacity", resources={"ngpus": 1})
    demand = world.plan(jobs, buckets=(*world.buckets(), full))
    assert [(u.job, u.count, u.reason.value) for u in demand.unserved] == [
        ("a2", 1, "shared-resource"),
        ("a0", 1, "set-aside"),
        ("a1", 1, "set-aside"),
        ("b2", 1, "shared-resource"),
    ]
    assert [dict(launch.jobs) for launch in demand.launches] == [{"b0": 1, "b1": 1}]


def test_alternatives_that_are_exclusive_in_different_ways_share_with_nobody(world: Any) -> None:
    either = {"or": [{"exclusive-task": True, "ncpus": 1}, {"exclusive": True, "ncpus": 1}]}
    demand = world.plan([Job("a", either), Job("b", either), Job("c", {"ncpus": 0.5})])
    assert sorted(str(dict(here)) for launch in demand.launches for _, here in launch.planned()) == [
        "{'a': 1}",
        "{'b': 1}",
        "{'c': 1}",
    ]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("IP-0A.internal", "ip-0a"),
        ("10.0.0.4", "10.0.0.4"),
        ("::FFFF:10.0.0.4", "10.0.0.4"),
        ("FE80:0::1", "fe80::1"),
        ("7.rack.internal", "7"),
        ("host", "host"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short


def test_a_name_that_two_nodes_claim_is_nobodys(world: Any) -> None:
    nodes = [replace(world.node(i), hostname="same", private_ip=f"10.0.0.{i}") for i in (1, 2)]
    assert by_host(nodes) == {"10.0.0.1": "Id-1", "10.0.0.2": "Id-2"}


def test_the_boot_clock_starts_anew_whenever_a_node_is_started_again(world: Any) -> None:
    node = world.node(1, state=NodeState.PREPARING)
    long_ago, lately = world.now - timedelta(days=1), world.now - timedelta(seconds=5)
    never_up = NodeTimes(created=long_ago, last_active=lately, last_needed=lately)
    once = replace(never_up, ready=long_ago)
    hangs = replace(once, last_active=long_ago)
    for times, expected in (
        (never_up, True),
        (replace(never_up, booting=lately), False),
        (once, False),
        (replace(once, booting=long_ago), True),
        (hangs, True),
        (replace(hangs, booting=lately), False),
    ):
        (verdict,) = world.plan([], [node], history={node.id: times}).nodes
        assert verdict.boot_timed_out is expected
        assert not verdict.idle_timed_out


def test_a_node_not_seen_before_has_not_been_idle(world: Any) -> None:
    (verdict,) = world.plan([], [world.node(1)]).nodes
    assert (verdict.idle_for, verdict.surplus_for) == (timedelta(0), timedelta(0))


def test_the_price_of_what_runs(world: Any) -> None:
    nodes = [world.node(1), world.node(2, "E8"), world.node(3, "F4", NodeState.DEALLOCATED)]
    assert world.plan([], nodes).price_before == pytest.approx(0.70)


def test_a_plan_that_buys_says_how_far_it_may_be_from_the_least_money(world: Any) -> None:
    one = world.plan([Job("a", {"ncpus": 2}, 5)])
    assert one.bound is not None
    assert one.gap == pytest.approx(one.price_added / one.bound - 1)
    two = world.plan([Job("a", {"ncpus": 2}, 5), Job("b", {"ncpus": 2}, 5, priority=1)])
    assert two.bound == pytest.approx(two.price_added)
    assert two.gap == pytest.approx(0.0, abs=1e-3)
    nothing = world.plan([])
    assert (nothing.bound, nothing.gap) == (0.0, 0.0)


@pytest.mark.parametrize("managed", [True, False], ids=["ours", "a host that is not ours"])
def test_machines_that_are_closed_are_filled_after_all_that_are_open_and_before_new_ones_are_bought(
    world: Any, managed: bool
) -> None:
    """Closed means that it takes nothing now: whoever fills it first waits for somebody to open it."""
    closed = replace(world.node(1), managed=managed, price_per_hour=0.0)
    nodes = [closed, world.node(2), world.node(3, state=NodeState.PREPARING)]
    filled = []
    for slots in (2, 4, 6, 8):
        demand = world.plan([Job("a", {"ncpus": 1}, slots)], nodes, closed=frozenset({closed.id}))
        filled.append(([v.node.name for v in demand.nodes if v.jobs], bool(demand.launches)))
    assert filled == [
        (["worker-2"], False),
        (["worker-2", "worker-3"], False),
        (["worker-1", "worker-2", "worker-3"], False),
        (["worker-1", "worker-2", "worker-3"], True),
    ]


@pytest.mark.parametrize(
    ("changes", "closed", "tier"),
    [
        ({"state": NodeState.READY}, False, Tier.READY),
        ({"state": NodeState.READY}, True, Tier.CLOSED),
        ({"state": NodeState.PREPARING}, False, Tier.BOOTING),
        # Nobody has opened it again before it is up.
        ({"state": NodeState.PREPARING}, True, Tier.BOOTING),
        ({"state": NodeState.FAILED}, False, None),
        ({"state": NodeState.READY, "wanted": False}, False, None),
        ({"state": NodeState.PREPARING, "wanted": False}, False, None),
        ({"state": NodeState.READY, "managed": False}, False, Tier.UNMANAGED),
        ({"state": NodeState.PREPARING, "managed": False}, True, Tier.CLOSED),
        ({"state": NodeState.FAILED, "managed": False}, False, None),
        ({"state": NodeState.STOPPING, "managed": False}, False, None),
        ({"state": NodeState.READY, "managed": False, "wanted": False}, False, None),
    ],
)
def test_when_a_node_is_filled(world: Any, changes: dict[str, Any], closed: bool, tier: Tier | None) -> None:
    node = replace(world.node(1), **changes)
    problem = world.problem([], [node], closed=frozenset({node.id} if closed else ()))
    assert tier_of(node, problem) is tier


def test_one_that_boots_for_too_long_is_filled_no_more(world: Any) -> None:
    node = world.node(1, state=NodeState.PREPARING)
    long_ago = {node.id: NodeTimes(created=world.now - timedelta(days=1))}
    assert tier_of(node, world.problem([], [node], history=long_ago)) is None


def test_the_ceiling_that_is_named_is_the_wider_one_where_both_are_reached(world: Any) -> None:
    """A cloud tells the room of a bucket with all wider ceilings taken in."""
    pools = [
        Pool(name="bucket/F2", kind=PoolKind.BUCKET, nodes=0),
        Pool(name="cluster", kind=PoolKind.CLUSTER, cores=0),
    ]
    bucket = world.bucket("F2")
    tightest = Limits(pools, [bucket], []).tightest(bucket)
    assert tightest is not None
    assert tightest.name == "cluster"


def test_a_machine_is_not_needed_for_what_a_host_that_costs_nothing_could_run(world: Any) -> None:
    ours, theirs = world.node(1), replace(world.node(2), managed=False)
    runs = Job("a", {"ncpus": 1}, executing_hostnames=["ip-1"])
    verdicts = {v.node.name: v.needed for v in world.plan([runs], [ours, theirs]).nodes}
    assert verdicts == {"worker-1": False, "worker-2": True}


def test_what_has_its_machine_for_itself_is_not_counted_beside_others(world: Any) -> None:
    jobs = [
        Job("alone", {"ncpus": 1}, exclusive=True, executing_hostnames=["ip-1"]),
        Job("other", {"ncpus": 1}, executing_hostnames=["ip-2"]),
    ]
    verdicts = world.plan(jobs, [world.node(1), world.node(2)]).nodes
    assert [v.needed for v in verdicts] == [True, True]


def test_a_host_that_a_job_names_is_never_idle(world: Any) -> None:
    """Also where the job has fewer slots than hosts: that is never settled in favour of deleting one."""
    nodes = [world.node(i) for i in (1, 2, 3)]
    job = Job("a", {"ncpus": 1}, iterations=1, executing_hostnames=["ip-1", "ip-2", "ip-3"])
    verdicts = world.plan([job], nodes).nodes
    assert [verdict.idle_for for verdict in verdicts] == [None, None, None]


def test_gangs_that_run_have_a_part_each_on_every_one_of_their_hosts(world: Any) -> None:
    """Not a share of them: two gangs on two nodes have two parts on each of them, which are full then."""
    gangs = Job("g", {"ncpus": 2}, 2, node_count=2, executing_hostnames=["ip-1", "ip-2"])
    demand = world.plan([gangs, Job("next", {"ncpus": 1})], [world.node(i, "F4") for i in (1, 2)])
    assert [dict(verdict.running) for verdict in demand.nodes] == [{"g": 2}, {"g": 2}]
    assert demand.new_count == 1


def test_slots_that_run_are_dealt_out_over_their_hosts(world: Any) -> None:
    """Five on three hosts: two on the first two each, and one on the third. A host that nobody knows has its
    part as well.
    """
    job = Job("j", {"ncpus": 1}, 5, executing_hostnames=["ip-1", "ip-2", "ip-9"])
    demand = world.plan([job], [world.node(i, "F4") for i in (1, 2)])
    assert [dict(verdict.running) for verdict in demand.nodes] == [{"j": 2}, {"j": 2}]


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        ({"set_aside": "none to be had"}, "none to be had; it is tried again by itself when that has passed"),
        (
            {"valid": False, "invalid_reason": "switched off"},
            "switched off; that does not pass by itself: see to it in the cloud, or add another size",
        ),
    ],
)
def test_what_passes_by_itself_is_told_from_what_a_person_has_to_see_to(
    world: Any, changes: dict[str, Any], until: str
) -> None:
    only = replace(world, sizes=("F2",))
    only.bucket = lambda size, made=only.bucket: made(size, **changes)
    (left,) = only.plan([Job("a", {"ncpus": 1})]).unserved
    assert (left.reason.value, left.detail.endswith(until)) == ("set-aside", True), left.detail
