"""The history keeps its clocks through restarts, steps of the clock, and readers that look on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scalelib.errors import InvalidConfig
from scalelib.history import KEPT, MemoryNodeHistory, NodeHistory, NodeTimes, SQLiteNodeHistory
from scalelib.node import NodeId, NodeState

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@pytest.fixture(params=["memory", "sqlite"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NodeHistory]:
    if request.param == "memory":
        yield MemoryNodeHistory()
        return
    with SQLiteNodeHistory(tmp_path / "h.db") as made:
        yield made


def test_the_clocks_of_a_node(history: NodeHistory, world: Any) -> None:
    """Both stand still until it is ready; then each runs while its reason is away."""
    booting, ready = world.node(1, state=NodeState.PREPARING), world.node(1)
    steps = [
        (0, booting, False, False, NodeTimes(created=T0, last_active=T0, last_needed=T0, booting=T0)),
        (9, booting, False, False, NodeTimes(created=T0, last_active=at(9), last_needed=at(9), booting=T0)),
        (20, ready, False, False, NodeTimes(created=T0, ready=at(20), last_active=at(9), last_needed=at(9))),
        (30, ready, True, False, NodeTimes(created=T0, ready=at(20), last_active=at(30), last_needed=at(9))),
        (40, ready, False, True, NodeTimes(created=T0, ready=at(20), last_active=at(30), last_needed=at(40))),
        (
            50,
            booting,
            False,
            False,
            NodeTimes(created=T0, ready=at(20), last_active=at(50), last_needed=at(50), booting=at(50)),
        ),
    ]
    for seconds, node, active, needed, expected in steps:
        history.update(at(seconds), [node], {node.id} if active else (), {node.id} if needed else ())
        assert history.times() == {node.id: expected}


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
def test_after_the_clock_was_set_the_clocks_show_what_they_showed(
    history: NodeHistory, world: Any, by: timedelta
) -> None:
    booting, ready = world.node(1, state=NodeState.PREPARING), world.node(2)
    history.update(at(0), [booting, ready], (), ())
    history.update(at(60), [booting, ready], (), {ready.id})
    before = history.times()

    history.clock_was_set(by, at(70) + by)

    assert history.times() == {
        node_id: replace(
            times,
            created=times.created + by,
            ready=times.ready + by if times.ready else None,
            booting=times.booting + by if times.booting else None,
            last_active=times.last_active + by,
            last_needed=times.last_needed + by,
        )
        for node_id, times in before.items()
    }


def test_no_clock_is_moved_into_the_future(history: NodeHistory, world: Any) -> None:
    """Something was noted after the clock was set and before that was noticed."""
    node = world.node(1)
    history.update(at(3600), [node], (), ())
    history.clock_was_set(timedelta(hours=1), at(3610))
    times = history.times()[node.id]
    assert times == NodeTimes(created=at(3610), ready=at(3610), last_active=at(3610), last_needed=at(3610))


def test_a_clock_set_back_leaves_no_time_in_the_future(history: NodeHistory, world: Any) -> None:
    node = world.node(1)
    history.update(at(1000), [node], {node.id}, {node.id})
    history.update(at(0), [node], (), ())
    times = history.times()[node.id]
    assert times == NodeTimes(created=T0, ready=T0, last_active=T0, last_needed=T0)


def test_summer_time_is_no_hour_more_or_less(tmp_path: Path, world: Any) -> None:
    """The hour that clocks in Berlin show twice is kept apart, and what is read back is UTC."""
    berlin, node = ZoneInfo("Europe/Berlin"), world.node(1)
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        history.update(first, [node], {node.id}, ())
        history.update(second, [node], (), {node.id})
        times = history.times()[node.id]
    assert times.last_needed is not None
    assert times.last_active is not None
    assert times.last_needed - times.last_active == timedelta(hours=1)
    assert times.created.tzinfo is UTC


def test_a_node_that_comes_back_starts_over(history: NodeHistory, world: Any) -> None:
    node = world.node(1)
    history.update(at(0), [node], (), ())
    history.update(at(10), [], (), ())
    assert history.times() == {}
    history.update(at(20), [node], (), ())
    assert history.times()[node.id].created == at(20)


def test_ids_keep_their_case_and_may_hold_anything(history: NodeHistory, world: Any) -> None:
    ids = ["Ab-1", "ab-1", "o'hara\"; DROP TABLE node_history; --", "ünï"]
    nodes = [replace(world.node(i), id=NodeId(each)) for i, each in enumerate(ids)]
    history.update(at(0), nodes, {NodeId("Ab-1")}, ())
    history.update(at(5), nodes, {NodeId("Ab-1")}, ())
    assert set(history.times()) == set(ids)
    assert history.times()[NodeId("Ab-1")].last_active == at(5)
    assert history.times()[NodeId("ab-1")].last_active == at(0)


def test_hosts_of_others_and_ended_nodes_are_not_kept(history: NodeHistory, world: Any) -> None:
    others = [replace(world.node(1), managed=False), world.node(2, state=NodeState.TERMINATED)]
    history.update(at(0), [*others, world.node(3)], (), ())
    assert set(history.times()) == {"Id-3"}


def test_it_survives_a_restart(tmp_path: Path, world: Any) -> None:
    node = world.node(1)
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        history.update(at(0), [node], (), ())
        before = history.times()
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        assert history.times() == before


def test_thousands_of_nodes_may_vanish_at_once(tmp_path: Path, world: Any) -> None:
    nodes = [replace(world.node(1), id=NodeId(f"n{i}")) for i in range(3000)]
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        history.update(at(0), nodes, (), ())
        history.update(at(1), [], (), ())
        assert history.times() == {}


def test_what_is_gone_is_forgotten_after_seven_days(tmp_path: Path, world: Any) -> None:
    path = tmp_path / "h.db"
    with SQLiteNodeHistory(path) as history, sqlite3.connect(path) as look:
        history.update(at(0), [world.node(1)], (), ())
        history.update(at(1), [], (), ())
        history.update(at(1) + KEPT, [], (), ())
        assert look.execute("SELECT count(*) FROM node_history").fetchone() == (1,)
        history.update(at(2) + KEPT, [], (), ())
        assert look.execute("SELECT count(*) FROM node_history").fetchone() == (0,)
    look.close()


def test_the_boot_time_is_that_in_the_middle_of_the_last_nodes(tmp_path: Path, world: Any) -> None:
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        assert history.boot_time() is None
        history.update(T0, [world.node(0)], (), ())
        assert history.boot_time() is None, "ready when it was first seen"

        booting = [world.node(number, state=NodeState.PREPARING) for number in (1, 2, 3, 4)]
        history.update(at(10), booting, (), ())
        assert history.boot_time() is None
        for number, seconds in ((1, 40), (2, 70), (3, 900)):
            booting[number - 1] = world.node(number)
            history.update(at(10 + seconds), booting, (), ())
        assert history.boot_time() == timedelta(seconds=70)
        history.update(at(2000), [], (), ())
        assert history.boot_time() == timedelta(seconds=70), "gone, and still known"
        history.update(at(2000) + KEPT + timedelta(seconds=1), [], (), ())
        assert history.boot_time() is None


def test_it_shares_its_file_with_other_tables(tmp_path: Path, world: Any) -> None:
    path = tmp_path / "state.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE journal (line TEXT)")
    other.execute("PRAGMA user_version = 42")
    other.commit()
    with SQLiteNodeHistory(path) as history:
        history.update(at(0), [world.node(1)], (), ())
    assert other.execute("PRAGMA user_version").fetchone() == (42,)
    names = [name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert sorted(names) == ["journal", "node_history", "node_history_plan", "node_history_schema"]
    other.close()


def test_readers_never_see_half_an_update(tmp_path: Path, world: Any) -> None:
    path = tmp_path / "h.db"
    nodes = [replace(world.node(1), id=NodeId(f"n{i}")) for i in range(200)]
    seen: list[set[datetime | None]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            with SQLiteNodeHistory(path) as history:
                while True:
                    last_look = done.is_set()
                    seen.append({each.last_active for each in history.times().values()})
                    if last_look:
                        return
        except BaseException as error:
            failures.append(error)
            raise

    with SQLiteNodeHistory(path) as history:
        history.update(at(0), nodes, (), ())
        readers = [threading.Thread(target=look) for _ in range(3)]
        for reader in readers:
            reader.start()
        for second in range(1, 40):
            history.update(at(second), nodes, {node.id for node in nodes}, ())
        done.set()
        for reader in readers:
            reader.join(30)
    assert failures == []
    assert seen
    assert all(len(each) == 1 for each in seen)


@pytest.mark.parametrize("attempt", range(20))
def test_several_may_open_a_new_file_at_once(tmp_path: Path, attempt: int) -> None:
    barrier = threading.Barrier(8)

    def open_it() -> None:
        barrier.wait(30)
        SQLiteNodeHistory(tmp_path / "h.db").close()

    with ThreadPoolExecutor(8) as pool:
        for opening in [pool.submit(open_it) for _ in range(8)]:
            opening.result(60)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    SQLiteNodeHistory(path).close()
    db = sqlite3.connect(path)
    db.execute("UPDATE node_history_schema SET version = 99")
    db.commit()
    db.close()
    with pytest.raises(InvalidConfig, match="written by a newer version"):
        SQLiteNodeHistory(path)


def test_an_older_file_is_brought_up_to_date(tmp_path: Path, world: Any) -> None:
    """Version 1 had the table without its index."""
    path = tmp_path / "h.db"
    SQLiteNodeHistory(path).close()
    db = sqlite3.connect(path)
    db.execute("DROP INDEX node_history_gone")
    db.execute("ALTER TABLE node_history DROP COLUMN booting")
    db.execute("DROP TABLE node_history_plan")
    db.execute("UPDATE node_history_schema SET version = 1")
    db.execute("INSERT INTO node_history VALUES ('old', 5, NULL, 5, 5, NULL)")
    db.commit()
    assert SQLiteNodeHistory.look(path).times()[NodeId("old")].booting is None
    with SQLiteNodeHistory(path) as history:
        history.update(at(0), [world.node(1)], (), ())
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
    assert "node_history_gone" in names
    db.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("this is not a database, and long enough to be read as one" * 20)
    with pytest.raises(InvalidConfig, match="name a SQLite file"):
        SQLiteNodeHistory(tmp_path / "h.db")
    with pytest.raises(InvalidConfig, match="name a SQLite file"):
        SQLiteNodeHistory(tmp_path / "missing" / "h.db")


def test_the_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALELIB_HISTORY", raising=False)
    SQLiteNodeHistory().close()
    assert (tmp_path / "nodehistory.db").exists()
    monkeypatch.setenv("SCALELIB_HISTORY", str(tmp_path / "elsewhere.db"))
    SQLiteNodeHistory().close()
    assert (tmp_path / "elsewhere.db").exists()


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with SQLiteNodeHistory(tmp_path / "h.db") as history, pytest.raises(ValueError, match="no time zone"):
        history.update(datetime(2026, 1, 1), [], (), ())


def test_other_zones_mean_the_same_instant(tmp_path: Path, world: Any) -> None:
    node, east = world.node(1), timezone(timedelta(hours=9))
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        history.update(T0.astimezone(east), [node], (), ())
        assert history.times()[node.id].created == T0


def test_a_failed_update_changes_nothing(tmp_path: Path, world: Any, make_world: Callable[..., Any]) -> None:
    node = world.node(1)
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        history.update(at(0), [node], (), ())
        before = history.times()
        with pytest.raises(sqlite3.Error):
            history.update(at(9), [replace(node, id=object())], (), ())
        assert history.times() == before
        history.update(at(10), [node], {node.id}, ())


def test_an_update_that_sqlite_has_ended_itself_says_what_went_wrong(tmp_path: Path, world: Any) -> None:
    """As on a full disk; the error must not be that there is nothing to roll back."""
    node = world.node(1)
    with SQLiteNodeHistory(tmp_path / "h.db") as history:
        with closing(sqlite3.connect(tmp_path / "h.db")) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON node_history BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
            )
            with pytest.raises(sqlite3.IntegrityError, match="full"):
                history.update(at(0), [node], (), ())
            other.execute("DROP TRIGGER full")
        history.update(at(1), [node], (), ())
        assert history.times()[node.id].created == at(1)


def test_time_that_nobody_observed_is_no_idle_time_and_moves_nothing_else(
    history: NodeHistory, world: Any
) -> None:
    node = world.node(1)
    history.update(at(0), [node], (), ())
    history.unobserved(timedelta(seconds=50), at(100))
    times = history.times()[node.id]
    assert times == NodeTimes(created=at(0), ready=at(0), last_active=at(50), last_needed=at(50))
    history.unobserved(timedelta(seconds=500), at(100))
    assert history.times()[node.id].last_active == at(100)
