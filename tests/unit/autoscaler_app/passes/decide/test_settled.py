"""Of two nodes of which one would do, the one goes whose work ends soon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.snapshot import Snapshot
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node, times
from tests.unit.autoscaler_app.passes.decide.test_capacity import job

Make = Callable[..., Snapshot]


def test_where_something_has_run_for_long_is_needed_before_where_it_was_needed_before(snapshot: Make) -> None:
    """`idle_timeout` is 300 s; the other one was needed at the last look, and is idle now."""
    before = NOW - timedelta(seconds=15)
    for so_far, fenced in ((76.0, "ip-1"), (74.0, "ip-2")):
        seen = snapshot(
            nodes=[node(1), node(2)],
            hosts=[host(1), host(2, running=1)],
            jobs=[job(2, so_far)],
            history={
                "id-1": times(last_needed=before, last_active=before),
                "id-2": times(last_needed=LONG_AGO, last_active=before),
            },
        )
        needed = decide(seen).needed
        assert needed == {"id-2" if fenced == "ip-1" else "id-1"}
