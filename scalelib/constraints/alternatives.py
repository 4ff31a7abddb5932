"""A constraint as a list of alternatives, best first: what each takes, and what it tests.

`or` makes one alternative per branch, `xor` one per branch with the others excluded; everything else stays
in one. After this no other part has to know how constraints nest.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from scalelib.amounts import MEMORY, MEMORY_UNITS, MILLION, is_amount, shown, units
from scalelib.constraints.model import (
    All,
    Any,
    Backoff,
    Constraint,
    Exactly,
    Exclusive,
    InPlacementGroup,
    Minimum,
    Never,
    Not,
    Property,
    Resource,
    SharedConsumable,
    SharedNonConsumable,
)
from scalelib.constraints.properties import NAMES_OF_THE_CLOUD
from scalelib.errors import InvalidConstraint
from scalelib.machine import Machine
from scalelib.names import family, folded, region
from scalelib.node import ResourceValue

_MOST: Final = 256


class Sharing(IntEnum):
    """Who else may be on the node; the strictest one asked for holds."""

    ANYBODY = 0
    SAME_JOB = 1
    NOBODY = 2


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to satisfy a constraint."""

    needs: Mapping[str, int]
    """What one slot takes, per counter."""
    tests: tuple[Constraint, ...] = ()
    """What must hold of the machine; takes nothing."""
    sharing: Sharing = Sharing.ANYBODY
    shared: tuple[SharedConsumable, ...] = ()
    """What one slot takes of things that the cluster shares."""

    @property
    def grouped(self) -> bool:
        """Does it ask for a node in a placement group?"""
        return any(_asks_for_group(test) for test in self.tests)

    @property
    def refusal(self) -> str | None:
        """The message of a `never`; None if there is none."""
        return next((test.message for test in self.tests if isinstance(test, Never)), None)

    def rank(self, machine: Machine) -> int | None:
        """How well the machine suits: 0 is best, None not at all, even when it is empty."""
        for counter, amount in self.needs.items():
            if amount > machine.total.get(counter, 0):
                return None
        rank = 0
        for test in self.tests:
            position = _position(test, machine)
            if position is None:
                return None
            rank += position
        return rank

    def misfit(self, machine: Machine) -> tuple[int, str] | None:
        """(how many parts fail, a text naming the first); None if the machine suits."""
        failed = [
            f"{amount_shown(counter, amount)}, and {machine.label} has {amount_shown(counter, has)}"
            for counter, amount in self.needs.items()
            if amount > (has := machine.total.get(counter, 0))
        ]
        failed += [
            f"{shown(test.to_json())}, which {machine.label} does not meet"
            for test in self.tests
            if _position(test, machine) is None
        ]
        return (len(failed), failed[0]) if failed else None


def _asks_for_group(test: Constraint) -> bool:
    match test:
        case InPlacementGroup(value=value):
            return value
        case Property(name="placement_group", values=values):
            return values[0] is not None
        case Property(name="colocated", values=values):
            return values[0] is True
        case Not(part=part):
            return _means_no_group(part)
    return False


def _means_no_group(test: Constraint) -> bool:
    """Does it hold of every machine that is in no placement group?"""
    match test:
        case InPlacementGroup(value=value):
            return not value
        case Property(name="placement_group", values=values):
            return None in values
        case Property(name="colocated", values=values):
            return any(value is False for value in values)
        case All(parts=parts):
            return bool(parts) and all(_means_no_group(part) for part in parts)
    return False


def alternatives(constraint: Constraint) -> tuple[Alternative, ...]:
    """The ways to satisfy a constraint, best first."""
    if isinstance(constraint, All) and all(type(part) is Minimum for part in constraint.parts):
        return (Alternative(_largest(constraint.parts)),)  # nearly all there are
    return tuple(_expand(constraint))


def _largest(parts: Iterable[Constraint]) -> dict[str, int]:
    """What is taken where all of these amounts are asked for."""
    needs: dict[str, int] = {}
    for part in parts:
        assert isinstance(part, Minimum)
        if part.units:
            needs[part.counter] = max(part.units, needs.get(part.counter, 0))
    return needs


def _expand(constraint: Constraint) -> list[Alternative]:
    match constraint:
        case Minimum():
            return [Alternative({constraint.counter: constraint.units} if constraint.units else {})]
        case Exclusive(value=value, task=task):
            return [Alternative({}, (), _sharing(value, task))]
        case SharedConsumable():
            return [Alternative({}, (), Sharing.ANYBODY, (constraint,))]
        case All(parts=parts):
            return _product([_expand(part) for part in parts])
        case Any(parts=parts):
            return _limited([each for part in parts for each in _expand(part)])
        case Exactly(parts=parts):
            return _limited([each for i in range(len(parts)) for each in _only(parts, i)])
        case Not(part=Not(part=part)):
            return _expand(part)
    return [Alternative({}, (constraint,))]


