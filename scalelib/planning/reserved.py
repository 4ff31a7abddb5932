"""Machines that are reserved for work that asks for what they have, such as a GPU.

What does not ask for it is kept off those that are there as well as off new ones: a GPU machine that other
work keeps busy is never idle, so it stays, and work for its GPUs finds it full and buys another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from scalelib.amounts import counter_of
from scalelib.constraints import Constraint, Not, Property, Resource
from scalelib.constraints.alternatives import Alternative
from scalelib.machine import Machine
from scalelib.policy import Policy
from scalelib.resources import BUILT_IN

_NAMING: Final = frozenset(
    {"name", "node_id", "nodearray", "bucket_id", "vm_size", "vm_family", "hostname", "hostname_or_uuid"}
    | {"private_ip", "instance_id", "ccnodeid"}
)
"""Who names a machine by one of these means it."""

_ALSO: Final = {"gpu_count": "ngpus"}
"""Properties that ask for a resource."""


class Reservations:
    """Which machines are reserved, and for whom."""

    def __init__(self, policy: Policy, of_buckets: Callable[[], Iterable[Machine]]) -> None:
        """`of_buckets`: the machines that all buckets would give; asked for if it matters, once."""
        self._policy, self._of_buckets = policy, of_buckets
        self._common: frozenset[str] | None = None

    def opened_by(self, machine: Machine) -> frozenset[str] | None:
        """The resources (and `infiniband`) of which work has to ask for one; None: it is for everybody."""
        said, gpus = self._said(machine)
        if said is False or (said is None and not gpus):
            return None
        if isinstance(said, tuple):
            return frozenset(said)
        more = {"infiniband"} if said and machine.properties.get("infiniband") else set()
        return frozenset(self._special(machine) | more | ({"ngpus"} if gpus else set()))

    def _said(self, machine: Machine) -> tuple[bool | tuple[str, ...] | None, bool]:
        """What the settings say of its nodearray, and whether it has GPUs."""
        if not machine.properties.get("managed"):
            return False, False
        gpus = machine.properties.get("gpu_count")
        nodearray = str(machine.properties.get("nodearray"))
        return self._policy.reserved_of(nodearray), isinstance(gpus, int) and gpus > 0

    def _special(self, machine: Machine) -> set[str]:
        """Resources that it has and that no machine has that is for everybody."""
        if self._common is None:
            common = set(BUILT_IN)
            for each in self._of_buckets():
                said, gpus = self._said(each)
                if said is False or (said is None and not gpus):
                    common |= each.resources.keys()
            self._common = frozenset(common)
        return set(machine.resources) - self._common


def asks(way: Alternative, names: frozenset[str]) -> bool:
    """Does it ask for one of these resources, or name the machine?"""
    if any(way.needs.get(counter_of(name, 0)) for name in names):
        return True
    return any(_asks(each, names) for test in way.tests for each in _positive(test))


def _asks(test: Constraint, names: frozenset[str]) -> bool:
    if not isinstance(test, Property | Resource):
        return False
    return test.name in _NAMING or _ALSO.get(test.name, test.name) in names


def _positive(test: Constraint) -> Iterator[Constraint]:
    """What it asks for; not what it rules out."""
    if isinstance(test, Not):
        return
    yield test
    for part in test.children:
        yield from _positive(part)
