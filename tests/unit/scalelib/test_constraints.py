"""Constraints are read with care and written back word for word."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalelib.constraints import All, Minimum, parse, unknown_resources
from scalelib.constraints.alternatives import Sharing, alternatives, holds
from scalelib.errors import InvalidConstraint, InvalidInput
from scalelib.machine import Machine
from scalelib.resources import machine

EXAMPLES: list[Any] = [
    {},
    [],
    {"ncpus": 1},
    {"ncpus": 2.5, "memgb": 200, "ngpus": 1},
    {"mem": "memory::1.005g", "disk": "size::2t"},
    {"kind": "A"},
    {"kind": ["A", "B*"], "sizes": [16, 32], "fast": True, "none": None, "half": [0.5]},
    {"node.vm_size": "Standard_F2s_v2"},
    {"node.vm_size": ["Standard_F*", "Standard_D*"], "node.spot": False},
    {"node.placement_group": None},
    {"node.memory": "memory::16g"},
    {"and": [{"ncpus": 1}, {"ngpus": 1}]},
    {"or": [{"ncpus": 1}, {"or": [{"ngpus": 1}, {"memgb": 1}]}]},
    {"xor": [{"ncpus": 1}, {"ngpus": 1}]},
    {"not": {"ncpus": 1}},
    {"not": [{"ncpus": 1}]},
    {"never": "held"},
    {"exclusive": True},
    {"exclusive": "true"},
    {"exclusive": 0},
    {"exclusive-task": True, "ncpus": 1},
    {"exclusive_task": "1"},
    {"in-a-placement-group": False},
    {"shared-consumable-constraint": {"name": "matlab", "total": 10, "amount": 2}},
    {"shared-consumable-constraint": {"name": "matlab", "total": 10, "amount": 1, "once-per-job": True}},
    {"shared-non-consumable-constraint": {"name": "site", "value": "A", "required": ["A", "B"]}},
    [{"ncpus": 1}, {"or": [{"ngpus": 1}, [{"memgb": 1}, {"memgb": 2}]]}],
]


@pytest.mark.parametrize("written", EXAMPLES, ids=json.dumps)
def test_what_is_read_is_written_back_word_for_word(written: Any) -> None:
    constraint = parse(written)
    assert json.dumps(constraint.to_json()) == json.dumps(written)
    assert parse(constraint.to_json()) == constraint
    assert hash(parse(constraint.to_json())) == hash(constraint)


scalars = st.one_of(st.booleans(), st.none(), st.text(max_size=5), st.integers(0, 10**9), st.floats(0, 1e9))
names = st.sampled_from(["kind", "disk", "node.vm_size", "node.spot", "licences"])
leaves = st.one_of(
    st.dictionaries(names, st.one_of(scalars, st.lists(scalars, min_size=1, max_size=3)), max_size=3),
    st.fixed_dictionaries({"ncpus": st.integers(0, 99)}),
    st.fixed_dictionaries({"exclusive": st.sampled_from([True, "false", 1])}),
)
nested = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda word, parts: {word: parts},
            st.sampled_from(["or", "xor", "and"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
        st.builds(lambda part: {"not": part}, inner),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(nested)
def test_any_good_constraint_survives_the_way_there_and_back(written: Any) -> None:
    constraint = parse(written)
    assert constraint.to_json() == written
    assert parse(json.loads(json.dumps(written))) == constraint


def test_two_requirements_on_one_resource_are_both_written() -> None:
    both = {"ncpus": 4, "node.resources.ncpus": 1}
    assert parse(both).to_json() == [{"ncpus": 4}, {"ncpus": 1}]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"ncpus": -1}, ["constraints.ncpus", "-1", "0 or more"]),
        ({"memgb": float("nan")}, ["constraints.memgb", "nan", "not finite"]),
        ({"memgb": float("inf")}, ["constraints.memgb", "inf"]),
        ({"ncpus": 10**40}, ["constraints.ncpus", "more than any machine"]),
        ({"ncpus": 10**400}, ["integer of 1329 bits"]),
        ({"ncpus": "four"}, ["constraints.ncpus", "'four'", "write a number"]),
        ({"ncpus": True}, ["constraints.ncpus", "True"]),
        ({"ncpus": None}, ["constraints.ncpus", "None"]),
        ({"ncpus": "size::2"}, ["constraints.ncpus", "write a number"]),
        ({"memory": 4}, ["constraints.memory", "no unit", "memgb"]),
        ({"mem": "memory::4gb"}, ["constraints.mem", "4gb", "memory::4g"]),
        ({"kind": {"a": 1}}, ["constraints.kind", "cannot be compared"]),
        ({"kind": []}, ["constraints.kind", "empty"]),
        ({"kind": [[1]]}, ["constraints.kind[0]"]),
        ({"kind": [float("nan")]}, ["constraints.kind[0]", "not finite"]),
        ({"kind": [10**400]}, ["constraints.kind[0]", "too large"]),
        ({"disk": ["size::4g", "size::2x"]}, ["constraints.disk[1]", "size::2x", "is no size"]),
        ({"ncpus": Decimal(1)}, ["constraints.ncpus", "Decimal('1')", "write a number"]),
        ({"node.vmsize": "x"}, ["node.vmsize", "did you mean 'node.vm_size'"]),
        ({"node.colour": "x"}, ["no property 'colour'", "vm_size"]),
        ({"node.memory": "memory::x"}, ["node.memory", "is no size"]),
        ({"or": [{"ncpus": 1}]}, ["constraints.or", "1 of at least 2"]),
        ({"or": {"ncpus": 1}}, ["constraints.or", "no list"]),
        ({"or": [{"ncpus": 1}, {"ncpus": -2}]}, ["constraints.or[1].ncpus", "-2"]),
        ({"never": 3}, ["constraints.never", "no text"]),
        ({"exclusive": "maybe"}, ["constraints.exclusive", "'maybe'", "true or false"]),
        ({"in-a-placement-group": []}, ["in-a-placement-group", "true or false"]),
        ({"capacity-failure-backoff": "5m"}, ["capacity-failure-backoff", "number of seconds"]),
        ({"shared-consumable-constraint": 3}, ["no object"]),
        ({"shared-consumable-constraint": {"name": "x"}}, ["'total' is missing"]),
        ({"shared-consumable-constraint": {"name": "x", "total": -1}}, [".total", "-1"]),
        ({"shared-consumable-constraint": {"name": "", "total": 1}}, [".name"]),
        ({"shared-consumable-constraint": {"name": "x", "total": Decimal(1)}}, ["Decimal('1')"]),
        ({"shared-consumable-constraint": {"name": "x", "total": 1, "amout": 1}}, ["did you mean 'amount'"]),
        ({"shared-non-consumable-constraint": {"name": "x", "value": 1}}, ["'required' is missing"]),
        ({1: 2}, ["key 1"]),
        ({"": 2}, ["key ''"]),
        ("ncpus=1", ["'ncpus=1'", "object"]),
        (5, ["5", "object"]),
        ([5], ["constraints[0]"]),
    ],
)
def test_a_bad_constraint_is_refused_with_its_place_value_and_remedy(written: Any, words: list[str]) -> None:
    with pytest.raises(InvalidConstraint) as caught:
        parse(written)
    for word in words:
        assert word in str(caught.value)


def test_nesting_has_an_end() -> None:
    deep: Any = {"ncpus": 1}
    for _ in range(100):
        deep = {"not": deep}
    with pytest.raises(InvalidConstraint, match="nested more than 32 deep"):
        parse(deep)


def test_alternatives_have_an_end() -> None:
    """Said to whoever writes them: said to the planner, one job would stop the plan for all."""
    wide = [{"or": [{"a": i}, {"b": i}]} for i in range(12)]
    with pytest.raises(InvalidConstraint, match="more than 256 alternatives"):
        parse(wide)


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=3)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(
                    [
                        "or",
                        "and",
                        "xor",
                        "not",
                        "never",
                        "ncpus",
                        "memgb",
                        "exclusive",
                        "node.vm_size",
                        "node.memory",
                        "name",
                        "total",
                        "shared-consumable-constraint",
                        "in-a-placement-group",
                    ]
                ),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(anything)
def test_anything_at_all_is_read_or_refused_as_invalid_input(value: Any) -> None:
    try:
        constraint = parse(value)
    except InvalidInput:
        return
    assert alternatives(constraint)
    if value is not None:
        assert parse(constraint.to_json()) == constraint


def test_an_equal_text_gives_the_very_same_object() -> None:
    assert parse({"ncpus": 1}) is parse({"ncpus": 1})
    assert parse({"kind": 1}) is not parse({"kind": True})


def test_unknown_resources_come_with_what_was_meant() -> None:
    constraint = parse({"ncpu": 1, "or": [{"xyzzy": "a"}, {"memgb": 1}], "ngpus": 1})
    assert unknown_resources(constraint, {"ncpus", "ngpus"}) == [("ncpu", "ncpus"), ("xyzzy", None)]


def a_machine(**resources: Any) -> Machine:
    properties = {
        "vcpu_count": 4,
        "pcpu_count": 2,
        "gpu_count": 0,
        "memory": 8 * 2**30,
        "nodearray": "worker",
        "node_id": None,
        "vm_size": "Standard_F4s_v2",
        "spot": False,
        "placement_group": None,
    }
    return machine("a node", properties, resources)


@pytest.mark.parametrize(
    ("written", "yes"),
    [
        ({}, True),
        ({"ncpus": 4}, True),
        ({"ncpus": 4.000001}, False),
        ({"kind": "A"}, True),
        ({"kind": "a"}, False),
        ({"kind": "[AB]"}, True),
        ({"kind": ["C", "A"]}, True),
        ({"missing": None}, False),
        ({"empty": None}, True),
        ({"count": 1}, True),
        ({"count": [1]}, True),
        ({"count": [1.0]}, True),
        ({"count": [True]}, False),
        ({"node.vm_size": "Standard_F*"}, True),
        ({"node.vm_size": "*F"}, False),
        ({"node.spot": False}, True),
        ({"node.spot": 0}, False),
        ({"node.memory": "memory::8g"}, True),
        ({"node.memory": 8 * 2**30}, True),
        ({"node.memory": 8}, False),
        ({"node.placement_group": None}, True),
        ({"in-a-placement-group": False}, True),
        ({"in-a-placement-group": True}, False),
        ({"not": {"kind": "A"}}, False),
        ({"not": {"not": {"kind": "A"}}}, True),
        ({"xor": [{"kind": "A"}, {"kind": "A"}]}, False),
        ({"xor": [{"kind": "A"}, {"kind": "B"}]}, True),
        ({"or": [{"kind": "B"}, {"ncpus": 4}]}, True),
        ({"never": "no"}, False),
        ({"shared-non-consumable-constraint": {"name": "x", "value": "A", "required": "A*"}}, True),
        ({"node.resources.kind": "A"}, True),
    ],
)
def test_what_holds_of_a_machine(written: Any, yes: bool) -> None:
    constraint = parse(written)
    subject = a_machine(kind="A", empty=None, count=1)
    assert holds(constraint, subject) is yes
    fits = any(way.rank(subject) is not None for way in alternatives(constraint))
    assert fits is yes


def test_a_list_of_values_ranks_machines() -> None:
    (way,) = alternatives(parse({"kind": ["B", "A"], "node.vm_size": ["X", "Standard_F4*"]}))
    assert way.rank(a_machine(kind="A")) == 2
    assert way.rank(a_machine(kind="B")) == 1
    assert way.rank(a_machine(kind="C")) is None


def test_the_strictest_sharing_holds() -> None:
    (way,) = alternatives(parse([{"exclusive-task": True}, {"exclusive": True}, {"exclusive": False}]))
    assert way.sharing is Sharing.NOBODY


def test_python_values_can_be_given_as_well() -> None:
    assert parse(All((Minimum("ncpus", 2),))) == parse({"ncpus": 2})
    assert parse([{"ncpus": 2}, Minimum("ngpus", 1)]).to_json() == [{"ncpus": 2}, {"ngpus": 1}]  # type: ignore[list-item]
