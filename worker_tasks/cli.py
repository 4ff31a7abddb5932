"""Adding tasks and checking on them, from a shell."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from typing import Any

import click
from kombu.exceptions import OperationalError

from worker_tasks.celery import app
from worker_tasks.sent import Sent, recall, remember, sent_file
from worker_tasks.tasks import KINDS

ENDED = ("SUCCESS", "FAILURE", "REVOKED")
MIXED = ("small", "wide", "roomy", "alone")


@click.group()
def main() -> None:
    """Add tasks to the queues of this app, and check on them."""


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, float]:
    low, dash, high = value.partition("-")
    try:
        span = (float(low), float(high) if dash else float(low))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no span; write it like 2 or 1-5") from None
    if not 0 <= span[0] <= span[1] < 86_400:
        raise click.BadParameter(f"{value!r} is no span from small to large; write it like 1-5")
    return span


def _file_option(command: Any) -> Any:
    return click.option("--file", help="Where the ids are kept. [WORKER_TASKS_SENT]")(command)


@main.command()
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option("--kind", type=click.Choice([*KINDS, "mixed"]), default="work", show_default=True)
@click.option("--seconds", default="1", callback=_seconds, show_default=True, help="Work each: 2, or 1-5.")
@click.option("--seed", type=int, default=None, help="For the lengths, so that a run can be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_file_option
def add(
    count: int, kind: str, seconds: tuple[float, float], seed: int | None, as_json: bool, file: str | None
) -> None:
    """Send tasks."""
    _ask_for_confirmation()
    chance = random.Random(seed)
    kinds = itertools.cycle(MIXED if kind == "mixed" else (kind,))
    sent: list[Sent] = []
    path = sent_file(file)
    try:
        # Tried before a task is sent whose id could then not be kept.
        remember(path, ())
    except OSError as error:
        raise click.ClickException(f"the ids cannot be kept in {path}: {error.strerror}") from error
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2)
        for each in itertools.islice(kinds, count):
            length = round(chance.uniform(*seconds), 3)
            result = KINDS[each].apply_async((length,))
            sent.append(Sent(id=result.id, kind=each, seconds=length, at=time.time()))
    except OperationalError as error:
        raise click.ClickException(
            f"the broker {app.connection().as_uri()} cannot be reached: {error}; set CELERY_BROKER_URL"
        ) from error
    finally:
        remember(path, sent)
    for each_sent in sent:
        click.echo(
            json.dumps({"id": each_sent.id, "kind": each_sent.kind, "seconds": each_sent.seconds})
            if as_json
            else f"{each_sent.id}  {each_sent.kind:6} {each_sent.seconds:g} s"
        )


def _ask_for_confirmation() -> None:
    """Count a task as sent once RabbitMQ has it on disk: killed before that, the server forgets it.

    Not a setting of the app: a worker would wait for every event that it sends.
    """
    if app.connection_for_write().transport.driver_type == "amqp":
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, "confirm_publish": True}


@main.command()
@click.option("--wait", is_flag=True, help="Until every task has ended.")
@click.option("--timeout", type=float, default=None, help="Seconds to wait at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_file_option
def check(wait: bool, timeout: float | None, as_json: bool, file: str | None) -> None:
    """Say how the sent tasks are doing. Exit code 1 if one failed, 2 if --wait ran out of time."""
    path = sent_file(file)
    try:
        sent = recall(path)
    except FileNotFoundError:
        raise click.ClickException(f"{path} does not exist: nothing was added from here") from None
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    try:
        states = _states_after(sent, wait, timeout)
    except getattr(app.backend, "connection_errors", ()) as error:
        raise click.ClickException(
            f"the result backend {app.backend.as_uri()} cannot be reached: {error}; set CELERY_RESULT_BACKEND"
        ) from error
    _show(sent, states, as_json)
    ended = [state for state, _ in states.values() if state in ENDED]
    if any(state != "SUCCESS" for state in ended):
        raise SystemExit(1)
    if wait and len(ended) < len(states):
        raise SystemExit(2)


def _states_after(sent: list[Sent], wait: bool, timeout: float | None) -> dict[str, tuple[str, str]]:
    """The states now, or when all have ended, or when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    states = _states(sent)
    while wait and any(state not in ENDED for state, _ in states.values()):
        if deadline is not None and time.monotonic() > deadline:
            break
        time.sleep(0.25)
        states = _states(sent)
    return states


def _states(sent: list[Sent]) -> dict[str, tuple[str, str]]:
    """State and host by id. PENDING means: waiting, or not known to the result backend."""
    states = {}
    for each in sent:
        result = app.AsyncResult(each.id)
        state = result.state
        info = result.info if state in ("SUCCESS", "STARTED") else {}
        host = info.get("host") or info.get("hostname") or "" if isinstance(info, dict) else ""
        states[each.id] = (state, str(host).rpartition("@")[2])
    return states


def _show(sent: list[Sent], states: dict[str, tuple[str, str]], as_json: bool) -> None:
    counts = Counter(state for state, _ in states.values())
    if as_json:
        tasks = [
            {"id": each.id, "kind": each.kind, "state": states[each.id][0], "host": states[each.id][1]}
            for each in sent
        ]
        click.echo(json.dumps({"tasks": tasks, "counts": counts}))
        return
    for each in sent:
        state, host = states[each.id]
        click.echo(f"{each.id}  {each.kind:6} {state:8} {host}")
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no tasks")
