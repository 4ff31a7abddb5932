"""What one task needs of the node or nodes it runs on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from celery_resources.errors import InvalidRequirement

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

FIELDS = ("constraints", "node_count", "colocated", "exclusive")
"""The parts of a requirement in JSON."""


@dataclass(frozen=True, eq=False)
class Requirement:
    """Constraints, and how many nodes that meet them. Equal and hashed by its canonical form.

    Constraints are JSON values under text keys. `4` and `4.0` are the same amount.
    """

    constraints: Mapping[str, Json] = field(default_factory=dict)
    """Per node: `{"ncpus": 4, "memgb": 8}`."""
    node_count: int = field(default=0, kw_only=True)
    """How many nodes; 0 and 1 both mean that one node is enough, 2 or more make a gang."""
    colocated: bool = field(default=False, kw_only=True)
    """All nodes of the gang in one placement group."""
    exclusive: bool = field(default=False, kw_only=True)
    """Nothing else runs on the node meanwhile."""

    def __post_init__(self) -> None:
        if not isinstance(self.constraints, Mapping):
            raise InvalidRequirement(
                f"constraints must be a mapping such as {{'ncpus': 4}}, not {self.constraints!r}"
            )
        plain = {_key(k): _plain(v, f"constraints[{k!r}]") for k, v in self.constraints.items()}
        object.__setattr__(self, "constraints", plain)
        if isinstance(self.node_count, bool) or not isinstance(self.node_count, int) or self.node_count < 0:
            raise InvalidRequirement(f"node_count must be a whole number, 0 or more, not {self.node_count!r}")
        for name in ("colocated", "exclusive"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidRequirement(f"{name} must be True or False, not {getattr(self, name)!r}")

    @property
    def is_gang(self) -> bool:
        """More than one node at once."""
        return self.node_count > 1

    @cached_property
    def canonical(self) -> str:
        """One text per requirement: keys sorted, no spaces, defaults left out."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def to_json(self) -> dict[str, Any]:
        """As it travels in message headers, announcements and the `join` command. Defaults are left out."""
        out: dict[str, Any] = {"constraints": dict(self.constraints)}
        if self.node_count:
            out["node_count"] = self.node_count
        if self.colocated:
            out["colocated"] = True
        if self.exclusive:
            out["exclusive"] = True
        return out

    @classmethod
    def from_json(cls, value: object) -> Requirement:
        """The inverse of `to_json`. Plain constraints (`{"ncpus": 1}`) are taken as well."""
        if isinstance(value, Requirement):
            return value
        if not isinstance(value, Mapping):
            raise InvalidRequirement(
                "a requirement is constraints such as {'ncpus': 4}, or {'constraints': {...}, "
                f"'node_count': 2}}, not {value!r}"
            )
        if "constraints" not in value and not any(name in value for name in FIELDS):
            return cls(value)
        strange = sorted(str(key) for key in value if key not in FIELDS)
        if strange:
            raise InvalidRequirement(
                f"{strange[0]!r} is no part of a requirement; its parts are {', '.join(FIELDS)}"
            )
        return cls(
            value.get("constraints") or {},
            node_count=value.get("node_count", 0),
            colocated=value.get("colocated", False),
            exclusive=value.get("exclusive", False),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Requirement) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)


def _key(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidRequirement(f"a resource name must be text such as 'ncpus', not {key!r}")
    return _text(key, "a resource name")


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequirement(f"{place} must be valid Unicode text, not {value!r}") from error
    return value


def _plain(value: object, place: str) -> Json:
    """A JSON value; whole floats become integers, so that equal amounts have one form."""
    if isinstance(value, str):
        return _text(value, place)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRequirement(f"{place} must be a finite number, not {value!r}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(k): _plain(v, f"{place}[{k!r}]") for k, v in value.items()}
    raise InvalidRequirement(f"{place} must be a number, a text, a list or a mapping, not {value!r}")
