"""What the workers of every host do, as they say it themselves, and what is announced for later."""

from __future__ import annotations

from autoscaler_app.listening.activity.accounts import Change, ChangeKind, Counters, Run, Sent
from autoscaler_app.listening.activity.belief import Activity
from autoscaler_app.listening.activity.coming import ComingTask
from autoscaler_app.listening.activity.hosts import (
    HeldTask,
    HostView,
    RunningTask,
    WorkerView,
    at_work,
    process_name,
)

__all__ = [
    "Activity",
    "Change",
    "ChangeKind",
    "ComingTask",
    "Counters",
    "HeldTask",
    "HostView",
    "Run",
    "RunningTask",
    "Sent",
    "WorkerView",
    "at_work",
    "process_name",
]
