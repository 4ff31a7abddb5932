"""How much a slot takes and a node has: whole numbers per counter, so that nothing drifts.

A counter holds millionths of a unit, except for `memory`, which holds bytes: `memb`, `memkb`, `memmb`,
`memgb`, `memtb` and every `memory::` size are one and the same memory, or it could be sold once per unit. One
unit is 1024 of the next smaller one (a `memgb` is 2**30 bytes), as CycleCloud counts. A `size::` text is a
number of bytes in a counter of its own name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from scalelib.errors import InvalidInput

MILLION: Final = 1_000_000
"""Millionths in one unit of a counter."""

MEMORY: Final = "memory"
"""The one counter of main memory, in bytes."""

MEMORY_UNITS: Final[Mapping[str, int]] = {
    "memb": 1,
    "memkb": 1024,
    "memmb": 1024**2,
    "memgb": 1024**3,
    "memtb": 1024**4,
}
"""Bytes in one unit of each memory resource."""

NUMERIC: Final = frozenset({"ncpus", "pcpus", "ngpus", *MEMORY_UNITS})
"""Resources that are always amounts; text or true is a mistake there."""

_MOST_UNITS: Final = 10**15
_MOST_BYTES: Final = 2**63
_SIZE = re.compile(
    r"(?P<kind>memory|size)::\s*(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>[bkmgtpBKMGTP]?)"
)
_POWER: Final[Mapping[str, int]] = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_AND_LIKE: Final = frozenset({"and"})
_OR_LIKE: Final = frozenset({"or", "xor"})
_NO_AMOUNT: Final = frozenset(
    {"not", "never", "exclusive", "exclusive-task", "exclusive_task", "in-a-placement-group"}
    | {"shared-consumable-constraint", "shared-non-consumable-constraint", "capacity-failure-backoff"}
)


class InvalidAmount(InvalidInput):
    """A quantity is not a number that a machine could have."""


def is_amount(value: object) -> bool:
    """Is this a quantity (a number or a size), rather than text, a truth value or nothing?"""
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float | Decimal) or (isinstance(value, str) and is_size(value))


def is_size(text: str) -> bool:
    """Does the text mean to be a size? Whether it is a good one, `size_in_bytes` says."""
    return text.startswith(("memory::", "size::"))


def shown(value: object) -> str:
    """The value as an error message shows it: short, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def size_in_bytes(text: str) -> Decimal:
    """Bytes of `memory::4g` or `size::2T`: lower-case units are powers of 1024, upper-case ones of 1000."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidAmount(
            f"{shown(text)} is no size: write a number and one of b k m g t p (powers of 1024) or "
            "B K M G T P (powers of 1000), as in 'memory::4g'"
        )
    unit = match["unit"]
    base = 1000 if unit.isupper() else 1024
    return Decimal(match["number"]) * Decimal(base ** _POWER[unit.lower()])


def counter_of(name: str, value: object) -> str:
    """The counter that an amount of this resource is taken from."""
    if name in MEMORY_UNITS or (isinstance(value, str) and value.startswith("memory::")):
        return MEMORY
    return name


def units(name: str, value: object, *, up: bool) -> int:
    """The amount in whole units of its counter; what does not divide evenly is rounded up or down."""
    if type(value) is int:  # nearly all there are, and whole in any unit
        size = 1 if name == MEMORY else MEMORY_UNITS.get(name, 0)
        whole = value * (size or MILLION)
        if 0 <= whole <= (_MOST_BYTES if size else _MOST_UNITS * MILLION):
            return whole
    exact, most = _exact(name, value)
    if exact < 0:
        raise InvalidAmount(f"{name}: {shown(value)} is negative: write a number of 0 or more")
    if exact > most:
        raise InvalidAmount(f"{name}: {shown(value)} is more than any machine has: write a smaller number")
    return int(exact.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


def _exact(name: str, value: object) -> tuple[Decimal, Decimal]:
    """(amount, most allowed) in units of the counter, before rounding."""
    if isinstance(value, str) and is_size(value):
        size = size_in_bytes(value)
        if counter_of(name, value) == MEMORY:
            return size, Decimal(_MOST_BYTES)
        return size * MILLION, Decimal(_MOST_BYTES * MILLION)
    number = _number(name, value)
    if name in MEMORY_UNITS:
        return number * MEMORY_UNITS[name], Decimal(_MOST_BYTES)
    if name == MEMORY:
        return number, Decimal(_MOST_BYTES)
    return number * MILLION, Decimal(_MOST_UNITS * MILLION)


def _number(name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidAmount(f"{name}: {shown(value)} is no amount: write a number, as in {{{name!r}: 1}}")
    if isinstance(value, int):
        if value.bit_length() > 256:
            raise InvalidAmount(
                f"{name}: {shown(value)} is more than any machine has: write a smaller number"
            )
        return Decimal(value)
    if not math.isfinite(value):
        raise InvalidAmount(f"{name}: {shown(value)} is not finite: write a number of 0 or more")
    # By way of its shortest text: 0.1 is a tenth here, not the binary fraction next to it.
    return Decimal(repr(value)) if isinstance(value, float) else value


def taken(
    constraints: Mapping[str, object] | Sequence[Mapping[str, object]],
    total: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """What one slot with these constraints takes from a node, per counter.

    Constraints without a quantity take nothing. Two quantities of one counter are two minimums: the larger
    one holds. Of an `or`, the first branch counts; given what a node has in `total`, the first that fits it.
    """
    if isinstance(constraints, Mapping):
        amounts: dict[str, int] = {}
        for name, value in constraints.items():
            _raise_to(amounts, _taken_by(name, value, total))
        return amounts
    amounts = {}
    for each in constraints:
        _raise_to(amounts, taken(each, total))
    return amounts


def _taken_by(name: str, value: object, total: Mapping[str, int] | None) -> dict[str, int]:
    if name in _AND_LIKE or name in _OR_LIKE:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InvalidAmount(f"{name}: {shown(value)} is no list: write a list of constraints")
        branches = [each for each in value if isinstance(each, Mapping)]
        if name in _AND_LIKE:
            return taken(branches, total)
        return _first_branch([taken(branch, total) for branch in branches], total)
    if name in _NO_AMOUNT or name.startswith("node.") or not is_amount(value):
        return {}
    return {counter_of(name, value): units(name, value, up=True)}


def _first_branch(branches: Sequence[dict[str, int]], total: Mapping[str, int] | None) -> dict[str, int]:
    if total is not None:
        branches = [branch for branch in branches if fits(branch, total)] or branches
    return branches[0] if branches else {}


def _raise_to(amounts: dict[str, int], more: Mapping[str, int]) -> None:
    for counter, amount in more.items():
        amounts[counter] = max(amount, amounts.get(counter, 0))


def total(resources: Mapping[str, object]) -> dict[str, int]:
    """What a node with these resources has, per counter; text and truth values are no amounts.

    Memory given in several units is the smallest of what they say.
    """
    amounts: dict[str, int] = {}
    for name, value in resources.items():
        count(amounts, name, value)
    return amounts


def count(amounts: dict[str, int], name: str, value: object) -> None:
    """Add a resource of a node to what it has, per counter (see `total`)."""
    if is_amount(value):
        counter, amount = counter_of(name, value), units(name, value, up=False)
        amounts[counter] = min(amount, amounts[counter]) if counter in amounts else amount


def fits(taken: Mapping[str, int], free: Mapping[str, int]) -> bool:
    """Is there room for one more?"""
    return all(amount <= free.get(counter, 0) for counter, amount in taken.items())


def minus(free: Mapping[str, int], taken: Mapping[str, int], times: int = 1) -> dict[str, int]:
    """What is left; below nothing if more was taken than there was."""
    left = dict(free)
    for counter, amount in taken.items():
        left[counter] = left.get(counter, 0) - amount * times
    return left


def plus(free: Mapping[str, int], given: Mapping[str, int], times: int = 1) -> dict[str, int]:
    """The reverse of `minus`."""
    return minus(free, given, -times)
