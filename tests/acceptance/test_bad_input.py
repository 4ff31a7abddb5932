"""What a person gets wrong is said in one sentence that names the value, the place and the remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.site import ROOT, Site

Write = Callable[..., dict[str, str]]


def run(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m …` as a person would run it."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def autoscaler(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("celery", "-A", "autoscaler_app", "autoscaler", *words, env=env)


@pytest.fixture
def write(tmp_path: Path, site: Site) -> Write:
    """Write an `autoscale.json` with changes; the environment that names it."""

    def write(text: str | None = None, **changes: Any) -> dict[str, str]:
        good = json.loads((site.folder / "autoscale.json").read_text())
        path = tmp_path / "autoscale.json"
        path.write_text(json.dumps({**good, **changes}, indent=1) if text is None else text)
        return {**site.env, "AUTOSCALER_CONFIG": str(path)}

    return write


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text": "{ not json"}, ["autoscale.json", "line 1"]),
        ({"idle_timout": 5}, ["idle_timout", "idle_timeout"]),
        ({"idle_timeout": "soon"}, ["idle_timeout", "soon"]),
        ({"idle_timeout": -1}, ["idle_timeout", "-1"]),
        ({"prices": {"Standard_F2s_v2": "cheap"}}, ["prices", "Standard_F2s_v2", "cheap"]),
        ({"autoscaler": {"target_drain_tme": 5}}, ["autoscaler", "target_drain_tme"]),
        ({"autoscaler": {"target_drain_time": 0}}, ["target_drain_time", "greater than 0"]),
        ({"url": "not a url"}, ["url", "not a url"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_malformed_settings_file_names_file_and_key(
    write: Write, changes: dict[str, Any], says: list[str]
) -> None:
    done = autoscaler("plan", env=write(**changes))
    assert done.returncode == 2, done.stderr
    for text in says:
        assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_settings_file_that_is_not_there_is_named(site: Site) -> None:
    done = autoscaler("status", env={**site.env, "AUTOSCALER_CONFIG": "/no/such/file.json"})
    assert done.returncode == 2
    assert "/no/such/file.json" in done.stderr


@pytest.mark.parametrize("interval", ["often", "0.1"])
@pytest.mark.parametrize("command", ["worker", "beat"])
def test_an_interval_out_of_range_is_one_sentence(write: Write, command: str, interval: str) -> None:
    done = run("celery", "-A", "autoscaler_app", command, env={**write(), "AUTOSCALER_INTERVAL": interval})
    assert done.returncode == 78, done.stderr
    assert interval in done.stderr
    assert "AUTOSCALER_INTERVAL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_said_and_never_printed(write: Write) -> None:
    done = autoscaler("plan", env={**write(), "CYCLECLOUD_PASSWORD": "wr0ng-secret"})
    assert done.returncode == 2
    assert "401" in done.stderr or "refused" in done.stderr
    assert "wr0ng-secret" not in done.stderr + done.stdout


def test_a_snapshot_that_cannot_be_written_is_named(write: Write) -> None:
    done = autoscaler("plan", "--save", "/no/such/folder/snapshot.json", env=write())
    assert done.returncode == 2, done.stderr
    assert "/no/such/folder/snapshot.json: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_cyclecloud_is_named(write: Write) -> None:
    done = autoscaler("plan", env=write(url="http://127.0.0.1:1"))
    assert done.returncode == 2
    assert "http://127.0.0.1:1" in done.stderr


def test_an_unreachable_broker_is_named_without_its_password(write: Write) -> None:
    done = autoscaler("plan", env={**write(), "CELERY_BROKER_URL": "redis://:s3cret@127.0.0.1:1/0"})
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_pass_that_cannot_look_changes_nothing_and_says_why(write: Write, site: Site) -> None:
    done = autoscaler(
        "run", "--json", env=write(url="http://127.0.0.1:1", autoscaler={"state_file": "other.db"})
    )
    made = json.loads(done.stdout)
    assert done.returncode == 1
    assert made["actions"] == []
    assert made["plan"] is None
    assert "http://127.0.0.1:1" in made["error"]


PUBLISH = """
import sys
from worker_tasks.tasks import small
try:
    small.apply_async((0,), constraints=%s)
except ValueError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("constraints", "says"),
    [
        ("{'ncpu': 1}", ["ncpu", "ncpus"]),
        ("{'ncpus': -2}", ["ncpus", "-2"]),
        ("{'ncpus': 'many'}", ["ncpus", "many"]),
        ("{'memgb': float('nan')}", ["memgb", "nan"]),
        ("['ncpus']", ["ncpus"]),
    ],
)
def test_a_bad_constraint_is_refused_where_it_is_published(
    site: Site, constraints: str, says: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH % constraints],
        cwd=ROOT,
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for text in says:
        assert text in done.stderr


@pytest.mark.timeout(120)
def test_a_task_that_can_never_be_placed_stays_is_named_and_stops_nothing_else(
    celery_setup: object, site: Site, send: Callable[..., list[str]], wait_until: Callable[..., object]
) -> None:
    huge = PUBLISH.replace("sys.exit(", "raise SystemExit(") % "{'ncpus': 5000}"
    subprocess.run(
        [sys.executable, "-c", huge], cwd=ROOT, env={**os.environ, **site.env}, timeout=60, check=True
    )
    ids = send(2, "small")
    site.start_beat()
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=60, what="the other tasks have finished")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    last = site.reports(1)[0]
    assert last.plan is not None
    (unserved,) = last.plan.unserved
    assert unserved.reason == "never-fits"
    assert "ncpus" in unserved.detail
    assert unserved.count == 1