def _sharing(value: bool, task: bool) -> Sharing:
    if not value:
        return Sharing.ANYBODY
    return Sharing.SAME_JOB if task else Sharing.NOBODY


def _only(parts: Sequence[Constraint], i: int) -> list[Alternative]:
    """Branch i, and none of the others."""
    others = [_expand(Not(part)) for j, part in enumerate(parts) if j != i]
    return _product([_expand(parts[i]), *others])


def _product(factors: Sequence[list[Alternative]]) -> list[Alternative]:
    result = [Alternative({})]
    for factor in factors:
        result = _limited([_joined(left, right) for left in result for right in factor])
    return result


def _limited(found: list[Alternative]) -> list[Alternative]:
    if len(found) > _MOST:
        raise InvalidConstraint(
            f"constraints: 'or' and 'xor' make more than {_MOST} alternatives: ask for less at once"
        )
    return found


def _joined(left: Alternative, right: Alternative) -> Alternative:
    needs = dict(left.needs)
    for counter, amount in right.needs.items():
        needs[counter] = max(amount, needs.get(counter, 0))
    return Alternative(
        needs, left.tests + right.tests, max(left.sharing, right.sharing), left.shared + right.shared
    )


def _position(test: Constraint, machine: Machine) -> int | None:
    """Place of the match in the list of values, 0 where there is no list; None if it does not hold."""
    match test:
        case Resource(name="nodearray", values=values):
            return _index(_named(machine.resources.get("nodearray")), [_named(value) for value in values])
        case Resource(name=name, values=values):
            return _index(machine.resources.get(name), values) if name in machine.resources else None
        case Property(name="memory", values=values):
            return _index(machine.properties["memory"], [_bytes(value) for value in values])
        case Property(name=name, values=values) if name in NAMES_OF_THE_CLOUD:
            spelt = _SPELT.get(name, folded)
            return _index(_named(machine.properties.get(name), spelt), [_named(v, spelt) for v in values])
        case Property(name=name, values=values):
            return _index(machine.properties.get(name), values)
    return 0 if holds(test, machine) else None


def holds(constraint: Constraint, machine: Machine) -> bool:
    """Does it hold of the machine while nothing runs there?"""
    match constraint:
        case Minimum():
            return constraint.units <= machine.total.get(constraint.counter, 0)
        case Resource() | Property():
            return _position(constraint, machine) is not None
        case All(parts=parts):
            return all(holds(part, machine) for part in parts)
        case Any(parts=parts):
            return any(holds(part, machine) for part in parts)
        case Exactly(parts=parts):
            return sum(holds(part, machine) for part in parts) == 1
        case Not(part=part):
            return not holds(part, machine)
        case Never():
            return False
        case InPlacementGroup(value=value):
            return (machine.properties.get("placement_group") is not None) == value
        case SharedNonConsumable(value=value, required=required):
            return _index(value, required) is not None
        case Backoff(seconds=seconds):
            ago = machine.properties.get("capacity_failed")
            return not isinstance(ago, int | float) or ago >= seconds
    return True


def _index(value: ResourceValue, wanted: Sequence[ResourceValue]) -> int | None:
    return next((i for i, each in enumerate(wanted) if _equal(value, each)), None)


def _equal(value: ResourceValue, wanted: ResourceValue) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        if is_amount(value) and is_amount(wanted):
            return units(MEMORY, value, up=False) == units(MEMORY, wanted, up=False)
        return fnmatch.fnmatchcase(value, wanted)
    # True is 1 to Python, and a resource of 1 is not a resource that is true.
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


_SPELT: Final[Mapping[str, Callable[[str], str]]] = {"location": region, "vm_family": family}
"""How a name of the cloud is spelt, where other letters than capitals may differ."""


def _named(value: ResourceValue, spelt: Callable[[str], str] = folded) -> ResourceValue:
    """A name of the cloud as the cloud compares it."""
    return spelt(value) if isinstance(value, str) else value


def _bytes(value: ResourceValue) -> ResourceValue:
    return units(MEMORY, value, up=False) if isinstance(value, str) and is_amount(value) else value


def amount_shown(counter: str, amount: int) -> str:
    """An amount as people write it."""
    if counter == MEMORY:
        return f"memgb {amount / MEMORY_UNITS['memgb']:g}"
    return f"{counter} {amount / MILLION:g}"
