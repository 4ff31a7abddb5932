"""The journal in the state file: every pass that is kept can be read, and it stays within its bounds."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autoscaler_app.memory.journal import book
from autoscaler_app.memory.journal.book import THIN_TOGETHER, WHOLE
from autoscaler_app.memory.state import State

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """All but the newest few are packed, as if they were large."""
    monkeypatch.setattr(book, "STANDING", 0)
    made = State(tmp_path / "state.db")
    yield made
    made.close()


def write(state: State, count: int, *, every: float = 15.0, did: bool = True, **bounds: object) -> None:
    before = state.journal.latest(1)[0][0] if state.journal.latest(1) else 0
    for n in range(before, before + count):
        at = NOON + timedelta(seconds=n * every)
        text = msgspec.json.encode({"started": at, "n": n + 1, "actions": [1] if did else []})
        assert state.journal.write(at, text, **bounds) == n + 1  # type: ignore[arg-type]


def numbers(state: State, last: int = 10_000) -> list[int]:
    return [number for number, _ in state.journal.latest(last)]


def test_the_newest_come_first_packed_or_not(state: State) -> None:
    write(state, 5 * WHOLE + 3)
    assert numbers(state) == list(range(5 * WHOLE + 3, 0, -1))
    assert numbers(state, 40) == list(range(5 * WHOLE + 3, 5 * WHOLE - 37, -1))
    for number, text in state.journal.latest(10_000):
        assert msgspec.json.decode(text)["n"] == number


def test_each_can_be_read_by_its_number(state: State) -> None:
    write(state, 3 * WHOLE)
    for number in (1, WHOLE, WHOLE + 1, 3 * WHOLE):
        text = state.journal.one(number)
        assert text is not None
        assert msgspec.json.decode(text)["n"] == number
    assert state.journal.one(3 * WHOLE + 1) is None


def test_while_they_are_little_all_stand_as_text_that_any_tool_shows(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "STANDING", 100_000)
    write(state, 5 * WHOLE)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        rows = db.execute("SELECT number, report FROM journal ORDER BY number").fetchall()
    assert [(number, json.loads(text)["n"]) for number, text in rows] == [(n, n) for n in range(1, 161)]


def test_large_ones_are_compressed_and_push_the_small_ones_into_packs(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "STANDING", 100_000)
    write(state, 10 * WHOLE)
    noise = random.Random(1)
    for n in range(10 * WHOLE, 11 * WHOLE + 10):
        at = NOON + timedelta(seconds=n * 15)
        told = {"started": at, "n": n + 1, "actions": [1], "noise": noise.randbytes(book.TEXT).hex()}
        state.journal.write(at, msgspec.json.encode(told))
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        rows = db.execute("SELECT typeof(report), length(report) FROM journal").fetchall()
    assert {kind for kind, _ in rows} == {"blob"}
    assert len(rows) < WHOLE + 4
    assert numbers(state) == list(range(11 * WHOLE + 10, 0, -1))


def test_so_many_always_stand_by_themselves(state: State, tmp_path: Path) -> None:
    write(state, WHOLE)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        assert db.execute("SELECT count(*) FROM journal").fetchone() == (WHOLE,)


def test_most_of_them_are_packed(state: State, tmp_path: Path) -> None:
    write(state, 10 * WHOLE)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        assert db.execute("SELECT count(*) FROM journal").fetchone()[0] < 2 * WHOLE


def test_no_pass_waits_for_more_than_one_report_or_one_pack(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over ten thousand nodes each of them takes a tenth of a second, and more."""
    calls = Counter[str]()

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls[name] += 1
            return work(*args)

        return call

    names = ("packed", "closed", "thinned")
    for name in names:
        monkeypatch.setattr(book, name, counted(name, getattr(book, name)))
    most = Counter[str]()
    for _ in range(10 * WHOLE):
        calls.clear()
        write(state, 1, every=1200.0)
        most |= calls
    assert most == dict.fromkeys(names, 1)


def test_what_is_older_than_it_is_kept_goes(state: State) -> None:
    write(state, 6 * WHOLE, every=60, kept=timedelta(minutes=3 * WHOLE))
    kept = numbers(state)
    assert kept[0] == 6 * WHOLE
    assert 3 * WHOLE <= len(kept) <= 5 * WHOLE


def test_what_is_older_goes_also_while_all_of_it_stands(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "STANDING", 100_000)
    write(state, 2 * WHOLE, every=60, kept=timedelta(minutes=10))
    assert numbers(state) == list(range(2 * WHOLE, 2 * WHOLE - 11, -1))


def test_beyond_so_many_bytes_the_oldest_go(state: State) -> None:
    write(state, 6 * WHOLE, most_bytes=600)
    kept = numbers(state)
    assert kept == list(range(6 * WHOLE, 6 * WHOLE - len(kept), -1))
    assert WHOLE <= len(kept) < 5 * WHOLE


def test_of_the_days_before_only_what_happened_and_a_pass_now_and_then_is_kept(state: State) -> None:
    write(state, 2 * THIN_TOGETHER * WHOLE, did=False)
    assert len(numbers(state)) == 2 * THIN_TOGETHER * WHOLE
    write(state, THIN_TOGETHER * WHOLE, every=300.0, did=False)
    first = [number for number in numbers(state) if number <= THIN_TOGETHER * WHOLE]
    assert first[-1] == 1
    assert first == list(range(first[0], 0, -20)), "15 s apart: every twentieth"


def test_of_the_weeks_before_still_less_is_kept(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscaler_app.memory.journal.book.WHOLE", 4)
    monkeypatch.setattr("autoscaler_app.memory.journal.book.THIN_TOGETHER", 2)
    write(state, 40, did=False, every=1200.0)
    write(state, 8, did=False, every=2 * 3600.0)
    assert numbers(state)[::-1][:16] == list(range(1, 17)), "after a day one in five minutes: all of these"
    write(state, 16, did=False, every=4 * 3600.0)
    assert numbers(state)[::-1][:6] == [1, 4, 7, 10, 13, 16], "after a week one in an hour"


def test_a_pack_that_is_damaged_spoils_itself_only(state: State, tmp_path: Path) -> None:
    write(state, 5 * WHOLE)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute("UPDATE journal_pack SET pack = x'00ff' WHERE first = ?", (WHOLE + 1,))
    gone = set(range(WHOLE + 1, 2 * WHOLE + 1))
    assert numbers(state) == [n for n in range(5 * WHOLE, 0, -1) if n not in gone]
    assert state.journal.one(WHOLE + 2) is None


def test_a_pack_that_is_damaged_takes_none_with_it_when_it_is_thinned_out(
    state: State, tmp_path: Path
) -> None:
    write(state, THIN_TOGETHER * WHOLE)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute("UPDATE journal_pack SET pack = x'00ff' WHERE first = 1")
    write(state, THIN_TOGETHER * WHOLE, every=300.0)
    assert numbers(state)[-1] == WHOLE + 1


def test_a_journal_of_an_earlier_version_is_read_and_packed(state: State, tmp_path: Path) -> None:
    """It has up to 2,000 whole reports, as text."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        for n in range(1, 200):
            text = msgspec.json.encode({"started": NOON, "n": n, "actions": [1]}).decode()
            db.execute("INSERT INTO journal (started, report) VALUES (?, ?)", (NOON.isoformat(), text))
    assert numbers(state) == list(range(199, 0, -1))
    write(state, 1)
    assert numbers(state) == list(range(200, 0, -1))
    assert msgspec.json.decode(state.journal.one(1) or b"")["n"] == 1
