"""The kinds of constraint. Frozen values; `to_json` writes each the way it was read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from scalelib.amounts import MEMORY, counter_of, units
from scalelib.node import ResourceValue
from scalelib.spelling import nearest

JsonValue = object
"""A value as the json module reads it."""


class Constraint(ABC):
    """One requirement on a node, or several joined."""

    @abstractmethod
    def to_json(self) -> JsonValue:
        """The JSON that reads back as an equal constraint."""

    @property
    def children(self) -> tuple[Constraint, ...]:
        """The constraints that this one joins; none for a plain one."""
        return ()

    def walk(self) -> Iterator[Constraint]:
        """This constraint and every one inside it."""
        found: list[Constraint] = [self]
        while found:
            each = found.pop()
            yield each
            found.extend(reversed(each.children))


class Keyed(Constraint):
    """A constraint that is one key and one value of a JSON object."""

    @property
    @abstractmethod
    def entry(self) -> tuple[str, JsonValue]:
        """Its key and value."""

    def to_json(self) -> JsonValue:
        """An object with this one key."""
        key, value = self.entry
        return {key: value}


@dataclass(frozen=True)
class Minimum(Keyed):
    """At least so much of a resource free, and taken off while the job is there."""

    name: str
    value: int | float | str
    """A number, or a size such as `memory::4g`; kept as it was written."""

    @cached_property
    def counter(self) -> str:
        """The counter that it is taken from (`memory` for every unit of memory)."""
        return counter_of(self.name, self.value)

    @cached_property
    def units(self) -> int:
        """How much, in whole units of the counter."""
        return units(self.name, self.value, up=True)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """Resource and amount."""
        return self.name, self.value


@dataclass(frozen=True)
class Resource(Keyed):
    """A resource of the node equals one of these values; the first is preferred. Takes nothing off.

    Text matches as a shell pattern, with case.
    """

    name: str
    values: tuple[ResourceValue, ...]
    as_list: bool = field(default=False, compare=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """Resource and value, or list of values."""
        return self.name, list(self.values) if self.as_list else self.values[0]


@dataclass(frozen=True)
class Property(Keyed):
    """A property of the node (`node.vm_size`) equals one of these values; the first is preferred."""

    name: str
    """Without the `node.` in front."""
    values: tuple[ResourceValue, ...]
    as_list: bool = field(default=False, compare=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`node.<property>` and value, or list of values."""
        return f"node.{self.name}", list(self.values) if self.as_list else self.values[0]


@dataclass(frozen=True)
class All(Constraint):
    """Every one of these holds: an object, a list of objects, or `and`."""

    parts: tuple[Constraint, ...]
    form: Literal["object", "list", "and"] = field(default="object", compare=False)

    @property
    def children(self) -> tuple[Constraint, ...]:
        """What must hold."""
        return self.parts

    def to_json(self) -> JsonValue:
        """In the form that it was read in."""
        if self.form == "object":
            entries = [part.entry if isinstance(part, Keyed) else _entry(part) for part in self.parts]
            written = dict(entries)
            # `ncpus` and `node.resources.ncpus` have one name: an object would lose one of them.
            return written if len(written) == len(entries) else [{key: value} for key, value in entries]
        members = [part.to_json() for part in self.parts]
        return {"and": members} if self.form == "and" else members


@dataclass(frozen=True)
class Any(Keyed):
    """At least one of these holds (`or`); an earlier one is preferred and says what is taken off."""

    parts: tuple[Constraint, ...]

    @property
    def children(self) -> tuple[Constraint, ...]:
        """The branches, best first."""
        return self.parts

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`or` and its branches."""
        return "or", [part.to_json() for part in self.parts]


@dataclass(frozen=True)
class Exactly(Keyed):
    """Exactly one of these holds (`xor`)."""

    parts: tuple[Constraint, ...]

    @property
    def children(self) -> tuple[Constraint, ...]:
        """The branches, best first."""
        return self.parts

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`xor` and its branches."""
        return "xor", [part.to_json() for part in self.parts]


