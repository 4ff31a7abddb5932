"""The control worker as a process of this machine: whether it is there, ending it, starting it anew.

Celery's remote control (`celery inspect ping`, `celery control shutdown`) does not reach it, on purpose:
anybody who can speak to the broker could send that. Who may signal a process is for the machine to say.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from autoscaler_app.cli.opening import as_json, say, speaks
from autoscaler_app.passes.lease import mark
from autoscaler_app.passes.lease.mark import Marked, NoControlWorker
from scalelib.errors import InvalidInput

timeout_option = click.option(
    "--timeout", default=60.0, show_default=True, help="Seconds to wait; a pass that is running is finished."
)


@click.command()
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def ping(ctx: click.Context, json_: bool) -> None:
    """Whether the control worker runs on this machine and may act. Exit code 1 if not."""
    found = facts(look())
    if json_:
        say(as_json(found))
    elif found is None:
        say("no control worker runs on this machine with this state file")
    else:
        charge = "in charge of the broker" if found["in_charge"] else f"NOT IN CHARGE: {found['why_not']}"
        say(f"control worker {found['nodename']}: process {found['pid']}, since {found['started']}; {charge}")
    ctx.exit(0 if found is not None and found["in_charge"] else 1)


@click.command()
@timeout_option
@speaks
def stop(timeout: float) -> None:
    """End the control worker of this machine, after the pass that it makes."""
    worker = _the_worker()
    os.kill(worker.pid, signal.SIGTERM)
    _wait(timeout, lambda: look() is None, f"process {worker.pid} has not ended")
    say(f"process {worker.pid} has ended")


@click.command()
@timeout_option
@speaks
def reload(timeout: float) -> None:
    """Let the control worker start anew with the settings as they are now, if they are right."""
    from autoscaler_app import settings

    settings.load()
    worker = _the_worker()
    if not worker.can_reload:
        raise InvalidInput(
            f"the control worker (process {worker.pid}) was started in a terminal, or by `python -m celery`: "
            "end it, and start it again"
        )
    os.kill(worker.pid, signal.SIGHUP)

    def is_new() -> bool:
        now = look()
        return now is not None and now.started > worker.started

    _wait(timeout, is_new, f"process {worker.pid} has not started anew")
    say(f"process {worker.pid} has started anew")


def look() -> Marked | None:
    """The control worker of this machine, if there is one."""
    from autoscaler_app import settings

    found = mark.look(settings.load().mark_file)
    return found if found is not None and found.nodename else None


def facts(worker: Marked | None) -> dict[str, Any] | None:
    """What to tell of it."""
    if worker is None:
        return None
    return {
        "pid": worker.pid,
        "nodename": worker.nodename,
        "started": f"{datetime.fromtimestamp(worker.started, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "in_charge": worker.holds_the_lease,
        "why_not": "" if worker.holds_the_lease else worker.why_not or "it does not hold the lease",
    }


def _the_worker() -> Marked:
    worker = look()
    if worker is None:
        raise NoControlWorker("no control worker runs on this machine with this state file")
    return worker


def _wait(seconds: float, done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise NoControlWorker(f"{otherwise} within {seconds:g} s")
        time.sleep(0.05)
