"""The control process is killed between any two side effects of a launch: nothing is launched twice or lost.

The points are enumerated by a pass that is not killed; then a pass is killed at each of them in turn, and
after at most two more passes the cluster has the nodes that were wanted, each of a launch in the books.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from demo.site import ROOT

TASKS = 6
"""Waiting tasks of one cpu: three nodes of two cpus, or fewer bigger ones."""


@dataclass(frozen=True, kw_only=True)
class World:
    """An emulated cloud whose nodes never boot, a backlog, and a state file of its own."""

    emulator: Emulator
    forker: subprocess.Popen[str]
    env: dict[str, str]
    state_file: Path

    def make_passes(self, count: int, die_at: int = 0) -> dict[str, Any]:
        """Passes in a process of their own: how it ended, and what it told."""
        stdin, stdout = self.forker.stdin, self.forker.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"env": self.env, "passes": count, "die_at": die_at}) + "\n")
        stdin.flush()
        return dict(json.loads(stdout.readline()))

    def open_intents(self) -> int:
        """Launches in the books of which nothing is known."""
        with sqlite3.connect(self.state_file) as books:
            tables = [
                name for (name,) in books.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            (table,) = [name for name in tables if "intent" in name]
            (count,) = books.execute(f"SELECT count(*) FROM {table} WHERE fate = 'open'").fetchone()
        books.close()
        return int(count)

    def known_requests(self) -> set[str]:
        """Request ids of the launches in the books."""
        with sqlite3.connect(self.state_file) as books:
            tables = [
                name for (name,) in books.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            (table,) = [name for name in tables if "intent" in name]
            found = {request for (request,) in books.execute(f"SELECT request_id FROM {table}")}
        books.close()
        return found


@contextmanager
def world(folder: Path, broker: str, forker: subprocess.Popen[str]) -> Iterator[World]:
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 3600.0})
    with Emulator.start(bare) as emulator:
        config: dict[str, Any] = {
            "url": emulator.url,
            "username": emulator.user,
            "cluster_name": emulator.cluster,
            # Else a launch that is half done some seconds later waits for what the first tasks tell.
            "autoscaler": {"ask_timeout": 0.5, "estimate_run_times": False},
        }
        folder.mkdir()
        (folder / "autoscale.json").write_text(json.dumps(config))
        env = {
            "AUTOSCALER_CONFIG": str(folder / "autoscale.json"),
            "CYCLECLOUD_PASSWORD": emulator.password,
            "CELERY_BROKER_URL": broker,
        }
        yield World(emulator=emulator, forker=forker, env=env, state_file=folder / "autoscaler.db")


@pytest.fixture
def backlog(valkey_url: str) -> str:
    """URL of a broker on which tasks wait in the plain queue."""
    app = Celery(broker=valkey_url)
    for _ in range(TASKS):
        app.send_task("worker_tasks.tasks.work", queue="celery")
    app.close()
    return valkey_url


@pytest.fixture
def forker() -> Iterator[subprocess.Popen[str]]:
    """The program that makes the passes."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.one_pass"],
        cwd=ROOT,
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        yield program
        assert program.stdin is not None
        program.stdin.close()


PARTS = 6
"""Tests that share the points, each every so manieth: several of them go on at once."""


@pytest.mark.timeout(170)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_of_a_launch_nothing_is_launched_twice_or_lost(
    part: int, backlog: str, tmp_path: Path, forker: subprocess.Popen[str]
) -> None:
    with world(tmp_path / "unhurt", backlog, forker) as unhurt:
        told = unhurt.make_passes(1)
        wanted = len(unhurt.emulator.nodes())
    points = told["points"]
    assert wanted > 0
    assert told["errors"] == [""]
    assert any(point.startswith("before POST") for point in points), points
    assert any(point.startswith("after POST") for point in points), points

    for number, point in [*enumerate(points, start=1)][part::PARTS]:
        place = f"killed at point {number} of {len(points)}: {point}"
        with world(tmp_path / str(number), backlog, forker) as hurt:
            assert hurt.make_passes(1, die_at=number)["exit"] == -signal.SIGKILL, place
            recovered = hurt.make_passes(2)
            assert recovered["exit"] == 0, place
            assert recovered["errors"][-1] == "", place
            nodes = hurt.emulator.nodes()
            assert len(nodes) == wanted, f"{place}: {len(nodes)} nodes where {wanted} were wanted"
            assert hurt.emulator.state.ledger.created == wanted, place
            assert hurt.open_intents() == 0, f"{place}: a launch is still open"
            assert {node.request_id for node in nodes} <= hurt.known_requests(), f"{place}: an orphan"