@dataclass(frozen=True)
class Not(Keyed):
    """This does not hold. An amount inside is compared with what an empty node has, and never taken off."""

    part: Constraint

    @property
    def children(self) -> tuple[Constraint, ...]:
        """What must not hold."""
        return (self.part,)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`not` and what must not hold."""
        return "not", self.part.to_json()


@dataclass(frozen=True)
class Never(Keyed):
    """Refuses every node, and says why."""

    message: str

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`never` and the reason."""
        return "never", self.message


@dataclass(frozen=True)
class Exclusive(Keyed):
    """The node is for this job alone: one slot a node, or with `task` as many slots of the job as fit."""

    value: bool = True
    task: bool = False
    written: JsonValue = field(default=None, compare=False)
    """The value as it was read (true, "true", 1)."""
    key: str = field(default="", compare=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`exclusive` or `exclusive-task`."""
        key = self.key or ("exclusive-task" if self.task else "exclusive")
        return key, self.value if self.written is None else self.written


@dataclass(frozen=True)
class InPlacementGroup(Keyed):
    """The node is in a placement group; with false: in none."""

    value: bool = True
    written: JsonValue = field(default=None, compare=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`in-a-placement-group`."""
        return "in-a-placement-group", self.value if self.written is None else self.written


@dataclass(frozen=True)
class Backoff(Keyed):
    """No new machine of a bucket in which capacity failed less than so many seconds ago."""

    seconds: int | float

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`capacity-failure-backoff` and the seconds."""
        return "capacity-failure-backoff", self.seconds


@dataclass(frozen=True)
class SharedConsumable(Keyed):
    """So many of a thing that the whole cluster shares, as licences: a slot takes `amount` of `total`."""

    name: str
    total: int | float
    amount: int | float = 1
    once_per_job: bool = False
    """True: the job takes the amount once, however many slots it has."""

    @cached_property
    def units(self) -> int:
        """What is taken, in millionths."""
        return units(self.name, self.amount, up=True)

    @cached_property
    def total_units(self) -> int:
        """What there is, in millionths."""
        return units(self.name, self.total, up=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`shared-consumable-constraint` and its object."""
        body: dict[str, JsonValue] = {"name": self.name, "total": self.total, "amount": self.amount}
        if self.once_per_job:
            body["once-per-job"] = True
        return "shared-consumable-constraint", body


@dataclass(frozen=True)
class SharedNonConsumable(Keyed):
    """A value that the whole cluster shares equals what the job asks for. Takes nothing off."""

    name: str
    value: ResourceValue
    """What the cluster has."""
    required: tuple[ResourceValue, ...]
    as_list: bool = field(default=False, compare=False)

    @property
    def entry(self) -> tuple[str, JsonValue]:
        """`shared-non-consumable-constraint` and its object."""
        required = list(self.required) if self.as_list else self.required[0]
        return "shared-non-consumable-constraint", {
            "name": self.name,
            "value": self.value,
            "required": required,
        }


def _entry(part: Constraint) -> tuple[str, JsonValue]:
    """The key and value of an `and` inside an object."""
    written = part.to_json()
    if isinstance(written, Mapping) and len(written) == 1:
        return next(iter(written.items()))
    return "and", written if isinstance(written, list) else [written]


def unknown_resources(constraint: Constraint, known: Collection[str]) -> list[tuple[str, str | None]]:
    """Names of resources that are not known, each with the one that was probably meant."""
    unknown: dict[str, str | None] = {}
    for each in constraint.walk():
        if not isinstance(each, Minimum | Resource) or each.name in known or each.name in unknown:
            continue
        if isinstance(each, Minimum) and each.counter == MEMORY:
            continue
        unknown[each.name] = nearest(each.name, known)
    return list(unknown.items())
