"""Reading constraints, from Python values or JSON. Checked here, once; trusted everywhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from scalelib.amounts import (
    MEMORY,
    MEMORY_UNITS,
    NUMERIC,
    InvalidAmount,
    is_amount,
    is_size,
    shown,
    units,
)
from scalelib.constraints.alternatives import alternatives
from scalelib.constraints.model import (
    All,
    Any,
    Backoff,
    Constraint,
    Exactly,
    Exclusive,
    InPlacementGroup,
    JsonValue,
    Minimum,
    Never,
    Not,
    Property,
    Resource,
    SharedConsumable,
    SharedNonConsumable,
)
from scalelib.constraints.properties import PROPERTIES, unknown_property
from scalelib.errors import InvalidConstraint
from scalelib.node import ResourceValue
from scalelib.spelling import nearest

ConstraintLike = Constraint | Mapping[str, object] | Sequence[Mapping[str, object]]
"""What may be given where a constraint is asked for."""

_MOST_DEPTH: Final = 32
_MOST_CACHED: Final = 4096
_Key = tuple[object, ...]
"""Each key with its value, and then the types of the values: 1, 1.0 and True are equal, not the same."""
_cache: dict[_Key | None, Constraint] = {}
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def parse(value: ConstraintLike | None) -> Constraint:
    """A constraint from an object, a list of objects, or one that is read already.

    Raises InvalidConstraint naming the key, the value and what would be right.
    """
    key: _Key | None
    if type(value) is dict:
        # A hundred thousand jobs ask for the same few things: the same object each time lets the planner
        # recognise them without looking inside.
        key = (*value.items(), *map(type, value.values()))
    elif isinstance(value, Constraint):
        return value
    elif value is None:
        return All(())
    else:
        key = (*value.items(), *map(type, value.values())) if isinstance(value, Mapping) else None
    try:
        found = _cache.get(key)
    except TypeError:
        found = key = None  # something in it has no hash: a list, say
    if found is None:
        found = _parse(value, "constraints", 0)
        if key is None or not _is_plain(value):
            alternatives(found)  # refuses too many of them here, where only this job fails
            return found
        if len(_cache) >= _MOST_CACHED:
            _cache.clear()
        _cache[key] = found
    return found


def _is_plain(value: ConstraintLike) -> bool:
    """Texts with numbers and texts: nothing that could be changed later."""
    return isinstance(value, Mapping) and all(
        type(name) is str and type(each) in _PLAIN for name, each in value.items()
    )


def _parse(value: object, place: str, depth: int) -> Constraint:
    if isinstance(value, Constraint):
        return value
    if depth > _MOST_DEPTH:
        raise InvalidConstraint(f"{place}: nested more than {_MOST_DEPTH} deep: write it flatter")
    if isinstance(value, Mapping):
        return All(tuple(_read(key, each, place, depth) for key, each in value.items()), "object")
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return All(tuple(_parse(each, f"{place}[{i}]", depth + 1) for i, each in enumerate(value)), "list")
    raise InvalidConstraint(
        f"{place}: {shown(value)} is no constraint: write an object such as {{'ncpus': 1}}, or a list of them"
    )


def _read(key: object, value: object, place: str, depth: int) -> Constraint:
    """One key of an object."""
    if not isinstance(key, str) or not key:
        raise InvalidConstraint(f"{place}: the key {shown(key)} is no name: write a text such as 'ncpus'")
    here = f"{place}.{key}"
    match key:
        case "and":
            return All(_branches(value, here, depth, 1), "and")
        case "or":
            return Any(_branches(value, here, depth, 2))
        case "xor":
            return Exactly(_branches(value, here, depth, 2))
        case "not":
            return Not(_parse(value, here, depth + 1))
        case "never":
            return _never(value, here)
        case "exclusive" | "exclusive-task" | "exclusive_task":
            return Exclusive(_truth(value, here), key != "exclusive", value, key)
        case "in-a-placement-group":
            return InPlacementGroup(_truth(value, here), value)
        case "shared-consumable-constraint":
            return _shared_consumable(value, here)
        case "shared-non-consumable-constraint":
            return _shared_non_consumable(value, here)
        case "capacity-failure-backoff":
            return _backoff(value, here)
    if key.startswith("node."):
        return _property(key, value, here)
    return _resource(key, value, here)


def _branches(value: object, place: str, depth: int, least: int) -> tuple[Constraint, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidConstraint(f"{place}: {shown(value)} is no list: write a list of objects")
    if len(value) < least:
        raise InvalidConstraint(
            f"{place}: has {len(value)} of at least {least} branches: write a list of {least} or more objects"
        )
    return tuple(_parse(each, f"{place}[{i}]", depth + 1) for i, each in enumerate(value))


def _never(value: object, place: str) -> Constraint:
    if not isinstance(value, str):
        raise InvalidConstraint(f"{place}: {shown(value)} is no text: write the reason for the refusal")
    return Never(value)


def _backoff(value: object, place: str) -> Constraint:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**9:
        raise InvalidConstraint(f"{place}: {shown(value)} is no number of seconds: write one of 0 or more")
    return Backoff(value)


def _truth(value: object, place: str) -> bool:
    """true, false, "true", "false", or digits (0 is false)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value >= 0:
        return value > 0
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        if word.isascii() and word.isdigit():
            return word.strip("0") != ""
    raise InvalidConstraint(f"{place}: {shown(value)} is neither true nor false: write true or false")


