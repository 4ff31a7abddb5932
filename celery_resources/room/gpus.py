"""Which GPU each task gets. A whole one is never shared; parts share one, as many as fill it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from scalelib.amounts import MILLION

NGPUS = "ngpus"


class Gpus:
    """The GPUs of a node, by index. Amounts are in millionths, as everywhere."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = [MILLION] * (total // MILLION)
        self._taken: dict[Hashable, dict[int, int]] = {}

    def fits(self, amount: int) -> bool:
        """Can this much be had now, in whole GPUs and at most one part?"""
        return self._place(amount) is not None

    def take(self, key: Hashable, amount: int) -> None:
        """Give a task its GPUs. It fits, or it is an error of the caller."""
        placed = self._place(amount)
        if placed is None:
            raise ValueError(f"{amount} millionths of GPUs do not fit into {self._free}")
        for index, part in placed.items():
            self._free[index] -= part
        self._taken[key] = placed

    def give_back(self, key: Hashable) -> None:
        """The task has ended."""
        for index, part in self._taken.pop(key, {}).items():
            self._free[index] += part

    def of(self, key: Hashable) -> tuple[int, ...]:
        """The indexes that a task was given."""
        return tuple(sorted(self._taken.get(key, ())))

    def room_for_any(self, amounts: Sequence[int]) -> int:
        """How many more tasks surely fit, whichever of these amounts each of them asks for."""
        most = max(amounts)
        if most < MILLION:
            # Whatever is placed, a GPU that has no room for `most` holds as many as it could of the largest.
            return sum(free // most for free in self._free)
        # A part may spoil a GPU that a whole one would have had: count each task as whole GPUs. But one more
        # fits if each by itself does, with its part on a GPU that is begun.
        return max(self._free.count(MILLION) // -(-most // MILLION), int(all(map(self.fits, amounts))))

    def _place(self, amount: int) -> dict[int, int] | None:
        whole, part = divmod(amount, MILLION)
        empty = [index for index, free in enumerate(self._free) if free == MILLION]
        if len(empty) < whole:
            return None
        placed = dict.fromkeys(empty[:whole], MILLION)
        if part:
            # The fullest one that still has room, so that whole ones stay whole.
            room = [
                (free, index) for index, free in enumerate(self._free) if free >= part and index not in placed
            ]
            if not room:
                return None
            placed[min(room)[1]] = part
        return placed
