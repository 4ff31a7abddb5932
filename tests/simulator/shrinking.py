"""A history that went wrong, made short: what is not needed for it is left out, the rest made small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulator.script import Script

MOST = 120
"""Histories that are tried for it."""


def shrink(script: Script, goes_wrong: Callable[[Script], bool]) -> Script:
    """The shortest script found that goes wrong as this one does."""
    tried, is_shorter = 0, True
    while is_shorter and tried < MOST:
        is_shorter = False
        for shorter in _shorter(script):
            tried += 1
            if tried > MOST:
                break
            if goes_wrong(shorter):
                script, is_shorter = shorter, True
                break
    return script


def _shorter(script: Script) -> Iterator[Script]:
    """The same with one part less, or with one part smaller; what shortens most comes first."""
    for number in range(len(script.faults)):
        yield replace(script, faults=script.faults[:number] + script.faults[number + 1 :])
    for number in range(len(script.batches)):
        if len(script.batches) > 1:
            yield replace(script, batches=script.batches[:number] + script.batches[number + 1 :])
    for number, batch in enumerate(script.batches):
        for smaller in {batch.count // 2, batch.count - 1} - {0, batch.count}:
            batches = list(script.batches)
            batches[number] = replace(batch, count=smaller)
            yield replace(script, batches=tuple(batches))
    for number, fault in enumerate(script.faults):
        if fault.seconds > 10.0:
            faults = list(script.faults)
            faults[number] = replace(fault, seconds=round(fault.seconds / 2))
            yield replace(script, faults=tuple(faults))
