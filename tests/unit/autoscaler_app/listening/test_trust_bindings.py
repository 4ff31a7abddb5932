"""Which key is whose, where several speak, machines change and somebody makes up names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.listening.trust import bindings as module
from autoscaler_app.listening.trust.bindings import CLAIM_LAPSES, Bindings
from autoscaler_app.memory.state import State
from tests.unit.autoscaler_app.listening.signers import NOW, SETTLING, a_node

LATER = NOW + 2 * SETTLING


@pytest.fixture
def bindings(state: State) -> Bindings:
    return Bindings(state, SETTLING)


def bind(bindings: Bindings, key: str, name: str = "n1", **more: str) -> None:
    assert bindings.why_not([name], key, NOW) == ""
    bindings.know([a_node("id-1", name, **more)], NOW)
    owner = bindings.owner(key)
    assert owner is not None
    assert owner.node_id == "id-1"


def test_of_two_keys_none_is_bound_until_one_has_been_silent_for_so_long(bindings: Bindings) -> None:
    assert bindings.why_not(["n1"], "one", NOW) == ""
    assert "several keys speak" in bindings.why_not(["n1"], "two", NOW)
    assert bindings.key_of(["n1"], NOW) is None, "no command is signed for either"
    bindings.know([a_node()], NOW)
    assert not bindings.has_key("id-1")
    lapsed = NOW + timedelta(seconds=CLAIM_LAPSES + 1)
    assert bindings.why_not(["n1"], "two", lapsed) == ""
    bindings.know([a_node()], lapsed)
    assert bindings.owner("two") is not None
    assert bindings.owner("one") is None


def test_a_key_that_has_spoken_is_known_before_the_cloud_lists_its_node(bindings: Bindings) -> None:
    bindings.why_not(["n1"], "one", NOW)
    assert bindings.key_of(["n1"], NOW) == "one"


def test_the_key_of_one_node_is_not_bound_to_another_by_speaking_in_its_name(bindings: Bindings) -> None:
    assert bindings.why_not(["n2"], "one", NOW) == ""  # while nobody knows whose it is
    bind(bindings, "one")
    doubtful = bindings.know([a_node(), a_node("id-2", "n2")], NOW)
    assert not bindings.has_key("id-2")
    assert "n2" in doubtful


def test_the_key_of_one_node_speaks_in_no_name_of_another(bindings: Bindings) -> None:
    bind(bindings, "one")
    bindings.know([a_node(), a_node("id-2", "n2")], LATER)
    assert bindings.why_not(["n1", "named-by-hand"], "one", LATER) == ""
    assert bindings.why_not(["n1", "n2"], "one", LATER) == "it is signed with the key of n1"


def test_a_young_binding_that_another_key_contests_is_void_and_neither_is_believed(
    bindings: Bindings,
) -> None:
    bind(bindings, "one")
    soon = NOW + SETTLING
    assert "another key than the one" in bindings.why_not(["n1"], "two", soon)
    assert not bindings.has_key("id-1")
    assert bindings.key_of(["n1"], soon) is None, "the former key claims the name like the other"
    assert bindings.know([a_node()], soon) == {"n1"}, "what was believed is to be forgotten"
    assert bindings.know([a_node()], soon) == set()
    assert not bindings.has_key("id-1")


def test_one_that_has_settled_stands(bindings: Bindings) -> None:
    bind(bindings, "one")
    later = NOW + SETTLING + timedelta(seconds=1)
    assert "another key than the one" in bindings.why_not(["n1"], "two", later)
    assert bindings.know([a_node()], later) == set()
    assert bindings.key_of(["n1"], later) == "one"


def test_a_machine_that_replaces_another_begins_without_a_key(bindings: Bindings, state: State) -> None:
    bind(bindings, "one", instance_id="vm-1")
    bindings.remember()
    assert state.key_bindings()["id-1"].instance_id == "vm-1"
    bindings.know([a_node("id-1", "n1")], LATER)
    assert bindings.has_key("id-1"), "the cloud does not tell which machine it is: no other one"
    bindings.know([a_node("id-1", "n1", instance_id="vm-1")], LATER)
    assert bindings.has_key("id-1")
    bindings.know([a_node("id-1", "n1", instance_id="vm-2")], LATER)
    assert not bindings.has_key("id-1")
    assert bindings.owner("one") is None
    assert state.key_bindings().keys() == {"id-1"}, "a look writes nothing"
    bindings.remember()
    assert state.key_bindings() == {}


def test_the_machine_that_the_cloud_tells_late_is_the_one_that_was_bound(
    bindings: Bindings, state: State
) -> None:
    bind(bindings, "one")
    bindings.know([a_node("id-1", "n1", instance_id="vm-1")], LATER)
    bindings.remember()
    assert state.key_bindings()["id-1"].instance_id == "vm-1"
    bindings.know([a_node("id-1", "n1", instance_id="vm-2")], LATER)
    assert not bindings.has_key("id-1")


@pytest.mark.parametrize("machine", [{"hostname": "n1.domain"}, {"hostname": None, "private_ip": "10.0.0.4"}])
def test_a_key_is_its_nodes_after_a_restart_before_the_cloud_was_asked(
    bindings: Bindings, state: State, machine: dict[str, Any]
) -> None:
    name = "n1" if machine["hostname"] else "10.0.0.4"
    bindings.why_not([name], "one", NOW)
    bindings.know([a_node("id-1", **machine)], NOW)
    bindings.remember()
    anew = Bindings(state, SETTLING)
    assert "another key than the one" in anew.why_not([name], "two", LATER)
    assert anew.key_of([name], LATER) == "one"


def test_what_was_written_once_is_not_written_again(bindings: Bindings, state: State) -> None:
    """An operator may have had it forgotten meanwhile, in another process."""
    bind(bindings, "one")
    bindings.remember()
    assert state.unbind_key("id-1")
    bindings.remember()
    assert state.key_bindings() == {}
    bindings.know([a_node()], LATER)
    assert not bindings.has_key("id-1")


def test_of_keys_and_names_that_somebody_makes_up_the_latest_are_kept(
    bindings: Bindings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    for key in [*(f"k{number}" for number in range(module.MOST_KEYS)), "k0", "new"]:
        bindings.why_not(["n1"], key, NOW)
    assert bindings._claims["n1"].keys() == {"k0", "new", *(f"k{n}" for n in range(2, module.MOST_KEYS))}
    for name in ("n2", "n1", "n3"):
        bindings.why_not([name], "k", NOW)
    assert bindings._claims.keys() == {"n1", "n3"}
