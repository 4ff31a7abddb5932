"""What is remembered is for its owner only, also where a file was there before and wider."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from scalelib import SQLiteNodeHistory
from scalelib.privatefile import make_private
from scalelib.sqlitefile import open_shared


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{stat.S_IMODE(path.stat().st_mode):o}" for path in folder.iterdir()}


@pytest.mark.parametrize("was", [None, 0o644, 0o666])
def test_a_state_file_and_what_sqlite_puts_beside_it(tmp_path: Path, was: int | None) -> None:
    path = tmp_path / "state.db"
    if was is not None:
        with closing(open_shared(path, seconds=1.0, synchronous="FULL")) as db:
            db.execute("CREATE TABLE t (a)")
            for each in tmp_path.iterdir():
                each.chmod(was)
            with closing(SQLiteNodeHistory(path)):
                assert modes(tmp_path) == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], "600")
    else:
        with closing(SQLiteNodeHistory(path)):
            assert modes(tmp_path) == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], "600")


def test_a_file_that_its_owner_may_only_read_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    path.chmod(0o444)
    make_private(path)
    assert modes(tmp_path) == {"f": "400"}


def test_a_file_that_is_not_ours_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f"
    path.touch()
    path.chmod(0o644)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    with caplog.at_level(logging.WARNING):
        make_private(path)
    assert f"chmod 600 {path}" in caplog.text


def test_no_file_is_made_of_a_database_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_shared(":memory:", seconds=1.0, synchronous="FULL").close()
    assert modes(tmp_path) == {}
