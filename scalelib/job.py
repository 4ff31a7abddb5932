"""Work that wants nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scalelib.amounts import shown
from scalelib.constraints import Constraint, ConstraintLike, parse
from scalelib.errors import InvalidConstraint, InvalidJob
from scalelib.spelling import nearest

_MOST_ITERATIONS: Final = 10**9
_MOST_NODES: Final = 10**6
_ONE: Final = 1
_NONE: Final = 0
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

_OF_SCALELIB: Final = ("packing_strategy", "iterations_remaining")
"""Keys that only scalelib writes."""


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
        packing_strategy: str | None = None,
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
        _put_name(self, name)
        _put_constraints(self, parsed)
        # What is left at its default needs no second look: of a hundred thousand jobs it is nearly all.
        if iterations is not _ONE:
            iterations = _whole(name, "iterations", iterations, 1, _MOST_ITERATIONS)
        if node_count is not _NONE:
            node_count = _whole(name, "node_count", node_count, 0, _MOST_NODES)
        if priority is not _NONE:
            priority = _whole(name, "priority", priority, -(10**9), 10**9)
        if executing_hostnames != ():
            executing_hostnames = _hostnames(name, executing_hostnames)
        _put_iterations(self, iterations)
        _put_node_count(self, node_count)
        _put_colocated(self, colocated if colocated is False else _truth(name, "colocated", colocated))
        _put_exclusive(self, exclusive if exclusive is False else _truth(name, "exclusive", exclusive))
        _put_hostnames(self, executing_hostnames)
        _put_priority(self, priority)
        if packing_strategy is not None:
            _check_strategy(name, packing_strategy, node_count)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(
            f"a job cannot be changed: make another one, before it is added: job.evolve({key}={shown(value)})"
        )

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a job cannot be changed: {key} stays")

    @property
    def packing_strategy(self) -> str:
        """`scatter` with a node count, whose nodes are always different ones; else `pack`."""
        return "scatter" if self.node_count else "pack"

    def evolve(self, **changes: Any) -> Job:
        """A job with these values, and the others of this one."""
        return Job(**{**dict(zip(_KEYS, self._values(), strict=True)), **changes})

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
        """The reverse of `to_json`; all keys but `name` may be left out.

        Also what scalelib writes: `node-count` for `node_count`, and so on. What its last pass had left of
        the iterations is of no use here and not read.
        """
        if not isinstance(value, Mapping):
            raise InvalidJob(f"job: {shown(value)} is no object: write one with a 'name' and 'constraints'")
        read: dict[str, Any] = {}
        for written, each in value.items():
            key = str(written).replace("-", "_")
            if key not in _KEYS and key not in _OF_SCALELIB:
                meant = nearest(str(written), _KEYS)
                hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(_KEYS)}"
                raise InvalidJob(f"job {shown(value.get('name'))}: unknown key {shown(written)}: {hint}")
            if key in read:
                raise InvalidJob(f"job {shown(value.get('name'))}: {key!r} is there twice: keep one")
            read[key] = each
        read.pop("iterations_remaining", None)
        if "name" not in read:
            raise InvalidJob(f"job: the key 'name' is missing in {shown(dict(value))}")
        return cls(**read)

    from_dict = from_json


# What `__init__` alone does: by the slots themselves, as a hundred thousand jobs are made.
(
    _put_colocated,
    _put_constraints,
    _put_exclusive,
    _put_hostnames,
    _put_iterations,
    _put_name,
    _put_node_count,
    _put_priority,
) = (vars(Job)[key].__set__ for key in Job.__slots__)


def _whole(name: str, key: str, value: object, least: int, most: int) -> int:
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, int)):
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is no whole number")
    if not least <= value <= most:
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is not between {least} and {most}")
    return value


def _check_strategy(name: str, strategy: object, node_count: int) -> None:
    """`pack` and `scatter` say what a node count says already; anything else is not meant."""
    if (strategy == "pack" and node_count <= 1) or (strategy == "scatter" and node_count):
        return
    what = {
        "scatter": "it puts a slot on each of so many nodes: say how many with node_count, or leave it out",
        "pack": "the nodes of a node_count are always different ones: leave out one of the two",
    }
    hint = what.get(str(strategy), "write 'pack', or 'scatter' with a node_count")
    raise InvalidJob(f"job {name!r}: packing_strategy: {shown(strategy)}: {hint}")


def _truth(name: str, key: str, value: object) -> bool:
    if value is not False and value is not True:
        raise InvalidJob(f"job {name!r}: {key}: {shown(value)} is neither True nor False")
    return value


def _hostnames(name: str, value: object) -> tuple[str, ...]:
    if value is None or value == ():
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidJob(f"job {name!r}: executing_hostnames: {shown(value)} is no list of host names")
    for i, each in enumerate(value):
        if not isinstance(each, str) or not each:
            raise InvalidJob(f"job {name!r}: executing_hostnames[{i}]: {shown(each)} is no host name")
    return tuple(itertools.chain(value))
