"""Gangs: several nodes for one task, all or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resource_app import NEEDS
from resource_nodes import Lab, Node

from celery_resources import GangRefused, Requirement, form_gang, queue_name

PAIR = Requirement.from_json(NEEDS["pair"])
QUEUE = queue_name(PAIR)


@pytest.fixture
def nodes(lab: Lab) -> list[Node]:
    made = [lab.node(name) for name in ("n1", "n2", "n3")]
    for node in made:
        node.wait_ready().join("one", "pair")
    return made


def _names(nodes: list[Node]) -> list[str]:
    return [node.nodename for node in nodes]


def test_no_node_takes_a_gang_task_on_its_own(lab: Lab, nodes: list[Node]) -> None:
    sent = lab.send("pair")
    lab.wait_finished([lab.send("one") for _ in range(10)])
    assert sent.id not in lab.finished()
    assert lab.waiting(QUEUE) == 1


def test_the_head_runs_one_task_with_the_hosts_and_then_all_are_free(lab: Lab, nodes: list[Node]) -> None:
    sent = [lab.send("pair", "hosts", 5.0), lab.send("pair", "hosts", 5.0)]
    gang = form_gang(lab.app, QUEUE, PAIR, _names(nodes[:2]))
    lab.wait_until(lambda: lab.runs(), what="the task runs")
    (run,) = lab.runs()
    assert run["node"] == nodes[0].nodename
    assert run["hosts"] == run["hostfile"] == ["n1", "n2"]
    head, member = (node.ask("resources")["gang"] for node in nodes[:2])
    assert head == {"id": gang, "members": _names(nodes[:2]), "role": "runs"}
    assert member == {"id": gang, "members": _names(nodes[:2]), "role": "follows"}
    small = [lab.send("one") for _ in range(8)]
    lab.wait_finished([*small, run["id"]])
    ran_on = {line["node"] for line in lab.runs() if line["id"] in {each.id for each in small}}
    assert ran_on == {nodes[2].nodename}, "the members were free for others"
    for node in nodes[:2]:
        lab.wait_until(lambda node=node: node.ask("resources")["gang"] is None, what="it is free")
    assert lab.waiting(QUEUE) == 1, "exactly one of the two was taken"
    assert not Path(run["hostfile_path"]).exists()
    notes: list[dict[str, Any]] = []

    def told() -> bool:
        notes.extend(note for note in lab.notes() if note["kind"] == "gang-ended")
        return bool(notes)

    lab.wait_until(told, what="the control side was told")
    assert notes == [{"kind": "gang-ended", "gang": gang, "members": _names(nodes[:2])}]
    form_gang(lab.app, QUEUE, PAIR, _names(nodes[1:]))
    lab.wait_finished(sent)


def test_of_two_gangs_on_the_same_nodes_one_gets_all_and_the_other_none(lab: Lab, nodes: list[Node]) -> None:
    first = form_gang(lab.app, QUEUE, PAIR, _names([nodes[0], nodes[1]]))
    with pytest.raises(GangRefused, match=f"worker@n2: this node is in gang {first}"):
        form_gang(lab.app, QUEUE, PAIR, _names([nodes[2], nodes[1]]))
    lab.wait_until(lambda: nodes[2].ask("resources")["gang"] is None, what="nothing is kept of the second")
    assert nodes[1].ask("resources")["gang"]["id"] == first


def test_a_gang_with_a_node_that_does_not_answer_keeps_nobody(lab: Lab, nodes: list[Node]) -> None:
    with pytest.raises(GangRefused, match="worker@gone did not answer follow within 3 s"):
        form_gang(lab.app, QUEUE, PAIR, [*_names(nodes[:1]), "worker@gone"], timeout=3.0)
    lab.wait_until(lambda: nodes[0].ask("resources")["gang"] is None, what="it is free")
    lab.wait_finished([lab.send("one")])
    form_gang(lab.app, QUEUE, PAIR, _names(nodes[:2]))


def test_the_others_are_free_as_well_when_the_task_fails(lab: Lab, nodes: list[Node]) -> None:
    form_gang(lab.app, QUEUE, PAIR, _names(nodes[:2]))
    lab.wait_finished([lab.send("pair", "fail", 0.1)])
    for node in nodes[:2]:
        lab.wait_until(lambda node=node: node.ask("resources")["gang"] is None, what="it is free")


def test_the_others_are_free_as_well_when_the_head_is_shut_down_meanwhile(lab: Lab) -> None:
    # With the prefork pool Celery 5.7 goes on firing timers while it waits for the pool, the others do not.
    head, member = (lab.node(name, "ncpus=4", "-P", "threads").wait_ready() for name in ("n1", "n2"))
    form_gang(lab.app, QUEUE, PAIR, _names([head, member]))
    sent = lab.send("pair", "work", 3.0)
    lab.wait_until(lambda: lab.runs(), what="the task runs")
    assert head.stop() == 0
    assert lab.finished() == {sent.id: 1}
    lab.wait_until(lambda: _is_free(member), what="the member is free")


def test_a_lost_member_fails_the_task_and_frees_the_rest(lab: Lab, nodes: list[Node]) -> None:
    sent = lab.send("pair", "work", 60.0)
    gang = form_gang(lab.app, QUEUE, PAIR, _names(nodes[:2]))
    lab.wait_until(lambda: lab.runs(), what="the task runs")
    nodes[1].kill()
    nodes[0].ask("member_lost", gang=gang, host="n2")
    with pytest.raises(Exception, match="the gang lost its node n2"):
        sent.get(timeout=20)
    lab.wait_until(lambda: _is_free(nodes[0]), what="the head is free")
    assert lab.waiting(QUEUE) == 0


def test_a_lost_member_may_be_gone_without(make_lab: Any, broker_url: str) -> None:
    lab = make_lab(broker_url, RESOURCE_APP_MEMBER_LOST="continue")
    node = lab.node("n1").wait_ready()
    node.join("pair")
    sent = lab.send("pair", "work", 1.0)
    other = lab.node("n2").wait_ready()
    gang = form_gang(lab.app, QUEUE, PAIR, _names([node, other]))
    lab.wait_until(lambda: lab.runs(), what="the task runs")
    node.ask("member_lost", gang=gang, host="n2")
    lab.wait_finished([sent])


def _is_free(node: Node) -> bool:
    told = node.ask("resources")
    return told["gang"] is None and told["free"] == told["total"]


def test_a_member_that_is_started_again_is_still_reserved(lab: Lab, nodes: list[Node]) -> None:
    gang = form_gang(lab.app, QUEUE, PAIR, _names(nodes[:2]))
    nodes[1].kill()
    nodes[1].restart()
    assert nodes[1].ask("resources")["gang"] == {
        "id": gang,
        "members": _names(nodes[:2]),
        "role": "follows",
    }
    assert nodes[1].ask("disband", gang=gang)["gang"] is None


def test_a_node_too_small_for_the_task_refuses_to_lead(lab: Lab) -> None:
    node = lab.node("tiny", "ncpus=1").wait_ready()
    with pytest.raises(GangRefused, match=r"worker@tiny: this node cannot run .*: it has \{'ncpus': 1\}"):
        form_gang(lab.app, QUEUE, PAIR, [node.nodename])
