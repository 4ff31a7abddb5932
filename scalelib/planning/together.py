"""Placing what cannot be placed slot by slot: gangs, placement groups, and nodes kept for one job.

A gang is chosen completely before anything is put anywhere, so one that does not fit reserves nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as counting
from typing import Final

from scalelib.bucket import Bucket
from scalelib.planning.catalogue import Level
from scalelib.planning.dealing import JobQueue
from scalelib.planning.fleet import Cohort, Fleet, Offer, Tier, space
from scalelib.planning.groups import Groups, groups_named
from scalelib.planning.kinds import Kind
from scalelib.planning.limits import Limits
from scalelib.policy import Expander, Policy

_Rank = tuple[bool, bool, Tier, Level, float, bool]
"""(not all of it fits, something is bought, worst tier if not, worst level, money for each, group is new)."""
_NO_TIER: Final = Tier.UNMANAGED


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Scope:
    """Where one gang, or the slots of one job, may be: everywhere, or in one placement group."""

    cohorts: Sequence[Cohort]
    offers: Sequence[Offer]
    fresh: bool = False
    """A placement group that does not exist yet."""


_RankOf = Callable[[Kind, Scope, int], _Rank | None]
_Put = Callable[[Scope, int], int]


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Piece:
    """Some machines of a choice: of a cohort, or to be bought."""

    source: Cohort | Offer
    way: int
    level: Level
    count: int
    space: int
    """Slots that one of these machines holds."""

    @property
    def cores(self) -> int:
        """Cores that buying one of them takes of a ceiling."""
        return max(self.source.bucket.pools.values(), default=0) if isinstance(self.source, Offer) else 0


@dataclass(eq=False, kw_only=True, slots=True)
class Together:
    """Places kinds that are not plain."""

    fleet: Fleet
    policy: Policy
    buckets: Mapping[str, Bucket]
    groups: Groups
    bought: float = 0.0
    """Money per hour of the machines bought here."""
    queues: dict[int, JobQueue] = field(default_factory=dict)
    """Whose turn it is, by number of kind of gang."""
    placed: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    """Gangs by number of kind and (bucket id, placement group), of those that have to be in one."""

    def place(self, kind: Kind, count: int) -> int:
        """Put `count` slots (gangs, with a node count) somewhere; how many are left over comes back."""
        if count <= 0:
            return count
        return self._gangs(kind, count) if kind.node_count else self._slots(kind, count)

    # -- gangs

    def _gangs(self, kind: Kind, count: int) -> int:
        def put(scope: Scope, gangs: int) -> int:
            pieces = self.choose(kind, scope, gangs)
            return self.put_gangs(kind, pieces, gangs) if pieces else 0

        if kind.grouped:
            count = self._group_by_group(kind, count, self._rank_for_gang, put)
        while count > 0 and (placed := put(self.outside(kind), count)):
            count -= placed
        return count

    def _rank_for_gang(self, kind: Kind, scope: Scope, gangs: int) -> _Rank | None:
        """How good this placement group is for a gang, lower is better; None if it does not fit.

        `gangs`: how many are still to be placed. Large machines are shared by several of them.
        """
        missing, worst, tier = kind.node_count, (0, 0), Tier.UNMANAGED
        for cohort in scope.cohorts:
            if missing <= 0:
                break
            piece = self.cohort_piece(kind, cohort)
            if piece is not None:
                missing -= piece.count
                worst, tier = max(worst, piece.level), max(tier, cohort.tier)
        if missing <= 0:
            return False, False, tier, worst, 0.0, scope.fresh
        for offer in scope.offers:
            new = self._offer_piece(kind, offer)
            if new is not None and new.count >= missing:
                money = offer.price * missing / min(new.space, gangs)
                return False, True, _NO_TIER, max(worst, new.level), money, scope.fresh
        return None

    def choose(self, kind: Kind, scope: Scope, gangs: int, *, kept: bool = False) -> list[Piece] | None:
        """`node_count` machines of the scope that each hold a slot; None if it has not as many.

        `gangs`: how many are still to be placed, this one included. `kept`: machines hold what they were
        bought for.
        """
        for sparing in (False, True):
            pieces = self._first(kind, scope, gangs, kept=kept, sparing=sparing)
            if sum(piece.count for piece in pieces) == kind.node_count:
                return pieces
        return None

    def nodes_for(self, kind: Kind, scope: Scope) -> int:
        """How many machines of the scope hold a slot, up to `node_count`."""
        tries = (self._first(kind, scope, 1, sparing=sparing) for sparing in (False, True))
        return max(sum(piece.count for piece in pieces) for pieces in tries)

    def _first(
        self, kind: Kind, scope: Scope, gangs: int, *, kept: bool = False, sparing: bool
    ) -> list[Piece]:
        """The best machines of the scope, up to `node_count` of them.

        `sparing`: what takes the fewest cores of the ceilings is bought first. What is cheapest may take so
        many that no other bucket has any left.
        """
        missing, pieces = kind.node_count, []
        limits: Limits | None = None
        candidates: Iterable[Piece] = self._candidates(kind, scope, gangs, kept=kept)
        if sparing:
            candidates = sorted(candidates, key=lambda piece: piece.cores)
        for candidate in candidates:
            if missing <= 0:
                break
            count = min(candidate.count, missing)
            if isinstance(candidate.source, Offer):
                # Buckets share ceilings: what one takes here, the next one cannot have.
                limits = limits or self.fleet.limits.fork()
                bucket, group = candidate.source.bucket, candidate.source.group
                count = min(count, limits.room(bucket, group))
                limits.take(bucket, group, count)
            if count:
                pieces.append(replace(candidate, count=count))
                missing -= count
        return pieces

    def _candidates(self, kind: Kind, scope: Scope, gangs: int = 1, *, kept: bool = False) -> Iterator[Piece]:
        """Machines of the scope with room for a slot, best first; each once, in its best way."""

        # Of many gangs, each has to spread: using up the small machines first would leave the room of the
        # large ones without partners. Then what is least special: a dear machine, or one in a group, may have
        # been bought for work that has to have it and would buy another one at each pass.
        prices, have = self.fleet.prices, []
        for here, level, slots in self._spaces(kind, self.fleet.with_room(kind, scope.cohorts)):
            if kept:
                slots = min(slots, here.still_meant(kind))
            anothers, spread = here.is_anothers and not kept, -min(slots, gangs)
            special = here.group is not None, prices.get(here.bucket_id, 0.0)
            have.append((anothers, spread, here.tier, level, special, slots, here.no, here))
        have.sort()  # no two have one number
        for _, _, _, level, _, slots, _, here in have:
            yield Piece(source=here, way=level[0], level=level, count=here.count, space=slots)
        buy = [new for offer in scope.offers if (new := self._offer_piece(kind, offer)) is not None]
        buy.sort(key=lambda p: (p.level, *self._preference(kind, p, gangs)))
        yield from buy

    def cohort_piece(self, kind: Kind, cohort: Cohort) -> Piece | None:
        """These machines, the best way a slot fits there now; None if none does."""
        for _, level, slots in self._spaces(kind, [cohort]):
            return Piece(source=cohort, way=level[0], level=level, count=cohort.count, space=slots)
        return None

    def _spaces(self, kind: Kind, cohorts: Iterable[Cohort]) -> list[tuple[Cohort, Level, int]]:
        """Those on which a slot fits now, each in its best way, with the slots that one machine holds."""
        levels, found = self.fleet.catalogue.table(kind), []
        if len(kind.alternatives) == 1 and not kind.sharing:
            # The usual kind, in short: this is asked for each gang on each machine that may hold a part.
            needs = [(d, amount) for d, amount in enumerate(self.fleet.needs(kind, 0)) if amount]
            for cohort in cohorts:
                if cohort.closed or not (ways := levels[cohort.machine]):
                    continue
                slots, free = 1 << 30, cohort.free
                for d, amount in needs:
                    here = free[d] // amount
                    if here < slots:
                        slots = here
                if slots > 0:
                    found.append((cohort, ways[0], slots))
            return found
        for cohort in cohorts:
            for level in () if cohort.closed else levels[cohort.machine]:
                slots = self.fleet.space(kind, cohort, level[0])
                if slots > 0:
                    found.append((cohort, level, slots))
                    break
        return found

    def _offer_piece(self, kind: Kind, offer: Offer) -> Piece | None:
        levels = self.fleet.catalogue.levels(kind, offer.machine)
        if not levels:
            return None
        room = self.fleet.room(offer)
        if room <= 0:
            return None
        way = levels[0][0]
        slots = space(offer.total, self.fleet.needs(kind, way), kind.alternatives[way].sharing > 1)
        return Piece(source=offer, way=way, level=levels[0], count=room, space=slots)

    def _preference(self, kind: Kind, piece: Piece, slots: int) -> tuple[float | int, ...]:
        """What is bought first: by the expander, then by money for each slot that is really used."""
        assert isinstance(piece.source, Offer)
        offer = piece.source
        money = offer.price / max(min(piece.space, slots), 1)
        tie = (money, offer.bucket.position, offer.no)
        match self.policy.expander:
            case Expander.MOST_AVAILABLE:
                return (-piece.count, *tie)
            case Expander.PRIORITY:
                priority = self.policy.priorities.get(offer.bucket.nodearray, offer.bucket.priority)
                return (-priority, *tie)
            case Expander.LEAST_WASTE:
                used = min(piece.space, slots)
                return (_waste(offer.total, self.fleet.needs(kind, piece.way), used), *tie)
            case Expander.LEAST_COST:
                return tie

    def put_gangs(self, kind: Kind, pieces: list[Piece], count: int, most: int | None = None) -> int:
        """Put as many gangs as the choice holds at once, `most` of them at most; returns how many."""
        names = self.queues.setdefault(kind.no, JobQueue(kind))
        stack = min(min(piece.space for piece in pieces), count, most or count)
        sets = 1
        if len(pieces) == 1:
            available = pieces[0].source
            most = available.count if isinstance(available, Cohort) else self.fleet.room(available)
            sets = max(min(-(-count // stack), most // kind.node_count), 1)
        cohorts = [self._take(piece, piece.count * sets) for piece in pieces]
        put = 0
        while sets > 0:
            # Sets of machines that get the same names stay together.
            alike = min(max(names.ahead // stack, 1), sets) if count - put >= stack * sets else 1
            gangs = min(stack, count - put)
            given = names.take(gangs, alike)
            for piece, cohort in zip(pieces, cohorts, strict=True):
                part = self.fleet.part(cohort, piece.count * alike)
                self.fleet.put(part, kind, piece.way, gangs, given)
            put += gangs * alike
            sets -= alike
        group = cohorts[0].group
        if kind.grouped and group is not None:
            here = self.placed.setdefault(kind.no, {})
            place = (cohorts[0].bucket_id, group)
            here[place] = here.get(place, 0) + put
        return put

    def _take(self, piece: Piece, count: int) -> Cohort:
        """The machines of a piece as a cohort of their own."""
        if isinstance(piece.source, Cohort):
            return self.fleet.part(piece.source, count)
        offer = piece.source
        self.bought += offer.price * count
        if offer.group is not None:
            self.groups.note(offer.bucket, offer.group)
        return self.fleet.buy(piece.source, count)

    # -- slots

    def _slots(self, kind: Kind, count: int) -> int:
        def put(scope: Scope, slots: int) -> int:
            return slots - self._fill(kind, slots, scope)

        if kind.grouped:
            count = self._group_by_group(kind, count, self._rank_for_slots, put)
        return self._fill(kind, count, self.outside(kind))

    def _rank_for_slots(self, kind: Kind, scope: Scope, count: int) -> _Rank | None:
        """How good this placement group is for so many slots; None if it holds none of them."""
        left, cost, worst, tier, buys = count, 0.0, (0, 0), Tier.UNMANAGED, False
        for piece in self._candidates(kind, scope):
            if left <= 0:
                break
            machines = min(piece.count, -(-left // piece.space))
            left -= min(machines * piece.space, left)
            worst = max(worst, piece.level)
            if isinstance(piece.source, Offer):
                buys = True  # even where that costs nothing
                cost += piece.source.price * machines
            else:
                tier = max(tier, piece.source.tier)
        if left == count:
            return None
        return left > 0, buys, _NO_TIER if buys else tier, worst, cost / (count - left), scope.fresh

    def _fill(self, kind: Kind, count: int, scope: Scope) -> int:
        have = [p for p in self._candidates(kind, scope) if isinstance(p.source, Cohort)]
        for piece in have:
            if count <= 0:
                return 0
            most = min(count, piece.count * piece.space)
            while most > 0:
                placed = self._fill_piece(kind, piece, most)
                most, count = most - placed, count - placed
        while count > 0:
            buy = [new for offer in scope.offers if (new := self._offer_piece(kind, offer)) is not None]
            if not buy:
                return count
            slots = count
            best = min(buy, key=lambda p: (p.level, *self._preference(kind, p, slots)))
            count -= self._fill_piece(kind, best, count)
        return 0

    def _fill_piece(self, kind: Kind, piece: Piece, count: int) -> int:
        """Fill machines of a piece to the brim, or one of them as far as it goes; slots placed."""
        full = min(count // piece.space, piece.count)
        if full:
            self.fleet.put(self._take(piece, full), kind, piece.way, piece.space)
            return full * piece.space
        self.fleet.put(self._take(piece, 1), kind, piece.way, count)
        return count

    # -- scopes

    def outside(self, kind: Kind) -> Scope:
        """Where it may be without regard to groups: everywhere, unless groups were tried first.

        Then it is another of its alternatives that does without one, on machines in none.
        """
        if not kind.grouped:
            return Scope(cohorts=self.fleet.cohorts, offers=self.fleet.offers)
        if kind.colocated:
            return Scope(cohorts=(), offers=())
        return Scope(
            cohorts=[cohort for cohort in self.fleet.cohorts if cohort.group is None],
            offers=[offer for offer in self.fleet.offers if offer.group is None],
        )

    def _group_by_group(self, kind: Kind, count: int, rank_of: _RankOf, put: _Put) -> int:
        """Put a kind into placement groups, the best one first; what found no place comes back.

        Putting work into a group changes that group, and takes from limits: no other group gets any better
        by it. So each is ranked once, and again only when it is its turn.
        """
        turns: list[tuple[_Rank, int, Scope]] = []
        asked, numbers = groups_named(kind.constraint), counting()

        def wait(scope: Scope) -> None:
            rank = rank_of(kind, scope, count)
            if rank is not None:
                heapq.heappush(turns, (rank, next(numbers), scope))

        for scope in self.scopes(asked):
            wait(scope)
        while count > 0 and turns:
            rank, number, scope = heapq.heappop(turns)
            if scope.fresh and not self.may_begin(scope):
                continue
            now = rank_of(kind, scope, count)
            if now is None:
                continue
            if now > rank:
                heapq.heappush(turns, (now, number, scope))
                continue
            placed = put(scope, count)
            count -= placed
            if placed and count:
                wait(replace(scope, fresh=False))
                if scope.fresh:
                    bucket = scope.offers[0].bucket
                    for group in self.groups.after(bucket, asked):
                        wait(self._scope(bucket, group, True))
        return count

    def scopes(self, asked: Sequence[str]) -> Iterator[Scope]:
        """Every placement group that there is or could be."""
        seen: set[tuple[str, str]] = set()
        for bucket in self.buckets.values():
            for group in self.groups.existing(bucket):
                seen.add((bucket.id, group))
                yield self._scope(bucket, group, False)
            for group in self.groups.fresh(bucket, asked):
                seen.add((bucket.id, group))
                yield self._scope(bucket, group, True)
        for key in sorted(self.fleet.by_group.keys() - seen):
            yield Scope(cohorts=self.fleet.by_group[key], offers=())

    def may_begin(self, scope: Scope) -> bool:
        return all(o.group is None or self.groups.may_begin(o.bucket, o.group) for o in scope.offers)

    def _scope(self, bucket: Bucket, group: str, fresh: bool) -> Scope:
        return Scope(
            cohorts=self.fleet.by_group.setdefault((bucket.id, group), []),
            offers=(self.fleet.group_offer(bucket, group),),
            fresh=fresh,
        )


def _waste(total: Sequence[int], needs: Sequence[int], slots: int) -> float:
    """Share of a machine left empty by so many slots: the mean over what the machine has."""
    shares = [1 - need * slots / has for has, need in zip(total, needs, strict=True) if has > 0]
    return sum(shares) / len(shares) if shares else 0.0
