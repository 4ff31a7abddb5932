"""Which way of meeting a constraint this node has, as far as the node knows itself. No Celery in here.

A node is tried on everything that a constraint may ask: amounts, text and true or false, and properties
(`node.vm_size`). Of amounts it knows all: what it was not given it does not have. Of the rest it knows what
it was told at its start. What it was not told is no reason to refuse where an autoscaler lets it serve the
queue, which knows more (the cloud, the rules in `default_resources`). Where there is none (`alone`), nobody
else could know: then a text that it was not given it does not have, and a property must be known to match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scalelib.amounts import MEMORY, fits, shown, total, units
from scalelib.constraints import All, Any, Constraint, Exactly, InPlacementGroup, Not, parse
from scalelib.constraints import Property as NodeProperty
from scalelib.constraints import Resource as NodeResource
from scalelib.constraints.alternatives import Sharing, alternatives, holds
from scalelib.constraints.properties import PROPERTIES
from scalelib.errors import InvalidInput
from scalelib.machine import Machine
from scalelib.node import ResourceValue

NODE = "node."
"""What the name of a property begins with."""

_ALSO_RESOURCES = {"nodearray": "nodearray", "node_id": "ccnodeid"}
"""Properties that are resources by default as well, under these names."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a constraint is met here."""

    amounts: Mapping[str, int]
    """What one task takes, per counter (see `scalelib.amounts`)."""
    exclusive: bool = False
    """Nothing may run beside it."""
    unfit: str = ""
    """Why this node is never right, whatever room it has; empty if it is, or if that is not known."""


def machine_of(resources: Mapping[str, ResourceValue], properties: Mapping[str, ResourceValue]) -> Machine:
    """The node, as it knows itself. `properties` may be with or without `node.` in front.

    What is no property of a node there is a resource that equals something: `{"disk": "nvme"}`.
    """
    known: dict[str, ResourceValue] = {"exists": True}
    texts: dict[str, ResourceValue] = {}
    for name, value in properties.items():
        bare = name.removeprefix(NODE)
        if bare == "memory" and isinstance(value, str):
            known[bare] = units(MEMORY, value, up=False)
        elif bare in PROPERTIES:
            known[bare] = value
        else:
            texts[bare] = value
    if "placement_group" in known:
        known.setdefault("colocated", known["placement_group"] is not None)
    for name, resource in _ALSO_RESOURCES.items():
        if name in known:
            texts.setdefault(resource, known[name])
    return Machine(
        label="this node", properties=known, resources={**texts, **resources}, total=total(resources)
    )


def way_to_meet(constraints: object, machine: Machine, *, alone: bool = False) -> Way:
    """The first way that fits the empty node and that nothing known speaks against; else the first of all."""
    try:
        ways = alternatives(parse(constraints))  # type: ignore[arg-type]
    except InvalidInput as error:
        # Somebody published what cannot be read. That message is not to end the node's worker.
        return Way(amounts={}, unfit=f"what it needs cannot be read ({error})")
    refusals = []
    for way in ways:
        verdicts = [(test, _verdict(test, machine, alone)) for test in way.tests]
        refused = [test for test, holds in verdicts if holds is False or (alone and holds is None)]
        if not refused and fits(way.needs, machine.total):
            return Way(amounts=way.needs, exclusive=way.sharing is Sharing.NOBODY)
        refusals.append(refused)
    first = ways[0]
    # One that only lacks room is told by its amounts; where every way is refused, by what refuses the first.
    why = "" if any(not refused for refused in refusals) else _why(refusals[0][0], machine)
    return Way(amounts=first.needs, exclusive=first.sharing is Sharing.NOBODY, unfit=why)


def _verdict(constraint: Constraint, machine: Machine, alone: bool) -> bool | None:
    """Does it hold of this node? None if the node does not know."""
    match constraint:
        case All(parts=parts):
            return _all(_verdict(part, machine, alone) for part in parts)
        case Any(parts=parts):
            return _negated(_all(_negated(_verdict(part, machine, alone)) for part in parts))
        case Exactly(parts=parts):
            verdicts = [_verdict(part, machine, alone) for part in parts]
            if verdicts.count(True) > 1:
                return False
            return None if None in verdicts else verdicts.count(True) == 1
        case Not(part=part):
            return _negated(_verdict(part, machine, alone))
        case NodeProperty(name=name) if name not in machine.properties:
            return None
        case NodeResource(name=name) if name not in machine.resources and not alone:
            return None
        case InPlacementGroup() if "placement_group" not in machine.properties:
            return None
    return holds(constraint, machine)


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    found = list(verdicts)
    if False in found:
        return False
    return None if None in found else True


def _negated(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _why(test: Constraint, machine: Machine) -> str:
    match test:
        case NodeProperty(name=name):
            return f"its {NODE}{name} is {_shown(name, machine.properties)}"
        case NodeResource(name=name):
            return f"its {name} is {_shown(name, machine.resources)}"
    return f"{shown(test.to_json())} does not hold of it"


def _shown(name: str, known: Mapping[str, ResourceValue]) -> str:
    return shown(known[name]) if name in known else "not known"
