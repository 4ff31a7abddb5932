"""Makes passes in processes of their own, which die at a given point between two side effects.

There is a point before every write to a state file, and before and after every call to the cloud. This
program reads jobs from standard input, a JSON object a line (`env`, `passes`, `die_at`), and forks for each,
so that everything is imported once. It answers with a line each: `exit` (negative: the signal), `points`,
`errors`.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from typing import Any

import httpx

from autoscaler_app.celery import app
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass

WRITES = ("COMMIT", "INSERT", "UPDATE", "DELETE", "REPLACE")


class Points:
    """Counts the points, and dies at one of them."""

    def __init__(self, die_at: int) -> None:
        self.names: list[str] = []
        self._die_at = die_at
        self.counts = False

    def reach(self, name: str) -> None:
        if not self.counts:
            return
        self.names.append(name)
        if len(self.names) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def make_passes(passes: int, die_at: int) -> dict[str, Any]:
    """Open everything anew, make passes, tell which points were reached."""
    points = Points(die_at)
    connect, send = sqlite3.connect, httpx.Client.send

    def traced_connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(
            lambda sql: points.reach(f"before {sql.split()[0]}") if sql.upper().startswith(WRITES) else None
        )
        return connection

    def traced_send(client: httpx.Client, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        points.reach(f"before {request.method} {request.url.path}")
        answer = send(client, request, **kwargs)
        points.reach(f"after {request.method} {request.url.path}")
        return answer

    sqlite3.connect, httpx.Client.send = traced_connect, traced_send  # type: ignore[assignment,method-assign]
    control = Control.open(app)
    points.counts = True
    reports = [make_pass(control) for _ in range(passes)]
    control.close()
    return {"points": points.names, "errors": [made.error for made in reports]}


def do(job: dict[str, Any]) -> dict[str, Any]:
    """One job in a child; what it told, or how it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.environ.update(job["env"])
        with os.fdopen(writing, "w") as out:
            json.dump(make_passes(job["passes"], job["die_at"]), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"exit": status, **(json.loads(text) if text else {})}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(do(json.loads(line))) + "\n")
        sys.stdout.flush()
