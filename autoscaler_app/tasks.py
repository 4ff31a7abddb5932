"""The tasks of the control queue: make a pass, and take what producers and nodes have to say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from autoscaler_app import schedule
from autoscaler_app.celery import app
from autoscaler_app.passes import report
from autoscaler_app.passes.lock import PassIsRunning
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.worker import steps as worker
from celery_resources import Requirement

log = logging.getLogger(__name__)


# Not shared: no other app of this process, such as the one that a node runs, is to know these tasks.
@app.task(name=schedule.AUTOSCALE, bind=True, expires=60, shared=False)
def autoscale(self: Any) -> dict[str, Any]:
    """Make a pass, unless one that began to look after this was asked for has covered it already.

    Returns the summary of the pass, or `covered_by`: the number of the earlier pass that covers this request.
    A thousand calls cost one pass and at most one more.
    """
    control = worker.control()
    asked, every = self.request.get(schedule.ASKED_AT), self.request.get(schedule.ASKED_EVERY)
    covered = worker.requests.covered_by(asked, every or 0.0) if asked is not None else None
    if covered is not None:
        return {"covered_by": covered}
    try:
        with worker.requests.pass_begins(gap=control.settings.autoscaler.least_gap):
            made = make_pass(control, patience=control.settings.autoscaler.lock_patience)
            worker.requests.pass_made(made.number, failed=bool(made.error))
    except PassIsRunning as busy:
        return {"covered_by": None, "error": str(busy)}
    if made.again:
        autoscale.apply_async(ignore_result=True)
    return {
        "number": made.number,
        "ok": made.ok,
        "summary": report.summary(made),
        "launched": {f"{launch.nodearray}/{launch.vm_size}": launch.count for launch in made.plan.launch}
        if made.plan
        else {},
    }


# Acknowledged when it is in the state file: a control worker that is killed before gets it again. So every
# note may come twice.
@app.task(name=schedule.NOTE, ignore_result=True, shared=False, acks_late=True)
def note(kind: str, **facts: Any) -> None:
    """Take a note: a new queue is announced, a node's worker has shut down cleanly, a gang has ended."""
    control = worker.control()
    if kind == "announce":
        try:
            queue, requirement = _text(facts, "queue"), Requirement.from_json(facts["requirement"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _drop(kind, facts, error)
        is_new = queue not in control.state.queue_kinds()
        control.state.announce(queue, requirement.to_json(), control.now())
        if is_new:
            autoscale.apply_async(ignore_result=True)
    elif kind == "left":
        if control.trust is not None:
            believed = control.trust.farewell({"kind": kind, **facts}, control.now())
            if believed is None:
                return None
            facts = dict(believed)
        try:
            hostname, nodename = _text(facts, "hostname"), _text(facts, "nodename")
        except (KeyError, TypeError) as error:
            return _drop(kind, facts, error)
        # A note that comes late must not count for the life after the one that it is of.
        is_gone = control.activity.forget_worker(nodename, facts.get("pid"))
        if is_gone and control.state.last_word(hostname, nodename):
            autoscale.apply_async(ignore_result=True)
    elif kind == "gang-ended":
        autoscale.apply_async(ignore_result=True)
    else:
        log.warning("a note of unknown kind %r was dropped: %s", kind, facts)
    return None


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} is {value!r}; a text would be right")
    return value


def _drop(kind: str, facts: Mapping[str, Any], error: Exception) -> None:
    log.warning(
        "a note (%s) that cannot be read was dropped: %s: %s: %s", kind, facts, type(error).__name__, error
    )
