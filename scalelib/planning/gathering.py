"""Which placement group each gang is in: a choice that is known to hold, and others that may cost less.

What a choice costs is only known once everything is packed with it, so choices are packed: many with one look
each, the best of those with care. Draws come from a fixed seed, and nothing looks at a clock.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from scalelib.bucket import Bucket
from scalelib.names import folded
from scalelib.planning.fleet import Fleet
from scalelib.planning.groups import Groups, groups_named
from scalelib.planning.kinds import Kind

Place = tuple[str, str]
"""(bucket id, placement group)."""

Choice = dict[Kind, dict[Place, int]]
"""Gangs by the placement group that they are in."""

Score = tuple[int, float, int]
"""Units without a place, money, machines: lower is better."""

_Key = tuple[tuple[str, str, tuple[tuple[int, int], ...]], ...]
"""A choice: (bucket id, group, (number of kind, gangs) there)."""

QUICK_TRIES: Final = 60
CAREFUL_TRIES: Final = 8
"""Moves that are tried: with one look each, then packed with care."""
DRAWS: Final = 30
"""Choices by chance to start from."""
STARTS: Final = 3
"""Choices from which moves are tried."""
LOOKS: Final = 5
"""Choices that looked best at one look, and are packed with care."""
FEW_DRAWS: Final = 6
FEW_TRIES: Final = 12
"""The same where it only matters whether all fits."""
FEW_PAIRS: Final = 60
"""Kinds times kinds of machine up to which all of that is tried; with more of them, less."""
GATHERED: Final = 15_000
"""Choices with all gangs in one group of a bucket, times the same pairs."""
MOST_ADDED: Final = 8
"""Gangs that get a group here because no other plan has one for them."""


@dataclass(eq=False, kw_only=True, slots=True)
class Gathering:
    """Looks for choices of placement groups."""

    fleet: Fleet
    buckets: Mapping[str, Bucket]
    groups: Groups
    score: Callable[[Choice, bool], Score]
    """What everything comes to with this choice; True: at one look."""
    known: dict[tuple[bool, _Key], tuple[Score, int, Choice]] = field(default_factory=dict)
    """Of choices that were looked at: what they come to, and when they were."""
    begun: dict[tuple[str, tuple[str, ...], int], Sequence[str]] = field(default_factory=dict)
    """Groups that each bucket could begin."""

    def score_of(self, choice: Choice, quick: bool) -> Score:
        """The same, each choice looked at once."""
        key = quick, self._key(choice)
        if key not in self.known:
            self.known[key] = self.score(choice, quick), len(self.known), choice
        return self.known[key][0]

    def _key(self, choice: Choice) -> _Key:
        """Choices that differ only in which of two groups that nobody is in yet is which are one."""
        inside: dict[Place, list[tuple[int, int]]] = {}
        for kind, places in choice.items():
            for place, gangs in places.items():
                inside.setdefault(place, []).append((kind.no, gangs))
        asked = any(groups_named(kind.constraint) for kind in choice)
        found = []
        for (bucket_id, group), here in inside.items():
            bucket = self.buckets.get(bucket_id)
            new = bucket is not None and group not in self.groups.existing(bucket) and not asked
            found.append((bucket_id, "" if new else group, tuple(sorted(here))))
        return tuple(sorted(found))

    def _best(self, quick: bool, most: int) -> list[Choice]:
        """The best of the choices that were looked at."""
        ours = [found for (how, _), found in self.known.items() if how is quick]
        return [choice for *_, choice in sorted(ours, key=lambda found: (found[0], found[1]))[:most]]

    def start(self, wanted: Mapping[Kind, int], known: Mapping[int, Mapping[Place, int]]) -> Choice | None:
        """The known groups; those of gangs that are not in one yet are chosen one after the other."""
        choice: Choice = {}
        for kind, count in wanted.items():
            if not in_one_group(kind):
                continue
            places: dict[Place, int] = {}
            for place, gangs in known.get(kind.no, {}).items():
                if count > 0:
                    places[place] = min(gangs, count)
                    count -= places[place]
            choice[kind] = places
            if count > MOST_ADDED:
                return None
            while count > 0:
                found = self._one_more(choice, kind)
                if found is None:
                    return None
                choice = found
                count -= 1
        return choice if self.may_be(choice.values()) else None

    def _one_more(self, choice: Choice, kind: Kind) -> Choice | None:
        """The choice with one more gang of the kind, wherever everything fits best."""
        options = []
        for place in self.places(kind, choice):
            other = {**choice, kind: {**choice[kind], place: choice[kind].get(place, 0) + 1}}
            if self.may_be(other.values()):
                options.append((self.score_of(other, True), place, other))
        return min(options, key=lambda option: option[:2])[2] if options else None

    def one_that_fits(self, choice: Choice) -> Choice:
        """The choice, or one of a few others with which more has a place; at one look each."""
        if not self.score_of(choice, True)[0] or not choice:
            return choice
        starts = [choice, *self._gathered(choice), *self._drawn(choice, FEW_DRAWS)]
        best = min(starts, key=lambda start: self.score_of(start, True))
        return self._moved(best, FEW_TRIES, quick=True)

    def finalists(self, choice: Choice, pairs: int, most: int) -> list[Choice]:
        """The best choices found by moving gangs to other groups, `most` of them, best first."""
        if not choice:
            return [choice]

        def share(tries: int) -> int:
            return min(tries, tries * FEW_PAIRS // max(pairs, 1))

        gathered = self._gathered(choice, max(STARTS, GATHERED // max(pairs, 1)))
        starts = [choice, *gathered, *self._drawn(choice, share(DRAWS))]
        starts.sort(key=lambda start: self.score_of(start, True))
        for start in starts[:STARTS]:
            self._moved(start, share(QUICK_TRIES) // STARTS, quick=True)
        looks = self._best(True, max(share(LOOKS), STARTS))
        looks = [one for one in looks if not self._is_too_much(one)] or looks
        best = min(looks, key=lambda one: self.score_of(one, False))
        self._moved(best, share(CAREFUL_TRIES), quick=False)
        return self._best(False, most)

    def _is_too_much(self, choice: Choice) -> bool:
        """Are there more gangs in a group than all machines that it may have hold of some one thing?

        However they are packed, some have no place.
        """
        asked: dict[Place, list[int]] = {}
        for kind, places in choice.items():
            ways = [self.fleet.needs(kind, way) for way in range(len(kind.alternatives))]
            least = list(map(min, zip(*ways, strict=True)))
            for place, gangs in places.items():
                units = gangs * kind.node_count
                here = asked.setdefault(place, [0] * len(least))
                asked[place] = [sum_ + units * each for sum_, each in zip(here, least, strict=True)]
        return any(
            wanted > has
            for place, amounts in asked.items()
            for wanted, has in zip(amounts, self._capacity(place), strict=True)
        )

    def _capacity(self, place: Place) -> list[int]:
        """What all machines of a placement group hold at most, those that it may get included."""
        lots = [(cohort.count, cohort.free) for cohort in self.fleet.by_group.get(place, ())]
        if (bucket := self.buckets.get(place[0])) is not None:
            offer = self.fleet.group_offer(bucket, place[1])
            lots.append((self.fleet.room(offer), offer.total))
        return [sum(count * free[d] for count, free in lots) for d in range(len(self.fleet.counters))]

    def _drawn(self, choice: Choice, draws: int) -> Iterator[Choice]:
        """Choices by chance, from a fixed seed."""
        chance = random.Random(0)
        for _ in range(draws):
            other: Choice = {kind: {} for kind in choice}
            for kind, places in choice.items():
                gangs = sum(places.values())
                parts = [1] * gangs if chance.random() < 0.5 and gangs <= MOST_ADDED else [gangs]
                for part in parts:
                    place = chance.choice(self.places(kind, other) or list(places))
                    other[kind] = {**other[kind], place: other[kind].get(place, 0) + part}
            if self.may_be(other.values()):
                yield other

    def _gathered(self, choice: Choice, most: int | None = None) -> Iterator[Choice]:
        """Choices with all gangs that can be there in one group of a bucket, to share its machines.

        With `most` of them, of the buckets that are in use first.
        """
        used = {bucket_id for places in choice.values() for bucket_id, _ in places}
        first = {each.id for each in sorted(self.buckets.values(), key=lambda b: b.id not in used)[:most]}
        for bucket in (each for each in self.buckets.values() if each.id in first):
            other, new = dict(choice), Counter[Place]()
            for kind, places in choice.items():
                there = self.places(kind, other, only=bucket)
                if there:
                    place = max(there, key=lambda place: new[place])
                    other[kind] = {place: sum(places.values())}
                    new[place] += 1
            if other != choice and self.may_be(other.values()):
                yield other

    def _moved(self, choice: Choice, tries: int, *, quick: bool) -> Choice:
        """The best choice that single moves lead to, each of which is better than the one before."""
        best, improved = self.score_of(choice, quick), True
        while improved:
            improved = False
            for other in self._moves(choice):
                if tries <= 0:
                    return choice
                tries -= (quick, self._key(other)) not in self.known
                score = self.score_of(other, quick)
                if score < best:
                    choice, best, improved = other, score, True
                    break
        return choice

    def _moves(self, choice: Choice) -> Iterator[Choice]:
        """Choices that differ in the group of one kind's gangs: all that are in one, or a single one."""
        for kind, places in choice.items():
            for here, gangs in places.items():
                for there in self.places(kind, choice):
                    if there == here:
                        continue
                    for moved in sorted({gangs, 1}, reverse=True):
                        after = dict(places)
                        after[here] -= moved
                        after[there] = after.get(there, 0) + moved
                        other = {**choice, kind: {p: c for p, c in after.items() if c}}
                        if self.may_be(other.values()):
                            yield other

    def places(
        self, kind: Kind, choice: Choice, fresh: int = 1, *, only: Bucket | None = None
    ) -> list[Place]:
        """Groups that the kind could be in, of all buckets or this one; of each so many not begun yet."""
        asked, levels = groups_named(kind.constraint), self.fleet.catalogue.levels
        chosen: dict[str, dict[str, None]] = {}
        for bucket_id, group in (place for places in choice.values() for place in places):
            chosen.setdefault(bucket_id, {})[group] = None
        found: dict[Place, None] = {}
        for bucket in self.buckets.values() if only is None else (only,):
            names = [*self.groups.existing(bucket), *chosen.get(bucket.id, ())]
            more = self._fresh(bucket, asked, len(names) + fresh)
            names += [name for name in more if name not in names][:fresh]
            for name in names:
                if levels(kind, self.fleet.group_offer(bucket, name).machine):
                    found[bucket.id, name] = None
        for place, cohorts in sorted(self.fleet.by_group.items()):
            if (only is None or place[0] == only.id) and any(levels(kind, c.machine) for c in cohorts):
                found[place] = None
        return list(found)

    def _fresh(self, bucket: Bucket, asked: Sequence[str], count: int) -> Sequence[str]:
        """So many groups that the bucket could begin: the same for as long as nothing is placed."""
        key = (bucket.id, tuple(asked), count)
        if key not in self.begun:
            self.begun[key] = self.groups.several(bucket, asked, count)
        return self.begun[key]

    def may_be(self, choice: Iterable[Mapping[Place, int]]) -> bool:
        """May all these groups be begun?"""
        begun: dict[str, set[str]] = {}
        owners: dict[str, str] = {}
        for bucket_id, group in sorted({place for places in choice for place in places}):
            bucket = self.buckets.get(bucket_id)
            if bucket is None or group in self.groups.existing(bucket):
                continue
            if owners.setdefault(folded(group), bucket_id) != bucket_id:
                return False
            if not self.groups.may_begin(bucket, group):
                return False
            begun.setdefault(bucket.nodearray, set()).add(group)
            if not self.groups.may_begin_all(bucket, begun[bucket.nodearray]):
                return False
        return True


def in_one_group(kind: Kind) -> bool:
    """Is each of its gangs in one placement group?"""
    return kind.grouped and bool(kind.node_count)
