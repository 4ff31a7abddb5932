"""The always-on listener, on each kind of broker: what is said is heard, and what is not heard is unknown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.events.event import get_exchange
from kombu import Producer

from autoscaler_app.listening import listener as listener_module
from autoscaler_app.listening.activity import Activity, Change, ChangeKind
from autoscaler_app.listening.listener import Listener

MakeApp = Callable[..., Celery]


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Listeners that are stopped after the test."""
    started: list[Listener] = []

    def listen(app: Celery, activity: Activity, on_change: Any = None) -> Listener:
        listener = Listener(app, activity, on_change)
        started.append(listener)
        listener.start()
        return listener

    yield listen
    for listener in started:
        listener.stop()


class Speaker:
    """A worker's voice: the events of one node, through Celery's own dispatcher."""

    def __init__(self, app: Celery, nodename: str) -> None:
        self._connection = app.connection_for_write()
        self._dispatcher = app.events.Dispatcher(self._connection, hostname=nodename)
        self._seq = 0

    def report(self, **facts: Any) -> None:
        self._seq += 1
        self._dispatcher.send("worker-resources", seq=self._seq, started=1.0, **facts)

    def send(self, kind: str, **facts: Any) -> None:
        self._dispatcher.send(kind, **facts)

    def close(self) -> None:
        self._dispatcher.close()
        self._connection.close()


@pytest.fixture
def speaker(app: Celery) -> Iterator[Speaker]:
    """The voice of celery@n1."""
    speaker = Speaker(app, "celery@n1")
    yield speaker
    speaker.close()


def test_reports_and_task_events_become_the_activity_of_a_host(
    app: Celery, speaker: Speaker, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    activity, changes = Activity(), []
    listener = listen(app, activity, changes.append)
    wait_until(lambda: listener.connected_since)

    speaker.report(total={"ncpus": 4}, free={"ncpus": 3}, running=[{"id": "a", "queue": "q", "name": "t"}])
    speaker.send("task-started", uuid="b")
    host = wait_until(lambda: (host := activity.host("n1")) and len(host.running) == 2 and host)
    assert (host.total, {task.id for task in host.running}) == ({"ncpus": 4}, {"a", "b"})

    speaker.send("task-succeeded", uuid="b", runtime=0.1)
    speaker.report(total={"ncpus": 4}, free={"ncpus": 4})
    wait_until(lambda: not activity.host("n1").running)
    assert Change(kind=ChangeKind.NEW, hostname="n1") in changes
    assert listener.lag is not None
    assert listener.lag < timedelta(seconds=10)


def test_a_task_that_is_sent_is_heard_with_its_queue(
    app: Celery, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    app.conf.task_send_sent_event = True
    changes: list[Change] = []
    listener = listen(app, Activity(), changes.append)
    wait_until(lambda: listener.connected_since)

    app.send_task("work", queue="big")

    wait_until(lambda: Change(kind=ChangeKind.SENT, queue="big") in changes)


def test_after_a_silence_everything_is_unknown_until_it_is_told_again(
    wire: Any,
    app: Celery,
    speaker: Speaker,
    make_app: MakeApp,
    listen: Callable[..., Listener],
    wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection whose other end vanished is noticed by the echo that does not come back."""
    monkeypatch.setattr(listener_module, "ECHO_EVERY", 0.2)
    monkeypatch.setattr(listener_module, "DEAF_AFTER", 0.8)
    monkeypatch.setattr(listener_module, "WAIT", 1.0)
    activity = Activity()
    listener = listen(make_app(wire.url), activity)
    wait_until(lambda: listener.connected_since)
    speaker.report(total={"ncpus": 4}, free={"ncpus": 4})
    wait_until(lambda: activity.host("n1") and activity.host("n1").told)

    wire.silence()
    wait_until(lambda: listener.connected_since is None, what="the listener notices that it is deaf")
    # Already now: a pass may reach the broker before the listener does, and an hour without a broker is no
    # hour of silence.
    wait_until(lambda: activity.host("n1").told is None)
    speaker.report(running=[{"id": "a"}])  # said while nobody hears
    wire.heal()
    wait_until(lambda: listener.connections == 2 and listener.connected_since)

    assert activity.host("n1").told is None, "it may have become busy meanwhile"
    speaker.report(running=[{"id": "a"}])
    wait_until(lambda: activity.host("n1").told)
    assert [task.id for task in activity.host("n1").running] == ["a"]


def test_on_connecting_it_asks_all_workers_to_speak_up(
    app: Celery, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    asked, stopping = threading.Event(), threading.Event()

    def worker() -> None:
        with app.connection_for_read() as connection:
            node = app.control.mailbox(connection).Node(
                "celery@n1", channel=connection.channel(), handlers={"heartbeat": lambda state: asked.set()}
            )
            with node.listen():
                while not stopping.is_set():
                    try:
                        connection.drain_events(timeout=0.05)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    try:
        # The worker may subscribe after the first question, so ask again by connecting again.
        wait_until(lambda: _connects(app, listen, wait_until) and asked.wait(1))
    finally:
        stopping.set()
        thread.join(10)


def _connects(app: Celery, listen: Callable[..., Listener], wait_until: Callable[..., Any]) -> bool:
    listener = listen(app, Activity())
    wait_until(lambda: listener.connected_since)
    return True


def test_what_could_not_be_understood_is_said_in_the_log(
    app: Celery,
    speaker: Speaker,
    listen: Callable[..., Listener],
    wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listener_module, "ECHO_EVERY", 0.1)
    listener = listen(app, Activity())
    wait_until(lambda: listener.connected_since)

    speaker.send("worker-resources", running="everything")

    wait_until(lambda: "1 not understood" in caplog.text)


def test_what_cannot_be_unpacked_costs_one_word_and_not_the_ear(
    app: Celery, speaker: Speaker, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    activity = Activity()
    listener = listen(app, activity)
    wait_until(lambda: listener.connected_since)
    with app.connection_for_write() as connection:
        exchange = get_exchange(connection)
        Producer(connection.default_channel).publish(
            b"{}",
            exchange=exchange,
            declare=[exchange],
            routing_key="worker.heartbeat",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"compression": "nonsense"},
        )
    speaker.send("worker-heartbeat")
    wait_until(lambda: activity.hosts())
    assert activity.counters().rejected == 1
    assert listener.connections == 1


def test_it_starts_before_its_broker_and_connects_when_that_comes(
    wire: Any, make_app: MakeApp, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    wire.silence()
    listener = listen(make_app(wire.url), Activity())
    assert listener.connected_since is None

    wire.heal()

    wait_until(lambda: listener.connected_since)


def test_it_stops_at_once_and_leaves_no_thread(
    app: Celery, listen: Callable[..., Listener], wait_until: Callable[..., Any]
) -> None:
    listener = listen(app, Activity())
    wait_until(lambda: listener.connected_since)
    began = time.monotonic()

    listener.stop()
    listener.stop()

    assert time.monotonic() - began < 6
    assert listener.connected_since is None
    assert "autoscaler-listener" not in {thread.name for thread in threading.enumerate()}


def test_one_that_was_never_started_can_be_stopped(make_app: MakeApp) -> None:
    listener = Listener(make_app("redis://127.0.0.1:1"), Activity())
    listener.stop()
    assert listener.connected_since is None
