"""The task of the control queue: make a pass."""

from __future__ import annotations

import contextlib
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
    asked, every = self.request.get(schedule.ASKED_AT), self.request.get(schedule.ASKED_EVERY)
    covered = worker.requests.covered_by(asked, every)
    if covered is not None:
        return {"covered_by": covered}
    try:
        made = _make(schedule.asked_by(self.request.get))
    except PassIsRunning as busy:
        return {"covered_by": None, "error": str(busy)}
    return {
        "number": made.number,
        "ok": made.ok,
        "summary": report.summary(made),
        "launched": {f"{launch.nodearray}/{launch.vm_size}": launch.count for launch in made.plan.launch}
        if made.plan
        else {},
    }


def look_at_the_line() -> None:
    """Make a pass if something came into the control queue since the last one began.

    Called in the slot that makes passes while a line stands in that queue: what is asked at its end is not
    to wait until it is read.
    """
    control = worker.control()
    gap = control.settings.autoscaler.least_gap
    if control.lease.why_not() or not worker.requests.has_more(gap, _waiting):
        return
    with contextlib.suppress(PassIsRunning):
        _make("line")


worker.TakesPasses.look = staticmethod(look_at_the_line)


def _make(asked_by: str) -> report.Report:
    """A pass. Raises PassIsRunning."""
    control = worker.control()
    with worker.requests.pass_begins(control.settings.autoscaler.least_gap, _waiting):
        control.in_line = worker.requests.waiting
        worker.line.count_dropped(control.state)
        made = make_pass(control, patience=control.settings.autoscaler.lock_patience, asked_by=asked_by)
        worker.requests.pass_made(made.number, failed=bool(made.error))
    if made.again:
        autoscale.apply_async(ignore_result=True, headers={schedule.ASKED_BY: "again"})
    return made


def _waiting() -> int:
    """How many messages are in the control queue; none where the broker does not say, which the pass will
    tell.
    """
    try:
        depth = worker.control().broker.depths([schedule.CONTROL_QUEUE]).get(schedule.CONTROL_QUEUE)
    except BrokerError:
        return 0
    return 0 if depth is None else depth.waiting
