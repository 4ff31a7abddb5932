"""The names that new nodes will probably get: the lowest numbers of their nodearray that no node has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import overload


class Names(Sequence[str]):
    """`<nodearray>-<number>` for each number in a few ranges. Written out only when asked for."""

    __slots__ = ("_array", "_ends", "_ranges")

    def __init__(self, array: str, ranges: Iterable[range]) -> None:
        self._array, self._ranges = array, tuple(ranges)
        self._ends = tuple(accumulate(map(len, self._ranges)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[str]:
        return (f"{self._array}-{number}" for numbers in self._ranges for number in numbers)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        if isinstance(at, slice):
            return tuple(self)[at]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(f"{at} is not one of {len(self)} names")
        which = bisect_right(self._ends, place)
        return f"{self._array}-{self._ranges[which][place - self._ends[which]]}"

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Names | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class Naming:
    """Hands out the lowest free numbers of each nodearray."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken: dict[str, list[int]] = {}
        self._next: dict[str, int] = {}
        for name in taken:
            array, _, number = name.rpartition("-")
            # `a-07` is not the name that a seventh node would get.
            if number.isascii() and number.isdigit() and number[0] != "0":
                self._taken.setdefault(array, []).append(int(number))
        for numbers in self._taken.values():
            numbers.sort()

    def take(self, array: str, count: int) -> Names:
        """So many names."""
        begin, ranges = self._next.get(array, 1), []
        taken = self._taken.get(array, [])
        for number in taken[bisect_right(taken, begin - 1) :]:
            free = min(number - begin, count)
            if free > 0:
                ranges.append(range(begin, begin + free))
                count, begin = count - free, begin + free
            if not count:
                break
            begin = number + 1
        if count:
            ranges.append(range(begin, begin + count))
            begin += count
        self._next[array] = begin
        return Names(array, ranges)
