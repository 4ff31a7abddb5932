"""The circuit breaker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cyclecloud_api.breaker import Breaker, BreakerState, Health, judge

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WELL = Health(nodes=10, unhealthy=0, up=10)
EMPTY = Health(nodes=0, unhealthy=0)
ILL = Health(nodes=10, unhealthy=5)


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("health", "state"),
    [
        (Health(nodes=0, unhealthy=0), BreakerState.CLOSED),
        (Health(nodes=2, unhealthy=2), BreakerState.CLOSED),
        (Health(nodes=3, unhealthy=3), BreakerState.OPEN),
        (Health(nodes=10, unhealthy=4), BreakerState.CLOSED),
        (Health(nodes=10, unhealthy=5), BreakerState.OPEN),
        (Health(nodes=10, unhealthy=0, failed_creates=[NOON] * 9), BreakerState.CLOSED),
        (Health(nodes=10, unhealthy=0, failed_creates=[NOON] * 10), BreakerState.OPEN),
        (Health(nodes=10, unhealthy=0, failed_creates=[later(-11)] * 10), BreakerState.CLOSED),
    ],
)
def test_it_opens_for_a_share_of_nodes_or_a_number_of_creates(health: Health, state: BreakerState) -> None:
    assert judge(Breaker(), health, NOON).state is state


def test_open_means_neither_growth_nor_deletes_and_says_why() -> None:
    breaker = judge(Breaker(), ILL, NOON)
    assert not breaker.may_grow
    assert not breaker.may_delete
    assert breaker.reason == "5 of 10 nodes are unhealthy (limit 45%)"
    assert breaker.since == NOON


def test_it_closes_as_soon_as_all_is_well() -> None:
    assert judge(judge(Breaker(), ILL, NOON), WELL, later(1)) == Breaker()


def test_after_a_rest_it_is_tried_gently_and_opens_again_if_nothing_is_better() -> None:
    breaker = judge(Breaker(), ILL, NOON)
    assert judge(breaker, ILL, later(9.9)).state is BreakerState.OPEN
    breaker = judge(breaker, ILL, later(10))
    assert breaker.state is BreakerState.TRYING
    assert breaker.may_grow
    assert breaker.may_delete
    assert breaker.gently
    assert judge(breaker, ILL, later(14.9)).state is BreakerState.TRYING
    assert judge(breaker, WELL, later(14)) == Breaker()
    again = judge(breaker, ILL, later(15))
    assert (again.state, again.since) == (BreakerState.OPEN, later(15))


def test_it_does_not_close_before_a_node_is_up_to_prove_it() -> None:
    """Or else a fleet whose every node fails would be bought again and again."""
    breaker = judge(Breaker(), ILL, NOON)
    breaker = judge(breaker, EMPTY, later(1))
    assert breaker.state is BreakerState.TRYING
    assert breaker.gently
    one_boots = Health(nodes=1, unhealthy=0)
    one_failed = Health(nodes=1, unhealthy=1)
    for minute, health in enumerate((one_boots, one_failed, EMPTY, one_boots), start=2):
        breaker = judge(breaker, health, later(minute * 10))
        assert breaker.gently
    assert judge(breaker, Health(nodes=1, unhealthy=0, up=1), later(60)) == Breaker()
