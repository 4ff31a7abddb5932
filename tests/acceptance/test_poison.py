"""Everything that a stolen password can say and nobody could mean, all at once: passes go on, and the next
task gets its node, runs once and is cleaned up after, as if nothing had been said.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amqp import NotFound
from celery import Celery
from celery.events.event import get_exchange
from kombu import Exchange, Producer
from pytest_celery import CeleryTestSetup

from autoscaler_app.brokers import open_broker
from autoscaler_app.memory.state import State
from autoscaler_app.schedule import AUTOSCALE, CONTROL_QUEUE, NOTE, NOTES_QUEUE
from demo.site import Site

Send = Callable[..., list[str]]
WaitUntil = Callable[..., object]

ONE = {"constraints": {"ncpus": 1}}
DEEP = "[" * 800 + "]" * 800
NOTES: list[dict[str, Any]] = [
    *(
        {"kind": "announce", "queue": queue, "requirement": ONE}
        for queue in (
            *(None, 5, "", ["a"], "a\0b", "q" * 300, "q" * 60_000, "\ud800x", "\u202eevil"),
            "\x1b[2J\x1b[31mroot\r\n<script>alert(1)</script>",
            *(CONTROL_QUEUE, NOTES_QUEUE, "_kombu.binding.celery.pidbox", "celeryev.1", "celery_delayed_3"),
        )
    ),
    *(
        {"kind": "announce", "queue": "never-heard-of", "requirement": need}
        for need in (
            *(None, 5, [], {"constraints": 5}, {"constraints": {}, "node_count": -1}),
            {"constraints": {"ncpus": float("nan")}},
            {"constraints": {"ncpus": float("inf")}},
            {"constraints": {"ncpus": 1e308}, "node_count": 10**9},
            {"constraints": {"node.vm_size": ["a"] * 1000}},
            {"constraints": {"\x1b[31m": 1}},
        )
    ),
    {"kind": "announce"},
    {"kind": "left"},
    {"kind": "left", "hostname": 5, "nodename": {"a": 1}, "pid": "x"},
    {"kind": "left", "hostname": "n", "nodename": "celery@n", "pid": True},
    {"kind": "left", "hostname": "n", "nodename": "celery@n", "pid": 1, "started": "soon"},
    {"kind": "os.system"},
    {"kind": ["announce"]},
    {},
]
"""Each is dropped, counted and reported, whichever way it comes."""

BODIES = [b"x", b"\xff\xfe", b"[]", b"5", b'"' + b"x" * 70_000 + b'"', DEEP.encode()]
"""Notes that are not even an object."""

ELEMENTS = [
    *(b"y", b"\xfe\xff", b"[[]]", b"{}", b"6", f"[{DEEP}]".encode()),
    b'{"body": 5, "properties": {}}',
    b'{"body": "a", "headers": {}, "properties": {"delivery_tag": "1", "body_encoding": "base64", '
    b'"delivery_info": {"exchange": "", "routing_key": "one"}}}',
]
"""Of a list of Redis: no messages at all. (None is also a body above: of equal ones that are taken together
one counts.)"""

HEADERS: list[dict[str, Any]] = [
    {},
    {"task": "os.system", "id": "1"},
    {"task": [], "id": "2"},
    {"task": AUTOSCALE, "id": []},
    {"task": AUTOSCALE, "id": "3", "eta": []},
    {"task": AUTOSCALE, "id": "4", "timelimit": ["a", "b"]},
    {"task": AUTOSCALE, "id": "5", "autoscale_asked_at": "soon", "autoscale_every": []},
    {"task": AUTOSCALE, "id": "6", "autoscale_asked_at": 1e300, "autoscale_every": 1e300},
]
"""Of messages in the control queue."""

ACCOUNTS: list[dict[str, Any]] = [
    {"queues": ["r" * 300, "", "\0", "\x1b[31m", "res:ncpus=<b>", None]},
    {"total": {"ncpus": float("inf"), "x": [1], "y": {"a": 1}}, "free": {"ncpus": "many"}},
    {"running": [{"id": "\0", "name": "n" * 100_000, "queue": "\x1b", "started": 1e18}]},
    {"running": [{"id": "1", "name": "n", "queue": "res:ncpus=1", "started": -1e10}]},
    {"gang": {"id": "g", "members": ["celery@evil", "celery@ip-7F000003"], "role": "head"}},
    {"scheduled": 10**18},
    {"ended": {"res:ncpus=1": [10**300, 1e308]}},
    {"running": 5, "held": "x", "queues": 7, "started": "soon"},
    {"machine": {"host": 5, "addresses": "x"}, "properties": []},
]
NAMES = ["celery@evil", "celery@\x1b[31m<img src=x onerror=alert(1)>", "celery@" + "h" * 200_000, "@", ""]
SENT: list[dict[str, Any]] = [
    {"uuid": "u1", "name": "x", "queue": "q" * 300, "eta": "2026-11-26T02:00:00"},
    {"uuid": "u2", "name": "x", "queue": "res:ncpus=1", "eta": "9999-12-31T23:59:59"},
    {"uuid": [], "name": {}, "queue": 5, "eta": "never"},
]


MOST_MEMORY = 600 * 1024
"""kB that the control worker may ever have: it has about a fifth of that, and the bomb more."""


def bomb() -> bytes:
    """A megabyte that unpacks to a thousand."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1024 * 1024)) for _ in range(1000)), packer.flush()])


