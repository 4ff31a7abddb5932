"""What the control worker writes to its log."""

from __future__ import annotations

import subprocess
import sys

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
