"""What the control worker writes to its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys
import httpx
from autoscaler_app.worker import steps as worker
worker.app.log.setup(loglevel=sys.argv[1], redirect_stdouts=False)
client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
client.get("http://cloud.example/status")
client.close()
logging.getLogger("autoscaler_app").info("a line of ours")
"""


@pytest.mark.parametrize(("level", "told"), [("INFO", False), ("WARNING", False), ("DEBUG", True)])
def test_requests_to_the_cloud_are_in_the_log_only_when_debugging(level: str, told: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, level], capture_output=True, text=True, timeout=60, check=True
    )
    assert ("HTTP Request" in done.stderr) is told
    assert ("a line of ours" in done.stderr) is (level != "WARNING")


LINES = """
import json, logging, os, sys
from autoscaler_app.worker import steps as worker
worker.app.log.setup(loglevel=sys.argv[1], redirect_stdouts=False)
logging.getLogger("celery.app.trace").info("Task x succeeded in 1s: the summary")
logging.getLogger("celery.worker.strategy").info("Task x received")
logging.getLogger("autoscaler_app").info("a line\\nof %s", "ours", extra={"facts": {"pass": 3, "level": "x"}})
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("autoscaler_app").exception("a defect")
"""


def lines_of(tmp_path: Path, level: str, **section: object) -> str:
    settings = {"url": "https://c.example", "username": "u", "cluster_name": "c", "autoscaler": section}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    environment = {**os.environ, "CYCLECLOUD_PASSWORD": "p"}
    return subprocess.run(
        [sys.executable, "-c", LINES, level],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
        env=environment,
    ).stderr


def test_celery_does_not_repeat_what_a_pass_says(tmp_path: Path) -> None:
    said = lines_of(tmp_path, "INFO")
    assert "the summary" not in said
    assert "received" not in said
    assert "a line" in said
    assert "the summary" in lines_of(tmp_path, "DEBUG")


def test_the_log_is_an_object_a_line_if_the_settings_say_so(tmp_path: Path) -> None:
    first, second = map(json.loads, lines_of(tmp_path, "INFO", log_json=True).splitlines())
    assert (first["message"], first["pass"], first["level"]) == ("a line\nof ours", 3, "INFO")
    assert first["logger"] == "autoscaler_app"
    assert datetime.fromisoformat(first["at"]).tzinfo is not None
    assert "ZeroDivisionError" in second["exception"]
