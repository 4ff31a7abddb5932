"""From a finished plan to the answer: launches, verdicts on nodes, what stays unserved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scalelib.bucket import Bucket
from scalelib.demand import Demand, Launch, NodeReason, NodeVerdict, Unserved
from scalelib.node import Node, NodeId, NodeState
from scalelib.planning import clocks
from scalelib.planning.bound import bound_of
from scalelib.planning.dealing import Dealer, Run, add, undealt
from scalelib.planning.fleet import Amounts
from scalelib.planning.naming import Naming
from scalelib.planning.plan import Planning
from scalelib.planning.reasons import Reason, Reasons
from scalelib.room import Room

_GONE = (NodeState.OFF, NodeState.DEALLOCATED, NodeState.TERMINATED)


@dataclass(eq=False, kw_only=True, slots=True)
class _Purchase:
    """New machines of one bucket and placement group."""

    bucket: Bucket
    group: str | None
    runs: list[Run] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    """One for each run."""


def demand_of(plan: Planning) -> Demand:
    """The answer."""
    planned, rooms, purchases = _dealt(plan)
    known = frozenset(plan.catalogue.known_resources())
    launches = _launches(plan, purchases)
    added = sum(launch.price_per_hour for launch in launches)
    bound = _bound(plan, added)
    return Demand(
        launches=launches,
        nodes=_verdicts(plan, planned, rooms),
        unserved=_unserved(plan, known),
        price_before=sum(_price(plan, node) for node in plan.problem.nodes if node.state not in _GONE),
        price_added=added,
        decided_by="solver" if plan.purchases.solved else "greedy",
        bound=bound,
        gap=added / bound - 1 if bound else None if added else 0.0,
        resource_names=known,
    )


def _bound(plan: Planning, added: float) -> float:
    """What the machines that are bought have to cost at least."""
    if not added:
        return 0.0
    alone = plan.purchases.bought == 1 and not plan.together.bought and len(plan.unserved) == 1
    if alone and plan.purchases.bound is not None:
        return plan.purchases.bound  # the packer placed everything at once, and proved it
    return min(bound_of(plan), added)


def _price(plan: Planning, node: Node) -> float:
    return node.price_per_hour or plan.scene.prices.get(node.bucket_id, 0.0)


def _dealt(
    plan: Planning,
) -> tuple[dict[NodeId, dict[str, int]], Callable[[Node], Room], list[_Purchase]]:
    """Which jobs' slots each node and each new machine got, and what is left free of them."""
    dealer = Dealer(plan.kinds)
    planned: dict[NodeId, dict[str, int]] = {}
    left: dict[NodeId, Amounts] = {}
    purchases: dict[tuple[str, str | None], _Purchase] = {}
    buckets = {bucket.id: bucket for bucket in plan.scene.buckets}
    for cohort in plan.fleet.cohorts:
        if cohort.count == 0:
            continue
        left.update((node.id, cohort.free) for node in cohort.nodes or ())
        if cohort.nodes is not None and not cohort.slots and not cohort.named:
            continue
        runs = dealer.deal(cohort)
        if cohort.nodes is None:
            key = (cohort.bucket_id, cohort.group)
            bought = purchases.setdefault(
                key, _Purchase(bucket=buckets[cohort.bucket_id], group=cohort.group)
            )
            bought.runs.extend(runs)
            machine = plan.catalogue.machines[cohort.machine]
            bought.rooms.extend([Room(machine, plan.fleet.counters, cohort.free)] * len(runs))
            continue
        nodes = iter(cohort.nodes)
        for times, jobs in runs:
            for _ in range(times):
                planned[next(nodes).id] = jobs
    catalogue, counters = plan.catalogue, plan.fleet.counters

    def room(node: Node) -> Room:
        machine = catalogue.seen(node)
        return Room(machine, counters, left[node.id]) if node.id in left else Room(machine, (), ())

    return planned, room, list(purchases.values())


def _launches(plan: Planning, purchases: list[_Purchase]) -> tuple[Launch, ...]:
    naming = Naming(node.name for node in plan.problem.nodes)
    deallocated: dict[tuple[str, str | None], list[Node]] = {}
    for node in plan.problem.nodes:
        if node.may_start_again and node.state is NodeState.DEALLOCATED:
            deallocated.setdefault((node.bucket_id, node.placement_group), []).append(node)
    purchases = sorted(purchases, key=lambda p: (p.bucket.position, p.bucket.id, p.group or ""))
    launches = []
    for bought in purchases:
        array = bought.bucket.nodearray
        total = sum(times for times, _ in bought.runs)
        starts = deallocated.get((bought.bucket.id, bought.group), [])[:total]
        jobs: dict[str, int] = {}
        for times, here in bought.runs:
            add(jobs, here, times)
        launches.append(
            Launch(
                bucket_id=bought.bucket.id,
                nodearray=array,
                vm_size=bought.bucket.vm_size,
                spot=bought.bucket.spot,
                placement_group=bought.group,
                count=total,
                price_per_hour=plan.scene.prices[bought.bucket.id] * total,
                vcpu_count=bought.bucket.vcpu_count,
                jobs=jobs,
                names=_names(starts, naming.take(array, total - len(starts))),
                starts=tuple(starts),
                per_node=tuple(bought.runs),
                rooms=tuple(bought.rooms),
            )
        )
    return tuple(launches)


def _names(starts: Sequence[Node], fresh: Sequence[str]) -> Sequence[str]:
    return (*(node.name for node in starts), *fresh) if starts else fresh