def poison(url: str) -> int:
    """Say all of it; how many notes are to be dropped."""
    dropped = 0
    with Celery("thief", broker=url, set_as_current=False) as app:
        for note in NOTES:
            app.send_task(NOTE, kwargs=note, queue=CONTROL_QUEUE, ignore_result=True)
            dropped += 1
        with app.connection_for_write() as connection:
            post = Producer(connection.default_channel, auto_declare=False)

            def put(body: bytes, to: str | Exchange, kind: str | bytes, **headers: Any) -> None:
                how = {"content_type": kind, "content_encoding": "utf-8", "headers": headers}
                queue, exchange = (to, "") if isinstance(to, str) else ("worker.heartbeat", to)
                post.publish(body, exchange=exchange, routing_key=queue, **how)

            for body in (*(json.dumps(note).encode() for note in NOTES), *BODIES):
                put(body, NOTES_QUEUE, "application/json")
                dropped += 1
            for headers in HEADERS:
                for kind in ("application/json", "application/x-python-serialize", "text/odd"):
                    put(b"[[], {}, {}]", CONTROL_QUEUE, kind, **headers)
            packed, ears = bomb(), get_exchange(connection)
            ears(connection.default_channel).declare()
            for to in (NOTES_QUEUE, CONTROL_QUEUE, ears):
                gzip = "application/x-gzip"
                put(packed, to, "application/json", compression=gzip, task=AUTOSCALE, id="7")
            dropped += 1
            if url.startswith("amqp"):
                for to in (NOTES_QUEUE, CONTROL_QUEUE, ears):
                    put(b"x", to, b"\xff", task=AUTOSCALE, id="8")
                dropped += 1
                post.publish(b"{}", exchange=ears, routing_key=b"\xff", content_type="application/json")
            if url.startswith("redis"):
                for element in ELEMENTS:
                    for queue in (NOTES_QUEUE, CONTROL_QUEUE, "res:ncpus=1"):
                        connection.default_channel.client.lpush(queue, element)
                dropped += len(ELEMENTS)
        for name in NAMES:
            with app.connection_for_write() as connection:
                teller = app.events.Dispatcher(connection, hostname=name)
                for account in ACCOUNTS:
                    teller.send("worker-resources", **account)
                for sent in SENT:
                    teller.send("task-sent", **sent)
    return dropped


def takes_notes(url: str) -> bool:
    """Whether the control worker has made its queue of notes: what RabbitMQ is sent before is nowhere."""
    if url.startswith("redis"):
        return True
    with Celery("thief", broker=url, set_as_current=False) as app, app.connection_for_read() as connection:
        try:
            connection.default_channel.queue_declare(NOTES_QUEUE, passive=True)
        except NotFound:
            return False
    return True


DROPPED = re.compile(r"(\d+) notes? of producers or nodes dropped since the last pass: it could not be read")


