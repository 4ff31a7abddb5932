"""The control side: a Celery app that sizes the cluster its tasks run on.

    >>> from autoscaler_app import autoscale
    >>> autoscale.delay()

`app` and `autoscale` are imported when they are asked for: every `celery` command on this machine, a node's
worker too, imports this package to find out that it brings a command. The tasks are imported by who runs
them: a command that reads the state file needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoscaler_app.celery import app
    from autoscaler_app.tasks import autoscale

__all__ = ["app", "autoscale"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from autoscaler_app.celery import app

        return app
    if name == "autoscale":
        from autoscaler_app.tasks import autoscale

        return autoscale
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
