"""What the work that a plan serves costs at least, however it is placed: gangs and all priorities included.

The rules that the packer does not know are left away, so that no plan can beat the bound: any placement group
that is large enough has room for everybody, a job that would share a machine only with itself shares it with
all, and of several ways to be placed a slot takes the least of each thing. Nothing depends on what the plan
chose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from scalelib import packing
from scalelib.constraints.alternatives import Sharing
from scalelib.planning.fleet import Amounts
from scalelib.planning.kinds import Kind
from scalelib.planning.plan import Planning
from scalelib.planning.scene import Lot

MOST_PAIRS: Final = 20_000
"""Kinds times kinds of machine, up to which kinds are told apart; beyond, only amounts are added up."""

SHARE: Final = 0.15
"""Part of the solver's budget."""


def bound_of(plan: Planning) -> float:
    """Money per hour that no plan can go below that serves the same."""
    served = {
        kind: (kind.count - plan.left.get(kind, 0)) * max(kind.node_count, 1)
        for kind in plan.kinds
        if kind.count > plan.left.get(kind, 0)
    }
    scene = plan.scene
    offers = {f"n{i:06d}": bucket for i, bucket in enumerate(scene.buckets)}
    stock = {f"s{i:06d}": lot for i, lot in enumerate(_open(plan))}
    if len(served) * (len(offers) + len(stock)) > MOST_PAIRS:
        items = list(_amounts(plan, served))
    else:
        items = [_item(plan, kind, units, list(offers), list(stock)) for kind, units in served.items()]
    limits = scene.limits
    return packing.least(
        items,
        [
            *(
                packing.Offer(key=key, capacity=lot.free, price=0.0, most=len(lot.nodes))
                for key, lot in stock.items()
            ),
            *(
                packing.Offer(
                    key=key,
                    capacity=scene.amounts(
                        plan.catalogue.machines[
                            plan.catalogue.of_bucket(bucket, bucket.fixed_placement_group)
                        ].total
                    ),
                    price=scene.prices[bucket.id],
                    most=limits.room(bucket, None),
                    pools=bucket.pools,
                )
                for key, bucket in offers.items()
            ),
        ],
        [
            packing.Pool(key=name, nodes=_left(limits.nodes_left(name)), cores=_left(limits.cores_left(name)))
            for name in sorted({name for bucket in offers.values() for name in bucket.pools})
        ],
        enough=plan.price,
        solver=plan.policy.solver,
        budget=plan.policy.solver_seconds * SHARE,
    )


def _item(plan: Planning, kind: Kind, units: int, offers: list[str], stock: list[str]) -> packing.Item:
    allowed: frozenset[str] | None = None
    if not kind.grouped:
        table, scene = plan.catalogue.table(kind), plan.scene
        there = {key for key, lot in zip(stock, _open(plan), strict=True) if table[lot.machine]}
        there |= {
            key
            for key, bucket in zip(offers, scene.buckets, strict=True)
            if table[plan.catalogue.of_bucket(bucket, bucket.fixed_placement_group)]
        }
        allowed = frozenset(there)
    elif kind.colocated:
        large = {
            key
            for key, bucket in zip(offers, plan.scene.buckets, strict=True)
            if bucket.max_placement_group_size >= kind.node_count
        }
        inside = {
            key
            for key, lot in zip(stock, _open(plan), strict=True)
            if lot.nodes[0].placement_group is not None
        }
        allowed = frozenset(large | inside)
    return packing.Item(
        key=f"k{kind.no:06d}",
        count=units,
        needs=_least(plan, kind),
        exclusive=all(way.sharing is Sharing.NOBODY for way in kind.alternatives),
        offers=allowed,
        most_per_bin=units // kind.node_count if kind.node_count else None,
    )


def _least(plan: Planning, kind: Kind) -> Amounts:
    ways = [plan.fleet.needs(kind, way) for way in range(len(kind.alternatives))]
    return tuple(map(min, zip(*ways, strict=True)))


def _amounts(plan: Planning, served: Mapping[Kind, int]) -> Iterator[packing.Item]:
    """All that is asked for of each thing, as if it came in parts of any size."""
    total = [0] * len(plan.scene.counters)
    for kind, units in served.items():
        for d, amount in enumerate(_least(plan, kind)):
            total[d] += amount * units
    for d, amount in enumerate(total):
        one = tuple(int(d == other) for other in range(len(total)))
        yield packing.Item(key=f"d{d:06d}", count=amount, needs=one)


def _open(plan: Planning) -> list[Lot]:
    """Machines that are there and may take more."""
    return [lot for lot in plan.scene.lots if lot.load is None or lot.load.sharing is Sharing.ANYBODY]


def _left(amount: int | None) -> int | None:
    return None if amount is None else max(amount, 0)
