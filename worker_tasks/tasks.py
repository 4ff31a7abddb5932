"""Tasks that do real work on a processor for about as long as they are told, and say where they ran."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from typing import Any

from worker_tasks.celery import app

LEDGER = "WORKER_TASKS_LEDGER"
"""Environment variable: a file to which every run writes its start and its end, a JSON object a line."""

_BLOCK = b"celery" * 4096


def _compute(task: Any, seconds: float) -> dict[str, Any]:
    """Hash for about `seconds` seconds, however much of a processor there is."""
    if not 0 <= seconds < 86_400:
        raise ValueError(f"seconds must be a number from 0 to 86400, not {seconds!r}")
    host = task.request.hostname or socket.gethostname()
    started = time.time()
    _write_down("start", task, host, started)
    digest = hashlib.sha256()
    until = time.monotonic() + seconds
    while True:
        digest.update(_BLOCK)
        if time.monotonic() >= until:
            break
    ended = time.time()
    _write_down("end", task, host, ended)
    return {"digest": digest.hexdigest(), "host": host, "start": started, "end": ended}


def _write_down(what: str, task: Any, host: str, at: float) -> None:
    path = os.environ.get(LEDGER)
    if not path:
        return
    line = json.dumps(
        {"what": what, "id": task.request.id, "task": task.name, "host": host, "pid": os.getpid(), "at": at}
    )
    # One write to a file opened for appending: lines of many processes do not mix.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode() + b"\n")
    finally:
        os.close(file)


@app.task(bind=True)
def work(self: Any, seconds: float = 1.0) -> dict[str, Any]:
    """A plain task without constraints: one cpu."""
    return _compute(self, seconds)


@app.task(bind=True, constraints={"ncpus": 1})
def small(self: Any, seconds: float = 1.0) -> dict[str, Any]:
    """One cpu, and says so."""
    return _compute(self, seconds)


@app.task(bind=True, constraints={"ncpus": 4})
def wide(self: Any, seconds: float = 1.0) -> dict[str, Any]:
    """Four cpus."""
    return _compute(self, seconds)


@app.task(bind=True, constraints={"ncpus": 1, "memgb": 12})
def roomy(self: Any, seconds: float = 1.0) -> dict[str, Any]:
    """One cpu and a lot of memory."""
    return _compute(self, seconds)


@app.task(bind=True, constraints={"ncpus": 1}, exclusive=True)
def alone(self: Any, seconds: float = 1.0) -> dict[str, Any]:
    """A whole node for itself."""
    return _compute(self, seconds)


KINDS = {"work": work, "small": small, "wide": wide, "roomy": roomy, "alone": alone}
"""Every kind by its name on the command line."""