def _property(key: str, value: object, place: str) -> Constraint:
    name = key.removeprefix("node.")
    if name.startswith("resources.") and len(name) > len("resources."):
        return _resource(name.removeprefix("resources."), value, place)
    if name not in PROPERTIES:
        raise InvalidConstraint(f"{place}: {unknown_property(name)}")
    values, as_list = _values(value, place)
    for each in values:
        if name == "memory" and isinstance(each, str):
            _check(lambda each=each: units(MEMORY, each, up=False), place)
    return Property(name, values, as_list)


def _resource(name: str, value: object, place: str) -> Constraint:
    if is_amount(value) and isinstance(value, int | float | str):
        if name == MEMORY and not isinstance(value, str):
            raise InvalidConstraint(
                f"{place}: {shown(value)} has no unit: write {{'memgb': 4}} or {{'memory': 'memory::4g'}}"
            )
        if name in NUMERIC - MEMORY_UNITS.keys() and isinstance(value, str):
            raise InvalidConstraint(
                f"{place}: {shown(value)} is a size: write a number, as in {{{name!r}: 1}}"
            )
        if isinstance(value, str) and value.startswith("size::") and name in MEMORY_UNITS:
            raise InvalidConstraint(f"{place}: {shown(value)} is not memory: write 'memory::…' or a number")
        _check(lambda: units(name, value, up=True), place)
        return Minimum(name, value)
    if name in NUMERIC and not isinstance(value, list | tuple):
        raise InvalidConstraint(
            f"{place}: {shown(value)} is no amount: write a number of 0 or more, as in {{{name!r}: 1}}"
        )
    values, as_list = _values(value, place)
    return Resource(name, values, as_list)


def _values(value: object, place: str) -> tuple[tuple[ResourceValue, ...], bool]:
    """A value or a list of values, and whether it was a list."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            raise InvalidConstraint(f"{place}: the list is empty, so nothing could match: write a value")
        return tuple(_scalar(each, f"{place}[{i}]") for i, each in enumerate(value)), True
    return (_scalar(value, place),), False


def _scalar(value: object, place: str) -> ResourceValue:
    if isinstance(value, str) and is_size(value):
        _check(lambda: units(MEMORY, value, up=False), place)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidConstraint(f"{place}: {shown(value)} is not finite: write a number")
        if isinstance(value, int) and value.bit_length() > 256:
            raise InvalidConstraint(f"{place}: {shown(value)} is too large: write a smaller number")
        return value
    raise InvalidConstraint(
        f"{place}: {shown(value)} cannot be compared with: write a text, a number, true, false, null, "
        "or a list of them"
    )


def _shared_consumable(value: object, place: str) -> Constraint:
    body = _body(value, place, {"name", "total"}, {"amount", "once-per-job"})
    name, total, amount = body["name"], body["total"], body.get("amount", 1)
    for key, each in (("total", total), ("amount", amount)):
        if isinstance(each, str) and is_size(each):
            raise InvalidConstraint(f"{place}.{key}: {shown(each)} is a size: write a number")
        _check(lambda each=each: units(str(name), each, up=True), f"{place}.{key}")
    if not isinstance(total, int | float) or not isinstance(amount, int | float):
        raise InvalidConstraint(f"{place}: {shown(total)} or {shown(amount)} is no int or float: write one")
    return SharedConsumable(
        str(name), total, amount, _truth(body.get("once-per-job", False), f"{place}.once-per-job")
    )


def _shared_non_consumable(value: object, place: str) -> Constraint:
    body = _body(value, place, {"name", "value", "required"}, set())
    required, as_list = _values(body["required"], f"{place}.required")
    return SharedNonConsumable(str(body["name"]), _scalar(body["value"], f"{place}.value"), required, as_list)


def _body(value: object, place: str, needed: set[str], optional: set[str]) -> Mapping[str, JsonValue]:
    if not isinstance(value, Mapping):
        raise InvalidConstraint(
            f"{place}: {shown(value)} is no object: write one with {', '.join(sorted(needed))}"
        )
    for key in value:
        if key not in needed | optional:
            meant = nearest(str(key), needed | optional)
            hint = (
                f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(needed | optional))}"
            )
            raise InvalidConstraint(f"{place}: unknown key {shown(key)}: {hint}")
    for key in sorted(needed - set(value)):
        raise InvalidConstraint(f"{place}: the key {key!r} is missing")
    if not isinstance(value["name"], str) or not value["name"]:
        raise InvalidConstraint(f"{place}.name: {shown(value['name'])} is no name: write a text")
    return value


def _check(reading: object, place: str) -> None:
    """Turn a bad amount into a bad constraint that says where."""
    assert callable(reading)
    try:
        reading()
    except InvalidAmount as error:
        raise InvalidConstraint(f"{place}: {error}") from error
