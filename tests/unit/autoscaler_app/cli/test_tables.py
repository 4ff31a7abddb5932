"""A table is no wider than the terminal, no row of it is wrapped, and only terminals are coloured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.cli.tables import GAP, LEAST, drawn, fitted, table

COLUMNS = ("name", "state", "why")
ROWS = [["worker-1", "Ready", "x" * 90], ["worker-with-a-very-long-name-12", "Failed", "short"]]


@given(natural=st.lists(st.integers(1, 120), min_size=1, max_size=12), width=st.integers(20, 200))
def test_what_is_fitted_fits_and_nothing_is_cut_that_need_not_be(natural: list[int], width: int) -> None:
    widths = fitted(natural, width)
    room = sum(natural) + GAP * (len(natural) - 1)
    assert widths == natural[: len(widths)] or all(w <= n for w, n in zip(widths, natural, strict=False))
    if room <= width:
        assert widths == natural
    else:
        assert sum(widths) + GAP * (len(widths) - 1) <= width
        cut = [w for w, n in zip(widths, natural, strict=False) if w < n]
        assert all(w >= LEAST for w in cut)
        assert len(widths) < len(natural) or width - sum(widths) - GAP * (len(widths) - 1) == 0


def test_on_eighty_columns_the_widest_column_is_shortened_and_each_row_is_one_line() -> None:
    lines = drawn(COLUMNS, ROWS, width=80, colour=False).splitlines()
    assert max(map(len, lines)) == 80
    assert len(lines) == 3
    assert lines[1].endswith("x…")
    assert lines[2].split() == ["worker-with-a-very-long-name-12", "Failed", "short"]


def test_what_is_read_by_others_is_whole_and_has_no_colour() -> None:
    text = table(COLUMNS, ROWS)
    assert "x" * 90 in text
    assert "\x1b" not in text


def test_states_have_a_colour_where_colours_are_wanted() -> None:
    text = drawn(COLUMNS, ROWS, width=80, colour=True)
    assert "\x1b[32mReady" in text
    assert "\x1b[31mFailed" in text
    assert "\x1b" not in drawn(COLUMNS, ROWS, width=80, colour=False)
