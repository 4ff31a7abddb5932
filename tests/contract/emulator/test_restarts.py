"""The emulator killed or stopped, and started again: with its memory and without."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from cyclecloud_emulator import Emulator, load, replace
from cyclecloud_emulator.errors import BadSettings

Start = Callable[..., "Running"]
WAITING = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(3600)"
"""What a node does here: it says who it is, and works until it is ended. No test waits for it."""


class Running:
    """An emulator in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdout is not None
        self.process, self.folder = process, folder
        ready = next((line for line in process.stdout if line.startswith("Ready: ")), "")
        found = re.match(r"Ready: (http\S+)", ready)
        assert found, process.stderr and process.stderr.read()
        self.http = httpx.Client(base_url=found[1], auth=("emulator", "secret"), timeout=20)

    def create(self, count: int, request_id: str) -> httpx.Response:
        item = {"nodearray": "worker", "count": count, "definition": {"machineType": "Standard_F2s_v2"}}
        return self.http.post("/clusters/celery/nodes/create", json={"requestId": request_id, "sets": [item]})

    def nodes(self, **query: str) -> dict[str, dict[str, Any]]:
        answer = self.http.get("/clusters/celery/nodes", params=query)
        answer.raise_for_status()
        return {n["NodeId"]: n for n in answer.json()["nodes"] if n["Name"] != "scheduler"}

    def up(self) -> set[str]:
        return {id_ for id_, node in self.nodes().items() if node["Status"] == "Ready"}

    def workers(self) -> dict[str, int]:
        """Process ids of what runs on the nodes, by node id; only those that live."""
        pids = {file.parent.name: int(file.read_text() or 0) for file in self.folder.glob("*/pid")}
        return {node_id: pid for node_id, pid in pids.items() if alive(pid)}

    def end(self, how: signal.Signals) -> None:
        self.http.close()
        self.process.send_signal(how)
        self.process.communicate(timeout=60)


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the command with a state file; nodes linger for `linger` seconds."""
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "secret")
    started: list[Running] = []

    def run(*options: str, linger: float = 300.0, boot: float = 0.1) -> Running:
        settings = msgspec.to_builtins(load())
        settings["nodes"] |= {
            "command": ["{python}", "-c", WAITING],
            "linger_seconds": linger,
            "boot_seconds": boot,
            "terminate_seconds": 0.1,
        }
        config = tmp_path / "settings.json"
        config.write_text(json.dumps(settings))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "cyclecloud_emulator", "--port", "0", "--config", str(config)),
                *("--state-file", str(tmp_path / "state.json"), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Running(process, tmp_path / "state.json.nodes"))
        return started[-1]

    yield run
    for one in started:
        one.http.close()
        one.process.kill()
        one.process.communicate()
    # What lingers is ended as a person would do it.
    settings = replace(load(), nodes={"kind": "process", "linger_seconds": 0.5})
    with Emulator.start(settings, state_file=tmp_path / "state.json", forget=True):
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_with_its_memory_nodes_operations_and_request_ids_come_back_and_work_goes_on(
    start: Start, wait_until: Callable[..., Any], how: signal.Signals
) -> None:
    first = start()
    operation = first.create(2, "a").json()["operationId"]
    wait_until(lambda: len(first.up()) == 2 and len(first.workers()) == 2)
    before, workers = first.nodes(), first.workers()
    ledger = first.http.get("/emulator/ledger").json()
    first.end(how)

    second = start()
    assert second.nodes() == before
    assert second.nodes(operation=operation) == second.nodes(request_id="a") == before
    assert second.create(2, "a").status_code == 409, "the request id is remembered"
    assert second.workers() == workers, "the same processes: what they work on goes on"
    assert second.http.get("/emulator/ledger").json()["machines"] == ledger["machines"] == 2
    # They are led again: a terminate ends them, and a third node gets a name of its own.
    gone = sorted(before)[0]
    second.http.post("/clusters/celery/nodes/terminate", json={"ids": [gone]})
    wait_until(lambda: set(second.nodes()) == set(before) - {gone})
    assert not alive(workers[gone])
    second.create(1, "b")
    wait_until(lambda: len(second.up()) == len(second.workers()) == 2)
    pids = second.workers().values()
    second.http.post("/clusters/celery/nodes/terminate", json={"filter": 'Template === "worker"'})
    wait_until(lambda: not second.nodes())
    assert not any(map(alive, pids))


def test_a_node_that_was_on_its_way_goes_on_with_it(start: Start, wait_until: Callable[..., Any]) -> None:
    """Also the time in which the emulator was down counts: the machines did not stand still."""
    first = start(boot=5.0)
    (created,) = (first.create(1, "a") and first.nodes()).values()
    assert created["Status"] in ("Acquiring", "Preparing")
    first.end(signal.SIGKILL)
    second = start(boot=5.0)
    wait_until(lambda: second.up() == {created["NodeId"]})
    wait_until(lambda: len(second.workers()) == 1)


def test_a_worker_that_is_gone_when_the_emulator_comes_back_is_started_anew(
    start: Start, wait_until: Callable[..., Any]
) -> None:
    first = start(linger=0.2)
    first.create(1, "a")
    wait_until(lambda: len(first.workers()) == 1)
    before = first.workers()
    first.end(signal.SIGKILL)
    wait_until(lambda: not any(map(alive, before.values())), what="the node has waited for long enough")
    second = start()
    wait_until(lambda: len(second.workers()) == 1)
    assert second.workers().keys() == before.keys()
    assert second.workers() != before


def test_an_answer_that_was_given_is_remembered_however_soon_the_kill_comes(start: Start) -> None:
    for number in range(3):
        running = start()
        assert len(running.nodes()) == number
        assert running.create(1, f"create-{number}").status_code == 202
        running.end(signal.SIGKILL)


@pytest.mark.parametrize("removed", [False, True], ids=["--forget", "the file is removed"])
def test_without_its_memory_all_is_forgotten_and_nothing_of_the_old_is_left_running(
    start: Start, wait_until: Callable[..., Any], tmp_path: Path, removed: bool
) -> None:
    first = start()
    first.create(2, "a")
    wait_until(lambda: len(first.workers()) == 2)
    workers = first.workers().values()
    first.end(signal.SIGKILL)
    assert all(map(alive, workers))
    if removed:
        (tmp_path / "state.json").unlink()
    second = start(*([] if removed else ["--forget"]))
    assert not any(map(alive, workers)), "ended before the first answer"
    assert second.nodes() == {}
    assert second.http.get("/clusters/celery/nodes", params={"request_id": "a"}).status_code == 404
    assert second.create(1, "a").status_code == 202


def test_a_state_file_has_one_emulator_and_one_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    bare = replace(load(), nodes={"kind": "none"})
    path = tmp_path / "state.json"
    with (
        Emulator.start(bare, state_file=path),
        pytest.raises(BadSettings, match=r"state\.json: another emulator uses it"),
    ):
        Emulator(bare, state_file=path)
    path.write_text('{"version": 2}')
    with pytest.raises(BadSettings, match=r"state\.json: cannot be read: .*version.*--forget"):
        Emulator(bare, state_file=path)
    with Emulator.start(bare, state_file=path, forget=True) as emulator:
        assert emulator.nodes() == []
