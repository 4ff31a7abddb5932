"""Placing single slots: the packer decides, at once on machines that exist and on those to be bought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from scalelib import packing
from scalelib.bucket import Bucket
from scalelib.constraints.alternatives import Sharing
from scalelib.planning.catalogue import Catalogue, Level
from scalelib.planning.fleet import Cohort, Fleet, Offer, Tier
from scalelib.planning.kinds import Kind
from scalelib.planning.seating import Seat, seat
from scalelib.planning.stock import draw, looks_at_the_machine, stock_of, stock_offer
from scalelib.policy import Expander, Policy

_BUY: Final = 99
"""Tier of what is bought: even where it costs nothing, what runs already is filled first."""


@dataclass(eq=False, kw_only=True, slots=True)
class Purchases:
    """What the packer said of the machines that it chose, over a whole plan."""

    bought: int = 0
    """Packings that bought something."""
    bound: float | None = None
    solved: bool = False

    def note(self, packed: packing.Packing) -> None:
        """One more packing."""
        if packed.price > 0:
            self.bought += 1
            self.bound = packed.bound
            self.solved = self.solved or packed.decided_by == "solver"


@dataclass(eq=False, kw_only=True, slots=True)
class Market:
    """What one packing may use."""

    stock: dict[str, list[Cohort]] = field(default_factory=dict)
    """Machines that are there and cost nothing, by the key of their offer."""
    offers: list[Offer] = field(default_factory=list)
    spare: dict[str, list[Cohort]] = field(default_factory=dict)
    """Empty machines that are there, by the key of the offer that would give the same ones."""
    _everybodys: frozenset[str] | None = None

    def everybodys(self, catalogue: Catalogue) -> frozenset[str]:
        """The keys of the machines that are not reserved."""
        if self._everybodys is None:
            there = {
                key for key, (first, *_) in self.stock.items() if not catalogue.is_reserved(first.machine)
            }
            new = {_key(offer) for offer in self.offers if not catalogue.is_reserved(offer.machine)}
            self._everybodys = frozenset(there | new)
        return self._everybodys

    def spares(self, offer: Offer) -> int:
        """How many of this offer are there already."""
        return sum(cohort.count for cohort in self.spare.get(_key(offer), ()))


@dataclass(eq=False, kw_only=True, slots=True)
class Packer:
    """Places plain kinds of one priority."""

    fleet: Fleet
    policy: Policy
    seconds: float
    """Budget of the solver for all of it."""
    purchases: Purchases = field(default_factory=Purchases)

    def place(self, wanted: Mapping[Kind, int]) -> dict[Kind, int]:
        """Put the slots somewhere; what is left over comes back."""
        left = {kind: count for kind, count in wanted.items() if count > 0}
        levels = self._levels(left)
        deepest = max((len(each) for each in levels.values()), default=0)
        if deepest <= 1 and self._seated(left):
            return {}
        if deepest > 1:
            # An idle machine that would do is better than a new one that would do better.
            for depth in range(deepest):
                left = self._pack(left, levels, depth, buy=False)
        for depth in range(deepest):
            left = self._pack(left, levels, depth, buy=True)
        return left

    def _seated(self, wanted: Mapping[Kind, int]) -> bool:
        """Put everything on the machines there are, if all of it fits; then there is nothing to weigh up."""
        # What is in use already comes first, so that the others can go; then what is least special: other
        # work may have to have the dear machines and those in placement groups.
        prices = self.fleet.prices
        cohorts = sorted(
            (cohort for cohort in self.fleet.cohorts if not cohort.closed),
            key=lambda c: (
                c.is_anothers,
                c.tier,
                c.group is not None,
                c.empty,
                prices.get(c.bucket_id, 0.0),
                c.no,
            ),
        )
        seats = [
            Seat(group=i, machine=c.machine, free=c.free, count=c.count, empty=c.empty)
            for i, c in enumerate(cohorts)
        ]
        if not seats:
            return False
        filled, left = seat(self.fleet, seats, wanted)
        if left:
            return False
        for each in filled:
            if each.contents:
                cohort = self.fleet.part(cohorts[each.group], each.count)
                for kind, way, slots in each.contents:
                    self.fleet.put(cohort, kind, way, slots)
        return True

    def _levels(self, kinds: Iterable[Kind]) -> dict[Kind, list[Level]]:
        found: dict[int, list[Level]] = {}
        levels = {}
        for kind in kinds:
            table = self.fleet.catalogue.table(kind)
            if id(table) not in found:  # which many kinds share
                found[id(table)] = sorted({level for ways in table for level in ways})
            levels[kind] = found[id(table)]
        return levels

    def _pack(
        self, left: Mapping[Kind, int], levels: Mapping[Kind, list[Level]], depth: int, *, buy: bool
    ) -> dict[Kind, int]:
        """One packing, of each kind at its own level of this depth."""
        at = {kind: levels[kind][depth] for kind in left if left[kind] and depth < len(levels[kind])}
        if not at:
            return dict(left)
        market = Market(
            stock=stock_of(self.fleet, at),
            offers=[offer for offer in self.fleet.offers if self.fleet.room(offer) > 0] if buy else [],
        )
        if not (market.stock or market.offers):
            return dict(left)
        budget = self.seconds / max(map(len, levels.values()))
        packed = self._ask(at, left, market, solver=self.policy.solver and buy, budget=budget)
        if packed.price > 0 and packed.decided_by == "greedy":
            packed, market = self._less_for_what_boots(at, left, packed, market)
        self.purchases.note(packed)
        self._carry_out(packed, at, market)
        return {
            kind: packed.unplaced.get(_name(kind), 0) if kind in at else count for kind, count in left.items()
        }

    def _ask(
        self,
        at: Mapping[Kind, Level],
        left: Mapping[Kind, int],
        market: Market,
        *,
        solver: bool,
        budget: float,
    ) -> packing.Packing:
        return packing.pack(
            [self._item(kind, left[kind], level, market) for kind, level in at.items()],
            [stock_offer(key, cohorts) for key, cohorts in market.stock.items()]
            + [self._new_offer(offer, market) for offer in market.offers],
            self._pools(market),
            solver=solver,
            budget=budget,
            rank=self._rank(market.offers),
        )

    def _less_for_what_boots(
        self, at: Mapping[Kind, Level], left: Mapping[Kind, int], packed: packing.Packing, market: Market
    ) -> tuple[packing.Packing, Market]:
        """The best of this packing and of two that choose empty machines all over again.

        What an earlier plan bought to the last slot is seldom filled as tightly by going through what is
        there; without this, work that waits for its nodes to boot would buy a little more at each pass.
        """
        best = packed, market
        if not any(cohort.tier is Tier.BOOTING for cohorts in market.stock.values() for cohort in cohorts):
            return best
        for tiers in ((Tier.BOOTING,), tuple(Tier)):
            again = self._with_spare(at, market, tiers)
            if again.spare and best[0].price > 0:
                other = self._as_if_new(at, left, again)
                if other is not None and _score(other) < _score(best[0]):
                    best = other, again
        return best

    def _as_if_new(
        self, at: Mapping[Kind, Level], left: Mapping[Kind, int], again: Market
    ) -> packing.Packing | None:
        """A packing that chooses the spare machines at full price; its price is that of what is missing."""
        other = self._ask(at, left, again, solver=False, budget=0.0)
        wanted: dict[str, int] = {}
        for chosen in other.bins:
            wanted[chosen.offer] = wanted.get(chosen.offer, 0) + chosen.count
        limits, price = self.fleet.limits.fork(), 0.0
        for offer in again.offers:
            count = wanted.get(_key(offer), 0) - again.spares(offer)
            if count <= 0:
                continue
            if count > limits.room(offer.bucket, offer.group):
                return None
            limits.take(offer.bucket, offer.group, count)
            price += offer.price * count
        return replace(other, price=price, bound=None, gap=None)

    def _with_spare(self, at: Mapping[Kind, Level], market: Market, tiers: Sequence[Tier]) -> Market:
        """The market with its empty machines of these tiers among the offers, at their full price."""
        catalogue = self.fleet.catalogue
        by_bucket = {(offer.bucket.id, offer.group): offer for offer in self.fleet.offers}
        again = Market()
        for key, cohorts in market.stock.items():
            rest = []
            for cohort in cohorts:
                offer = by_bucket.get((cohort.bucket_id, cohort.group))
                if (
                    offer is not None
                    and cohort.empty
                    and cohort.tier in tiers
                    and cohort.free == offer.total
                    and all(
                        catalogue.levels(kind, cohort.machine) == catalogue.levels(kind, offer.machine)
                        for kind in at
                    )
                ):
                    again.spare.setdefault(_key(offer), []).append(cohort)
                else:
                    rest.append(cohort)
            if rest:
                again.stock[key] = rest
        bought = {_key(offer) for offer in market.offers}
        again.offers = [o for o in self.fleet.offers if _key(o) in bought or _key(o) in again.spare]
        for cohorts in again.spare.values():
            cohorts.sort(key=lambda cohort: (cohort.tier, cohort.no))
        return again

    def _item(
        self,
        kind: Kind,
        count: int,
        level: Level,
        market: Market,
    ) -> packing.Item:
        way = kind.alternatives[level[0]]
        allowed: frozenset[str] | None = None
        barred = self.fleet.catalogue.is_barred(kind)
        if barred and not looks_at_the_machine(kind):
            allowed = market.everybodys(self.fleet.catalogue)  # where there is room, the packer knows
        elif looks_at_the_machine(kind) or barred is None:
            table = self.fleet.catalogue.table(kind)
            stocked = {
                key
                for key, (cohort, *_) in market.stock.items()
                if level in table[cohort.machine] and (cohort.empty or not way.sharing)
            }
            allowed = frozenset(stocked | {_key(o) for o in market.offers if level in table[o.machine]})
        return packing.Item(
            key=_name(kind),
            count=count,
            needs=self.fleet.needs(kind, level[0]),
            exclusive=way.sharing is Sharing.NOBODY,
            offers=allowed,
        )

    def _new_offer(self, offer: Offer, market: Market) -> packing.Offer:
        return packing.Offer(
            key=_key(offer),
            capacity=offer.total,
            price=offer.price,
            most=self.fleet.room(offer) + market.spares(offer),
            pools=offer.bucket.pools,
            tier=_BUY,
        )

    def _pools(self, market: Market) -> list[packing.Pool]:
        """What is left under each ceiling, and what the spare machines hold of it already."""
        limits = self.fleet.limits
        nodes: dict[str, int] = {}
        cores: dict[str, int] = {}
        for offer in market.offers:
            for name, each in offer.bucket.pools.items():
                nodes[name] = nodes.get(name, 0) + market.spares(offer)
                cores[name] = cores.get(name, 0) + market.spares(offer) * each
        return [
            packing.Pool(
                key=name,
                nodes=_sum(limits.nodes_left(name), nodes[name]),
                cores=_sum(limits.cores_left(name), cores[name]),
            )
            for name in sorted(nodes)
        ]

    def _rank(self, offers: Sequence[Offer]) -> packing.Rank | None:
        match self.policy.expander:
            case Expander.LEAST_COST:
                return None
            case Expander.LEAST_WASTE:
                return packing.least_waste
            case Expander.MOST_AVAILABLE:
                return packing.most_available
            case Expander.PRIORITY:
                return packing.by_priority({_key(o): priority_of(o.bucket, self.policy) for o in offers})

    def _carry_out(self, packed: packing.Packing, at: Mapping[Kind, Level], market: Market) -> None:
        by_name = {_name(kind): (kind, level[0]) for kind, level in at.items()}
        offers = {_key(offer): offer for offer in market.offers}
        for chosen in packed.bins:
            contents = [(*by_name[name], slots) for name, slots in sorted(chosen.contents.items()) if slots]
            if not contents:
                continue
            there = (
                market.spare.get(chosen.offer, []) if chosen.offer in offers else market.stock[chosen.offer]
            )
            cohorts = draw(self.fleet, there, min(chosen.count, sum(cohort.count for cohort in there)))
            missing = chosen.count - sum(cohort.count for cohort in cohorts)
            if missing:
                cohorts.append(self.fleet.buy(offers[chosen.offer], missing))
            for cohort in cohorts:
                for kind, way, slots in contents:
                    self.fleet.put(cohort, kind, way, slots)


def _score(packed: packing.Packing) -> tuple[int, float]:
    """Lower is better: serve more, then pay less."""
    return sum(packed.unplaced.values()), packed.price


def _sum(left: int | None, more: int) -> int | None:
    return None if left is None else max(left, 0) + more


def priority_of(bucket: Bucket, policy: Policy) -> int:
    """The priority of a bucket's nodearray: the settings' or else the cloud's."""
    return policy.priorities.get(bucket.nodearray, bucket.priority)


def _key(offer: Offer) -> str:
    """Keys order what costs the same: the cloud's own order decides then."""
    return f"n{offer.bucket.position:06d}/{offer.no:06d}"


def _name(kind: Kind) -> str:
    return f"k{kind.no:06d}"
