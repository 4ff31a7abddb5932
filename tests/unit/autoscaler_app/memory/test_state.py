"""The state file keeps what it is told, across processes and kills, and stays bounded."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autoscaler_app.memory.state import KnownHost, State
from autoscaler_app.passes import way_out

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_a_second_process_reads_what_the_first_wrote(tmp_path: Path) -> None:
    first = State(tmp_path / "state.db")
    first.kinds.announce({"r.ncpus-4": {"constraints": {"ncpus": 4}}}, NOW)
    second = State(tmp_path / "state.db")
    assert second.kinds.all() == {"r.ncpus-4": {"constraints": {"ncpus": 4}}}
    first.close()
    second.close()


def test_a_drain_has_left_when_every_worker_process_has_said_its_last_word(state: State) -> None:
    state.begin_drain("n1", "ip-1", "idle", NOW)
    state.mark_fenced("n1", NOW)
    state.mark_shut_down("n1", ["a@ip-1", "b@ip-1"], NOW)
    assert state.last_word("a@ip-1")
    assert way_out.state_of(state.drains()["n1"]) is not way_out.State.LEFT
    state.last_word("b@ip-1")
    assert way_out.state_of(state.drains()["n1"]) is way_out.State.LEFT


def test_a_last_word_before_the_shut_down_proves_nothing(state: State) -> None:
    state.begin_drain("n1", "ip-1", "idle", NOW)
    state.mark_fenced("n1", NOW)
    assert not state.last_word("a@ip-1")
    state.mark_shut_down("n1", ["a@ip-1"], NOW)
    assert way_out.state_of(state.drains()["n1"]) is not way_out.State.LEFT


def test_a_drain_that_has_begun_goes_on_as_it_is(state: State) -> None:
    state.begin_drain("n1", "ip-1", "idle", NOW)
    state.mark_fenced("n1", NOW)
    state.begin_drain("n1", "ip-1", "surplus", NOW + timedelta(seconds=5))
    drain = state.drains()["n1"]
    assert (drain.reason, drain.chosen, drain.fenced) == ("idle", NOW, NOW)


def test_the_last_word_of_a_host_that_is_not_drained_is_no_proof_of_anything(state: State) -> None:
    assert not state.last_word("celery@ip-9")
    assert state.drains() == {}


def test_a_node_that_is_gone_is_forgotten_with_its_drain(state: State) -> None:
    state.heard(
        [KnownHost(hostname="ip-1", node_id="n1", nodenames=("celery@ip-1",), heard=NOW, tasks=("t1",))]
    )
    state.begin_drain("n1", "ip-1", "idle", NOW)
    assert state.known_hosts()["n1"].tasks == ("t1",)
    state.forget_nodes({"n1"})
    assert state.known_hosts() == {}
    assert state.drains() == {}


def test_a_quote_in_a_name_is_a_quote(state: State) -> None:
    state.kinds.announce({"it's; DROP TABLE host; --": {"constraints": {}}}, NOW)
    assert "it's; DROP TABLE host; --" in state.kinds.all()


def test_a_transaction_that_sqlite_has_ended_itself_says_what_went_wrong(tmp_path: Path) -> None:
    """As on a full disk; the error must not be that there is nothing to roll back."""
    state = State(tmp_path / "state.db")
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON queue_kind BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="full"):
            state.kinds.announce({"res:ncpus=1": {"constraints": {"ncpus": 1}}}, NOW)
        other.execute("DROP TRIGGER full")
    state.kinds.announce({"res:ncpus=1": {"constraints": {"ncpus": 1}}}, NOW)
    assert set(state.kinds.all()) == {"res:ncpus=1"}
    state.close()


def test_what_two_processes_change_at_once_is_changed_by_both(tmp_path: Path) -> None:
    """Read, compute and write are one transaction: between them the other one would be lost."""

    def count(name: str) -> None:
        def one_more(before: dict[str, int] | None) -> dict[str, int]:
            return {**(before or {}), name: (before or {}).get(name, 0) + 1}

        with closing(State(tmp_path / "state.db")) as mine:
            for _ in range(40):
                mine.change(
                    "counts", lambda before: {**(before or {}), name: (before or {}).get(name, 0) + 1}
                )

    threads = [threading.Thread(target=count, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with closing(State(tmp_path / "state.db")) as state:
        assert state.fact("counts") == {"a": 40, "b": 40, "c": 40}


def test_a_change_that_fails_changes_nothing(state: State) -> None:
    state.set_fact("a", 1)
    with pytest.raises(ZeroDivisionError):
        state.change("a", lambda before: before / 0)
    assert state.change("a", lambda before: before + 1) == 2


def test_what_another_process_heard_of_a_host_later_stands(state: State) -> None:
    def told(seconds: float, task: str) -> KnownHost:
        heard = NOW + timedelta(seconds=seconds)
        return KnownHost(
            hostname="ip-1", node_id="n1", nodenames=("celery@ip-1",), heard=heard, tasks=(task,)
        )

    state.heard([told(5, "of the later account")])
    state.heard([told(4, "of the earlier one")])
    assert state.known_hosts()["n1"] == told(5, "of the later account")
    state.heard([told(6, "of the next")])
    assert state.known_hosts()["n1"] == told(6, "of the next")


def test_hunger_is_as_long_ago_as_it_was_after_the_clock_was_set(state: State) -> None:
    state.set_fact("hungry", {"ip-1": NOW.timestamp() - 60})
    state.clock_was_set(timedelta(hours=1), NOW + timedelta(hours=1))
    assert state.fact("hungry") == {"ip-1": NOW.timestamp() + 3600 - 60}


def test_nothing_that_is_remembered_is_in_the_future_after_the_clock_was_set(state: State) -> None:
    """It would be waited for until then."""
    state.begin_drain("n1", "ip-1", "idle", NOW)
    state.heard([KnownHost(hostname="ip-1", node_id="n1", nodenames=("celery@ip-1",), heard=NOW)])
    state.set_fact("hungry", {"ip-1": NOW.timestamp()})
    soon = NOW + timedelta(minutes=30)
    state.clock_was_set(timedelta(hours=1), soon)
    assert state.drains()["n1"].chosen == soon
    assert state.known_hosts()["n1"].heard == soon
    assert state.fact("hungry") == {"ip-1": soon.timestamp()}


def test_a_change_that_changes_nothing_is_not_written(tmp_path: Path, state: State) -> None:
    """Most passes learn nothing new, and each write waits for the disk."""
    state.change("a", lambda before: {"x": 1})
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        (before,) = other.execute("PRAGMA data_version").fetchone()
        state.change("a", lambda before: {"x": 1})
        assert other.execute("PRAGMA data_version").fetchone() == (before,)
        state.change("a", lambda before: {"x": 2})
        assert other.execute("PRAGMA data_version").fetchone() != (before,)
