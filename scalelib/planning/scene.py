"""What of a problem is the same however it is planned: read once, for all the plans that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from scalelib.constraints.alternatives import Sharing, alternatives
from scalelib.hostnames import by_host
from scalelib.node import Node, NodeId
from scalelib.planning.catalogue import Catalogue
from scalelib.planning.clocks import tier_of
from scalelib.planning.fleet import Amounts, Tier
from scalelib.planning.kinds import kinds_of
from scalelib.planning.limits import Limits
from scalelib.planning.problem import Problem
from scalelib.planning.running import Load, loads_of
from scalelib.planning.shared import Shared
from scalelib.prices import price_list

_Alike = tuple[Tier, int, str, str | None, tuple[Amounts, Sharing] | None, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Lot:
    """Nodes that are equal in everything, what runs there included."""

    nodes: list[Node]
    machine: int
    tier: Tier
    free: Amounts
    load: Load | None
    meant: Mapping[str, int]


class Scene:
    """The machines and the work, before anything is put anywhere. It never changes after."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.buckets = sorted(problem.buckets, key=lambda bucket: (bucket.position, bucket.id))
        self.running = [job for job in problem.jobs if job.executing_hostnames]
        waiting = [job for job in problem.jobs if not job.executing_hostnames]
        self.pads = problem.policy.warm_pool.pads(problem.jobs, problem.now)
        self.kinds = kinds_of([*waiting, *self.pads])
        self.classes = [[list(kinds)] for _, kinds in groupby(self.kinds, key=lambda kind: kind.priority)]
        """The kinds by priority, highest first; each priority in turns, of which the first goes first."""
        self.shared = Shared(problem.jobs)
        self.shared.run(self.running)
        constraints = [job.constraints for job in self.running] + [kind.constraint for kind in self.kinds]
        self.catalogue = Catalogue(problem.policy, self.buckets, constraints)
        self.limits = Limits(problem.pools, problem.buckets, problem.nodes)
        self.prices = price_list(problem.buckets, problem.policy.prices)
        self.nodes = sorted(problem.nodes, key=_by_name)
        self.tiers = {node.id: tier_of(node, problem) for node in problem.nodes}
        self.machines = {node.id: self.catalogue.of_node(node) for node in problem.nodes}
        for bucket in self.buckets:
            self.catalogue.of_bucket(bucket, bucket.fixed_placement_group)
        totals = {i: self.catalogue.machines[machine].total for i, machine in self.machines.items()}
        self.loads = loads_of(self.running, by_host(problem.nodes), totals) if self.running else {}
        self.counters = self._counters()

    def _counters(self) -> list[str]:
        """Every counter that anything takes from."""
        running = {id(job.constraints): job.constraints for job in self.running}
        # In any of their alternatives: elsewhere, what runs may take something else than it does here.
        counters = {c for each in running.values() for way in alternatives(each) for c in way.needs}
        counters.update(c for kind in self.kinds for way in kind.alternatives for c in way.needs)
        return sorted(counters)

    def amounts(self, taken: Mapping[str, int]) -> Amounts:
        """The amounts by position, as in `counters`."""
        return tuple(taken.get(counter, 0) for counter in self.counters)

    @cached_property
    def lots(self) -> list[Lot]:
        """Nodes that can take work, equal ones together."""
        return self._lots({})

    @cached_property
    def lots_as_meant(self) -> list[Lot]:
        """The same, and nodes that were bought for different work are different."""
        return self._lots(self.problem.meant)

    def _lots(self, meant_for: Mapping[NodeId, Mapping[str, int]]) -> list[Lot]:
        alike: dict[_Alike, list[Node]] = {}
        for node in self.nodes:
            tier = self.tiers[node.id]
            if tier is None:
                continue
            load = self.loads.get(node.id)
            taken = (self.amounts(load.taken), load.sharing) if load else None
            meant = tuple(sorted(meant_for[node.id].items())) if node.id in meant_for else ()
            key = (tier, self.machines[node.id], node.bucket_id, node.placement_group, taken, meant)
            alike.setdefault(key, []).append(node)
        return [
            Lot(
                nodes=nodes,
                machine=machine,
                tier=tier,
                free=self.free(machine, self.loads.get(nodes[0].id)),
                load=self.loads.get(nodes[0].id),
                meant=dict(meant),
            )
            for (tier, machine, *_, meant), nodes in sorted(alike.items(), key=lambda each: each[0][0])
        ]

    def free(self, machine: int, load: Load | None) -> Amounts:
        """What a machine has beside what runs there."""
        total = self.amounts(self.catalogue.machines[machine].total)
        if load is None:
            return total
        # More may run than fits, if somebody started it by hand: then nothing is free, not less.
        taken = self.amounts(load.taken)
        return tuple(max(has - used, 0) for has, used in zip(total, taken, strict=True))


def _by_name(node: Node) -> tuple[object, ...]:
    """Names in the order that people count: worker-2 before worker-10."""
    head = node.name.rstrip("0123456789")
    tail = node.name[len(head) :].lstrip("0")
    return (head, len(tail), tail, node.name, node.id)
