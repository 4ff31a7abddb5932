"""What keeps nodes that would go: each hold ends, by evidence or a few at a time, and warns until then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes import report
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import DeleteReason, KeepReason
from autoscaler_app.passes.snapshot import HostSeen, Snapshot
from tests.unit.autoscaler_app.conftest import LONG_AGO, NOW, host, node, times

Make = Callable[..., Snapshot]
SILENT = 601.0
"""Seconds: a little longer than `silent_timeout`."""
LONG_SILENT = 1201.0
"""A little longer than twice that."""


def silent(numbers: range, seconds: float = SILENT) -> list[HostSeen]:
    return [host(n, heard_seconds_ago=seconds) for n in numbers]


def gone(seen: Snapshot) -> list[str]:
    return [entry.node for entry in decide(seen).plan.delete]


@pytest.mark.parametrize(
    ("count", "heard", "goes"), [(3, 0, True), (4, 0, False), (4, 4, False), (4, 5, True)]
)
def test_how_many_silent_hosts_are_too_many(snapshot: Make, count: int, heard: int, goes: bool) -> None:
    """More than `unhealthy_least` (3), and more than the share `unhealthy_share` (0.45) of them."""
    numbers = range(1, count + heard + 1)
    hosts = [*silent(range(1, count + 1)), *(host(n) for n in numbers[count:])]
    assert len(gone(snapshot(nodes=[node(n) for n in numbers], hosts=hosts))) == (count if goes else 0)


def test_hosts_that_went_silent_and_nodes_that_never_joined_have_one_cause(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(n) for n in range(1, 9)],
        hosts=silent(range(1, 5)),
        history={f"id-{n}": times(ready=NOW - timedelta(seconds=300)) for n in range(1, 9)},
    )
    plan = decide(seen).plan
    assert plan.delete == ()
    held = [entry.detail for entry in plan.keep if entry.reason is KeepReason.HELD_BACK]
    assert len(held) == 8
    assert sum("never-joined" in detail for detail in held) == 4


def test_who_is_held_back_is_a_warning_that_says_what_ends_it(snapshot: Make) -> None:
    made = decide(snapshot(nodes=[node(n) for n in range(1, 6)], hosts=silent(range(1, 6)))).plan
    (warning,) = made.warnings
    for part in (
        "worker-1, worker-2, worker-3 and 2 more",
        "5 of 5",
        "started after",
        "600 s",
        "3 at a time",
    ):
        assert part in warning
    said = report.summary(report.Report(started=NOW, plan=made))
    assert "held-back 5" in said
    assert "nothing to do" not in said


@pytest.mark.parametrize(
    ("began", "heard", "goes", "why"),
    [
        (NOW - timedelta(seconds=600), 1.0, True, "a new node reaches us: those did not"),
        (NOW - timedelta(seconds=602), 1.0, False, "it was there already"),
        (NOW - timedelta(seconds=500), None, False, "it is not heard either"),
        (None, 1.0, False, "nobody knows when it started"),
    ],
)
def test_the_hold_ends_when_a_worker_is_heard_that_started_since(
    snapshot: Make, began: Any, heard: float | None, goes: bool, why: str
) -> None:
    hosts = [*silent(range(1, 6)), host(6, began=began, heard_seconds_ago=heard)]
    seen = snapshot(nodes=[node(n) for n in range(1, 7)], hosts=hosts)
    assert len(gone(seen)) == (5 if goes else 0), why


def test_nodes_that_never_joined_go_then_too_if_they_were_up_before_it(snapshot: Make) -> None:
    hosts = [*silent(range(1, 6)), host(6, began=NOW - timedelta(seconds=400))]
    up = {7: NOW - timedelta(seconds=401), 8: NOW - timedelta(seconds=399)}
    seen = snapshot(
        nodes=[node(n) for n in range(1, 9)],
        hosts=hosts,
        history={f"id-{n}": times(created=LONG_AGO, ready=up.get(n, LONG_AGO)) for n in range(1, 9)},
    )
    assert gone(seen) == [f"worker-{n}" for n in (1, 2, 3, 4, 5, 7)]


def test_without_any_evidence_it_ends_a_few_at_a_time_the_longest_silent_first(snapshot: Make) -> None:
    hosts = [host(n, heard_seconds_ago=LONG_SILENT + n) for n in range(1, 11)]
    nodes = [node(n) for n in range(1, 11)]
    seen = snapshot(nodes=nodes, hosts=hosts)
    assert sorted(gone(seen)) == ["worker-10", "worker-8", "worker-9"]
    for n in (9, 8):
        nodes[n] = node(n + 1, TargetState="Terminated")
    seen = snapshot(nodes=nodes, hosts=hosts)
    assert gone(seen) == ["worker-8"], "the next when those are gone"
    seen = snapshot(nodes=nodes[:6], hosts=hosts[:6])
    assert sorted(gone(seen)) == ["worker-4", "worker-5", "worker-6"]
    seen = snapshot(nodes=nodes[:3], hosts=hosts[:3])
    assert len(gone(seen)) == 3, "no more than may be broken"


def test_nodes_that_never_joined_go_a_few_at_a_time_as_well(snapshot: Make) -> None:
    seen = snapshot(
        nodes=[node(n) for n in range(1, 9)],
        hosts=silent(range(1, 5)),
        history={f"id-{n}": times(ready=NOW - timedelta(seconds=779 + n)) for n in range(1, 9)},
    )
    assert gone(seen) == ["worker-6", "worker-7", "worker-8"]


def test_what_is_kept_whatever_happens_takes_nobodys_place_among_the_few(snapshot: Make) -> None:
    kept = {1: {"KeepAlive": True}, 2: {"TargetState": "Terminated"}}
    seen = snapshot(
        nodes=[node(n, **kept.get(n, {})) for n in range(1, 9)], hosts=silent(range(1, 9), LONG_SILENT)
    )
    assert gone(seen) == ["worker-3", "worker-4"]


def test_an_open_circuit_breaker_is_a_warning_too(snapshot: Make) -> None:
    """What ends that is the provider's: see its table."""
    seen = snapshot(nodes=[node(1)], hosts=silent(range(1, 2)), hold="half of the nodes failed")
    made = decide(seen).plan
    assert made.delete == ()
    assert made.warnings == ("worker-1 would be ended, but half of the nodes failed",)
    assert [
        entry.reason for entry in decide(snapshot(nodes=[node(1)], hosts=silent(range(1, 2)))).plan.delete
    ] == [DeleteReason.SILENT]
