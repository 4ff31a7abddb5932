"""Figures over time: means of what passes saw, as many rows as the spans have steps, and nothing made up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autoscaler_app.memory.figures import MOST_KINDS, OTHERS, SPANS, Figures, FiguresBook, largest

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[FiguresBook]:
    with closing(FiguresBook(tmp_path / "state.db")) as made:
        yield made


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_step_is_the_mean_of_what_its_passes_saw(book: FiguresBook) -> None:
    book.add(Figures(waiting={"a": 4}, nodes={"up": 2}, price_per_hour=1.0), after(0))
    book.add(Figures(waiting={"b": 2}, nodes={"up": 4}, price_per_hour=3.0), after(10))
    book.add(Figures(waiting={"a": 9}), after(40))
    first, second = book.steps("hour", after(41))
    assert (first.at, second.at) == (NOON, after(30))
    assert first.figures.waiting == {"a": 2.0, "b": 1.0}
    assert (first.figures.nodes, first.figures.price_per_hour) == ({"up": 3.0}, 2.0)
    assert second.figures.waiting == {"a": 9.0}
    (day,) = book.steps("day", after(41))
    assert day.figures.waiting == pytest.approx({"a": 13 / 3, "b": 2 / 3})


def test_demand_is_what_waits_and_what_runs() -> None:
    assert Figures(waiting={"a": 1, "b": 2}, running={"b": 3}).demand == {"a": 1, "b": 5}


def test_a_step_without_a_pass_is_not_there_rather_than_zero(book: FiguresBook) -> None:
    book.add(Figures(unserved=1), after(0))
    book.add(Figures(unserved=1), after(120))
    assert [step.at for step in book.steps("hour", after(130))] == [NOON, after(120)]


def test_there_are_never_more_rows_than_steps(book: FiguresBook) -> None:
    for number in range(400):
        book.add(Figures(unserved=number), after(number * 1800))
    now = after(400 * 1800)
    assert len(book.steps("hour", now)) <= SPANS["hour"].whole / SPANS["hour"].step
    assert len(book.steps("week", now)) == 168 - 1, "the step of now has not been seen"
    assert len(book._file.rows("SELECT * FROM figures")) <= sum(s.whole // s.step + 1 for s in SPANS.values())


def test_what_a_clock_that_was_ahead_has_written_is_forgotten(book: FiguresBook) -> None:
    book.add(Figures(unserved=7), after(86_400))
    book.add(Figures(unserved=1), NOON)
    assert [step.figures.unserved for step in book.steps("week", after(86_400))] == [1]


def test_the_largest_kinds_are_told_apart_and_the_rest_added_up() -> None:
    waiting, running = largest((f"q{number}", number, 1) for number in range(100))
    assert len(waiting) == len(running) == MOST_KINDS + 1
    assert waiting["q99"] == 99
    assert sum(waiting.values()) == sum(range(100))
    assert running[OTHERS] == 100 - MOST_KINDS
    assert largest([("idle", 0, 0)]) == ({}, {}), "what is empty is no kind of demand"


def test_to_look_makes_no_file(tmp_path: Path) -> None:
    looking = FiguresBook.look(tmp_path / "none.db")
    assert looking.steps("day", NOON) == []
    assert not (tmp_path / "none.db").exists()
