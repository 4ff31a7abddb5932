"""The tasks of the control queue: make a pass, and take what producers and nodes have to say."""

from __future__ import annotations

from typing import Any

from autoscaler_app import schedule
from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.celery import app
from autoscaler_app.passes import report
from autoscaler_app.passes.lock import PassIsRunning
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.worker import steps as worker


# Not shared: no other app of this process, such as the one that a node runs, is to know these tasks.
@app.task(name=schedule.AUTOSCALE, bind=True, expires=60, shared=False)
def autoscale(self: Any) -> dict[str, Any]:
    """Make a pass, unless one that began to look after this was asked for has covered it already.

    Returns the summary of the pass, or `covered_by`: the number of the earlier pass that covers this request.
    A thousand calls cost one pass and at most one more.
    """
    control = worker.control()
    asked, every = self.request.get(schedule.ASKED_AT), self.request.get(schedule.ASKED_EVERY)
    covered = worker.requests.covered_by(asked, every)
    if covered is not None:
        return {"covered_by": covered}
    try:
        with worker.requests.pass_begins(control.settings.autoscaler.least_gap, _in_line):
            by = schedule.asked_by(self.request.get)
            made = make_pass(control, patience=control.settings.autoscaler.lock_patience, asked_by=by)
            worker.requests.pass_made(made.number, failed=bool(made.error))
    except PassIsRunning as busy:
        return {"covered_by": None, "error": str(busy)}
    if made.again:
        autoscale.apply_async(ignore_result=True, headers={schedule.ASKED_BY: "again"})
    return {
        "number": made.number,
        "ok": made.ok,
        "summary": report.summary(made),
        "launched": {f"{launch.nodearray}/{launch.vm_size}": launch.count for launch in made.plan.launch}
        if made.plan
        else {},
    }


def _in_line() -> int:
    """How many requests are in the queue; none where the broker does not say, which the pass will tell."""
    try:
        depth = worker.control().broker.depths([schedule.CONTROL_QUEUE]).get(schedule.CONTROL_QUEUE)
    except BrokerError:
        return 0
    return 0 if depth is None else depth.waiting


# Acknowledged when it is in the state file: a control worker that is killed before gets it again.
@app.task(name=schedule.NOTE, ignore_result=True, shared=False, acks_late=True)
def note(kind: str = "", **facts: Any) -> None:
    """Take a note of a producer or node of a version before notes had a queue of their own."""
    if worker.take_notes([{"kind": kind, **facts}]):
        autoscale.apply_async(ignore_result=True, headers={schedule.ASKED_BY: "news"})
