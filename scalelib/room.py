"""What a machine has, and what of it a plan leaves free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from scalelib.amounts import MEMORY, MEMORY_UNITS, MILLION, counter_of, is_amount, is_size, size_in_bytes
from scalelib.machine import Machine
from scalelib.node import ResourceValue

_SIZES: Final = (("t", 1024**4), ("g", 1024**3), ("m", 1024**2), ("k", 1024))


@dataclass(frozen=True, slots=True)
class Room:
    """One machine's resources. Machines that are equal in all share one."""

    machine: Machine
    counters: tuple[str, ...]
    """What anybody takes from; of all else, all is free."""
    left: tuple[int, ...]
    """What is free of each, in whole units of the counter."""

    @property
    def resources(self) -> Mapping[str, ResourceValue]:
        """All that it has, by name: its own, those of `default_resources`, and the built-in ones."""
        return {name: _told(value) for name, value in self.machine.resources.items()}

    def free(self, name: str) -> ResourceValue:
        """What is free of an amount, in the unit of its name; what is no amount as it is."""
        value = self.machine.resources.get(name)
        if not is_amount(value) or (counter := counter_of(name, value)) not in self.counters:
            return _told(value)
        left = self.left[self.counters.index(counter)]
        if isinstance(value, str):
            whole = left if counter == MEMORY else left // MILLION
            return f"{value.partition('::')[0]}::{_size(whole)}"
        number = Decimal(left) / MEMORY_UNITS.get(name, MILLION)
        return int(number) if number == number.to_integral_value() else float(number)


def _told(value: ResourceValue) -> ResourceValue:
    """Sizes as people write them."""
    if not isinstance(value, str) or not is_size(value):
        return value
    return f"{value.partition('::')[0]}::{_size(int(size_in_bytes(value)))}"


def _size(number: int) -> str:
    """So many bytes in the largest unit that divides them."""
    return next(
        (f"{number // size}{unit}" for unit, size in _SIZES if number and not number % size), f"{number}b"
    )
