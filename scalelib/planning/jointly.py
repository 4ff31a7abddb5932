"""Placing everything of one priority at once: gangs, placement groups, whole nodes and single slots.

k gangs of n nodes are k * n units of which one machine holds k at most: units that are dealt out in turn
never put two of one gang on a machine. So the packer can weigh gangs and other work against each other. Only
which placement group a gang is in has to be chosen before: see `gathering`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from scalelib import packing
from scalelib.constraints.alternatives import Sharing
from scalelib.planning.dealing import JobQueue
from scalelib.planning.exchange import exchanged
from scalelib.planning.fleet import Cohort, Fleet, Offer, space
from scalelib.planning.gathering import Choice, Gathering, Place, Score, in_one_group
from scalelib.planning.kinds import Kind
from scalelib.planning.plain import Purchases
from scalelib.planning.stock import draw, stock_offer
from scalelib.planning.together import Together
from scalelib.policy import Policy

SHARE: Final = 0.6
SHARE_OF_ONE_MORE: Final = 0.03
"""Parts of the solver's budget: for the plan, and for each try to serve more (there may be several)."""

FINALISTS: Final = 3
"""Choices of placement groups that are given to the solver."""

MOST_OFFERS: Final = 20
"""Kinds of machine to be bought, up to which it is reckoned first whether the ceilings leave enough."""

SURELY: Final = 1 - 1e-9
"""Room for the rounding of floats."""

MOST_FRESH: Final = 8
"""Placement groups that one size may begin for single slots."""

_BUY: Final = 99


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Part:
    """Units that are packed as one item."""

    kind: Kind
    way: int
    units: int
    most: int | None
    """Units in one machine."""
    place: Place | None
    """The placement group that they have to be in, of all that there are."""


@dataclass(eq=False, kw_only=True, slots=True)
class Market:
    """What one packing may use."""

    stock: dict[str, list[Cohort]]
    offers: dict[str, Offer]


_Packed = tuple[dict[str, Part], Market, packing.Packing]
"""What was packed, into what, and how."""


