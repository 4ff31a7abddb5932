"""A task that runs where it is called (`apply`, `task_always_eager`) is checked as if it were sent, and told.

Celery neither asks its router there nor has a hook for it: the method itself is replaced, once for all apps,
and does as before for those without resources. What is routed is nothing; what is needed is known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from celery import Task, signals

from celery_resources.need.header import HEADER, RESOURCES, tell_needs, to_send
from celery_resources.need.requirement import Requirement

Needs = Callable[[Any, Any, dict[str, Any], Any, Any], Requirement | None]


def check_eager(needs_of: Needs) -> None:
    """From now on, in this process. May be called twice.

    `needs_of(app, task, options, args, kwargs)` says what a call needs, or raises; None if nothing is said.
    """
    if not hasattr(Task.apply, "checks"):
        Task.apply = _checking(Task.apply, needs_of)


def tell_eager(task: Any = None, **kwargs: Any) -> None:
    """As the signal before a run: the task finds in its request what it finds on a node."""
    request = task.request
    headers = (request.headers or {}) if request.is_eager else {}
    if HEADER in headers:
        request.__dict__[HEADER] = headers[HEADER]
        if RESOURCES not in headers:  # else the user's own
            tell_needs(request.__dict__)


def _checking(whole: Callable[..., Any], needs_of: Needs) -> Callable[..., Any]:
    @functools.wraps(whole)
    def apply(self: Any, args: Any = None, kwargs: Any = None, *others: Any, **options: Any) -> Any:
        needs = needs_of(self.app, self, options, args or (), kwargs or {})
        if options.get("headers"):
            options["headers"] = to_send(options["headers"])
        if needs is not None:
            options["headers"] = {**(options.get("headers") or {}), HEADER: needs.to_json()}
        if HEADER in (options.get("headers") or {}):
            # Not before: on a worker each receiver of the signal costs every task that runs.
            signals.task_prerun.connect(tell_eager)
        return whole(self, args, kwargs, *others, **options)

    apply.checks = True  # type: ignore[attr-defined]
    return apply
