"""Default resources: how a machine's capabilities become resources that a job may ask for.

A machine's resources come, in this order and each name only once, from the machine or its nodearray itself,
from the rules in the settings (`default_resources`), and from the built-in ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from scalelib.amounts import (
    MEMORY,
    MEMORY_UNITS,
    InvalidAmount,
    count,
    counter_of,
    is_amount,
    is_size,
    shown,
    size_in_bytes,
    units,
)
from scalelib.constraints import PROPERTIES, Constraint, parse
from scalelib.constraints.alternatives import holds
from scalelib.constraints.model import All
from scalelib.constraints.properties import unknown_property
from scalelib.errors import InvalidConfig, InvalidConstraint
from scalelib.machine import Machine
from scalelib.node import ResourceValue
from scalelib.spelling import nearest

BUILT_IN: Final = ("ncpus", "pcpus", "ngpus", *MEMORY_UNITS, "nodearray", "ccnodeid")
"""Resources that every machine has unless `disable_default_resources` is set."""

_MODIFIERS: Final[Mapping[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "add": lambda value, by: value + by,
    "subtract": lambda value, by: value - by,
    "multiply": lambda value, by: value * by,
    "divide": lambda value, by: value / by,
    "divide_floor": lambda value, by: (value / by).to_integral_value(ROUND_FLOOR),
}
_KEYS: Final = ("select", "name", "value", *_MODIFIERS)
_EVERY: Final = All(())
_RESOURCES: Final = "node.resources."
_SOFTWARE: Final = "node.software_configuration."


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One default resource: on machines that `select` holds of, `name` is `value`, modified in order."""

    name: str
    value: ResourceValue
    """A literal, a size, or `node.` and a property, `resources.<name>` or `software_configuration.<key>`."""
    select: Constraint = _EVERY
    modifiers: tuple[tuple[str, int | float | str], ...] = ()
    place: str = "default_resources"

    @property
    def per_node(self) -> bool:
        """May its value differ between nodes that are otherwise alike?"""
        return isinstance(self.value, str) and self.value.startswith("node.")


@dataclass(frozen=True, slots=True)
class _Quantity:
    """A number on its way through the modifiers."""

    number: Decimal
    kind: str
    """`memory` or `size` if the number is one of bytes, else empty."""


