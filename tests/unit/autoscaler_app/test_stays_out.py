"""Other Celery apps in the same environment, a node's worker say, are not touched by this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIST = """
from importlib.metadata import entry_points
(command,) = entry_points(group="celery.commands", name="autoscaler")
command.load()
import sys
assert "autoscaler_app.tasks" not in sys.modules, "the commands are imported when one is wanted"
import autoscaler_app.tasks
from celery import Celery
other = Celery("other")
other.finalize()
print([name for name in other.tasks if name.startswith("autoscaler_app")])
"""


def test_another_app_does_not_know_the_control_tasks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


READ = """
import sys
from click.testing import CliRunner
from autoscaler_app.cli.group import autoscaler
from autoscaler_app import app
outcome = CliRunner().invoke(autoscaler, [sys.argv[1], "--json"], obj=None)
heavy = {"httpx", "redis", "scalelib.planner", "autoscaler_app.tasks"}
print(outcome.exit_code, *sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("command", ["status", "journal", "queues", "history", "cost"])
def test_a_command_that_reads_the_state_file_needs_neither_cloud_nor_broker_nor_planner(
    command: str, tmp_path: Path
) -> None:
    settings = {"url": "https://cloud.example", "username": "u", "cluster_name": "c"}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    without = {name: value for name, value in os.environ.items() if name != "CYCLECLOUD_PASSWORD"}
    done = subprocess.run(
        [sys.executable, "-c", READ, command],
        cwd=tmp_path,
        env=without,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "0\n"


ASK = """
from autoscaler_app import app
from celery.signals import before_task_publish
headers = {}
before_task_publish.send("autoscaler_app.autoscale", headers=headers)
print("autoscale_asked_at" in headers)
"""


def test_a_request_says_when_it_was_made_also_by_who_does_not_import_the_tasks() -> None:
    """`celery -A autoscaler_app call autoscaler_app.autoscale`, say."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"


ANY_COMMAND = """
import sys
import celery.bin.celery
print(*sorted({"redis", "celery_resources.install"} & set(sys.modules)))
"""
SENDER = """
import sys
from celery import Celery
from celery_resources import with_resources
app = with_resources(Celery("sender", broker="memory://"))
app.send_task("t", constraints={"ncpus": 2})
print(*sorted({"redis", "celery_resources.node.gate"} & set(sys.modules)))
"""


@pytest.mark.parametrize("program", [ANY_COMMAND, SENDER], ids=["any command of celery", "who only sends"])
def test_what_nodes_run_by_is_imported_by_nodes_alone(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "\n"