# -- verdicts


def _verdicts(
    plan: Planning, planned: Mapping[NodeId, Mapping[str, int]], rooms: Callable[[Node], Room]
) -> tuple[NodeVerdict, ...]:
    needed = plan.needed()
    pads = {pad.name for pad in plan.scene.pads}
    return tuple(
        _verdict(plan, node, planned.get(node.id, {}), rooms, node.id in needed, pads)
        for node in plan.problem.nodes
    )


def _verdict(
    plan: Planning,
    node: Node,
    planned: Mapping[str, int],
    rooms: Callable[[Node], Room],
    needed: bool,
    pads: set[str],
) -> NodeVerdict:
    load, held = plan.scene.loads.get(node.id), plan.held.get(node.id)
    running = dict(load.jobs) if load else {}
    jobs = dict(running)
    add(jobs, planned)
    late = clocks.boot_timed_out(node, plan.problem)
    warm = any(name in pads for name in planned)
    idle = None if jobs or held or not node.is_ready else clocks.idle_for(node, plan.problem)
    timeout = plan.problem.policy.idle_timeout(node.nodearray)
    reason = _reason(node, running, planned, late=late, only_warm=warm and all(n in pads for n in planned))
    return NodeVerdict(
        node=node,
        jobs=jobs,
        running=running,
        reason=NodeReason.HELD if held and reason is NodeReason.IDLE else reason,
        detail=f"kept for {held.jobs[0][0]}, which came first" if held else _detail(plan, node, reason, jobs),
        idle_for=idle,
        idle_timed_out=idle is not None and node.managed and not node.keep_alive and idle >= timeout,
        boot_timed_out=late,
        needed=needed or held is not None,
        surplus_for=None if needed or held else clocks.surplus_for(node, plan.problem),
        warm=warm,
        held_for=held.jobs[0][0] if held else "",
        rooms=rooms,
    )


def _reason(
    node: Node, running: Mapping[str, int], planned: Mapping[str, int], *, late: bool, only_warm: bool
) -> NodeReason:
    state = node.state
    if state.is_failed:
        return NodeReason.FAILED
    if late:
        return NodeReason.BOOT_TIMED_OUT
    if state.is_leaving or not node.wanted:
        return NodeReason.LEAVING
    may_come = state is NodeState.READY or state.is_booting or (state is NodeState.UNKNOWN and bool(planned))
    if node.managed and not may_come:
        return NodeReason.OFF
    if running:
        return NodeReason.RUNNING
    if planned:
        return NodeReason.WARM if only_warm else NodeReason.MATCHED
    if node.keep_alive:
        return NodeReason.KEEP_ALIVE
    if not node.managed:
        return NodeReason.UNMANAGED
    return NodeReason.BOOTING if state.is_booting else NodeReason.IDLE


def _detail(plan: Planning, node: Node, reason: NodeReason, jobs: Mapping[str, int]) -> str:
    said = f": {node.status_message}" if node.status_message else ""
    names = ", ".join(sorted(jobs)[:3]) + (f" and {len(jobs) - 3} more" if len(jobs) > 3 else "")
    match reason:
        case NodeReason.FAILED:
            return f"the cloud says {node.status!r}{said}; it takes no work"
        case NodeReason.BOOT_TIMED_OUT:
            timeout = plan.problem.policy.boot_timeout(node.nodearray)
            return f"not ready {timeout.total_seconds():g} s after it was first seen; it takes no work"
        case NodeReason.LEAVING:
            return "on its way out; it takes no work and still counts against limits"
        case NodeReason.OFF:
            start = "it is started when it is needed" if node.may_start_again else "nothing here starts it"
            return f"the cloud says {node.status!r}; it takes no work, and {start}"
        case NodeReason.RUNNING:
            return f"runs {names}"
        case NodeReason.MATCHED:
            return f"planned for {names}"
        case NodeReason.WARM:
            return "kept for the warm pool"
        case NodeReason.KEEP_ALIVE:
            return "the cloud says that it is to be kept"
        case NodeReason.UNMANAGED:
            return "a host that only the scheduler knows; never ended from here"
        case NodeReason.BOOTING:
            return "still starting; nothing is planned for it"
        case NodeReason.HELD | NodeReason.IDLE:
            idle = clocks.idle_for(node, plan.problem).total_seconds()
            timeout = plan.problem.policy.idle_timeout(node.nodearray)
            return f"idle for {idle:g} s of {timeout.total_seconds():g} s"


# -- what stays


def _unserved(plan: Planning, known: frozenset[str]) -> tuple[Unserved, ...]:
    reasons = Reasons(
        together=plan.together,
        shared=plan.shared,
        buckets=plan.scene.buckets,
        known=known,
    )
    found = []
    for kind in plan.kinds:
        left = plan.left.get(kind, 0)  # with those that are capped
        if not left:
            continue
        capped = dict(undealt(kind, plan.capped.get(kind, 0)))
        found += _because(reasons.used_up(kind) if capped else None, capped)
        others = {name: slots - capped.get(name, 0) for name, slots in undealt(kind, left)}
        found += _because(reasons.of(kind) if any(others.values()) else None, others)
    return tuple(found)


def _because(reason: Reason | None, slots_by_job: Mapping[str, int]) -> list[Unserved]:
    if reason is None:
        return []
    return [
        Unserved(job=name, count=slots, reason=reason[0], detail=reason[1])
        for name, slots in slots_by_job.items()
        if slots
    ]