def read_rules(value: object, place: str = "default_resources") -> tuple[Rule, ...]:
    """The rules of the settings. Raises InvalidConfig naming the rule and what would be right."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise InvalidConfig(f"{place}: {shown(value)} is no list: write a list of objects")
    return tuple(_read_rule(each, f"{place}[{i}]") for i, each in enumerate(value))


def _read_rule(value: object, place: str) -> Rule:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{place}: {shown(value)} is no object: write one with 'name' and 'value'")
    for key in value:
        if key not in _KEYS:
            meant = nearest(str(key), _KEYS)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(_KEYS)}"
            raise InvalidConfig(f"{place}: unknown key {shown(key)}: {hint}")
    for key in ("name", "value"):
        if key not in value:
            raise InvalidConfig(f"{place}: the key {key!r} is missing")
    name = value["name"]
    if not isinstance(name, str) or not name or name.startswith("node."):
        raise InvalidConfig(f"{place}.name: {shown(name)} is no name of a resource: write a text")
    try:
        select = parse(value.get("select", {}))
    except InvalidConstraint as error:
        raise InvalidConfig(f"{place}.select: {error}") from error
    return Rule(
        name=name,
        value=_read_value(name, value["value"], f"{place}.value"),
        select=select,
        modifiers=tuple((key, _read_modifier(key, value[key], place)) for key in value if key in _MODIFIERS),
        place=place,
    )


def _read_value(name: str, value: object, place: str) -> ResourceValue:
    if isinstance(value, str):
        if value.startswith("`"):
            raise InvalidConfig(
                f"{place}: {shown(value)}: Python in settings is not run: write 'node.<property>' and the "
                "modifiers add, subtract, multiply, divide or divide_floor"
            )
        if value.startswith("node."):
            _check_reference(value, place)
        elif is_size(value):
            _check_amount(name, value, place)
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        _check_amount(name, value, place)
        return value
    raise InvalidConfig(f"{place}: {shown(value)} is no value: write a text, a number, true, false or null")


def _check_reference(value: str, place: str) -> None:
    for prefix in (_RESOURCES, _SOFTWARE):
        if value.startswith(prefix) and len(value) > len(prefix):
            return
    name = value.removeprefix("node.")
    if name not in PROPERTIES:
        raise InvalidConfig(f"{place}: {unknown_property(name)}")


def _check_amount(name: str, value: object, place: str) -> None:
    try:
        units(name, value, up=False)
    except InvalidAmount as error:
        raise InvalidConfig(f"{place}: {error}") from error


def _read_modifier(key: str, value: object, place: str) -> int | float | str:
    here = f"{place}.{key}"
    if not is_amount(value) or not isinstance(value, int | float | str):
        raise InvalidConfig(f"{here}: {shown(value)} is no number: write a number or a size")
    _check_amount(key, value, here)
    if isinstance(value, str) and key in ("multiply", "divide", "divide_floor"):
        raise InvalidConfig(f"{here}: {shown(value)} is a size: write a plain number")
    if key in ("divide", "divide_floor") and value == 0:
        raise InvalidConfig(f"{here}: nothing can be divided by 0: write another number")
    return value


def laid_over(
    resources: Mapping[str, ResourceValue], told: Mapping[str, ResourceValue]
) -> dict[str, ResourceValue]:
    """What was told, and of the rest what speaks of something else: `memgb` and `memmb` are one memory."""
    counters = {counter_of(name, value) for name, value in told.items() if is_amount(value)}
    rest = {
        name: value
        for name, value in resources.items()
        if name not in told and not (is_amount(value) and counter_of(name, value) in counters)
    }
    return {**rest, **told}


def machine(
    label: str,
    properties: Mapping[str, ResourceValue],
    own: Mapping[str, ResourceValue],
    rules: Sequence[Rule] = (),
    software_configuration: Mapping[str, object] | None = None,
    *,
    built_in: bool = True,
) -> Machine:
    """A machine with its resources worked out."""
    resources: dict[str, ResourceValue] = {}
    amounts: dict[str, int] = {}
    seen = Machine(label=label, properties=properties, resources=resources, total=amounts)  # so far

    def has(name: str, value: ResourceValue) -> None:
        resources[name] = value
        try:
            count(amounts, name, value)
        except InvalidAmount as error:
            raise InvalidConfig(f"resources of {label}: {error}") from error

    for name, value in own.items():
        has(name, value)
    for rule in rules:
        if rule.name in resources or not holds(rule.select, seen):
            continue
        value = _value_of(rule, properties, resources, software_configuration or {})
        if value is None and rule.value is not None:
            continue  # it refers to something that this machine does not have
        has(rule.name, value)
    for name, value in _built_in(properties, amounts).items() if built_in else ():
        if name not in resources:
            has(name, value)
    return seen


def _built_in(properties: Mapping[str, ResourceValue], so_far: Mapping[str, int]) -> dict[str, ResourceValue]:
    # One memory, whatever the unit: a rule for `memgb` speaks for memmb as well.
    memory = so_far.get(MEMORY)
    if memory is None:
        told = properties["memory"]
        memory = told if isinstance(told, int) else 0
    return {
        "ncpus": properties["vcpu_count"],
        "pcpus": properties["pcpu_count"],
        "ngpus": properties["gpu_count"],
        **{
            name: _no_larger(Decimal(memory) / size) if memory % size else memory // size
            for name, size in MEMORY_UNITS.items()
        },
        "nodearray": properties["nodearray"],
        "ccnodeid": properties["node_id"],
    }


def _value_of(
    rule: Rule,
    properties: Mapping[str, ResourceValue],
    resources: Mapping[str, ResourceValue],
    software: Mapping[str, object],
) -> ResourceValue:
    value, kind = _referred(rule.value, properties, resources, software)
    if not is_amount(value):
        if rule.modifiers and value is not None:
            raise InvalidConfig(f"{rule.place}: {shown(value)} is no number, so it cannot be modified")
        return value
    quantity = _in_unit_of(rule.name, _quantity(value, kind))
    number = quantity.number
    for key, by in rule.modifiers:
        amount = _in_unit_of(rule.name, _quantity(by, "")).number
        number = _MODIFIERS[key](number, amount)
    number = max(number, Decimal(0))
    if quantity.kind:
        return f"{quantity.kind}::{int(number)}b"
    return _plain(number)


def _referred(
    value: ResourceValue,
    properties: Mapping[str, ResourceValue],
    resources: Mapping[str, ResourceValue],
    software: Mapping[str, object],
) -> tuple[ResourceValue, str]:
    """What a rule's value stands for, and the resource whose unit it is in (`memory` for bytes)."""
    if not isinstance(value, str) or not value.startswith("node."):
        return value, ""
    if value.startswith(_RESOURCES):
        name = value.removeprefix(_RESOURCES)
        return resources.get(name), name
    if value.startswith(_SOFTWARE):
        found = _inside(software, value.removeprefix(_SOFTWARE))
        return (found if found is None or isinstance(found, str | int | float) else None), ""
    name = value.removeprefix("node.")
    return properties.get(name), MEMORY if name == "memory" else ""


def _inside(software: Mapping[str, object], path: str) -> object:
    """A key of the software configuration; dots go down, unless the whole name is a key."""
    if path in software:
        return software[path]
    found: object = software
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _quantity(value: ResourceValue, unit: str) -> _Quantity:
    if isinstance(value, str):
        return _Quantity(size_in_bytes(value), value.split("::", 1)[0])
    assert isinstance(value, int | float)
    number = Decimal(repr(value))
    if unit == MEMORY:
        return _Quantity(number, MEMORY)
    if unit in MEMORY_UNITS:
        return _Quantity(number * MEMORY_UNITS[unit], f"{MEMORY}/{unit}")
    return _Quantity(number, "")


def _in_unit_of(name: str, quantity: _Quantity) -> _Quantity:
    """Bytes become the unit of a memory resource; what was a plain number in another unit stays one."""
    kind, _, unit = quantity.kind.partition("/")
    if kind and counter_of(name, 0) == MEMORY and name in MEMORY_UNITS:
        return _Quantity(quantity.number / MEMORY_UNITS[name], "")
    if unit:
        return _Quantity(quantity.number / MEMORY_UNITS[unit], "")
    return quantity


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else _no_larger(number)


def _no_larger(number: Decimal) -> float:
    """The nearest float whose text is not above: a machine must not seem to have more than it has."""
    near = float(number)
    return near if Decimal(repr(near)) <= number else math.nextafter(near, 0.0)
