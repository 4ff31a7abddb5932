"""Asking workers by name, on each kind of broker."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Consumer, Producer, Queue

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.listening import ask as ask_module
from autoscaler_app.listening.ask import ask, tell

MakeApp = Callable[..., Celery]


class Answerer:
    """Mailboxes of many workers on one connection: kombu's own, so they speak what real workers speak."""

    def __init__(self, app: Celery, nodenames: list[str], handlers: dict[str, Callable[..., Any]]) -> None:
        self.asked: list[str] = []
        self._app, self._nodenames, self._handlers = app, nodenames, handlers
        self._stopping, self.ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self.ready.wait(10)

    def _serve(self) -> None:
        with self._app.connection_for_read() as connection, contextlib.ExitStack() as stack:
            for nodename in self._nodenames:
                channel = connection.channel()
                node = self._app.control.mailbox(connection).Node(
                    nodename, state=self, channel=channel, handlers=self._handlers
                )
                stack.enter_context(node.listen())
            self.ready.set()
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.05)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)


@pytest.fixture
def answer(app: Celery, wait_until: Callable[..., Any]) -> Iterator[Callable[..., Answerer]]:
    """Workers that answer commands."""
    made: list[Answerer] = []

    def answer(nodenames: list[str], **handlers: Callable[..., Any]) -> Answerer:
        made.append(Answerer(app, nodenames, {**handlers, "here": lambda state: {"ok": "here"}}))
        # A subscription on Redis becomes real only some time after it was asked for.
        wait_until(lambda: set(ask(app, "here", nodenames, timeout=1)) == set(nodenames))
        return made[-1]

    yield answer
    for answerer in made:
        answerer.stop()


def resources(state: Answerer, **arguments: Any) -> dict[str, Any]:
    state.asked.append("resources")
    return {"ok": {"total": {"ncpus": 4}, **arguments}}


def broken(state: Answerer) -> dict[str, Any]:
    raise ValueError("cannot")


def test_those_asked_answer_with_what_they_have(app: Celery, answer: Callable[..., Answerer]) -> None:
    answer(["celery@n1", "celery@n2", "celery@n3"], resources=resources)
    began = time.monotonic()

    found = ask(app, "resources", ["celery@n1", "celery@n3"], {"more": 1}, timeout=20)

    assert found == {name: {"total": {"ncpus": 4}, "more": 1} for name in ("celery@n1", "celery@n3")}
    assert time.monotonic() - began < 10, "it does not wait when all have answered"


def test_only_those_named_are_asked(app: Celery, answer: Callable[..., Answerer]) -> None:
    answerer = answer(["celery@n1", "celery@n2"], resources=resources)

    ask(app, "resources", ["celery@n2"], timeout=20)

    assert answerer.asked == ["resources"]


def test_who_does_not_answer_is_missing_and_who_cannot_has_none(
    app: Celery, answer: Callable[..., Answerer]
) -> None:
    answer(["celery@n1"], resources=resources, broken=broken)

    assert ask(app, "resources", ["celery@n1", "celery@gone"], timeout=3) == {
        "celery@n1": {"total": {"ncpus": 4}}
    }
    assert ask(app, "broken", ["celery@n1"], timeout=20) == {"celery@n1": None}
    assert ask(app, "unheard_of", ["celery@n1"], timeout=20) == {"celery@n1": None}


def test_asking_nobody_asks_nothing(make_app: MakeApp) -> None:
    assert ask(make_app("redis://127.0.0.1:1"), "resources", []) == {}


def test_a_person_may_ask_everybody(app: Celery, answer: Callable[..., Answerer]) -> None:
    answer(["celery@n1", "celery@n2"], resources=resources)

    assert set(ask(app, "resources", None, timeout=3)) == {"celery@n1", "celery@n2"}


def test_of_everybody_it_is_no_news_that_some_cannot_and_of_those_named_it_is(
    app: Celery, answer: Callable[..., Answerer], caplog: pytest.LogCaptureFixture
) -> None:
    """A broadcast reaches workers that are no nodes: a person who asks for a plan need not read of them."""
    answer(["celery@n1"], resources=resources)

    assert ask(app, "unheard_of", None, timeout=3) == {"celery@n1": None}
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    assert ask(app, "unheard_of", ["celery@n1"], timeout=20) == {"celery@n1": None}
    assert "celery@n1 could not do 'unheard_of'" in caplog.text


