"""All machines that work can be put on: those that exist, and those that this plan has bought so far.

Equal machines are kept together as a cohort; putting work on some of them splits it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from scalelib.bucket import Bucket
from scalelib.node import Node, NodeId
from scalelib.planning.catalogue import Catalogue
from scalelib.planning.kinds import Kind
from scalelib.planning.limits import Limits

Amounts = tuple[int, ...]
"""Amounts by position; `Fleet.counters` says of what."""


class Tier(IntEnum):
    """Machines of a lower tier are filled first; new ones are bought last."""

    UNMANAGED = 0
    READY = 1
    BOOTING = 2
    CLOSED = 3
    PLANNED = 4


@dataclass(eq=False, kw_only=True, slots=True)
class Cohort:
    """Machines that are equal in everything, what is put on them included."""

    no: int
    machine: int
    """Its number in the catalogue."""
    bucket_id: str
    group: str | None
    tier: Tier
    free: Amounts
    nodes: list[Node] | None
    """Those that exist; None for machines to be launched."""
    count: int
    empty: bool
    """Nothing runs there and nothing is planned."""
    closed: bool = False
    """An exclusive job has it."""
    slots: dict[int, int] = field(default_factory=dict)
    """Slots on each machine by number of kind, jobs to be named later."""
    named: dict[str, int] = field(default_factory=dict)
    """Slots on each machine by job, where it matters which job is where (gangs)."""
    kinds: set[int] = field(default_factory=set)
    """Every kind that has something there."""
    meant: Mapping[str, int] = field(default_factory=dict)
    """Slots by job that each machine was bought for."""

    def still_meant(self, kind: Kind) -> int:
        """Slots of the kind that each machine was bought for and has not got yet."""
        if not self.meant:
            return 0
        mine = [name for name in self.meant if name in kind.names]
        meant = sum(self.meant[name] for name in mine)
        return meant - self.slots.get(kind.no, 0) - sum(self.named.get(name, 0) for name in mine)

    @property
    def is_anothers(self) -> bool:
        """Was it bought for work that is not there yet? Then it is taken last."""
        return bool(self.meant) and self.empty


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Offer:
    """A kind of machine that can be bought."""

    no: int
    machine: int
    bucket: Bucket
    group: str | None
    price: float
    total: Amounts


class Fleet:
    """The machines, and what can be bought."""

    def __init__(
        self, counters: Sequence[str], catalogue: Catalogue, limits: Limits, prices: Mapping[str, float]
    ) -> None:
        self.counters = tuple(counters)
        self.catalogue = catalogue
        self.limits = limits
        self.prices = prices
        self.cohorts: list[Cohort] = []
        self.by_group: dict[tuple[str, str], list[Cohort]] = {}
        """The same machines by (bucket id, placement group)."""
        self.offers: list[Offer] = []
        """One for each bucket, without a placement group unless the bucket has a fixed one."""
        self._group_offers: dict[tuple[str, str], Offer] = {}
        self._by_meant: dict[str, list[Cohort]] = {}
        self._made = 0
        self._needs: dict[tuple[int, int], Amounts] = {}

    # -- setting up

    def amounts(self, taken: Mapping[str, int]) -> Amounts:
        """The amounts by position."""
        return tuple(taken.get(counter, 0) for counter in self.counters)

    def needs(self, kind: Kind, way: int) -> Amounts:
        """What one slot takes in this alternative."""
        found = self._needs.get((kind.no, way))
        if found is None:
            found = self._needs[(kind.no, way)] = self.amounts(kind.alternatives[way].needs)
        return found

    def with_room(self, kind: Kind, cohorts: Sequence[Cohort]) -> list[Cohort]:
        """Those that may hold a slot of the kind, by what they have left: a quick look, as most do not."""
        ways = [self.needs(kind, way) for way in range(len(kind.alternatives))]
        found = [cohort for cohort in cohorts if not cohort.closed]
        for d, amount in enumerate(map(min, *ways) if len(ways) > 1 else ways[0]):
            if amount:
                found = [cohort for cohort in found if cohort.free[d] >= amount]
        return found

    def add_nodes(
        self,
        nodes: list[Node],
        machine: int,
        tier: Tier,
        free: Amounts,
        *,
        empty: bool,
        closed: bool,
        meant: Mapping[str, int],
    ) -> Cohort:
        """Machines that exist."""
        first = nodes[0]
        cohort = self._add(
            machine=machine,
            bucket_id=first.bucket_id,
            group=first.placement_group,
            tier=tier,
            free=free,
            nodes=nodes,
            count=len(nodes),
            empty=empty,
            closed=closed,
        )
        self._mean(cohort, meant)
        return cohort

    def _mean(self, cohort: Cohort, meant: Mapping[str, int]) -> None:
        cohort.meant = meant
        for name in meant:
            self._by_meant.setdefault(name, []).append(cohort)

    def add_offers(self, buckets: Iterable[Bucket]) -> None:
        """Every bucket."""
        for bucket in buckets:
            self.offers.append(self._offer(bucket, bucket.fixed_placement_group))

    def group_offer(self, bucket: Bucket, group: str) -> Offer:
        """A machine of the bucket in this placement group."""
        key = (bucket.id, group)
        if key not in self._group_offers:
            self._group_offers[key] = self._offer(bucket, group)
        return self._group_offers[key]

    def _offer(self, bucket: Bucket, group: str | None) -> Offer:
        machine = self.catalogue.of_bucket(bucket, group)
        return Offer(
            no=len(self.offers),
            machine=machine,
            bucket=bucket,
            group=group,
            price=self.prices[bucket.id],
            total=self.amounts(self.catalogue.machines[machine].total),
        )

    def _add(
        self,
        *,
        machine: int,
        bucket_id: str,
        group: str | None,
        tier: Tier,
        free: Amounts,
        nodes: list[Node] | None,
        count: int,
        empty: bool,
        closed: bool = False,
    ) -> Cohort:
        cohort = Cohort(
            no=self._made,
            machine=machine,
            bucket_id=bucket_id,
            group=group,
            tier=tier,
            free=free,
            nodes=nodes,
            count=count,
            empty=empty,
            closed=closed,
        )
        self._made += 1
        self.cohorts.append(cohort)
        if group is not None:
            self.by_group.setdefault((bucket_id, group), []).append(cohort)
        return cohort

    # -- asking

    def space(self, kind: Kind, cohort: Cohort, way: int) -> int:
        """How many slots of the kind one machine of the cohort still holds."""
        if cohort.closed or (kind.alternatives[way].sharing and not cohort.empty):
            return 0
        return space(cohort.free, self.needs(kind, way), kind.alternatives[way].sharing > 1)

    def meant_for(self, kind: Kind) -> list[Cohort]:
        """Machines that were bought for the kind and have not got all of it yet, in a fixed order."""
        few, many = sorted((self._by_meant.keys(), kind.names), key=len)
        found = {cohort.no: cohort for name in few if name in many for cohort in self._by_meant[name]}
        return [found[no] for no in sorted(found) if found[no].still_meant(kind) > 0]

    def room(self, offer: Offer) -> int:
        """How many more of these may be bought."""
        return self.limits.room(offer.bucket, offer.group)

    # -- putting

    def buy(self, offer: Offer, count: int) -> Cohort:
        """New machines, empty so far."""
        self.limits.take(offer.bucket, offer.group, count)
        return self._add(
            machine=offer.machine,
            bucket_id=offer.bucket.id,
            group=offer.group,
            tier=Tier.PLANNED,
            free=offer.total,
            nodes=None,
            count=count,
            empty=True,
        )

    def part(self, cohort: Cohort, count: int) -> Cohort:
        """`count` machines of the cohort as one of their own; the whole if it is no larger."""
        if count >= cohort.count:
            return cohort
        taken = None
        if cohort.nodes is not None:
            taken, cohort.nodes = cohort.nodes[:count], cohort.nodes[count:]
        cohort.count -= count
        part = self._add(
            machine=cohort.machine,
            bucket_id=cohort.bucket_id,
            group=cohort.group,
            tier=cohort.tier,
            free=cohort.free,
            nodes=taken,
            count=count,
            empty=cohort.empty,
            closed=cohort.closed,
        )
        part.slots, part.named, part.kinds = dict(cohort.slots), dict(cohort.named), set(cohort.kinds)
        self._mean(part, cohort.meant)
        return part

    def close(self, chosen: Collection[NodeId]) -> list[NodeId]:
        """Nothing more is put on these nodes; those of them that there are come back."""
        found: list[NodeId] = []
        for cohort in list(self.cohorts) if chosen else ():
            here = [node for node in cohort.nodes or () if node.id in chosen]
            if here and cohort.nodes is not None:
                cohort.nodes = here + [node for node in cohort.nodes if node.id not in chosen]
                self.part(cohort, len(here)).closed = True
                found += [node.id for node in here]
        return found

    def put(
        self, cohort: Cohort, kind: Kind, way: int, slots: int, names: Mapping[str, int] | None = None
    ) -> None:
        """So many slots on each machine of the cohort; `names` if it matters whose."""
        needs = self.needs(kind, way)
        cohort.free = tuple(free - need * slots for free, need in zip(cohort.free, needs, strict=True))
        if cohort.tier is not Tier.UNMANAGED and min(cohort.free, default=0) < 0:
            raise AssertionError(f"{slots} slots of kind {kind.no} are more than a machine holds")
        cohort.empty = False
        cohort.closed = cohort.closed or bool(kind.alternatives[way].sharing)
        cohort.kinds.add(kind.no)
        if names is None:
            cohort.slots[kind.no] = cohort.slots.get(kind.no, 0) + slots
        else:
            for name, times in names.items():
                cohort.named[name] = cohort.named.get(name, 0) + times


def space(free: Amounts, needs: Amounts, alone: bool) -> int:
    """How many times `needs` fits into `free`; 1 at most for what is to be alone there."""
    times = 1 if alone else 1 << 30
    for have, need in zip(free, needs, strict=True):
        if need and have // need < times:
            times = have // need
    return max(times, 0)
