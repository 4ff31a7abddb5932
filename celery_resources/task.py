"""A task class for apps that would rather choose a class than call a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Task

from celery_resources.install import with_resources


class ResourceTask(Task):
    """`Celery(..., task_cls="celery_resources:ResourceTask")` does what `with_resources(app)` does."""

    abstract = True

    constraints: Mapping[str, Any] | None = None
    """What one run needs of each node: `{"ncpus": 4, "memgb": 8}`."""
    node_count: int | None = None
    """How many nodes one run needs."""
    colocated: bool | None = None
    """Whether those nodes are in one placement group."""
    exclusive: bool | None = None
    """Whether nothing else may run there meanwhile."""

    @classmethod
    def bind(cls, app: Any) -> Any:
        """Called by Celery for each task of the app."""
        with_resources(app)
        return super().bind(app)
