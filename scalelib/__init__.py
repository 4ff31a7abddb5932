"""The engine: jobs and nodes in, a demand for machines out. No Celery, no HTTP, no clock inside."""

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
