"""A Celery app whose tasks need several nodes at once. Emulated nodes run it in the tests of gangs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from worker_tasks.celery import app
from worker_tasks.tasks import LEDGER


@app.task(bind=True, name="team.work", constraints={"ncpus": 2}, node_count=2)
def team_work(self: Any, seconds: float = 1.0) -> list[str]:
    """Write down which hosts this task has for itself, so long or until a test says that it is enough."""
    hosts = list(self.request.hosts)
    facts = {"id": self.request.id, "task": self.name, "host": self.request.hostname, "pid": os.getpid()}
    _write({**facts, "what": "start", "at": time.time(), "hosts": hosts})
    until = time.monotonic() + seconds
    enough = Path(os.environ[LEDGER]).with_name("enough")
    while time.monotonic() < until and not enough.exists():
        sum(range(1000))
    _write({**facts, "what": "end", "at": time.time(), "hosts": hosts})
    return hosts


def _write(line: dict[str, Any]) -> None:
    with open(os.environ[LEDGER], "a") as ledger:
        ledger.write(json.dumps(line) + "\n")