def test_one_answer_that_cannot_be_read_spoils_no_other_and_is_shown_printable(
    app: Celery, answer: Callable[..., Answerer], caplog: pytest.LogCaptureFixture
) -> None:
    class Judge:
        """Answers are judged by what anybody says; a defect there is to cost one answer."""

        def command(self, command: str, names: Any, arguments: Any, *_: Any) -> Any:
            return arguments

        def answer(self, nodename: str, answer: Any, *_: Any) -> Any:
            if nodename == "celery@n1":
                raise RecursionError
            return answer

    answer(["celery@n1", "celery@n2"], evil=lambda state: {"error": "\x1b[2Jroot"}, resources=resources)
    trust: Any = Judge()

    assert ask(app, "resources", ["celery@n1", "celery@n2"], timeout=2, trust=trust).keys() == {"celery@n2"}
    assert ask(app, "evil", ["celery@n2"], timeout=20) == {"celery@n2": None}
    assert r"celery@n2 could not do 'evil': '\x1b[2Jroot'" in caplog.text


def test_an_answer_that_cannot_be_unpacked_spoils_no_other(
    app: Celery, answer: Callable[..., Answerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(["celery@n1"], resources=resources)
    send = ask_module._Question.send

    def send_and_disturb(question: Any, *arguments: Any) -> None:
        """Whoever may listen knows where to answer."""
        Producer(question._channel).publish(
            b"{}",
            exchange=question._reply_queue.exchange.name,
            routing_key=question._ticket,
            content_type="application/json",
            content_encoding="utf-8",
            headers={"compression": "nonsense"},
        )
        send(question, *arguments)

    monkeypatch.setattr(ask_module._Question, "send", send_and_disturb)
    assert ask(app, "resources", ["celery@n1"], timeout=20).keys() == {"celery@n1"}


def test_more_than_one_batch_is_asked(app: Celery, answer: Callable[..., Answerer]) -> None:
    names = [f"celery@n{number:03}" for number in range(0, 250, 50)]
    answer(names, resources=resources)

    found = ask(app, "resources", [f"celery@n{number:03}" for number in range(250)], timeout=4)

    assert set(found) == set(names)


def test_the_deadline_holds_when_nobody_answers(app: Celery) -> None:
    began = time.monotonic()

    assert ask(app, "resources", ["celery@gone"], timeout=0.5) == {}

    assert time.monotonic() - began < 6


def test_the_deadline_holds_when_the_broker_is_a_black_hole(wire: Any, make_app: MakeApp) -> None:
    wire.silence()
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        ask(make_app(wire.url), "resources", ["celery@n1"], timeout=0.5)

    assert time.monotonic() - began < 6


def test_those_told_do_it_and_no_others(
    app: Celery, answer: Callable[..., Answerer], wait_until: Callable[..., Any]
) -> None:
    told: list[str] = []
    answer(["celery@n1"], go=lambda state: told.append("n1"))
    answer(["celery@n2"], go=lambda state: told.append("n2"))

    tell(app, "go", ["celery@n1"], timeout=20)
    wait_until(lambda: told)
    tell(app, "go", ["celery@n2"], timeout=20)
    wait_until(lambda: len(told) == 2)

    assert told == ["n1", "n2"]


def test_telling_a_black_hole_is_an_error_within_the_deadline(wire: Any, make_app: MakeApp) -> None:
    wire.silence()
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        tell(make_app(wire.url), "shutdown", ["celery@n1"], timeout=0.5)

    assert time.monotonic() - began < 6


def test_the_deadline_holds_when_the_wire_is_cut_while_we_wait(
    wire: Any, app: Celery, make_app: MakeApp, answer: Callable[..., Answerer]
) -> None:
    def cut(state: Answerer) -> dict[str, Any]:
        wire.silence()
        return {"ok": {}}

    answer(["celery@n1"], cut=cut)
    began = time.monotonic()

    with contextlib.suppress(BrokerUnreachable):  # no answer, or no answer from the broker: both are unknown
        assert ask(make_app(wire.url), "cut", ["celery@n1"], timeout=1) == {}

    assert time.monotonic() - began < 6


@pytest.mark.parametrize("server", ["redis_url", "valkey_url"])
def test_nothing_is_left_on_redis(server: str, request: pytest.FixtureRequest, make_app: MakeApp) -> None:
    url = request.getfixturevalue(server)
    app = make_app(url)
    answerer = Answerer(app, ["celery@n1"], {"resources": resources})
    try:
        ask(app, "resources", ["celery@n1"], timeout=20)
        ask(app, "resources", ["celery@n1", "celery@gone"], timeout=0.5)
    finally:
        answerer.stop()

    with redis.Redis.from_url(url) as client:
        left = [key.decode() for key in client.keys("*reply*")]
        assert [key for key in left if client.type(key) != b"set" or client.scard(key)] == []


def test_nothing_is_left_on_rabbitmq(amqp_url: str, make_app: MakeApp) -> None:
    app = make_app(amqp_url)
    answerer = Answerer(app, ["celery@n1"], {"resources": resources})
    try:
        ask(app, "resources", ["celery@n1", "celery@gone"], timeout=0.5)
    finally:
        answerer.stop()
    vhost = amqp_url.rsplit("/", 1)[1]
    listed = subprocess.run(
        ["rabbitmqctl", "--quiet", "list_queues", "-p", vhost, "name"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "reply" not in listed.stdout


PERSON = """
import json, pathlib
from types import SimpleNamespace
from autoscaler_app.celery import app
from autoscaler_app.cli.opening import opened
with opened(SimpleNamespace(obj=SimpleNamespace(app=app))) as control:
    answers = control.workers.ask("resources", None)
    # Not getrusage: that counts what the process had that started this one, which may be more.
    status = pathlib.Path("/proc/self/status").read_text()
    print(json.dumps([answers, int(status.partition("VmHWM:")[2].split()[0])]))
"""
GZIP = "application/x-gzip"
BOMB = 400
"""MB, in some hundred kB."""


@contextlib.contextmanager
def thief(app: Celery) -> Iterator[None]:
    """Somebody with a node's password, who answers every question with what no node would say, and then as a
    node."""
    packer = zlib.compressobj(9)
    bomb = b"".join([*(packer.compress(bytes(1024 * 1024)) for _ in range(BOMB)), packer.flush()])
    mailbox, stopping = app.control.mailbox, threading.Event()

    def answer(message: Any) -> None:
        asked, channel = json.loads(message.body), message.channel
        to = asked["reply_to"]

        def put(body: object, **more: Any) -> None:
            answer = {"exchange": to["exchange"], "routing_key": to["routing_key"], **more}
            Producer(channel, auto_declare=False).publish(body, **answer)

        put(bomb, content_type="application/json", content_encoding="utf-8", headers={"compression": GZIP})
        if hasattr(channel, "client"):
            channel.client.lpush(f"{to['routing_key']}.{to['exchange']}", b"no message")
        else:
            put(b"x", content_type=b"\xff", content_encoding="utf-8")
        put({"celery@n1": {"ok": {"total": {}}}}, headers={"ticket": asked["ticket"]}, serializer="json")

    with app.connection_for_read() as connection:
        ear = Queue("thief", mailbox.exchange, auto_delete=True, durable=False, exclusive=True)
        with Consumer(connection, [ear], accept=["json"], no_ack=True, on_message=answer):

            def listen() -> None:
                while not stopping.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=0.1)

            thread = threading.Thread(target=listen)
            thread.start()
            yield
            stopping.set()
            thread.join(10)


def test_a_command_of_a_person_outlives_what_it_is_answered(app: Celery, url: str, tmp_path: Path) -> None:
    """It has the guards of the control worker: no element ends it, and none fills its memory."""
    settings = {"url": "http://127.0.0.1:1", "cluster_name": "c", "username": "u", "prices": {}}
    (tmp_path / "autoscale.json").write_text(json.dumps(settings))
    ours = {"AUTOSCALER_CONFIG": str(tmp_path / "autoscale.json"), "CYCLECLOUD_PASSWORD": "p"}
    env = {**os.environ, **ours, "CELERY_BROKER_URL": url}
    with thief(app):
        done = subprocess.run(
            [sys.executable, "-c", PERSON], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    answers, kilobytes = json.loads(done.stdout)
    assert answers == {"celery@n1": {"total": {}}}
    assert kilobytes < BOMB * 1024
