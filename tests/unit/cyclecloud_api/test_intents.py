"""Intents: kept before the call, settled after, the same in memory and in the state file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cyclecloud_api.intents import Fate, Intent, IntentStore, MemoryIntents, SQLiteIntents, request_id
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import SQLiteMemory
from scalelib.errors import InvalidConfig
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest, LaunchResult

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DONE = LaunchResult(request_id="r", added=2, message="m", nodes=((NodeId("i"), "worker-1"),))


def wish(request_id: str = "r", **changes: object) -> LaunchRequest:
    facts: dict[str, object] = {"nodearray": "worker", "vm_size": "F2", "count": 3, **changes}
    return LaunchRequest(request_id=request_id, **facts)  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IntentStore]:
    made: IntentStore
    made = MemoryIntents() if request.param == "memory" else SQLiteIntents(StateFile(tmp_path / "state.db"))
    yield made
    made.close()


def test_an_intent_is_open_until_it_is_settled(store: IntentStore) -> None:
    intent = Intent(request=wish(spot=True, placement_group="pg'0"), written=NOON)
    store.write(intent)
    assert store.open() == (intent,)
    settled = intent.done(DONE, NOON + timedelta(seconds=5))
    store.write(settled)
    assert store.open() == ()
    assert store.find("r") == settled
    assert (settled.fate, settled.added, settled.nodes) == (Fate.DONE, 2, DONE.nodes)


def test_the_generation_grows_once_for_each_settled_intent(store: IntentStore) -> None:
    intent = Intent(request=wish(), written=NOON)
    store.write(intent)
    assert store.generation() == 0
    store.write(intent.done(DONE, NOON))
    store.write(intent.done(DONE, NOON))
    assert store.generation() == 1
    store.write(Intent(request=wish("s"), written=NOON).ended(Fate.REFUSED, "no", NOON))
    assert store.generation() == 2
    store.forget_before(NOON + timedelta(days=1))
    assert store.generation() == 2


def test_old_settled_intents_are_forgotten_and_open_ones_never(store: IntentStore) -> None:
    store.write(Intent(request=wish("open"), written=NOON))
    store.write(Intent(request=wish("done"), written=NOON).done(DONE, NOON))
    store.forget_before(NOON + timedelta(days=30))
    assert [i.request.request_id for i in store.since(NOON)] == ["open"]
    assert store.since(NOON + timedelta(seconds=1)) == ()
    assert store.find("done") is None


def test_intents_outlive_the_process(tmp_path: Path) -> None:
    first = SQLiteIntents(StateFile(tmp_path / "state.db"))
    first.write(Intent(request=wish(), written=NOON))
    # Not closed: a killed process closes nothing.
    second = SQLiteIntents(StateFile(tmp_path / "state.db"))
    assert [i.request.request_id for i in second.open()] == ["r"]
    second.close()
    first.close()


def test_the_file_is_shared_with_other_tables_and_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE somebody_elses (x)")
        other.execute("PRAGMA user_version = 7")
    other.close()
    file = StateFile(path)
    SQLiteMemory(file).save(b'{"a": 1}')
    assert SQLiteMemory(file).load() == b'{"a": 1}'
    assert [tuple(row) for row in file.rows("PRAGMA user_version")] == [(7,)]
    with file.transaction() as run:
        run.execute("UPDATE cyclecloud_schema SET version = 99")
    with pytest.raises(InvalidConfig, match="version 99, this one knows 1"):
        StateFile(path)
    file.close()


def test_a_transaction_that_sqlite_has_ended_itself_says_what_went_wrong(tmp_path: Path) -> None:
    """As on a full disk; the error must not be that there is nothing to roll back."""
    file = StateFile(tmp_path / "state.db")
    insert = "INSERT OR ROLLBACK INTO cyclecloud_memory VALUES ('watch', ?)"
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"), file.transaction() as run:
        run.execute(insert, (None,))
    with file.transaction() as run:
        run.execute(insert, ("{}",))
    assert SQLiteMemory(file).load() == b"{}"
    file.close()


def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(InvalidConfig, match=r"text': .*name a SQLite file that can be written"):
        StateFile(tmp_path / "text")
    with pytest.raises(InvalidConfig, match="no/such/folder"):
        StateFile(tmp_path / "no/such/folder/state.db")


def test_the_same_launch_in_the_same_situation_has_the_same_id_and_no_other_has() -> None:
    def named(count: int = 3, seen: tuple[str, ...] = ("b", "a"), generation: int = 5) -> str:
        nodes = [NodeId(i) for i in seen]
        return request_id(wish("", count=count), cluster="c", seen=nodes, generation=generation)

    assert named() == named(seen=("a", "b"))
    assert len({named(), named(count=4), named(seen=("a",)), named(generation=6)}) == 4
