"""Somebody deletes a queue on RabbitMQ while a node is up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu import Connection
from resource_nodes import Lab, Node, queues_of

ONE, FOUR = queues_of("one", "four")


@pytest.fixture(params=["rabbitmq", "quorum"])
def lab(request: pytest.FixtureRequest, amqp_url: str, make_lab: Callable[..., Lab]) -> Lab:
    """A lab on each sort of queue."""
    return make_lab(amqp_url, RESOURCE_APP_QUORUM=str(int(request.param == "quorum")))


@contextmanager
def _channel(lab: Lab) -> Iterator[Any]:
    with Connection(lab.broker) as connection, connection.channel() as channel:
        yield channel


def _delete(lab: Lab, queue: str) -> None:
    with _channel(lab) as channel:
        channel.queue_delete(queue)


def _consumers(lab: Lab, queue: str) -> int | None:
    """How many consume this queue; None if there is no such queue."""
    with Connection(lab.broker) as connection:
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).consumer_count)
        except connection.channel_errors:
            return None


def _make(lab: Lab, queue: str, **arguments: Any) -> None:
    """Make a queue as the app would, but for these arguments."""
    with _channel(lab) as channel:
        made = lab.app.amqp.queues[queue](channel)
        made.no_declare = False
        made.queue_arguments = {**(made.queue_arguments or {}), **arguments}
        made.declare()


def _busy_node(lab: Lab, seconds: float, **env: str) -> tuple[Node, Any]:
    """A node that knows both queues and consumes one of them, for it has no room for the other now."""
    node = lab.node("n1", **env).wait_ready()
    node.join("one", "four")
    # Only then: a connection that broke while the queues were first made is not what is looked for here.
    lab.wait_until(lambda: _consumers(lab, ONE) == _consumers(lab, FOUR) == 1, what="both are consumed")
    running = lab.send("one", "work", seconds)
    lab.wait_until(lambda: _consumers(lab, FOUR) == 0, what="the big kind is left alone")
    return node, running


def _stayed_connected(node: Node) -> bool:
    return "re-establish" not in node.text()


def test_a_queue_that_was_deleted_while_its_kind_did_not_fit_is_made_again(lab: Lab) -> None:
    node, running = _busy_node(lab, 3.0)
    _delete(lab, FOUR)
    lab.wait_until(lambda: _consumers(lab, FOUR) == 1, what="it is there again, and consumed")
    queue = lab.app.amqp.queues[FOUR]
    send = lab.app.tasks["noop"].apply_async

    def arrives() -> bool:
        bound = send(exchange=queue.exchange.name, routing_key=queue.routing_key)
        lab.wait_until(lambda: lab.waiting(FOUR) == 0, what="the node takes what comes")
        return f"{bound.id}] received" in node.text()

    lab.wait_until(arrives, every=0.2, what="its exchange is bound to it again")
    # Only now: whoever sends the first task of a kind declares its queue as well.
    assert set(lab.wait_finished([lab.send("four") for _ in range(3)]).values()) == {1}
    assert lab.finished()[running.id] == 1
    assert _stayed_connected(node)


def test_a_queue_that_is_deleted_while_it_is_consumed_is_made_again_and_what_runs_runs_once(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one", "two")
    running = [lab.send(kind, "work", 4.0) for kind in ("one", "two")]
    lab.wait_until(lambda: len(lab.runs()) == 2, what="one of each kind runs")
    for _ in range(3):
        _delete(lab, ONE)
        lab.wait_until(lambda: _consumers(lab, ONE) == 1, what="it is there again, and consumed")
        lab.wait_finished([lab.send("one")])
    lab.wait_finished(running)
    sent = [lab.send(kind) for kind in ("one", "two") * 10]
    assert set(lab.wait_finished(sent).values()) == {1}
    assert _stayed_connected(node)
    told = node.ask("resources")
    assert told["running"] == told["held"] == []
    assert told["free"] == told["total"]


def test_a_missing_queue_that_the_app_may_not_make_is_waited_for(make_lab: Any, amqp_url: str) -> None:
    lab = make_lab(amqp_url, RESOURCE_APP_THEIRS=FOUR)
    _make(lab, FOUR)
    node, _ = _busy_node(lab, 2.0)
    _delete(lab, FOUR)
    lab.wait_until(
        lambda: node.text().count("re-establish") >= 3, what="it tries again, and says so each time"
    )
    assert "NOT_FOUND - no queue" in node.text()
    _make(lab, FOUR)
    lab.wait_finished([lab.send("four"), lab.send("one")])
    assert node.process.poll() is None


def test_a_queue_that_was_made_anew_in_another_way_ends_the_worker_with_the_reason(lab: Lab) -> None:
    """As in plain Celery: connecting anew would not help, and would be tried for ever."""
    node, _ = _busy_node(lab, 8.0)
    _delete(lab, FOUR)
    _make(lab, FOUR, **{"x-max-length": 1000})
    assert node.process.wait(40) != 0
    assert f"PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{FOUR}'" in node.text()
