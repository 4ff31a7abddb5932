"""Learning of the requests that are to wait for their time or their rate, and of no others.

Celery's signal `task_received` tells of all, and to send it costs more than anything else that a node does
for a task. A strategy takes what is replaced here when the consumer starts, after the steps were made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tell_of_postponed(consumer: Any, postponed: Callable[[Any], None]) -> None:
    """From now on, in this worker."""
    timer, limit, call_at = consumer.timer, consumer._limit_task, consumer.timer.call_at
    in_time = (consumer.apply_eta_task, consumer._limit_post_eta)

    def _limit_task(request: Any, *args: Any) -> Any:
        postponed(request)
        return limit(request, *args)

    def _call_at(eta: float, fun: Any, args: Any = (), *others: Any, **options: Any) -> Any:
        if fun in in_time:
            postponed(args[0])
        return call_at(eta, fun, args, *others, **options)

    consumer._limit_task, timer.call_at = _limit_task, _call_at
