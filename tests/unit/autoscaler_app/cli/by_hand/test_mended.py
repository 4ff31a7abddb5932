"""What a person has mended is tried at once: offerings (`retry-failed`), what was learnt (`try-again`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.state import State
from autoscaler_app.passes.observe import learnt
from autoscaler_app.passes.snapshot import Learnt, SizeKnown
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import SQLiteMemory, Watch
from scalelib.provider import LaunchRequest

Say = Callable[..., Result]
WISH = LaunchRequest(request_id="r", nodearray="worker", vm_size="D4", count=40)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "nobody asks for it")
    settings = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    return tmp_path / "autoscaler.db"


@pytest.fixture
def say(database: Path) -> Iterator[Say]:
    with Celery("test", broker="memory://", set_as_current=False) as app:
        yield lambda *words: CliRunner().invoke(autoscaler, words, obj=SimpleNamespace(app=app))


def watch(database: Path) -> Watch:
    return Watch(store=SQLiteMemory(StateFile(database)))


def test_where_something_failed_one_node_may_be_tried_at_once_also_by_the_control_worker(
    say: Say, database: Path
) -> None:
    now = datetime.now(UTC)
    first = watch(database)
    first.create_failed(WISH, "no capacity", now)
    assert first.allowance(WISH, now)[0] == 0
    done = say("retry-failed")
    assert (done.exit_code, done.output) == (0, "worker/D4: one node may be tried from the next pass on\n")
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert watch(database).allowance(WISH, later)[0] == 1, "one, and not the forty"
    assert json.loads(say("retry-failed", "--json").output) == {"tried": []}
    assert say("retry-failed").output == "nothing is set aside because it failed\n"


def test_what_was_learnt_of_machines_is_forgotten_and_counted(say: Say, database: Path) -> None:
    with closing(State(database)) as state:
        learnt.write_down(state, Learnt(sizes={"worker/D4": SizeKnown(promised={"ncpus": 4})}))
    done = say("try-again")
    assert (done.exit_code, done.output) == (
        0,
        "forgotten: 1 sizes, 0 kinds of work bought for in vain\n",
    )
    with closing(State(database)) as state:
        assert learnt.recall(state) == Learnt()
