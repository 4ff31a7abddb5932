"""What a thousand nodes cost the broker: every message that is not a task or its result, by who sends it.

Real broker (Valkey, and RabbitMQ where there is one), control worker, beat and emulator, with the settings
that come with the program. The nodes are simulated: each speaks for itself and as often as a real one.
100,000 tasks of 20 kinds wait, and the account of every node changes every ten seconds; then nothing waits,
and nothing changes. How it is counted: `meters.py`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from benchmarks import Measurement
from benchmarks.celery_resources import rabbitmq_vhost
from benchmarks.meters import (
    ACCOUNTS,
    ANSWERS,
    COMMANDS,
    DEPTHS,
    ECHOES,
    HEARTBEATS,
    OTHER,
    REQUESTS,
    Meter,
    meter_for,
)
from celery_resources import Requirement, queue_name
from demo.process import wait_for
from demo.site import Site, Wishes

NODES = 1_000
WAITING = 100_000
RUN_MEANWHILE = 40_000
"""Tasks more than that, which the nodes run until all is counted."""
BATCH = 500
"""Tasks sent at a time."""
TASK_SECONDS = 10.0
KINDS = tuple(Requirement({"ncpus": 1, "memgb": n / 10}, exclusive=True) for n in range(1, 21))
WINDOW = 60.0
MOST = 100.0
"""Messages a second of all together; the issue's number for the control side alone as well."""
NODES_OWN = (ACCOUNTS, HEARTBEATS, OTHER)
CONTROL_SIDE = (COMMANDS, ANSWERS, REQUESTS, ECHOES, DEPTHS)


WISHES = Wishes(
    interval=15.0,
    # Nobody is to go while the idle are counted.
    idle_timeout=3600.0,
    boot_seconds=5.0,
    nodes={"kind": "simulated"},
    most_nodes=NODES,
    config={"boot_timeout": 600},
)


def measure() -> Iterator[Measurement]:
    """On each broker: growing, busy, idle."""
    yield from _on("Valkey", "")
    with contextlib.ExitStack() as stack:
        url = rabbitmq_vhost(stack)
        if url:
            yield from _on("RabbitMQ", url)


def _on(broker: str, url: str) -> Iterator[Measurement]:
    with _Large(replace(WISHES, broker_url=url)) as site, meter_for(site.broker_url) as meter:
        app = Celery(broker=site.broker_url, set_as_current=False)
        growing = _Window(meter, broker)
        _send(app, site.broker_url)
        wait_for(lambda: _ready(site) == NODES, 300, f"{NODES} nodes are Ready")
        wait_for(lambda: _is_paced(site), 120, "nodes were told their pace")
        yield from growing.measurements("while they come up", target=None)
        wait_for(lambda: _saw(site)[1] == NODES, 120, "a pass that saw all nodes at work")
        busy, before = _Window(meter, broker), len(site.reports())
        _let_pass(WINDOW)
        waiting, running = _saw(site)
        if waiting < WAITING or running < 0.9 * NODES:
            raise AssertionError(f"only {waiting} waited, and only {running} ran")
        yield from busy.measurements("busy")
        passes = len(site.reports()) - before
        yield Measurement(name=_name(broker, "busy"), metric="passes", value=passes / WINDOW, unit="1/s")
        _purge(app)
        wait_for(lambda: _saw(site) == (0, 0), 120, "a pass that saw all nodes idle")
        idle = _Window(meter, broker)
        _let_pass(WINDOW)
        yield from idle.measurements("idle")
        app.close()


def _name(broker: str, state: str) -> str:
    return f"{broker}, {NODES} nodes, {state}"


class _Large(Site):
    """A site whose cloud has room for all nodes."""

    def _emulator_settings(self) -> Path:
        path = super()._emulator_settings()
        settings = json.loads(path.read_text())
        wide = {"max_count": NODES, "max_core_count": 16 * NODES}
        settings["clusters"]["celery"] |= wide
        settings["clusters"]["celery"]["nodearrays"]["worker"] |= wide
        settings["families"]["standardFSv2Family"] = settings["regional"] = {"cores": 16 * NODES}
        path.write_text(json.dumps(settings))
        return path


