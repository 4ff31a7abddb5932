"""What a node makes of a constraint: yes, no, or not for it to say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_resources.need.requirement import Requirement
from celery_resources.room.ledger import Ledger
from scalelib.amounts import fits, taken, total

HAS = {"ncpus": 4, "memgb": 16, "disk": "nvme", "ssd": True}
IS = {
    "node.vm_size": "Standard_F4s_v2",
    "node.nodearray": "worker",
    "node.location": "westeurope",
    "node.spot": False,
    "node.placement_group": None,
    "node.memory": "memory::16g",
    "rack": "r7",
}


def fits_ever(constraints: dict[str, Any]) -> bool:
    ledger = Ledger(HAS, 8, IS)
    return ledger.fits_ever(ledger.need(Requirement(constraints)))


@pytest.mark.parametrize(
    "constraints",
    [
        {},
        {"disk": "nvme"},
        {"disk": ["ssd", "nv*"]},
        {"ssd": True},
        {"rack": "r7"},
        {"nodearray": "worker"},
        {"node.resources.disk": "nvme"},
        {"node.vm_size": "Standard_F*"},
        {"node.vm_size": ["Standard_D4", "Standard_F4s_v2"]},
        {"node.spot": False, "node.location": "westeurope"},
        {"node.placement_group": None, "node.colocated": False, "in-a-placement-group": False},
        {"node.memory": "memory::16g"},
        {"node.exists": True},
        {"not": {"disk": "hdd"}},
        {"not": {"ncpus": 8}},
        {"or": [{"disk": "hdd"}, {"ncpus": 2}]},
        {"xor": [{"disk": "hdd"}, {"disk": "nvme"}]},
        # What the node was not told: the word of whoever let it serve the queue holds.
        {"gpu_model": "a100"},
        {"node.vm_family": "standardFSv2Family"},
        {"not": {"gpu_model": "a100"}},
        {"or": [{"disk": "hdd"}, {"gpu_model": "a100"}]},
        {"xor": [{"gpu_model": "a100"}, {"disk": "nvme"}]},
        {"shared-consumable-constraint": {"name": "matlab", "total": 1}},
    ],
)
def test_a_node_runs_what_nothing_that_it_knows_speaks_against(constraints: dict[str, Any]) -> None:
    assert fits_ever(constraints)


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        ({"disk": "hdd"}, "its disk is 'nvme'"),
        ({"disk": ["hdd", "ssd"]}, "its disk is 'nvme'"),
        ({"disk": None}, "its disk is 'nvme'"),
        ({"ssd": False}, "its ssd is True"),
        ({"ssd": "true"}, "its ssd is True"),
        ({"rack": "r8", "ncpus": 1}, "its rack is 'r7'"),
        ({"nodearray": "other"}, "its nodearray is 'worker'"),
        ({"node.resources.disk": "hdd"}, "its disk is 'nvme'"),
        ({"node.vm_size": "Standard_G*"}, "its node.vm_size is 'Standard_F4s_v2'"),
        ({"node.vm_size": ["Standard_D4", "Standard_E4"]}, "its node.vm_size is 'Standard_F4s_v2'"),
        ({"node.spot": True}, "its node.spot is False"),
        ({"node.location": "northeurope"}, "its node.location is 'westeurope'"),
        ({"node.colocated": True}, "its node.colocated is False"),
        ({"node.memory": "memory::8g"}, "its node.memory is 17179869184"),
        ({"in-a-placement-group": True}, "{'in-a-placement-group': True} does not hold of it"),
        ({"not": {"disk": "nv*"}}, "{'not': {'disk': 'nv*'}} does not hold of it"),
        ({"not": {"ncpus": 4}}, "{'not': {'ncpus': 4}} does not hold of it"),
        ({"not": {"or": [{"gpu_model": "a"}, {"ssd": True}]}}, "does not hold of it"),
        ({"or": [{"disk": "hdd"}, {"ssd": False}]}, "its disk is 'nvme'"),
        ({"xor": [{"disk": "nvme"}, {"ssd": True}]}, "does not hold of it"),
        ({"never": "held"}, "{'never': 'held'} does not hold of it"),
        ({"ncpus": 8}, "it has {'ncpus': 4, 'memgb': 16}"),
        ({"ncpus": -1}, "what it needs cannot be read (constraints.ncpus: ncpus: -1 is negative"),
        ({"node.vmsize": "F4"}, "a node has no property 'vmsize': did you mean 'node.vm_size'?"),
    ],
)
def test_what_is_known_not_to_match_never_fits_and_says_why(constraints: dict[str, Any], why: str) -> None:
    ledger = Ledger(HAS, 8, IS)
    need = ledger.need(Requirement(constraints))
    assert not ledger.fits_ever(need)
    assert not ledger.fits_now(need)
    ledger.start("a", ledger.need(Requirement()))
    assert not ledger.fits_now(need), "nor beside another"
    assert why in ledger.why_never(need)


def test_a_node_that_knows_nothing_of_itself_refuses_no_text() -> None:
    ledger = Ledger({"ncpus": 1}, 8)
    for constraints in ({"disk": "hdd"}, {"node.vm_size": "F4"}, {"in-a-placement-group": True}):
        assert ledger.fits_ever(ledger.need(Requirement(constraints)))


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        ({"gpu_model": "a100"}, "its gpu_model is not known"),
        ({"node.vm_family": "standardFSv2Family"}, "its node.vm_family is not known"),
        ({"node.memory": "memory::16g"}, "its node.memory is not known"),
        ({"not": {"node.spot": True}}, "{'not': {'node.spot': True}} does not hold of it"),
        ({"in-a-placement-group": True}, "does not hold of it"),
        ({"gpu_model": None}, "its gpu_model is not known"),
    ],
)
def test_where_no_autoscaler_knows_more_what_a_node_was_not_told_does_not_match(
    constraints: dict[str, Any], why: str
) -> None:
    ledger = Ledger(HAS, 8, {"node.nodearray": "worker"}, alone=True)
    need = ledger.need(Requirement(constraints))
    assert not ledger.fits_ever(need)
    assert why in ledger.why_never(need)


@pytest.mark.parametrize(
    "constraints",
    [{"not": {"gpu_model": "a100"}}, {"disk": "nvme"}, {"node.nodearray": "worker", "ncpus": 4}],
)
def test_where_no_autoscaler_knows_more_a_text_that_is_not_there_is_not_that_text(
    constraints: dict[str, Any],
) -> None:
    ledger = Ledger(HAS, 8, {"node.nodearray": "worker"}, alone=True)
    assert ledger.fits_ever(ledger.need(Requirement(constraints)))


def test_the_branch_that_holds_of_this_node_says_what_is_taken() -> None:
    either = {
        "or": [{"node.vm_size": "Standard_D*", "ncpus": 1}, {"node.vm_size": "Standard_F*", "ncpus": 3}]
    }
    ledger = Ledger(HAS, 8, IS)
    ledger.start("a", ledger.need(Requirement(either)))
    assert ledger.free_in_words() == {"ncpus": 1, "memgb": 16}


@pytest.mark.parametrize("written", [True, "true", 1])
def test_exclusive_inside_the_constraints_counts_however_it_is_written(written: Any) -> None:
    ledger = Ledger(HAS, 8, IS)
    assert ledger.need(Requirement({"and": [{"exclusive": written}]})).exclusive


AMOUNTS = st.fixed_dictionaries(
    {}, optional={"ncpus": st.integers(0, 6), "memgb": st.integers(0, 20), "memmb": st.integers(0, 9000)}
)


@given(st.one_of(AMOUNTS, st.builds(lambda a, b: {"or": [a, b]}, AMOUNTS, AMOUNTS)))
def test_of_amounts_alone_a_node_takes_what_the_engine_says(constraints: dict[str, Any]) -> None:
    ledger = Ledger(HAS, 8, IS)
    need = ledger.need(Requirement(constraints))
    expected = {counter: amount for counter, amount in taken(constraints, total(HAS)).items() if amount}
    assert dict(need.amounts) == expected
    assert ledger.fits_ever(need) == fits(expected, total(HAS))
