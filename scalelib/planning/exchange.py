"""Work of a higher priority has the machines that are there, where a packing of all priorities does not mind.

To the packer two machines that hold the same are one as good as the other, and of one that runs and one that
has to boot it may give the running one to whom it likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scalelib.packing import Bin, Item, Offer


def exchanged(
    bins: Sequence[Bin], items: Sequence[Item], offers: Sequence[Offer], priority: Mapping[str, int]
) -> tuple[Bin, ...]:
    """The same machines with the same contents, given to those of the highest `priority` first (by item).

    What two machines hold changes places if each may hold what the other does; those of a lower tier come
    first.
    """
    item_of, offer_of = {item.key: item for item in items}, {offer.key: offer for offer in offers}
    levels = sorted(set(priority.values()), reverse=True)

    def units(contents: Mapping[str, int]) -> tuple[int, ...]:
        found = dict.fromkeys(levels, 0)
        for key, count in contents.items():
            found[priority[key]] += count
        return tuple(found.values())

    def holds(offer: Offer, contents: Mapping[str, int]) -> bool:
        inside = [(item_of[key], count) for key, count in contents.items()]
        return all(item.offers is None or offer.key in item.offers for item, _ in inside) and all(
            sum(item.needs[d] * count for item, count in inside) <= has
            for d, has in enumerate(offer.capacity)
        )

    lots = sorted(bins, key=lambda each: offer_of[each.offer].tier)
    at = 0
    while at < len(lots):
        here, place = lots[at], offer_of[lots[at].offer]
        better = [
            other
            for other in range(at + 1, len(lots))
            if offer_of[lots[other].offer].tier > place.tier
            and units(lots[other].contents) > units(here.contents)
            and holds(place, lots[other].contents)
            and holds(offer_of[lots[other].offer], here.contents)
        ]
        if better:
            other = max(better, key=lambda each: units(lots[each].contents))
            there, count = lots[other], min(here.count, lots[other].count)
            lots[at] = replace(here, contents=there.contents, count=count)
            lots[other] = replace(there, contents=here.contents, count=count)
            # What is left of the larger of the two is as it was.
            lots[other + 1 : other + 1] = _rest(there, count)
            lots[at + 1 : at + 1] = _rest(here, count)
        at += 1
    return tuple(lots)


def _rest(lot: Bin, count: int) -> list[Bin]:
    return [replace(lot, count=lot.count - count)] if lot.count > count else []