@pytest.mark.timeout(170)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"], indirect=True, ids=["redis", "rabbitmq"])
def test_after_all_poison_at_once_a_task_gets_its_node_and_finishes(
    celery_setup: CeleryTestSetup, site: Site, send: Send, wait_until: WaitUntil
) -> None:
    wait_until(lambda: takes_notes(site.broker_url), seconds=30, what="notes have a queue")
    wanted = poison(site.broker_url)
    site.start_beat()
    ids = send(2, "small")
    wait_until(lambda: set(ids) <= set(site.finished()), seconds=90, what="the tasks have finished")
    wait_until(lambda: not site.nodes(), seconds=60, what="the last node is gone")
    assert Counter(run.id for run in site.runs()) == Counter(ids), "each task ran exactly once"
    assert site.processes["control"].exit_code is None, "the same process"
    status = Path(f"/proc/{site.processes['control'].pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < MOST_MEMORY

    reports = site.reports()
    assert [made.error for made in reports if made.error] == []
    warnings = [warning for made in reports if made.saw for warning in made.saw.warnings]
    assert sum(int(found[1]) for each in warnings if (found := DROPPED.search(each))) == wanted
    shown = json.dumps([queue.queue for made in reports if made.saw for queue in made.saw.queues]) + "".join(
        warnings
    )
    assert shown.isprintable()
    for never in ("never-heard-of", "<script>", "\\u001b", "q" * 300):
        assert never not in shown
    assert site.left_behind() == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"], indirect=True, ids=["redis", "rabbitmq"])
def test_a_thousand_requests_of_whoever_may_send_tasks_cost_two_passes(
    site: Site, wait_until: WaitUntil
) -> None:
    """On RabbitMQ no right keeps a node from sending them: they say nothing, or a time that is to come."""
    with Celery("thief", broker=site.broker_url, set_as_current=False) as app:
        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for headers in [{}, {"autoscale_asked_at": 4e9}] * 500:
                app.send_task(
                    AUTOSCALE, queue=CONTROL_QUEUE, ignore_result=True, headers=headers, producer=producer
                )
        site.start_control()
        depth = open_broker(app).depths
        wait_until(
            lambda: not depth([CONTROL_QUEUE])[CONTROL_QUEUE].waiting, seconds=60, what="all are taken"
        )
    assert 1 <= len(site.reports()) <= 2


STAND = {"redis": 1_500, "rabbitmq": 4_500}
"""More than are taken in the seconds until a pass: that is three times as many on RabbitMQ."""


def warnings(site: Site) -> list[str]:
    return [warning for made in site.reports() if made.saw for warning in made.saw.warnings]


@pytest.mark.timeout(170)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"], indirect=True, ids=["redis", "rabbitmq"])
def test_who_asks_for_a_pass_stands_behind_nothing(site: Site, wait_until: WaitUntil) -> None:
    """Notes of an earlier version, of so many kinds that each is written down; and what nobody knows."""
    stand = STAND["redis" if site.broker_url.startswith("redis") else "rabbitmq"]
    with Celery("thief", broker=site.broker_url, set_as_current=False) as app:
        depth = open_broker(app).depths

        def waiting() -> int:
            return depth([CONTROL_QUEUE])[CONTROL_QUEUE].waiting

        with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
            for number in range(stand):
                note = {"kind": "announce", "queue": f"q{number}", "requirement": ONE}
                what: dict[str, Any] = {"name": NOTE, "kwargs": note} if number % 3 else {"name": "os.system"}
                app.send_task(**what, queue=CONTROL_QUEUE, ignore_result=True, producer=producer)
        site.start_control()
        wait_until(lambda: site.reports(1), seconds=30, what="a first pass, though nobody asked")
        asked = time.time()
        app.send_task(AUTOSCALE, queue=CONTROL_QUEUE, ignore_result=True)
        wait_until(
            lambda: site.reports(1)[0].started.timestamp() > asked,
            seconds=20,
            what="the pass that is asked for",
        )
        [made] = site.reports(1)
        assert made.asked_by == "line", "it did not wait until they were gone"
        wait_until(lambda: not waiting(), seconds=90, what="all are taken")
        dropped = re.compile(r"(\d+) notes? of .*: it stood in the control queue and is no request")

        def told() -> int:
            # What was taken last is told by the pass after it: RabbitMQ does not count as waiting what a
            # worker has in its hands.
            app.send_task(AUTOSCALE, queue=CONTROL_QUEUE, ignore_result=True)
            return sum(int(found[1]) for each in warnings(site) if (found := dropped.search(each)))

        wait_until(lambda: told() >= stand // 3, seconds=30, what="all are told of", every=1.0)
        assert told() == stand // 3, "each once"
    assert any("messages stood in the control queue" in each for each in warnings(site))
    with contextlib.closing(State.look(site.folder / "autoscaler.db")) as state:
        assert len(state.kinds.all()) == stand - stand // 3, "nothing true is lost"
