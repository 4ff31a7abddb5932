"""What a pass writes down of what it saw, each document in one transaction. A look writes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from autoscaler_app.listening.activity import coming
from autoscaler_app.listening.notes import DROPPED
from autoscaler_app.listening.trust import FROM_BEFORE
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.asking import NAMED
from autoscaler_app.passes.observe.lately import busy_by_queue
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.observe.untimed import untimed_since


def learn_run_times(control: Control) -> None:
    """Count the runs that ended since the last pass; what is learnt survives a restart."""
    runs = [run for run in control.activity.take_runs() if run.queue]
    now, since = control.now(), control.busy_since
    control.busy = {} if since is None else busy_by_queue(runs, since, now)
    control.busy_since = now
    if not runs:
        return

    def counted(before: Any) -> Any:
        control.runtimes = Runtimes.from_json(before or {})
        for run in runs:
            control.runtimes.add(run.queue, run.seconds, run.at, run.count)
        return control.runtimes.to_json()

    control.state.change("runtimes", counted)


def remember(control: Control, sight: Sight) -> None:
    """Who was heard and what ran there, who takes nothing, how long nodes boot, when periodic tasks come."""
    asked = sight.asked
    control.state.heard(sight.heard)
    if control.trust is not None:
        control.trust.remember()
    elif control.state.fact(FROM_BEFORE) is not None:
        control.state.set_fact(FROM_BEFORE, None)
    control.state.change("hungry", lambda _: dict(sight.hungry))
    control.state.change(
        "untimed", lambda before: untimed_since(before or {}, sight.snapshot.queues, asked.now)
    )
    # A kind of which something may wait unseen is in use.
    idle = {
        queue.queue for queue in sight.snapshot.queues if not (queue.waiting or queue.due or queue.running)
    }
    used = asked.kinds.keys() - (idle & asked.depths.keys())
    control.state.kinds.use(used, asked.now, kept=timedelta(seconds=asked.settings.autoscaler.kinds_kept))
    control.state.change(DROPPED, lambda now: dict(Counter(now or {}) - Counter(asked.dropped)))
    named = {worker.nodename for view in asked.views.values() for worker in view.workers if worker.is_named}
    known = {name for host in asked.known.values() for name in host.nodenames} - {
        worker.nodename for view in asked.views.values() for worker in view.workers
    }
    control.state.change(NAMED, lambda before: sorted(named | (known & set(before or ()))))
    control.state.change("coming", lambda _: coming.to_json(asked.coming))
    boot_time = control.history.boot_time()
    if boot_time is not None:
        control.state.change("boot_seconds", lambda _: boot_time.total_seconds())
    control.periodic.remember(asked.periodic)
    if control.listener is not None:
        control.state.looked()
