"""A control worker makes passes and takes notes; what a message asks for besides is not done.

Whoever can write to the control queue could otherwise have it send tasks in its own name: by the signatures
that a request carries (`link`, `link_error`, the rest of a chain, a chord), or by one of Celery's own tasks,
which run the signatures that they are given.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from celery import signals

_CARRIED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def keep_to_own_tasks(tasks: MutableMapping[str, Any], own: str) -> None:
    """Forget all tasks but those of this package: a message for another one is refused as unknown."""
    for name in [name for name in tasks if not name.startswith(own)]:
        del tasks[name]


def carry_nothing_on(task: Any = None, **_: Any) -> None:
    """Handler of `task_prerun`: the request as if it had named nothing that is to follow."""
    task.request.update(_CARRIED)


def be_narrow(app: Any) -> None:
    """For the rest of this process."""
    keep_to_own_tasks(app.tasks, f"{app.main}.")
    signals.task_prerun.connect(carry_nothing_on)
