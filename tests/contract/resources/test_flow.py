"""What comes to a node, and what it leaves for others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Queue
from resource_nodes import Lab, queues_of

from celery_resources.insides import unwaited
from celery_resources.insides.unwaited import Unwaited


@pytest.fixture(params=["redis", "rabbitmq", "quorum"])
def lab(request: pytest.FixtureRequest, make_lab: Callable[..., Lab]) -> Lab:
    """A lab on each sort of queue."""
    url = request.getfixturevalue("redis_url" if request.param == "redis" else "amqp_url")
    return make_lab(url, RESOURCE_APP_QUORUM="1") if request.param == "quorum" else make_lab(url)


def _free(node: Any) -> float:
    free: float = node.ask("resources")["free"]["ncpus"]
    return free


def test_an_end_lets_nothing_in_that_does_not_fit_and_free_room_is_filled(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one", "roomy")
    small = [lab.send("one", "work", 8.0) for _ in range(3)]
    lab.wait_until(lambda: _free(node) == 1, what="one cpu is free, and room for one roomy task")
    long = lab.send("roomy", "work", 25.0)
    lab.wait_until(lambda: _free(node) == 0, what="the node is full")
    waiting = [lab.send("roomy") for _ in range(3)]
    lab.wait_finished(small)
    lab.wait_until(lambda: _free(node) == 3, what="the node knows that they ended")
    began = time.monotonic()
    # A node that holds a roomy task now starts nothing beside it.
    more = [lab.send("one", "work", 0.01) for _ in range(30)]
    lab.wait_finished(more)
    assert long.id not in lab.finished(), f"it took too long to tell: {time.monotonic() - began} s"
    told = node.ask("resources")
    assert told["held"] == []
    assert told["returned"] == 0
    (roomy,) = queues_of("roomy")
    assert lab.waiting(roomy) == len(waiting)
    assert set(lab.wait_finished([long, *waiting]).values()) == {1}


def test_hardly_anything_is_given_back_while_kinds_of_every_size_come_and_go(lab: Lab) -> None:
    """One at each time that a node begins to keep room, on its way then; of a hundred tasks, a handful.

    On quorum queues, where each consumer has a credit of its own, a few more (17 were seen on Celery 5.6).
    """
    nodes = [lab.node(name).wait_ready() for name in ("n1", "n2")]
    sent = [lab.send(kind, "work", 0.1) for kind in ("one", "two", "one", "roomy", "four") * 20]
    for node in nodes:
        node.join("one", "two", "roomy", "four")
    assert set(lab.wait_finished(sent).values()) == {1}
    returned = sum(node.ask("resources")["returned"] for node in nodes)
    assert returned <= (30 if "RESOURCE_APP_QUORUM" in lab.env else 6)


class Inbox:
    """A RabbitMQ queue with an unwaited channel that consumes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.queue = Queue("inbox", channel=self.channel)
        self.queue.declare()
        self.came: list[Any] = []
        self.lost: list[str] = []
        self.unwaited = Unwaited(self.channel, self.lost.append)
        self.consumer = connection.Consumer(
            [self.queue], channel=self.channel, on_message=self.came.append, auto_declare=False
        )

    def send(self, count: int) -> None:
        """Messages that wait in the queue when this returns."""
        before = self.depth()
        with self.connection.channel() as channel:
            producer = self.connection.Producer(channel)
            for number in range(count):
                producer.publish({"number": number}, routing_key="inbox")
        deadline = time.monotonic() + 20
        while self.depth() < before + count:
            assert time.monotonic() < deadline, "they did not arrive"

    def delete(self) -> None:
        """Somebody else deletes the queue."""
        with self.connection.clone() as other:
            other.default_channel.queue_delete("inbox")

    def depth(self) -> int:
        with self.connection.channel() as channel:
            return int(self.queue(channel).queue_declare(passive=True).message_count)


@pytest.fixture
def inbox(amqp_url: str) -> Iterator[Inbox]:
    with Connection(amqp_url) as connection:
        yield Inbox(connection)


def _drain_until(inbox: Inbox, count: int) -> None:
    while len(inbox.came) < count:
        inbox.connection.drain_events(timeout=20)


def test_an_unwaited_channel_obeys_each_word_in_order(inbox: Inbox) -> None:
    inbox.send(5)
    inbox.consumer.qos(prefetch_count=2, apply_global=True)
    inbox.unwaited.consume(inbox.consumer)
    inbox.unwaited.declare(inbox.queue)
    assert inbox.came == [], "nothing is handled while it is told"
    _drain_until(inbox, 2)
    inbox.unwaited.catch_up()
    assert len(inbox.came) == 2, "the credit held"
    inbox.consumer.qos(prefetch_count=3, apply_global=True)
    _drain_until(inbox, 3)
    inbox.consumer.cancel()
    for message in inbox.came:
        message.ack()
    inbox.unwaited.catch_up()
    assert len(inbox.came) == 3, "the cancel held"
    assert inbox.depth() == 2


def test_after_catching_up_everything_is_here_that_was_sent_before_a_cancel(inbox: Inbox) -> None:
    inbox.send(4)
    inbox.consumer.qos(prefetch_count=4, apply_global=True)
    inbox.unwaited.consume(inbox.consumer)
    inbox.consumer.cancel()
    inbox.unwaited.catch_up()
    assert len(inbox.came) + inbox.depth() == 4
    inbox.unwaited.catch_up()
    assert len(inbox.came) + inbox.depth() == 4


def test_an_unwaited_channel_tells_which_queue_was_lost_unless_it_was_left_before(inbox: Inbox) -> None:
    def consume_and_delete() -> None:
        inbox.unwaited.declare(inbox.queue)
        inbox.unwaited.consume(inbox.consumer)
        inbox.unwaited.catch_up()
        inbox.delete()

    for times_lost in (1, 2):
        consume_and_delete()
        while len(inbox.lost) < times_lost:
            inbox.connection.drain_events(timeout=20)
        inbox.consumer.cancel()
    consume_and_delete()
    inbox.consumer.cancel()
    inbox.unwaited.catch_up()
    assert inbox.lost == ["inbox", "inbox"]


def test_a_channel_forgets_consumers_that_were_cancelled_long_ago(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwaited, "REMEMBERED", 0.0)
    inbox.consumer.qos(prefetch_count=1, apply_global=True)
    for _ in range(50):
        inbox.unwaited.consume(inbox.consumer)
        inbox.consumer.cancel()
    inbox.unwaited.catch_up()
    assert len(inbox.channel.callbacks) <= 2
    assert len(inbox.channel.cancel_callbacks) <= 2
