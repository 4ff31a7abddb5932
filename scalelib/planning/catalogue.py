"""The different machines of a problem. Nodes that no constraint can tell apart are one machine here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Final

from scalelib import resources
from scalelib.bucket import Bucket
from scalelib.constraints import Constraint, Property, Resource
from scalelib.constraints.properties import PER_NODE
from scalelib.machine import Machine, family_of, label_of, of_bucket, of_node
from scalelib.node import Node, ResourceValue
from scalelib.planning.kinds import Kind
from scalelib.planning.reserved import Reservations, asks
from scalelib.policy import Policy

Level = tuple[int, int]
"""(number of the alternative, how far down its lists of values): lower is preferred."""

_Held = tuple[int, int, tuple[tuple[str, int], ...]]
"""What is told of machines from one number to another by counter: how many of the amounts are too small."""

_YES: Final[tuple[Level, ...]] = ((0, 0),)


class Catalogue:
    """Machines by number, and how each kind of job likes them."""

    def __init__(
        self, policy: Policy, buckets: Iterable[Bucket] = (), constraints: Iterable[Constraint] = ()
    ) -> None:
        self.machines: list[Machine] = []
        self._policy = policy
        buckets = list(buckets)
        self._reserved = Reservations(policy, lambda: [machine_of(each, None, policy) for each in buckets])
        self._opened_by: list[frozenset[str] | None] = []
        self._all_openings: set[frozenset[str]] = set()
        self._families = {bucket.id: family_of(bucket) for bucket in buckets}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._of_buckets: dict[tuple[str, str | None], int] = {}
        self._alike: dict[tuple[object, ...], int] = {}
        self._tables: dict[Kind, list[tuple[Level, ...]]] = {}
        self._columns: dict[str, tuple[list[int], list[int]]] = {}
        """What each machine has, by counter, and which amounts there are."""
        self._held: dict[_Held, list[tuple[Level, ...]]] = {}
        self._parent: Catalogue | None = None
        named = [each for constraint in constraints for each in constraint.walk()]
        named += [each for rule in policy.default_resources for each in rule.select.walk()]
        properties = {each.name for each in named if isinstance(each, Property)}
        self._resources = tuple(sorted({each.name for each in named if isinstance(each, Resource)}))
        if "ccnodeid" in self._resources:
            properties.add("node_id")
        self._told_apart_by = tuple(sorted(properties & PER_NODE))
        # A rule that reads a node's own name or software makes otherwise equal nodes different.
        self._one_by_one = any(
            rule.per_node and _is_per_node(str(rule.value)) for rule in policy.default_resources
        )

    def fork(self) -> Catalogue:
        """One that starts with the same machines; what it adds, this one does not see."""
        other = copy(self)
        other.machines, other._numbers = list(self.machines), dict(self._numbers)
        other._of_buckets = dict(self._of_buckets)
        other._tables, other._columns, other._held, other._parent = {}, {}, {}, self
        other._opened_by = list(self._opened_by)
        return other

    def of_node(self, node: Node) -> int:
        """The number of a node's machine."""
        alike = self._key(node)
        number = self._alike.get(alike)
        if number is None:
            number = self._alike[alike] = self._number(self.seen(node))
        return number

    def seen(self, node: Node) -> Machine:
        """The node as a machine of its own, with all of its resources, asked for or not."""
        return resources.machine(
            f"node {node.name}",
            self._properties(node),
            node.resources,
            self._policy.default_resources,
            node.software_configuration,
            built_in=not self._policy.disable_default_resources,
        )

    def _key(self, node: Node) -> tuple[object, ...]:
        """Nodes with equal keys are equal to every constraint and every rule."""
        own = tuple(sorted((k, str(type(v)), v) for k, v in node.resources.items())) if node.resources else ()
        if self._one_by_one:
            return (node.id, own)
        return (
            node.bucket_id,
            node.nodearray,
            node.vm_size,
            node.placement_group,
            node.spot,
            node.location,
            node.vcpu_count,
            node.pcpu_count,
            node.gpu_count,
            node.memory_gib,
            node.infiniband,
            node.managed,
            own,
            tuple(str(self._properties(node)[name]) for name in self._told_apart_by),
        )

    def _properties(self, node: Node) -> dict[str, ResourceValue]:
        return of_node(node, self._families.get(node.bucket_id, ""))

    def of_bucket(self, bucket: Bucket, group: str | None) -> int:
        """The number of the machine that a bucket would give in this placement group."""
        number = self._of_buckets.get((bucket.id, group))
        if number is None:
            machine = machine_of(bucket, group, self._policy)
            number = self._of_buckets[(bucket.id, group)] = self._number(machine)
        return number

    def promised(self, bucket: Bucket, group: str | None) -> Machine:
        """The machine that the cloud promises of a bucket, whatever its machines were seen to have."""
        return promised(bucket, group, self._policy)

    def _number(self, machine: Machine) -> int:
        """Its number; a new one if no machine like it was seen."""
        key = (
            tuple(sorted(machine.total.items())),
            tuple(
                sorted((name, str(type(value)), str(value)) for name, value in machine.properties.items())
                if self._one_by_one
                else [
                    (name, str(value))
                    for name, value in machine.properties.items()
                    if name not in PER_NODE or name in self._told_apart_by
                ]
            ),
            tuple(
                (name, type(machine.resources.get(name)), machine.resources.get(name))
                for name in self._resources
            ),
        )
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.machines)
            self.machines.append(machine)
        return number

    def levels(self, kind: Kind, machine: int) -> tuple[Level, ...]:
        """The ways in which an empty machine of this number would do for the kind, best first."""
        return self.table(kind)[machine]

    def table(self, kind: Kind) -> list[tuple[Level, ...]]:
        """The levels of the kind on every machine, by the machine's number."""
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = self._parent.table(kind) if self._parent else []
        if len(table) < len(self.machines):
            first = len(table)
            self._openings()
            only = kind.alternatives[0]
            if len(kind.alternatives) == 1 and not only.tests:
                # By far the most common, and asked a hundred thousand times with many kinds.
                more = self._holding(only.needs, first)
            else:
                more = [_levels(kind, machine) for machine in self.machines[first:]]
            opened = self._opened_from(first)
            if opened or table:
                more = [*table, *more]  # the parent's own stays as it is, and so does what kinds share
            for number, names in opened:
                if more[number]:
                    more[number] = tuple(e for e in more[number] if asks(kind.alternatives[e[0]], names))
            table = self._tables[kind] = more
        return table

    def is_reserved(self, machine: int) -> bool:
        """Is the machine of this number only for work that asks for what it has?"""
        return self.opened_by(machine) is not None

    def opened_by(self, machine: int) -> frozenset[str] | None:
        """What work has to ask for to be on the machine of this number; None: nothing."""
        return self._openings()[machine]

    def is_barred(self, kind: Kind) -> bool | None:
        """Is the kind kept off every machine that is reserved? None: off some of them."""
        self._openings()
        asked = {any(asks(way, names) for way in kind.alternatives) for names in self._all_openings}
        return None if len(asked) > 1 else asked == {False}

    def _openings(self) -> list[frozenset[str] | None]:
        """By the machine's number: what work has to ask for there; None: nothing."""
        found = self._opened_by
        if len(found) < len(self.machines):
            found.extend(self._reserved.opened_by(machine) for machine in self.machines[len(found) :])
            self._all_openings = {names for names in found if names is not None}
        return found

    def _opened_from(self, first: int) -> list[tuple[int, frozenset[str]]]:
        """The machines from this number on that are reserved, with what work has to ask for there."""
        if not self._all_openings:
            return []
        return [(n, names) for n, names in enumerate(self._opened_by) if n >= first and names is not None]

    def _holding(self, needs: Mapping[str, int], begin: int) -> list[tuple[Level, ...]]:
        """The levels of what only takes something, on the machines from this number on.

        Of thousands of kinds many are held by the same machines: they share a list.
        """
        columns = {counter: self._column(counter) for counter in needs}
        too_small = [(counter, bisect_left(columns[counter][1], amount)) for counter, amount in needs.items()]
        key = begin, len(self.machines), tuple(too_small)
        found = self._held.get(key)
        if found is None:
            found = [_YES] * (len(self.machines) - begin)
            for counter, amount in needs.items():
                here = columns[counter][0][begin:]
                if min(here) < amount:
                    found = [yes if has >= amount else () for yes, has in zip(found, here, strict=True)]
            self._held[key] = found
        return found

    def _column(self, counter: str) -> tuple[list[int], list[int]]:
        """What each machine has of it, and the different amounts that there are, least first."""
        column, amounts = self._columns.setdefault(counter, ([], []))
        for machine in self.machines[len(column) :] if len(column) < len(self.machines) else ():
            column.append(has := machine.total.get(counter, 0))
            place = bisect_left(amounts, has)
            if amounts[place : place + 1] != [has]:
                amounts.insert(place, has)
        return column, amounts

    def known_resources(self) -> set[str]:
        """Every name of a resource that some machine has."""
        return {name for machine in self.machines for name in machine.resources}


def machine_of(bucket: Bucket, group: str | None, policy: Policy) -> Machine:
    """The machine that a bucket would give in this placement group."""
    return resources.machine(
        label_of(bucket),
        of_bucket(bucket, group),
        resources.laid_over(bucket.resources, bucket.told),
        policy.default_resources,
        bucket.software_configuration,
        built_in=not policy.disable_default_resources,
    )


def promised(bucket: Bucket, group: str | None, policy: Policy) -> Machine:
    """The machine that the cloud promises there, whatever the bucket's machines were seen to have."""
    return machine_of(replace(bucket, told={}), group, policy)


def _is_per_node(reference: str) -> bool:
    name = reference.removeprefix("node.")
    return name in PER_NODE or name.startswith("software_configuration.")


def _levels(kind: Kind, machine: Machine) -> tuple[Level, ...]:
    ranks = [(i, way.rank(machine)) for i, way in enumerate(kind.alternatives)]
    return tuple((i, rank) for i, rank in ranks if rank is not None)
