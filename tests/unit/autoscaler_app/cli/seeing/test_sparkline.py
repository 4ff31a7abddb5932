"""A curve in a line: as wide as it may be, no peak lost, and what is not known is no zero."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.cli.seeing.sparkline import BARS, NOTHING, sparkline


def test_bars_are_between_nothing_and_the_largest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BARS
    assert sparkline([0.0, 0.0], 8) == BARS[0] * 2
    assert sparkline([], 8) == ""


def test_what_is_not_known_is_left_out() -> None:
    assert sparkline([None, 5.0, None], 8) == f"{NOTHING}{BARS[-1]}{NOTHING}"


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=300), st.integers(1, 80))
def test_it_is_no_wider_than_it_may_be_and_has_the_highest(values: list[float | None], width: int) -> None:
    drawn = sparkline(values, width)
    assert len(drawn) == min(len(values), width)
    if any(values):
        assert BARS[-1] in drawn
