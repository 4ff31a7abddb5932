"""The remote-control command that names every message a node has, so that one that nobody has can be told.

The account of a node only counts what waits for its time or its rate: there may be very many. This is asked
seldom, when the broker says that more is taken than the nodes account for.
"""

from __future__ import annotations

from typing import Any

from celery.worker.control import inspect_command


@inspect_command()
def claims(state: Any, **kwargs: Any) -> dict[str, Any]:
    """The ids of all tasks that this node has: running, held, waiting for their time or their rate."""
    gate = getattr(state.consumer, "resource_gate", None)
    if gate is None:
        return {"error": "this worker was given no resources (--resources, or CELERY_RESOURCES)"}
    return {"ok": sorted({request.id for request in (*gate.books.running, *gate.unstarted.requests())})}
