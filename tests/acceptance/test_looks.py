"""A look is a look: no command that only shows something writes anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.memory.state import State
from autoscaler_app.passes.lock import held
from demo.site import Site, Wishes
from tests.acceptance.test_bad_input import autoscaler

WaitUntil = Callable[..., Any]

LOOKS = (
    *("status", "plan", "nodes", "demand", "buckets", "journal", "config", "history", "cost"),
    *("queues", "limits", "whatif celery=9", "top --once"),
)
ONE_OF_EACH = ("status", "plan", "buckets", "cost")
"""What else looks opens no other file than one of these does."""


def files(folder: Path) -> dict[str, bytes]:
    """The state file and whatever stands beside it, byte by byte.

    But for the shared memory of the processes that have it open, where each marks how far it has read, and
    for the mark of the control worker, which that writes all the time.
    """
    ours = ("-shm", ".worker")
    return {f.name: f.read_bytes() for f in folder.glob("autoscaler.*") if not f.name.endswith(ours)}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "wishes", [Wishes(interval=1.0, idle_timeout=60.0, boot_seconds=1.0, beat=False)], ids=[""]
)
def test_looks_beside_a_running_control_worker_change_no_byte(
    site: Site, send: Callable[..., list[str]], wait_until: WaitUntil
) -> None:
    """A node is there, its worker runs a task, and much is remembered of both."""
    site.start_control()
    (task,) = send(1, "work", "600")
    wait_until(lambda: any(run.id == task for run in site.runs()), seconds=60)
    state = State.look(site.folder / "autoscaler.db")
    wait_until(state.known_hosts, seconds=60)
    # While the test holds the lock no pass is made, which alone may write.
    with held(site.folder / "autoscaler.lock", patience=30):
        before, beside = files(site.folder), names(site.folder)
        assert {"autoscaler.db", "autoscaler.db-wal"} <= before.keys()
        (node,) = site.nodes()
        for command, told in (
            *dict.fromkeys(LOOKS, "").items(),
            (f"explain {task}", f"{task} runs on {node['Hostname']}"),
            ("explain --queue celery", "nothing waits there"),
            (f"why {node['Name']}", "its worker was heard"),
        ):
            done = autoscaler(*command.split(), env=site.env)
            assert done.returncode == 0, done.stderr
            assert told in done.stdout, command
            assert files(site.folder) == before, command
        done = autoscaler("doctor", env=site.env)
        assert (done.returncode, "the last pass ended" in done.stdout) == (2, True), (
            "passes wait for the lock"
        )
        assert files(site.folder) == before, "doctor"
        assert names(site.folder) == beside


def test_looks_where_there_is_no_state_file_make_none(site: Site) -> None:
    before = names(site.folder)
    for command in ONE_OF_EACH:
        done = autoscaler(*command.split(), env=site.env)
        assert done.returncode == 0, done.stderr
        assert names(site.folder) == before, command


def test_looks_while_nobody_has_the_state_file_open_leave_nothing_beside_it(site: Site) -> None:
    assert autoscaler("run", env=site.env).returncode == 0
    before, beside = files(site.folder), names(site.folder)
    assert before.keys() == {"autoscaler.db", "autoscaler.lock"}
    for command in ONE_OF_EACH:
        done = autoscaler(*command.split(), env=site.env)
        assert done.returncode == 0, done.stderr
        assert files(site.folder) == before, command
    assert names(site.folder) == beside