@dataclass(eq=False, kw_only=True, slots=True)
class Jointly:
    """Places kinds of one priority, each of which has one way to be placed."""

    together: Together
    """The same machines and groups, for work that is placed kind by kind."""
    policy: Policy
    seconds: float
    purchases: Purchases = field(default_factory=Purchases)

    @property
    def fleet(self) -> Fleet:
        """The machines."""
        return self.together.fleet

    def place(
        self, wanted: Mapping[Kind, int], known: Mapping[int, Mapping[Place, int]], *, careful: bool
    ) -> bool:
        """Put all of it somewhere; False if no packing holds it all, and nothing was put anywhere.

        `known`: gangs by placement group, per number of kind, as some other plan has them. `careful`: look
        for better groups also if all fits into those.
        """
        wanted = {kind: count for kind, count in wanted.items() if count > 0}
        if not careful and self._is_too_much(wanted):
            return False
        solver = self.policy.solver and packing.has_solver()
        packed_before: dict[int, _Packed] = {}

        def score(choice: Choice, quick: bool) -> Score:
            found = self._pack(wanted, choice, quick=quick, solver=False)
            if not quick and not solver:
                packed_before[id(choice)] = found  # the choice is there for as long as it is gathered
            return _score(found[-1])

        gathering = self._gathering(score)
        choice = gathering.start(wanted, known)
        if choice is None:
            return False
        if not careful:
            finalists = [gathering.one_that_fits(choice)]
        else:
            pairs = len(wanted) * (len(self.fleet.cohorts) + len(self.together.buckets))
            most = FINALISTS if solver else 1
            finalists = gathering.finalists(choice, pairs, most)
        share = (SHARE if careful else SHARE_OF_ONE_MORE) / len(finalists)
        tried = []
        for one in finalists:
            found = packed_before.get(id(one))
            if found is None:
                found = self._pack(wanted, one, quick=False, solver=solver, share=share)
            tried.append((one, *found))
        tried = [one for one in tried if not one[-1].unplaced and self._may_be_begun(one[-1], one[-2])]
        if not tried:
            return False
        choice, parts, market, packed = min(tried, key=lambda one: _score(one[-1]))
        self.together.placed.update((kind.no, dict(places)) for kind, places in choice.items())
        self.purchases.note(packed)
        if choice or any(kind.grouped for kind in wanted):
            self.purchases.bound = None  # of this choice of groups only
        self._carry_out(self._firsts_first(packed, parts, market), parts, market)
        return True

    def _gathering(self, score: Callable[[Choice, bool], Score] | None = None) -> Gathering:
        return Gathering(
            fleet=self.fleet,
            buckets=self.together.buckets,
            groups=self.together.groups,
            score=score or (lambda choice, quick: (0, 0.0, 0)),
        )

    def _is_too_much(self, wanted: Mapping[Kind, int]) -> bool:
        """Is it certain, without packing, that some of this has no place, however it is packed?

        More units of a kind than all machines hold of it with nothing beside them, or more of some one thing
        than all of them have: those that are there, and as many as all ceilings leave.
        """
        fleet = self.fleet
        if len(fleet.offers) > MOST_OFFERS:
            return False  # that would take longer than to pack
        there = [cohort for cohort in fleet.cohorts if not cohort.closed and cohort.count]
        asked = [0] * len(fleet.counters)
        for part in dict(_parts(wanted, {}, fleet)).values():
            kind, table, needs = part.kind, fleet.catalogue.table(part.kind), fleet.needs(part.kind, part.way)
            sharing, most = kind.alternatives[part.way].sharing, part.most or part.units
            asked = [all_of + each * part.units for all_of, each in zip(asked, needs, strict=True)]
            units = sum(
                min(fleet.space(kind, cohort, part.way), most) * cohort.count
                for cohort in there
                if table[cohort.machine]
            )
            new = [
                (o.bucket, min(space(o.total, needs, bool(sharing)), most) if table[o.machine] else 0)
                for o in fleet.offers
            ]
            if units + fleet.limits.most(new) < part.units * SURELY:
                return True
        for d, amount in enumerate(asked):
            has = sum(cohort.free[d] * cohort.count for cohort in there)
            new = [(o.bucket, o.total[d]) for o in fleet.offers]
            if has < amount and has + fleet.limits.most(new) < amount * SURELY:
                return True
        return False

    def _may_be_begun(self, packed: packing.Packing, market: Market) -> bool:
        """Single slots choose their groups in the packing: are those too many?"""
        places: dict[Place, int] = {}
        for chosen in packed.bins:
            offer = market.offers.get(chosen.offer)
            if offer is not None and offer.group is not None:
                places[offer.bucket.id, offer.group] = 1
        return self._gathering().may_be([places])

    # -- packing

    def _pack(
        self, wanted: Mapping[Kind, int], choice: Choice, *, quick: bool, solver: bool, share: float = 1.0
    ) -> _Packed:
        market = self._market(wanted, choice)
        parts = dict(_parts(wanted, choice, self.fleet))
        packed = packing.pack(
            self._items(parts, market),
            self._offers(market),
            self._pools(market),
            solver=solver,
            budget=self.seconds * share,
            quick=quick,
        )
        return parts, market, packed

    def _market(self, wanted: Mapping[Kind, int], choice: Choice) -> Market:
        """Machines that are there, equal ones together, and what can be bought, in these groups too."""
        grouped = any(kind.grouped for kind in wanted)
        together: dict[tuple[object, ...], list[Cohort]] = {}
        for cohort in self.fleet.cohorts:
            if not cohort.closed and cohort.count:
                place = (cohort.bucket_id, cohort.group) if grouped else None
                key = (cohort.is_anothers, cohort.tier, cohort.machine, cohort.free, cohort.empty, place)
                together.setdefault(key, []).append(cohort)
        places = {place for chosen in choice.values() for place in chosen}
        for kind, count in wanted.items():
            if kind.grouped and not in_one_group(kind):
                places.update(self._gathering().places(kind, choice, fresh=min(count, MOST_FRESH)))
        offers = [*self.fleet.offers]
        for bucket_id, group in sorted(places):
            bucket = self.together.buckets.get(bucket_id)
            if bucket is not None and group != bucket.fixed_placement_group:
                offers.append(self.fleet.group_offer(bucket, group))
        return Market(
            stock={f"s{i:06d}": cohorts for i, cohorts in enumerate(together.values())},
            offers={
                # Keys order what costs the same: machines in no group first, then the cloud's own order.
                f"n{offer.bucket.position:06d}/{i:06d}": offer
                for i, offer in enumerate(offers)
                if self.fleet.room(offer) > 0
            },
        )

    def _items(self, parts: Mapping[str, Part], market: Market) -> list[packing.Item]:
        return [self._item(name, part, market) for name, part in parts.items()]

    def _offers(self, market: Market) -> list[packing.Offer]:
        stock = [stock_offer(key, cohorts) for key, cohorts in market.stock.items()]
        return stock + [self._new_offer(key, offer) for key, offer in market.offers.items()]

    def _item(self, name: str, part: Part, market: Market) -> packing.Item:
        kind, table = part.kind, self.fleet.catalogue.table(part.kind)
        sharing = kind.alternatives[part.way].sharing

        def may(machine: int, bucket_id: str, group: str | None) -> bool:
            if part.place is not None and (bucket_id, group) != part.place:
                return False
            return bool(table[machine]) and not (kind.colocated and group is None)

        allowed = {
            key
            for key, (cohort, *_) in market.stock.items()
            if may(cohort.machine, cohort.bucket_id, cohort.group) and (cohort.empty or not sharing)
        }
        allowed |= {key for key, o in market.offers.items() if may(o.machine, o.bucket.id, o.group)}
        return packing.Item(
            key=name,
            count=part.units,
            needs=self.fleet.needs(kind, part.way),
            exclusive=sharing is Sharing.NOBODY,
            offers=frozenset(allowed),
            most_per_bin=part.most,
        )

    def _new_offer(self, key: str, offer: Offer) -> packing.Offer:
        return packing.Offer(
            key=key,
            capacity=offer.total,
            price=offer.price,
            most=self.fleet.room(offer),
            pools=offer.bucket.pools,
            tier=_BUY,
        )

    def _pools(self, market: Market) -> list[packing.Pool]:
        limits = self.fleet.limits
        names = {name for offer in market.offers.values() for name in offer.bucket.pools}
        return [
            packing.Pool(key=name, nodes=_left(limits.nodes_left(name)), cores=_left(limits.cores_left(name)))
            for name in sorted(names)
        ]

    # -- carrying out

    def _firsts_first(
        self, packed: packing.Packing, parts: Mapping[str, Part], market: Market
    ) -> Sequence[packing.Bin]:
        """Of several priorities the highest gets what is there, so that it waits no longer than by itself."""
        priority = {name: part.kind.priority for name, part in parts.items()}
        if len(set(priority.values())) < 2:
            return packed.bins
        return exchanged(packed.bins, self._items(parts, market), self._offers(market), priority)

    def _carry_out(self, bins: Sequence[packing.Bin], parts: Mapping[str, Part], market: Market) -> None:
        turns = {name: _Turns(part) for name, part in parts.items() if part.kind.node_count}
        for name, turn in turns.items():
            kind = parts[name].kind
            turn.begin(self.together.queues.setdefault(kind.no, JobQueue(kind)))
        for chosen in bins:
            for cohort in self._machines(chosen, parts, market):
                self._fill(cohort, chosen, parts, turns)

    def _machines(self, chosen: packing.Bin, parts: Mapping[str, Part], market: Market) -> Sequence[Cohort]:
        if chosen.offer in market.stock:
            return draw(self.fleet, market.stock[chosen.offer], chosen.count)
        offer = market.offers[chosen.offer]
        if offer.group is not None and not any(parts[name].kind.grouped for name in chosen.contents):
            # Nothing there has to be in the group: leave its room to others.
            offer = next(o for o in self.fleet.offers if o.bucket.id == offer.bucket.id)
        if offer.group is not None:
            self.together.groups.note(offer.bucket, offer.group)
        return [self.fleet.buy(offer, chosen.count)]

    def _fill(
        self,
        cohort: Cohort,
        chosen: packing.Bin,
        parts: Mapping[str, Part],
        turns: Mapping[str, _Turns],
    ) -> None:
        left = cohort.count
        while left > 0:
            alike = min(
                (turns[name].alike(slots) for name, slots in chosen.contents.items() if name in turns),
                default=left,
            )
            alike = max(min(alike, left), 1)
            here = self.fleet.part(cohort, alike)
            for name, slots in chosen.contents.items():
                part = parts[name]
                names = turns[name].take(slots, alike) if name in turns else None
                self.fleet.put(here, part.kind, part.way, slots, names)
            left -= alike


