"""The command `record`: write down which tasks come, as a trace (docs/traces.md)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from autoscaler_app.cli.opening import say, speaks
from scalelib.errors import InvalidInput
from scalelib.privatefile import OWNER_ONLY


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=366 * 24 * 3600.0),
    help="How long to listen; until Ctrl-C, if not given.",
)
@click.option("--note", default="", help="A sentence for the head of the file.")
@click.pass_context
@speaks
def record(ctx: click.Context, file: Path, seconds: float | None, note: str) -> None:
    """Listen, and write to FILE which tasks come, what they need and how long they run.

    No task's name or arguments are in it; names of queues are. Nothing is sent or changed, and a control
    worker may run beside it. Senders tell when a task came only with `task_send_sent_event = True`.
    """
    from autoscaler_app import settings as settings_module
    from autoscaler_app.listening.listener import Listener
    from autoscaler_app.listening.recording.recorder import Recorder
    from autoscaler_app.listening.recording.trace import Line, encode
    from autoscaler_app.memory.queues import KnownQueues
    from autoscaler_app.memory.state import State
    from celery_resources import Requirement

    settings = settings_module.load()
    with closing(State.look(settings.state_file)) as state:
        queues = KnownQueues(ctx.obj.app, settings, state)

        def need(queue: str) -> Requirement:
            # Read anew each time: a new kind is announced with its first task.
            return queues.all(also=[queue])[queue]

        need("celery")  # a state file that cannot be read is told before anything is written
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        except FileExistsError as error:
            raise InvalidInput(f"{file} is there already: name another file") from error
        except OSError as error:
            raise InvalidInput(f"{file}: cannot be written: {error.strerror}") from error
        with open(descriptor, "wb", buffering=0) as out, _until_told() as told:

            def write(line: Line) -> None:
                out.write(encode(line))

            recorder = Recorder(datetime.now(UTC), write, need, note)
            listener = Listener(ctx.obj.app, recorder)
            listener.start()
            told.wait(seconds)
            listener.stop()
            recorder.close(datetime.now(UTC))
    say(f"{file}: {recorder.written} tasks of {len(recorder.queues)} queues")
    if not listener.connections:
        raise InvalidInput("the broker was never heard: nothing is in it")
    if recorder.unplaced:
        say(
            f"{recorder.unplaced} more ran, and nobody told their queue: set task_send_sent_event = True in "
            "the app that sends them"
        )


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by Ctrl-C and by SIGTERM, so that what is known is written down."""
    told = threading.Event()
    before = {each: signal.signal(each, lambda *_: told.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
