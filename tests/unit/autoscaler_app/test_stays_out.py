"""Other Celery apps in the same environment, a node's worker say, are not touched by this one."""

from __future__ import annotations

import subprocess
import sys

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