class _Turns:
    """Deals units of gangs out in turn: the unit t is of the gang t modulo the number of gangs."""

    def __init__(self, part: Part) -> None:
        self._gangs = part.most or 1
        self._jobs: list[str] = []
        self._one = False
        self._at = 0

    def begin(self, queue: JobQueue) -> None:
        """Take the gangs from those that wait."""
        given = queue.take(self._gangs)
        self._one = len(given) == 1
        self._jobs = [name for name, count in given.items() for _ in range(count)]

    def alike(self, slots: int) -> int:
        """How many machines with so many slots get the same names."""
        if self._one:
            return 1 << 60
        return 1 << 60 if slots == self._gangs else 1

    def take(self, slots: int, times: int) -> dict[str, int]:
        """Names of the slots of each of so many machines."""
        if self._one:
            return {self._jobs[0]: slots}
        given: dict[str, int] = {}
        for t in range(self._at, self._at + slots):
            name = self._jobs[t % self._gangs]
            given[name] = given.get(name, 0) + 1
        self._at += slots * times
        return given


def can_be_joined(kind: Kind, table: Sequence[Sequence[object]]) -> bool:
    """Has the kind one way to be placed, so that nothing but money decides where?"""
    levels = {level for each in table for level in each}
    return len(levels) <= 1 and all(way.sharing is not Sharing.SAME_JOB for way in kind.alternatives)


def _parts(wanted: Mapping[Kind, int], choice: Choice, fleet: Fleet) -> Iterator[tuple[str, Part]]:
    for kind, count in wanted.items():
        levels = {level for each in fleet.catalogue.table(kind) for level in each}
        way = min(levels)[0] if levels else 0
        places = choice.get(kind, {None: count}) if in_one_group(kind) else {None: count}
        for i, (place, gangs) in enumerate(places.items()):
            yield (
                f"k{kind.no:06d}/{i:04d}",
                Part(
                    kind=kind,
                    way=way,
                    units=gangs * max(kind.node_count, 1),
                    most=gangs if kind.node_count else None,
                    place=place,
                ),
            )


def _left(amount: int | None) -> int | None:
    return None if amount is None else max(amount, 0)


def _score(packed: packing.Packing) -> Score:
    """Lower is better: serve more, then pay less, then use fewer machines."""
    machines = sum(one.count for one in packed.bins)
    return sum(packed.unplaced.values()), round(packed.price, 9), machines
