"""Nothing counts twice: not in its life, not in another, not later, not from the future."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_resources.trust import replay
from celery_resources.trust.replay import PATIENCE, WIDTH, Growing, Lives, Window, next_count
from celery_resources.trust.signing import Said

NOW = 1_790_000_000.0
SAID = Said(node="celery@n1", pid=7, life=NOW - 50, count=1, at=NOW, key="K")


@given(st.lists(st.integers(min_value=-5, max_value=3 * WIDTH), max_size=300))
def test_a_count_is_taken_once_in_whatever_order_they_come(counts: list[int]) -> None:
    window, taken = Window(), [-1]
    for count in counts:
        expected = count >= 0 and count not in taken and count > max(taken) - WIDTH
        assert window.takes(count) is expected
        if expected:
            taken.append(count)


def test_what_was_said_once_is_not_believed_again() -> None:
    lives = Lives()
    assert lives.why_not(SAID, NOW) == ""
    assert lives.why_not(SAID, NOW) == "it was said before"
    assert lives.why_not(SAID, NOW, is_fresh=True) == "it was said before"
    assert lives.why_not(replace(SAID, count=2), NOW) == ""


def test_another_life_makes_the_words_of_this_one_no_fresher() -> None:
    lives = Lives()
    lives.why_not(SAID, NOW)
    assert lives.why_not(replace(SAID, pid=8, life=NOW), NOW) == ""
    assert lives.why_not(SAID, NOW) == "it was said before"


@given(st.floats(min_value=0, max_value=20 * PATIENCE), st.floats(min_value=-PATIENCE, max_value=PATIENCE))
def test_it_is_not_believed_again_at_any_later_time(later: float, skew: float) -> None:
    """However long ago the worker was last heard, and whatever its clock said."""
    lives, said = Lives(), replace(SAID, at=NOW + skew)
    assert lives.why_not(said, NOW) == ""
    lives.why_not(replace(SAID, node="celery@other", at=NOW + later), NOW + later)
    assert lives.why_not(said, NOW + later) != ""


@pytest.mark.parametrize(
    ("at", "why"), [(-PATIENCE - 1, "121 s ago"), (PATIENCE + 1, "121 s ahead of us: set the clock there")]
)
def test_too_old_or_from_the_future_is_refused_unless_it_answers_us(at: float, why: str) -> None:
    said = replace(SAID, at=NOW + at)
    assert why in Lives().why_not(said, NOW)
    assert Lives().why_not(said, NOW, is_fresh=True) == ""


def test_a_life_that_begins_after_its_words_is_refused() -> None:
    """It would make every later life of this worker look older."""
    said = replace(SAID, life=NOW + PATIENCE + 1)
    assert "started 121 s after it spoke" in Lives().why_not(said, NOW)
    assert Lives().why_not(said, NOW, is_fresh=True) == "", "what answers us needs no clock"


def test_a_life_that_has_been_silent_for_so_long_that_all_it_said_is_too_old_is_forgotten() -> None:
    lives = Lives()
    lives.why_not(SAID, NOW)
    for count, later, known in ((1, 3 * PATIENCE, 2), (2, 3 * PATIENCE + 1, 1)):
        now = NOW + later
        assert lives.why_not(replace(SAID, node="celery@other", count=count, at=now), now) == ""
        assert len(lives) == known


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST_LIVES", 10)
    lives = Lives()
    for pid in range(50):
        lives.why_not(replace(SAID, pid=pid), NOW)
    assert len(lives) <= 11


def test_counts_of_commands_only_grow_also_if_the_last_is_forgotten_or_the_clock_goes_back() -> None:
    growing = Growing()
    first = next_count(0, NOW)
    assert growing.takes(first)
    assert not growing.takes(first)
    assert not growing.takes(first - 1)
    assert growing.takes(next_count(0, NOW + 1))
    assert growing.takes(next_count(growing.newest, NOW - 500))
