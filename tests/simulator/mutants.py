"""The product with one line broken, each in a way that one of the checks is there for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal
from unittest.mock import patch

from autoscaler_app.passes import way_out
from autoscaler_app.passes.act import housekeeping
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.decide import situation
from autoscaler_app.passes.observe import asking
from cyclecloud_api import limits
from scalelib import planner
from scalelib.errors import CloudTrouble
from tests.simulator.script import Batch, Fault, Kind, Script

Broken = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One line, and the check that has to see it."""

    line: str
    """What is broken, for people."""
    check: str
    script: Script
    """In which it shows."""
    broken: Broken


def _script(*parts: Batch | Fault, seed: int = 1, broker: Literal["redis", "rabbitmq"] = "redis") -> Script:
    return Script(
        seed=seed,
        broker=broker,
        batches=tuple(part for part in parts if isinstance(part, Batch)),
        faults=tuple(part for part in parts if isinstance(part, Fault)),
    )


def _again(deeds: Deeds) -> None:
    deeds.actions, deeds.launched, deeds.again = [], [], True


_calculate = planner.calculate
_slots_wanted = situation.slots_wanted


def _without_reasons(problem: Any) -> Any:
    return replace(_calculate(problem), unserved=())


def _fails(control: Any, deeds: Any) -> None:
    raise CloudTrouble("the sweep does not work")


MUTANTS = (
    Mutant(
        line="a node is ended when it is fenced, without its worker's last word",
        check="busy",
        script=_script(
            Batch(at=0.0, count=2, cores=1, seconds=42),
            Batch(at=92.0, count=4, cores=2, seconds=10),
            seed=84,
            broker="rabbitmq",
        ),
        broken=lambda: patch.object(way_out, "deed_for", lambda drain, view: "delete"),
    ),
    Mutant(
        line="workers of nodes that the cloud does not list are not asked whether they live",
        check="twice",
        script=_script(
            Batch(at=0.0, count=6, cores=2, seconds=120),
            Fault(kind=Kind.LIE, at=85.0, seconds=80.0, what="missing"),
        ),
        broken=lambda: patch.object(asking, "_not_listed", lambda *_: ()),
    ),
    Mutant(
        line="the tasks of the dead are not given back, nor are those that nobody has",
        check="lost",
        script=_script(Batch(at=0.0, count=2, cores=2, seconds=60), Fault(kind=Kind.VANISH, at=90.0)),
        broken=lambda: patch.multiple(housekeeping, bury_the_dead=lambda *_: None, give_back=lambda *_: None),
    ),
    Mutant(
        line="nodes that can give no certificate are not cleaned up",
        check="deadline",
        script=_script(
            Batch(at=10.0, count=1, cores=2, seconds=55),
            Fault(kind=Kind.MISHAP, at=1.0, what="configuration"),
        ),
        broken=lambda: patch.object(way_out, "CLEAN_UP", ()),
    ),
    Mutant(
        line="what the cloud can still give is not looked at",
        check="limit",
        script=_script(
            Batch(at=0.0, count=12, cores=1, seconds=100), Batch(at=1.5, count=12, cores=2, seconds=100)
        ),
        broken=lambda: patch.object(limits, "_left", lambda *_: 100),
    ),
    Mutant(
        line="what has no place is not named",
        check="reason",
        script=_script(
            Batch(at=0.0, count=12, cores=2, seconds=100), Batch(at=70.0, count=1, cores=4, seconds=10)
        ),
        broken=lambda: patch.object(planner, "calculate", _without_reasons),
    ),
    Mutant(
        line="what fails beside the work ends the pass",
        check="converge",
        script=_script(Batch(at=0.0, count=1, cores=1, seconds=10)),
        broken=lambda: patch.object(housekeeping, "sweep", _fails),
    ),
    Mutant(
        line="every pass asks for another one",
        check="storm",
        script=_script(Batch(at=0.0, count=1, cores=1, seconds=10)),
        broken=lambda: patch.object(Deeds, "__init__", _again),
    ),
    Mutant(
        line="four slots are wanted for each",
        check="money",
        script=_script(Batch(at=0.0, count=2, cores=4, seconds=2, gap=6.0), seed=39),
        broken=lambda: patch.object(situation, "slots_wanted", lambda **seen: 4 * _slots_wanted(**seen)),
    ),
)
