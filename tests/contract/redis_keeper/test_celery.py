"""A real worker on the transport does what it does on kombu's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from benchmarks._kills import OURS, QUEUE, Nursery, kill, make_app

Wait = Callable[..., Any]


class Lab:
    """A worker of two places, its app, and what its tasks wrote."""

    def __init__(self, url: str, folder: Path, nursery: Nursery) -> None:
        self.app: Celery = make_app(url, OURS)
        self.log, self.out = folder / "worker.log", folder / "ended"
        self.out.touch()
        self.worker = nursery.start(url, OURS, self.log, "w@keeper", ["-E"])

    def send(self, number: int, seconds: float = 0.0, **options: Any) -> Any:
        return self.app.send_task("kills.work", (number, seconds, str(self.out)), **options)

    def ended(self) -> list[int]:
        return [int(line) for line in self.out.read_bytes().split()]


@pytest.fixture
def lab(url: str, tmp_path: Path, wait_until: Wait) -> Iterator[Lab]:
    nursery = Nursery()
    found = Lab(url, tmp_path, nursery)
    try:
        wait_until(lambda: found.app.control.ping(timeout=1.0, limit=1), seconds=60, what="it answers")
        yield found
    finally:
        kill(found.worker)
        nursery.close()
        found.app.close()


def test_it_is_asked_and_told_by_remote_control(lab: Lab, server: redis.Redis, wait_until: Wait) -> None:
    """And what waits for its time, is revoked, or is tasks of another queue."""
    control, inspect = lab.app.control, lab.app.control.inspect(destination=["w@keeper"], timeout=10)
    revoked = lab.send(1, countdown=3)
    later = lab.send(2, countdown=1)
    wait_until(lambda: len((inspect.scheduled() or {}).get("w@keeper", [])) >= 1, what="it has what is later")
    control.revoke(revoked.id)
    wait_until(lambda: revoked.id in (inspect.revoked() or {}).get("w@keeper", []))
    lab.send(3)
    wait_until(lambda: {2, 3} <= set(lab.ended()))
    assert later.id not in str(inspect.scheduled())

    lab.send(4, queue="another")
    control.add_consumer("another", destination=["w@keeper"], reply=True, timeout=10)
    wait_until(lambda: 4 in lab.ended())
    control.cancel_consumer("another", destination=["w@keeper"], reply=True, timeout=10)
    lab.send(5, queue="another")
    lab.send(6)
    wait_until(lambda: 6 in lab.ended())
    wait_until(lambda: server.llen("another") == 1, what="nobody takes it any more")
    lab.app.control.purge()
    wait_until(lambda: server.hlen("unacked") <= 1)  # the revoked one, until its time
    wait_until(lambda: server.hlen("unacked") == 0, what="its time came")
    assert 1 not in lab.ended()


def test_its_events_are_heard(lab: Lab) -> None:
    heard: list[str] = []
    with lab.app.connection_for_read() as connection:
        receiver = lab.app.events.Receiver(
            connection, handlers={"*": lambda event: heard.append(event["type"])}
        )
        with receiver.consumer_context() as (listening, _, _):
            while not heard:  # of its heart: now we are subscribed
                listening.drain_events(timeout=30)
            lab.send(1)
            while not {"task-received", "task-started", "task-succeeded"} <= set(heard):
                listening.drain_events(timeout=30)


def test_a_warm_shutdown_gives_back_what_was_not_begun(
    lab: Lab, server: redis.Redis, wait_until: Wait
) -> None:
    for number in range(12):
        lab.send(number, 0.5)
    wait_until(lambda: lab.ended(), what="it is at work")
    lab.app.control.shutdown(destination=["w@keeper"])
    wait_until(
        lambda: server.hlen("unacked") == 0 and "w@keeper" not in str(lab.app.control.ping(timeout=0.5))
    )
    ended = lab.ended()
    wait_until(lambda: len(lab.ended()) + server.llen(QUEUE) == 12)
    assert len(set(lab.ended())) == len(lab.ended())
    assert len(ended) < 12
