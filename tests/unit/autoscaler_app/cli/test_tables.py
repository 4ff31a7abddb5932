"""A table is no wider than the terminal, no row of it is wrapped, and only terminals are coloured."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.cli.tables import GAP, LEAST, drawn, fitted, table

COLUMNS = ("name", "state", "why")
LONG = "a word and one more " * 5
ROWS = [["worker-1", "Ready", LONG], ["worker-with-a-very-long-name-12", "Failed", "short"]]


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
    assert lines[1].endswith("…")
    assert LONG.startswith(lines[1].split(maxsplit=2)[2][:-1])
    assert lines[2].split() == ["worker-with-a-very-long-name-12", "Failed", "short"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_narrow_terminal_does_without_what_is_empty_and_then_what_is_spare_and_names_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoscaler_app.cli.tables.stdout", Terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    columns = ("name", "fenced", "heard", "size", "fate")
    rows = [("worker-spot-1", "", "0 s ago", "Standard_F4s_v2", "idle-not-long-enough")]

    def at(width: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        return table(columns, rows, spare=("heard", "none", "size")).splitlines()

    assert at(80)[0].split() == ["NAME", "FENCED", "HEARD", "SIZE", "FATE"]
    assert at(64)[0].split() == ["NAME", "HEARD", "SIZE", "FATE"], "and nobody misses what is empty"
    assert at(64)[2:] == []
    assert at(60)[1].split() == ["worker-spot-1", "Standard_F4s_v2", "idle-not-long-enough"]
    assert at(60)[2] == "(a wider terminal shows heard too)"


def test_a_name_that_is_too_long_loses_its_middle() -> None:
    assert "wor…-12" in drawn(COLUMNS[:1], [[ROWS[1][0]]], width=7, colour=False)


def test_what_is_read_by_others_is_whole_and_has_no_colour() -> None:
    text = table(COLUMNS, ROWS)
    assert LONG.strip() in text
    assert "\x1b" not in text


def test_states_have_a_colour_where_colours_are_wanted() -> None:
    text = drawn(COLUMNS, ROWS, width=80, colour=True)
    assert "\x1b[32mReady" in text
    assert "\x1b[31mFailed" in text
    assert "\x1b" not in drawn(COLUMNS, ROWS, width=80, colour=False)
