"""Processes that fetch and hold, for tests that kill them; and what reads for a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kombu import Connection, Queue

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import os, sys, time
import redis_keeper
from redis_keeper import pulse
from kombu import Connection, Queue
pulse.BEAT, pulse.LEASE = 0.05, 0.3
redis_keeper.install()
url, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
held = []
with Connection(url) as connection:
    with connection.Consumer([Queue(queue)], callbacks=[lambda body, message: held.append(message)]):
        while len(held) < count:
            connection.drain_events(timeout=30)
        print(connection.default_channel.pulse.consumer, flush=True)
        if sys.argv[4:] and not os.fork():
            print(os.getpid(), connection.default_channel.pulse.consumer, flush=True)
        time.sleep(1000)
"""


class Holder:
    """A process that has fetched so many messages and settles none."""

    def __init__(self, url: str, queue: str, count: int, forks: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, url, queue, str(count), *["forks"] * forks],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def wait(self) -> str:
        """Until it has them all; its name as a consumer."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def holding(url: str, queue: str, count: int, *, forks: bool = False) -> Iterator[Holder]:
    holder = Holder(url, queue, count, forks)
    try:
        yield holder
    finally:
        holder.signal(signal.SIGCONT)
        holder.kill()


def put(connection: Connection, *bodies: Any, queue: str = "q", **options: Any) -> None:
    """Send these; the queue is bound to the exchange of its name."""
    producer = connection.Producer()
    for body in bodies:
        producer.publish(body, routing_key=queue, declare=[Queue(queue)], **options)


def got(
    connection: Connection,
    count: int,
    *queues: str,
    seconds: float = 20.0,
    ack: bool = True,
    prefetch: int = 0,
    **options: Any,
) -> list[Any]:
    """The next so many messages of these queues."""
    found: list[Any] = []

    def take(body: Any, message: Any) -> None:
        if ack:
            message.ack()
        found.append(message)

    names = [Queue(queue) for queue in queues or ("q",)]
    with connection.Consumer(names, callbacks=[take], prefetch_count=prefetch or None, **options):
        until = time.monotonic() + seconds
        while len(found) < count:
            try:
                connection.drain_events(timeout=0.2)
            except TimeoutError:
                if time.monotonic() > until:
                    raise AssertionError(f"{len(found)} of {count} came") from None
    return found


def bodies(messages: list[Any]) -> list[Any]:
    return [message.payload for message in messages]