def _send(app: Celery, url: str) -> None:
    """All tasks, as `celery_resources` would send them, and what it would announce."""
    with app.connection_for_write() as connection:
        for need in KINDS:
            queue, said = queue_name(need), need.to_json()
            facts = {"kind": "announce", "queue": queue, "requirement": said}
            app.send_task("autoscaler_app.note", kwargs=facts, queue="autoscale", connection=connection)
            fill = _fill_rabbitmq if url.startswith("amqp") else _fill_valkey
            fill(app, url, connection, queue, said)


def _fill_rabbitmq(app: Celery, url: str, connection: Any, queue: str, said: Any) -> None:
    with app.amqp.Producer(connection) as producer:
        for _ in range((WAITING + RUN_MEANWHILE) // len(KINDS)):
            headers = {"autoscale_requirement": said}
            app.send_task(
                "work",
                (TASK_SECONDS,),
                queue=queue,
                headers=headers,
                ignore_result=True,
                producer=producer,
                delivery_mode="transient",
            )


def _fill_valkey(app: Celery, url: str, connection: Any, queue: str, said: Any) -> None:
    """One is really sent; the others are copies of its message with ids of their own."""
    with redis.Redis.from_url(url) as client:
        app.send_task(
            "work",
            (TASK_SECONDS,),
            queue=f"{queue}-one",
            headers={"autoscale_requirement": said},
            ignore_result=True,
        )
        message = json.loads(client.rpop(f"{queue}-one"))  # type: ignore[arg-type]
        message["properties"]["delivery_info"]["routing_key"] = queue
        for _ in range((WAITING + RUN_MEANWHILE) // len(KINDS) // BATCH):
            client.lpush(queue, *(_copy(message) for _ in range(BATCH)))


def _copy(message: dict[str, Any]) -> str:
    task_id = str(uuid.uuid4())
    properties = message["properties"] | {"correlation_id": task_id, "delivery_tag": str(uuid.uuid4())}
    headers = message["headers"] | {"id": task_id, "root_id": task_id}
    return json.dumps(message | {"headers": headers, "properties": properties})


def _purge(app: Celery) -> None:
    with app.connection_for_write() as connection:
        for need in KINDS:
            connection.default_channel.queue_purge(queue_name(need))


def _ready(site: Site) -> int:
    _let_pass(1.0)
    return sum(node["Status"] == "Ready" for node in site.nodes())


def _is_paced(site: Site) -> bool:
    """Whether the nodes that are asked, a few of them, say that they were told a pace."""
    with Celery(broker=site.broker_url, set_as_current=False) as app:
        names = [f"celery@{node['Hostname']}" for node in site.nodes() if node.get("Hostname")][::100]
        answers = app.control.broadcast(
            "resources", destination=names, reply=True, timeout=5, limit=len(names)
        )
    paces = [each["ok"]["pace"] for answer in answers for each in answer.values()]
    return len(paces) == len(names) and min(paces) > 0


def _saw(site: Site) -> tuple[int, int]:
    """How many tasks waited and ran when the last pass looked."""
    _let_pass(1.0)
    last = next(iter(site.reports(1)), None)
    queues = last.saw.queues if last is not None and last.saw is not None else ()
    return sum(queue.waiting for queue in queues), sum(queue.running for queue in queues)


def _let_pass(seconds: float) -> None:
    threading.Event().wait(seconds)


class _Window:
    """What was counted between its making and its measurements."""

    def __init__(self, meter: Meter, broker: str) -> None:
        self._meter, self._broker = meter, broker
        self._began = time.monotonic()
        self._counts, self._server = Counter(meter.counts), meter.server()

    def measurements(self, state: str, target: float | None = MOST) -> Iterator[Measurement]:
        """A row for each source, and the sums. Raises AssertionError if messages escaped the count."""
        server = self._meter.server() - self._server
        seconds = time.monotonic() - self._began
        counts = self._meter.counts - self._counts
        self._meter.complete(counts, server)
        name = _name(self._broker, state)
        for source in (*NODES_OWN, *CONTROL_SIDE):
            yield Measurement(
                name=f"{name}: {source}", metric="messages", value=counts[source] / seconds, unit="1/s"
            )
        ours = sum(counts[source] for source in CONTROL_SIDE)
        yield Measurement(
            name=f"{name}: the control side, with the answers to it",
            metric="messages",
            value=ours / seconds,
            unit="1/s",
            target=target,
        )
        yield Measurement(
            name=f"{name}: all together",
            metric="messages",
            value=(ours + sum(counts[source] for source in NODES_OWN)) / seconds,
            unit="1/s",
            target=target,
        )
