"""Nodes from before signing: who they are, for how long, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoscaler_app.listening.trust.before import FROM_BEFORE, FromBefore
from autoscaler_app.memory.state import State
from tests.unit.autoscaler_app.listening.signers import a_node


def nobody(node_id: str) -> bool:
    return False


@pytest.fixture
def before(state: State) -> Callable[..., FromBefore]:
    def make(**instances: str) -> FromBefore:
        state.set_fact(FROM_BEFORE, instances)
        return FromBefore(state)

    return make


def test_another_machine_of_the_same_node_is_not_from_before(before: Callable[..., FromBefore]) -> None:
    found = before(a="vm-1", b="vm-2", c="vm-3")
    nodes = [a_node("a", instance_id="vm-1"), a_node("b", instance_id="vm-9"), a_node("c")]
    found.know(nodes, nobody)
    assert [found.holds([name]) for name in "abc"] == [True, False, True], (
        "of c the cloud tells no machine now"
    )
    found.know(nodes, lambda node_id: node_id == "a")
    assert not found.holds(["a"]), "it has signed"
    assert found.holds(["c"])
    assert not found.holds(["c", "a"]), "a name that is also another node's is believed of neither"
    assert not found.holds([])


def test_it_is_written_down_when_it_changes_and_only_then(
    before: Callable[..., FromBefore], state: State
) -> None:
    found = before(a="vm-1", b="vm-2")
    both = [a_node("a", instance_id="vm-1"), a_node("b", instance_id="vm-2")]
    state.set_fact(FROM_BEFORE, "not touched")
    found.know(both, nobody)
    found.remember()
    assert state.fact(FROM_BEFORE) == "not touched"
    found.know(both[:1], nobody)
    assert state.fact(FROM_BEFORE) == "not touched", "a look writes nothing"
    found.remember()
    assert state.fact(FROM_BEFORE) == {"a": "vm-1"}
    state.set_fact(FROM_BEFORE, "not touched")
    found.know(both[:1], nobody)
    found.remember()
    assert state.fact(FROM_BEFORE) == "not touched"


def test_before_the_cloud_was_asked_nothing_is_written_down(state: State) -> None:
    FromBefore(state).remember()
    assert state.fact(FROM_BEFORE) is None


def test_what_is_written_down_and_makes_no_sense_names_none(state: State) -> None:
    state.set_fact(FROM_BEFORE, [1])
    found = FromBefore(state)
    found.know([a_node("a")], nobody)
    assert not found.holds(["a"])


def test_of_many_some_are_named(before: Callable[..., FromBefore]) -> None:
    names = [f"n{number}" for number in range(7)]
    found = before(**dict.fromkeys(names, ""))
    found.know([a_node(name, name) for name in names], nobody)
    (said,) = found.warnings()
    assert said.startswith("n0, n1, n2, n3, n4 and 2 more: from before signing")
