"""The times of a plain interval follow from what was seen to be sent, if that keeps the rhythm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.periodic.rhythm import LOST, SLACK, beats, follow

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
TEN = timedelta(minutes=10)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("sent", "last", "why"),
    [
        ([], None, "nothing was heard"),
        ([0], 0, "the first that is heard begins it"),
        ([0, 10, 20.2], 20.2, "each a little later"),
        ([0, 3, 7, 10], 10, "by hand, in between"),
        ([0, 3, 7], 0, "by hand only"),
        ([0, 20], 20, "one went unheard"),
        ([0, 4, 14, 24], 24, "beat was started anew: after a while its new rhythm counts"),
        ([20, 0, 10], 20, "told in any order"),
    ],
)
def test_the_rhythm_is_found_among_what_was_sent(sent: list[float], last: float | None, why: str) -> None:
    found = follow(None, TEN, [at(minutes) for minutes in sent])
    assert found == (None if last is None else at(last)), why


def test_in_parts_is_as_at_once() -> None:
    moments = [at(minutes) for minutes in (0, 3, 10, 12, 20)]
    last = None
    for moment in moments:
        last = follow(last, TEN, [moment])
    assert last == follow(None, TEN, moments) == at(20)


@pytest.mark.parametrize(
    ("last", "now", "coming", "why"),
    [
        (None, 0, [], "not known"),
        (0, 1, [10, 20, 30], "one after the other, until the end"),
        (0, 10, [20, 30], "not the one that is due now"),
        (0, 12, [20, 30], "this one is late, or was not heard"),
        (0, 16, [], "beat was stopped"),
        (5, 0, [], "the clock was set back"),
    ],
)
def test_what_comes_follows_from_the_rhythm(
    last: float | None, now: float, coming: list[float], why: str
) -> None:
    found = list(beats(None if last is None else at(last), TEN, at(now), at(30)))
    assert found == [at(minutes) for minutes in coming], why


@given(
    every=st.floats(1, 86_400),
    lates=st.lists(st.floats(0, SLACK * 0.9), min_size=2, max_size=20),
    others=st.lists(st.floats(0, 20), max_size=20),
)
def test_beat_is_followed_whoever_else_sends_the_same(
    every: float, lates: list[float], others: list[float]
) -> None:
    """However often others send the same, what is known is never older than what counts as lost."""
    interval = timedelta(seconds=every)
    ours = [NOON + number * interval + late * interval for number, late in enumerate(lates)]
    foreign = [NOON + share * interval for share in others if NOON + share * interval > ours[0]]
    last = follow(None, interval, [moment for moment in (*ours, *foreign) if moment <= ours[-1]])
    assert last is not None
    assert ours[-1] - last <= LOST * interval


def test_what_is_sent_again_at_once_moves_no_rhythm() -> None:
    """By hand, or told twice: the next is an interval after the one that kept it."""
    assert follow(at(0), TEN, [at(0.2), at(0.9)]) == at(0)
