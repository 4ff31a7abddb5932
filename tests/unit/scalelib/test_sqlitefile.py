"""A file that several share: one writes at a time, and who only looks leaves everything as it is."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scalelib.errors import InvalidConfig
from scalelib.sqlitefile import SharedFile, Tables

TABLES = Tables(name="room", steps=(("CREATE TABLE line (text TEXT)",),))
NEWER = Tables(name="room", steps=(*TABLES.steps, ("ALTER TABLE line ADD COLUMN more TEXT",)))
ALL = "SELECT text FROM line"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def file(path: Path) -> Iterator[SharedFile]:
    with closing(SharedFile(path, TABLES)) as file:
        yield file


def write(file: SharedFile, *lines: str) -> None:
    with file.transaction() as db:
        db.executemany("INSERT INTO line (text) VALUES (?)", [(line,) for line in lines])


def lines(file: SharedFile) -> list[str]:
    return [row["text"] for row in file.rows(ALL)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder; but for the shared memory of those that have a database open, where each marks
    how far it has read.
    """
    return {f.name: f.read_bytes() for f in folder.iterdir() if not f.name.endswith("-shm")}


# -- looking


def test_who_looks_makes_no_file(path: Path) -> None:
    with closing(SharedFile.look(path, TABLES)) as looking:
        assert lines(looking) == []
    with closing(SharedFile.look(path / "no folder" / "state.db", TABLES)) as looking:
        assert lines(looking) == []
    assert list(path.parent.iterdir()) == []


def test_who_looks_while_nobody_writes_leaves_nothing_beside_the_file(path: Path) -> None:
    with closing(SharedFile(path, TABLES)) as file:
        write(file, "a")
    before = contents(path.parent)
    with closing(SharedFile.look(path, TABLES)) as looking:
        assert lines(looking) == ["a"]
    assert set(before) == {"state.db"}
    assert {f.name for f in path.parent.iterdir()} == {"state.db"}
    assert contents(path.parent) == before


def test_who_looks_sees_what_was_written_last_and_changes_no_byte(file: SharedFile, path: Path) -> None:
    with closing(SharedFile.look(path, TABLES)) as looking:
        for line in "abc":
            write(file, line)
            before = contents(path.parent)
            assert lines(looking)[-1] == line
            assert contents(path.parent) == before
    assert "state.db-wal" in before, "the last words stood beside the file"


def test_who_looks_reads_what_a_killed_writer_left(file: SharedFile, path: Path, tmp_path: Path) -> None:
    """Its last words are in the second file, and nobody has brought them into the first."""
    write(file, "a")
    left = tmp_path / "left"
    left.mkdir()
    for name in ("state.db", "state.db-wal"):
        shutil.copy(tmp_path / name, left / name)
    before = contents(left)
    with closing(SharedFile.look(left / "state.db", TABLES)) as looking:
        assert lines(looking) == ["a"]
    assert contents(left) == before


def test_a_file_with_other_tables_only_has_nothing_of_ours(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE other (x)")
        other.commit()
    with closing(SharedFile.look(path, TABLES)) as looking:
        assert lines(looking) == []


def test_who_looks_cannot_write(file: SharedFile, path: Path) -> None:
    looking = SharedFile.look(path, TABLES)
    with pytest.raises(AssertionError, match="to look only"), looking.transaction():
        pass


def test_who_looks_again_and_again_sees_no_half_of_anything(path: Path) -> None:
    """Writers come and go: each opens the file, writes two lines at once, and closes it."""
    SharedFile(path, TABLES).close()
    done = threading.Event()

    def keep_writing() -> None:
        for number in range(60):
            with closing(SharedFile(path, TABLES)) as file:
                write(file, f"{number}a", f"{number}b")
        done.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    seen = set()
    with closing(SharedFile.look(path, TABLES)) as looking:
        while not done.is_set():
            found = lines(looking)
            assert len(found) % 2 == 0
            assert found == [f"{number}{half}" for number in range(len(found) // 2) for half in "ab"]
            seen.add(len(found))
        assert len(lines(looking)) == 120
    writer.join(30)


def test_a_look_that_a_writer_came_between_is_taken_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read then may be half of the old and half of the new."""
    with closing(SharedFile(path, TABLES)) as file:
        write(file, "a")
    looking, read, reads = SharedFile.look(path, TABLES), SharedFile._read, []

    def read_slowly(self: SharedFile, uri: str, query: str, values: Sequence[object]) -> list[Any]:
        reads.append(uri)
        rows = read(self, uri, query, values)
        if len(reads) == 1:
            with closing(SharedFile(path, TABLES)) as file:
                write(file, "b")
        return rows

    monkeypatch.setattr(SharedFile, "_read", read_slowly)
    assert lines(looking) == ["a", "b"]
    assert len(reads) == 2


# -- writing


def test_a_transaction_is_all_or_nothing_and_may_be_part_of_another(file: SharedFile) -> None:
    def fail() -> None:
        with file.transaction():
            write(file, "a")
            with file.transaction() as db:
                db.execute("INSERT INTO line VALUES ('b')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lines(file) == []
    write(file, "c")
    assert lines(file) == ["c"]


def test_the_tables_are_brought_up_to_date_and_those_of_a_newer_version_refused(path: Path) -> None:
    with closing(SharedFile(path, TABLES)) as file:
        write(file, "a")
    with closing(SharedFile(path, NEWER)) as newer:
        assert [tuple(row) for row in newer.rows("SELECT text, more FROM line")] == [("a", None)]
    for opened in (SharedFile, SharedFile.look):
        with pytest.raises(InvalidConfig, match=r"state\.db' was written by a newer version .* version 2"):
            opened(path, TABLES)


@pytest.mark.parametrize("look", [False, True])
def test_a_file_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path, look: bool) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and long enough to be read as one" * 20)
    (tmp_path / "folder.db").mkdir()
    for name in ("text.db", "folder.db"):
        with pytest.raises(InvalidConfig, match=rf"state file '.*{name}': .*: name a SQLite file"):
            (SharedFile.look if look else SharedFile)(tmp_path / name, TABLES)


def test_another_writer_is_waited_for_and_one_that_never_ends_is_a_sentence(path: Path) -> None:
    hold = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    with closing(SharedFile(path, TABLES, seconds=0.2)) as file:
        other = subprocess.Popen(
            [sys.executable, "-c", hold, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(InvalidConfig, match=r"state\.db': database is locked"):
                write(file, "a")
            assert lines(file) == [], "readers never wait"
        write(file, "b")
        assert lines(file) == ["b"]


def test_what_nobody_has_any_more_is_closed(path: Path) -> None:
    file = SharedFile(path, TABLES)
    with file.transaction() as db:
        connection = db
    del file, db
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute(ALL)
