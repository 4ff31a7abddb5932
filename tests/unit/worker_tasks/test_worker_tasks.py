"""The demo's tasks, and the commands that add them and check on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from worker_tasks import app
from worker_tasks.sent import Sent, recall, remember
from worker_tasks.tasks import KINDS


def test_every_kind_says_what_it_needs() -> None:
    needs = {
        name: (task.constraints, getattr(task, "exclusive", None))
        for name, task in KINDS.items()
        if name != "work"
    }
    assert needs == {
        "small": ({"ncpus": 1}, None),
        "wide": ({"ncpus": 4}, None),
        "roomy": ({"ncpus": 1, "memgb": 12}, None),
        "alone": ({"ncpus": 1}, True),
    }


@pytest.mark.parametrize(
    ("broker", "environment", "transport"),
    [
        ("redis://127.0.0.1/0", {}, "redis_keeper.transport.Transport"),
        ("rediss://127.0.0.1/0", {}, "redis_keeper.transport.Transport"),
        ("sentinel://127.0.0.1/0", {}, "redis_keeper.transport.SentinelTransport"),
        ("redis://127.0.0.1/0", {"WORKER_TASKS_TRANSPORT": "stock"}, "kombu.transport.redis.Transport"),
        ("amqp://127.0.0.1//", {}, "kombu.transport.pyamqp.Transport"),
    ],
)
def test_on_redis_nodes_have_the_transport_that_loses_nothing(
    broker: str, environment: dict[str, str], transport: str
) -> None:
    said = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from worker_tasks import app; made = app.connection_for_read().transport; "
            "print(type(made).__module__ + '.' + type(made).__name__)",
        ],
        env={**os.environ, "CELERY_BROKER_URL": broker, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == transport


@pytest.mark.parametrize(
    ("broker", "asked"), [("amqps://127.0.0.1//", {"server_hostname": None}), ("amqp://127.0.0.1//", False)]
)
def test_the_certificate_of_rabbitmq_has_to_be_its_own(broker: str, asked: object) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from worker_tasks import app; print(app.conf.broker_use_ssl)"],
        env={**os.environ, "CELERY_BROKER_URL": broker},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == str(asked)


def test_a_task_works_and_writes_down_its_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv("WORKER_TASKS_LEDGER", str(ledger))
    result = app.tasks["worker_tasks.tasks.small"].apply((0.05,)).get()
    assert len(result["digest"]) == 64
    assert 0.05 <= result["end"] - result["start"] < 5
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["start", "end"]
    assert lines[0]["id"] == lines[1]["id"]


def test_a_length_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="seconds must be a number from 0 to 86400, not -1"):
        app.tasks["worker_tasks.tasks.work"].apply((-1,), throw=True)


def test_what_was_sent_is_remembered(tmp_path: Path) -> None:
    sent = [Sent(id="a", kind="small", seconds=1.0, at=5.0), Sent(id="b", kind="wide", seconds=2.0, at=6.0)]
    remember(tmp_path / "sent", sent[:1])
    remember(tmp_path / "sent", sent[1:])
    assert recall(tmp_path / "sent") == sent
    (tmp_path / "sent").write_text('{"id": 4}\n')
    with pytest.raises(ValueError, match="sent, line 1: not a sent task"):
        recall(tmp_path / "sent")


def test_a_line_that_is_being_written_is_read_the_next_time(tmp_path: Path) -> None:
    sent = [Sent(id="a", kind="small", seconds=1.0, at=5.0), Sent(id="b", kind="wide", seconds=2.0, at=6.0)]
    remember(tmp_path / "sent", sent)
    whole = (tmp_path / "sent").read_text()
    (tmp_path / "sent").write_text(whole[:-9])
    assert recall(tmp_path / "sent") == sent[:1]


def test_a_file_of_ids_that_cannot_be_used_is_a_sentence(tmp_path: Path, redis_url: str) -> None:
    """And no task is sent that nobody could ask about."""
    env = {"CELERY_BROKER_URL": redis_url}
    added = run("worker_tasks", "add", "--file", str(tmp_path / "none" / "sent"), **env)
    assert (added.returncode, added.stdout) == (1, "")
    assert (
        added.stderr == f"Error: the ids cannot be kept in {tmp_path}/none/sent: No such file or directory\n"
    )
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("celery") == 0
    (tmp_path / "sent").write_text("nonsense\n")
    checked = run("worker_tasks", "check", "--file", str(tmp_path / "sent"), **env)
    assert checked.returncode == 1
    assert checked.stderr == f"Error: {tmp_path}/sent, line 1: not a sent task: 'nonsense'\n"


def run(module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One of the commands, as a user types it."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3]), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_tasks_are_added_and_checked_from_a_shell(tmp_path: Path, redis_url: str, wait_until: Any) -> None:
    env = {"CELERY_BROKER_URL": redis_url, "WORKER_TASKS_SENT": str(tmp_path / "sent")}
    added = run(
        "worker_tasks", "add", "--kind", "mixed", "--count", "4", "--seconds", "0-0.1", "--json", **env
    )
    assert added.returncode == 0, added.stderr
    tasks = [json.loads(line) for line in added.stdout.splitlines()]
    assert [task["kind"] for task in tasks] == ["small", "wide", "roomy", "alone"]
    one = run("worker_tasks.add_task", **env)
    assert one.stdout.split()[1] == "work"

    checked = run("worker_tasks.check_tasks", "--json", **env)
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["counts"] == {"PENDING": 5}
    late = run("worker_tasks", "check", "--wait", "--timeout", "0.3", **env)
    assert late.returncode == 2
    assert late.stdout.endswith("5 PENDING\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "--seconds", "5-1"), "'5-1' is no span from small to large; write it like 1-5"),
        (("add", "--seconds", "x"), "'x' is no span; write it like 2 or 1-5"),
        (("check", "--file", "nowhere"), "nowhere does not exist: nothing was added from here"),
        (("add",), "127.0.0.1:1/0 cannot be reached: Error 111"),
    ],
)
def test_bad_input_is_a_clear_error(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = run(
        "worker_tasks",
        *arguments,
        CELERY_BROKER_URL="redis://127.0.0.1:1/0",
        WORKER_TASKS_SENT=str(tmp_path / "sent"),
    )
    assert done.returncode != 0
    assert says in done.stderr
