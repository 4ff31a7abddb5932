"""The engine: jobs and nodes in, a demand for machines out. No Celery, no HTTP, no clock inside."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalelib import demandcalculator
    from scalelib.demand import Demand, Launch, NodeReason, NodeVerdict, Unserved, UnservedReason
    from scalelib.demandcalculator import DemandCalculator, new_demand_calculator
    from scalelib.history import MemoryNodeHistory, NodeHistory, NodeTimes, SQLiteNodeHistory
    from scalelib.job import Job
    from scalelib.node import Node, NodeId, NodeState, SchedulerNode
    from scalelib.planner import Problem, calculate
    from scalelib.policy import Policy
    from scalelib.printer import print_demand

__all__ = [
    "Demand",
    "DemandCalculator",
    "Job",
    "Launch",
    "MemoryNodeHistory",
    "Node",
    "NodeHistory",
    "NodeId",
    "NodeReason",
    "NodeState",
    "NodeTimes",
    "NodeVerdict",
    "Policy",
    "Problem",
    "SQLiteNodeHistory",
    "SchedulerNode",
    "Unserved",
    "UnservedReason",
    "calculate",
    "demandcalculator",
    "new_demand_calculator",
    "print_demand",
]

_WHERE = {
    "Demand": "scalelib.demand",
    "DemandCalculator": "scalelib.demandcalculator",
    "Job": "scalelib.job",
    "Launch": "scalelib.demand",
    "MemoryNodeHistory": "scalelib.history",
    "Node": "scalelib.node",
    "NodeHistory": "scalelib.history",
    "NodeId": "scalelib.node",
    "NodeReason": "scalelib.demand",
    "NodeState": "scalelib.node",
    "NodeTimes": "scalelib.history",
    "NodeVerdict": "scalelib.demand",
    "Policy": "scalelib.policy",
    "Problem": "scalelib.planner",
    "SQLiteNodeHistory": "scalelib.history",
    "SchedulerNode": "scalelib.node",
    "Unserved": "scalelib.demand",
    "UnservedReason": "scalelib.demand",
    "calculate": "scalelib.planner",
    "new_demand_calculator": "scalelib.demandcalculator",
    "print_demand": "scalelib.printer",
    "demandcalculator": "scalelib.demandcalculator",
}


def __getattr__(name: str) -> Any:
    # Not earlier: who wants one error of the engine, a command that reads a file say, needs no planner.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_WHERE[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
