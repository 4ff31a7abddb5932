"""Text and properties: a node runs no task that what it knows of itself speaks against."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from kombu import Producer
from resource_nodes import Lab, Node

from celery_resources import GangRefused, Requirement, form_gang, queue_name
from celery_resources.intake.unstarted import ASIDE_FOR
from celery_resources.need.header import HEADER

SELF = {"node.vm_size": "Standard_F4s_v2", "node.nodearray": "worker", "node.spot": False}


def _node(lab: Lab, name: str = "n1") -> Node:
    return lab.node(name, "ncpus=4,memgb=16,disk=nvme,ssd=true", CELERY_RESOURCES_PROPERTIES=json.dumps(SELF))


def _send(lab: Lab, constraints: dict[str, Any], **options: Any) -> Any:
    return lab.app.tasks["work"].apply_async((0.0,), constraints={"ncpus": 1, **constraints}, **options)


def _join(node: Node, *kinds: dict[str, Any]) -> dict[str, str]:
    """Tell the node to serve these kinds; the queue of each, by its constraints as JSON."""
    needs = [Requirement({"ncpus": 1, **kind}) for kind in kinds]
    node.ask("join", queues={queue_name(need): need.to_json() for need in needs})
    return {json.dumps(kind): queue_name(need) for kind, need in zip(kinds, needs, strict=True)}


MINE = (
    {"disk": ["ssd", "nv*"]},
    {"ssd": True},
    {"node.vm_size": ["Standard_D4s_v5", "Standard_F*"]},
    {"node.nodearray": "worker", "node.spot": False},
    {"gpu_model": "a100"},
)
NOT_MINE = (
    {"disk": ["ssd", "hdd"]},
    {"ssd": False},
    {"node.vm_size": "Standard_D4s_v5"},
    {"node.spot": True},
    {"not": {"node.nodearray": "worker"}},
)


def test_a_node_does_not_consume_what_it_was_told_to_and_knows_to_be_another_s(lab: Lab) -> None:
    lab.app.conf.resource_names = ["disk", "ssd", "gpu_model"]
    node = _node(lab).wait_ready()
    queues = _join(node, *MINE, *NOT_MINE)
    theirs = [_send(lab, kind) for kind in NOT_MINE]
    mine = [_send(lab, kind) for kind in MINE]
    lab.wait_finished(mine)
    assert not {each.id for each in theirs} & lab.finished().keys()
    assert [lab.waiting(queues[json.dumps(kind)]) for kind in NOT_MINE] == [1] * len(NOT_MINE)
    assert "given back" not in node.text(), "they never came here"
    other = lab.node("n2", "ncpus=4", CELERY_RESOURCES_PROPERTIES='{"node.vm_size": "Standard_D4s_v5"}')
    _join(other.wait_ready(), {"node.vm_size": "Standard_D4s_v5"})
    lab.wait_finished([theirs[2]])


def test_what_comes_all_the_same_is_given_back_to_its_queue_for_another(lab: Lab) -> None:
    """A queue that is anybody's: the message says what it needs, and the queue's name does not."""
    node = _node(lab).wait_ready()
    sent = _send(lab, {"node.vm_size": "Standard_D4s_v5"}, queue="celery")
    lab.wait_until(lambda: "its node.vm_size is 'Standard_F4s_v2'; given back" in node.text())
    mine = _send(lab, {"node.vm_size": "Standard_F4s_v2"}, queue="celery")
    lab.wait_finished([mine])
    assert sent.id not in lab.finished()
    lab.node("n2", "ncpus=4", CELERY_RESOURCES_PROPERTIES='{"node.vm_size": "Standard_D4s_v5"}')
    lab.wait_finished([sent])
    assert {line["node"] for line in lab.runs() if line["id"] == sent.id} == {"worker@n2"}


@pytest.mark.parametrize(("broker", "quorum"), [("redis_url", "0"), ("amqp_url", "0"), ("amqp_url", "1")])
def test_a_task_that_is_too_large_does_not_stop_what_stands_behind_it(
    make_lab: Any, request: pytest.FixtureRequest, broker: str, quorum: str
) -> None:
    lab = make_lab(request.getfixturevalue(broker), RESOURCE_APP_QUORUM=quorum)
    node = _node(lab).wait_ready()
    large = _send(lab, {"ncpus": 64}, queue="celery")
    lab.wait_until(lambda: f"[{large.id}]" in node.text() and "; given back" in node.text())
    before = node.ask("resources")["returned"]
    began = time.monotonic()
    for _ in range(10):
        lab.wait_finished([_send(lab, {}, queue="celery")])
    rounds = 1 + (time.monotonic() - began) / ASIDE_FOR
    assert node.ask("resources")["returned"] - before <= rounds, "it comes and goes back no oftener"
    lab.node("n2", "ncpus=64").wait_ready()
    lab.wait_finished([large])


@pytest.mark.parametrize(
    "header", [{"constraints": {"node.vmsize": "F4"}}, {"nodes": 2, "constraints": {}}, 7]
)
def test_a_need_that_cannot_be_read_does_not_end_the_worker(lab: Lab, header: Any) -> None:
    node = _node(lab).wait_ready()
    _publish(lab, header)
    lab.wait_until(lambda: "what it needs cannot be read" in node.text(), what="it is given back")
    lab.wait_finished([lab.app.tasks["work"].delay(0.0)])
    assert node.process.poll() is None


def _publish(lab: Lab, header: Any) -> None:
    """As a program would that does not know what may be asked."""
    with lab.app.connection_for_write() as connection, connection.channel() as channel:
        headers = {"task": "work", "id": "strange", "root_id": "strange", HEADER: header}
        Producer(channel).publish(
            [[0.0], {}, {}],
            headers=headers,
            routing_key="celery",
            serializer="json",
            correlation_id="strange",
        )


def test_a_node_that_is_another_kind_refuses_to_lead(lab: Lab) -> None:
    pair = Requirement({"node.spot": True}, node_count=2)
    nodes = [_node(lab, name).wait_ready() for name in ("n1", "n2")]
    with pytest.raises(GangRefused, match=r"worker@n1: this node cannot run .*: its node.spot is False"):
        form_gang(lab.app, queue_name(pair), pair, [node.nodename for node in nodes])


def test_without_an_autoscaler_only_nodes_that_say_so_have_it(make_lab: Any, broker_url: str) -> None:
    lab = make_lab(broker_url, RESOURCE_APP_CONTROL="")
    lab.app.conf.resource_names = ["disk"]
    lab.node("plain").wait_ready()
    lab.node("nvme", "ncpus=4,disk=nvme").wait_ready()
    sent = [_send(lab, {"disk": "nvme"}) for _ in range(8)]
    lab.wait_finished([*sent, *(lab.send("one") for _ in range(8))])
    ran_on = {line["node"] for line in lab.runs() if line["id"] in {each.id for each in sent}}
    assert ran_on == {"worker@nvme"}
