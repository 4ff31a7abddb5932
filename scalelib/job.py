"""Work that wants nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scalelib.amounts import shown
from scalelib.constraints import Constraint, ConstraintLike, parse
from scalelib.constraints.model import nearest
from scalelib.errors import InvalidConstraint, InvalidJob

_MOST_ITERATIONS: Final = 10**9
_MOST_NODES: Final = 10**6
_KEYS: Final = (
    "name",
    "constraints",
    "iterations",
    "node_count",
    "colocated",
    "exclusive",
    "executing_hostnames",
    "priority",
)


class Job:
    """A piece of work, or many equal ones, with what each asks of a node.

    `iterations` says how many slots there are. With `node_count` of n, each of them is a gang: n different
    nodes with one unit of the constraints on each, all or nothing. `colocated`: the nodes are in one
    placement group. `exclusive`: they host nothing else. `executing_hostnames`: the work runs there already.
    A higher `priority` is served first.

    Immutable, and equal by value. `colacated` is accepted for `colocated`.
    """

    __slots__ = (
        "colocated",
        "constraints",
        "exclusive",
        "executing_hostnames",
        "iterations",
        "name",
        "node_count",
        "priority",
    )

    name: str
    constraints: Constraint
    iterations: int
    node_count: int
    colocated: bool
    exclusive: bool
    executing_hostnames: tuple[str, ...]
    priority: int

    def __init__(
        self,
        name: str,
        constraints: ConstraintLike | None = None,
        iterations: int = 1,
        node_count: int = 0,
        colocated: bool = False,
        exclusive: bool = False,
        executing_hostnames: Sequence[str] = (),
        priority: int = 0,
        *,
        colacated: bool | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidJob(f"job: name: {shown(name)} is no name: write a text")
        if colacated is not None:
            colocated = colacated
        try:
            parsed = parse(constraints)
        except InvalidConstraint as error:
            raise InvalidConstraint(f"job {name!r}: {error}") from error
        put = object.__setattr__
        put(self, "name", name)
        put(self, "constraints", parsed)
        put(self, "iterations", _whole(name, "iterations", iterations, 1, _MOST_ITERATIONS))
        put(self, "node_count", _whole(name, "node_count", node_count, 0, _MOST_NODES))
        put(self, "colocated", _truth(name, "colocated", colocated))
        put(self, "exclusive", _truth(name, "exclusive", exclusive))
        put(self, "executing_hostnames", _hostnames(name, executing_hostnames))
        put(self, "priority", _whole(name, "priority", priority, -(10**9), 10**9))

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a job cannot be changed: make another with {key}={shown(value)}")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a job cannot be changed: {key} stays")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, key) for key in _KEYS)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Job) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Job({', '.join(f'{key}={value!r}' for key, value in self.to_json().items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._values()

    def to_json(self) -> dict[str, Any]:
        """The job as the snapshot file holds it."""
        return {
            "name": self.name,
            "constraints": self.constraints.to_json(),
            "iterations": self.iterations,
            "node_count": self.node_count,
            "colocated": self.colocated,
            "exclusive": self.exclusive,
            "priority": self.priority,
            "executing_hostnames": list(self.executing_hostnames),
        }

    @classmethod
    def from_json(cls, value: object) -> Job:
        """The reverse of `to_json`; all keys but `name` may be left out."""
        if not isinstance(value, Mapping):
            raise InvalidJob(f"job: {shown(value)} is no object: write one with a 'name' and 'constraints'")
        for key in value:
            if key not in _KEYS:
                meant = nearest(str(key), _KEYS)
                hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(_KEYS)}"
                raise InvalidJob(f"job {shown(value.get('name'))}: unknown key {shown(key)}: {hint}")
        if "name" not in value:
            raise InvalidJob(f"job: the key 'name' is missing in {shown(dict(value))}")
        return cls(**value)


def _whole(name: str, key: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is no whole number")
    if not least <= value <= most:
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is not between {least} and {most}")
    return value


def _truth(name: str, key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is neither True nor False")
    return value


def _hostnames(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidJob(f"job {name!r}: executing_hostnames: {shown(value)} is no list of host names")
    for i, each in enumerate(value):
        if not isinstance(each, str) or not each:
            raise InvalidJob(f"job {name!r}: executing_hostnames[{i}]: {shown(each)} is no host name")
    return tuple(itertools.chain(value))
