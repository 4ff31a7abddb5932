"""Without an autoscaler: nodes learn by themselves which kinds of task there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kombu import Producer
from resource_nodes import Lab, Node, queues_of, replay

from celery_resources import Requirement
from celery_resources.sending.announcing import Announcer
from celery_resources.sending.board import BOARD

NODE = {"ncpus": 4, "memgb": 16}


@pytest.fixture
def lab(broker_url: str, make_lab: Callable[..., Lab]) -> Lab:
    """A lab whose app knows of no autoscaler."""
    return make_lab(broker_url, RESOURCE_APP_CONTROL="")


def served(node: Node) -> set[str]:
    return set(node.ask("resources")["queues"])


def test_kinds_from_before_the_start_and_kinds_from_after_it_are_run(lab: Lab) -> None:
    before = [lab.send(kind) for kind in ("two", "roomy", "alone", "two")]
    nodes = [lab.node(name).wait_ready() for name in ("n1", "n2")]
    lab.wait_finished(before)
    after = [lab.send(kind, "work", 0.05) for kind in ("four", "half", "two") * 5]
    plain = lab.app.tasks["work"].delay()
    assert set(lab.wait_finished([*before, *after, plain]).values()) == {1}
    assert replay(lab.runs(), {node.nodename: NODE for node in nodes}) == []
    kinds = set(queues_of("two", "roomy", "alone", "four", "half"))
    for node in nodes:
        lab.wait_until(lambda node=node: kinds <= served(node), what="every node has read the whole board")


def test_tasks_that_say_what_they_need_where_they_are_defined_are_served_at_once(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    assert served(node) == {"celery", *queues_of("one")}, "the task `add` says one cpu"


def test_what_somebody_says_of_a_kind_twice_stands_on_the_board_once(lab: Lab) -> None:
    """Nothing but what is no kind at all is taken off for good."""
    for _ in range(3):
        Announcer(lab.app, None).announce("mine", Requirement({"ncpus": 1}))
    with lab.app.connection_for_write() as connection:
        Producer(connection.default_channel).publish({"queue": "odd"}, routing_key=BOARD)
    lab.wait_until(lambda: lab.waiting(BOARD) == 4, what="all is on the board")
    node = lab.node("n1").wait_ready()
    lab.wait_until(lambda: "mine" in served(node), what="the node has read the board")
    lab.wait_until(lambda: lab.waiting(BOARD) == 1, what="the doubles are off, and one is back")
    assert "taken off the board of kinds" in node.text()


def test_a_worker_that_was_given_queues_serves_those_and_no_others(lab: Lab) -> None:
    lab.send("two")
    node = lab.node("n1", "ncpus=4,memgb=16", "-Q", "celery").wait_ready()
    lab.send("half")
    lab.wait_finished([lab.app.tasks["work"].delay()])
    assert served(node) == {"celery"}
    assert [lab.waiting(queue) for queue in queues_of("two", "half")] == [1, 1]


def test_a_node_that_joins_serves_what_it_was_told_whatever_it_hears(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one")
    two, one = lab.send("two"), lab.send("one")
    lab.wait_finished([one])
    assert served(node) == set(queues_of("one"))
    assert two.id not in lab.finished()


def test_a_gang_stays_in_its_queue_and_is_on_no_board(lab: Lab) -> None:
    lab.send("pair")
    node = lab.node("n1").wait_ready()
    lab.wait_finished([lab.send("half")])
    (queue,) = queues_of("pair")
    assert lab.waiting(queue) == 1
    assert queue not in served(node)
