"""Requirements and the queue names made from them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_resources import InvalidRequirement, Requirement, queue_name, requirement_of
from celery_resources.need.naming import family_of, family_of_destination

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def requirements(values: st.SearchStrategy[object]) -> st.SearchStrategy[Requirement]:
    return st.builds(
        Requirement,
        st.dictionaries(NAMES, values, max_size=5),
        node_count=st.integers(0, 1000),
        colocated=st.booleans(),
        exclusive=st.booleans(),
    )


@given(requirements(VALUES))
def test_a_queue_name_is_short_safe_and_spells_the_requirement_or_nothing(requirement: Requirement) -> None:
    name = queue_name(requirement)
    assert len(name.encode()) <= 200
    assert re.fullmatch(r"[A-Za-z0-9_.:=|~%+-]+", name)
    assert requirement_of(name) in (requirement, None)


@given(requirements(VALUES), NAMES.filter(len) | st.text("ü€x", min_size=20, max_size=300))
def test_a_family_is_told_by_the_name_and_changes_nothing_else(requirement: Requirement, queue: str) -> None:
    family = family_of_destination(queue)
    name = queue_name(requirement, family)
    assert len(name) <= 255
    assert re.fullmatch(r"[A-Za-z0-9_.:=|~%+@-]+", name)
    assert family_of(name) == family
    assert family_of(queue_name(requirement)) == ""
    assert requirement_of(name) == requirement_of(queue_name(requirement))
    assert family != family_of_destination(queue + "x")


@given(requirements(SCALARS))
def test_a_short_plain_requirement_can_be_read_back_from_its_queue_name(requirement: Requirement) -> None:
    name = queue_name(requirement)
    if not name.startswith("res:sha-"):
        assert requirement_of(name) == requirement


@given(requirements(VALUES))
def test_a_requirement_survives_json(requirement: Requirement) -> None:
    again = Requirement.from_json(json.loads(json.dumps(requirement.to_json())))
    assert again == requirement
    assert hash(again) == hash(requirement)
    assert queue_name(again) == queue_name(requirement)


@given(requirements(VALUES), requirements(VALUES))
def test_different_requirements_have_different_queues(one: Requirement, other: Requirement) -> None:
    assert (queue_name(one) == queue_name(other)) == (one == other)


@given(st.text())
def test_any_other_queue_name_spells_nothing_or_is_the_derived_one(queue: str) -> None:
    for name in (queue, f"res:{queue}", f"res:ncpus=1@{queue}"):
        found = requirement_of(name)
        assert found is None or queue_name(found, family_of(name)) == name
    assert requirement_of("res:ncpus=1@a b") is None
    assert requirement_of("res:ncpus=1@") is None


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        (Requirement({"ncpus": 4, "memgb": 8.0}), "res:memgb=8:ncpus=4"),
        (Requirement({"ncpus": 0.5}), "res:ncpus=0.5"),
        (
            Requirement({"ngpus": 1}, node_count=2, colocated=True, exclusive=True),
            "res:ngpus=1:x2:colocated:exclusive",
        ),
        (Requirement({"node.vm_size": "Standard_F2s_v2"}), "res:node.vm_size=Standard_F2s_v2"),
        (Requirement({"a": "4"}), "res:a=~4"),
        (Requirement({"a": "true", "b": True}), "res:a=~true:b=true"),
        (Requirement({"a": ["x", 1]}), "res:a=|x|1|"),
        (Requirement({"a b": "c:d=é"}), "res:a%20b=c%3Ad%3D%C3%A9"),
        (Requirement(), "res:any"),
    ],
)
def test_names_are_readable(requirement: Requirement, name: str) -> None:
    assert queue_name(requirement) == name
    assert requirement_of(name) == requirement


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"constraints": "ncpus=4"}, "constraints must be a mapping such as {'ncpus': 4}, not 'ncpus=4'"),
        ({"constraints": {1: 2}}, "a resource name must be text such as 'ncpus', not 1"),
        ({"constraints": {"a": float("inf")}}, "constraints['a'] must be a finite number, not inf"),
        ({"constraints": {"a": b"x"}}, "constraints['a'] must be a number, a text, a list or a mapping"),
        ({"constraints": {"a": "\ud800"}}, "constraints['a'] must be valid Unicode text"),
        ({"node_count": -1}, "node_count must be a whole number, 0 or more, not -1"),
        ({"node_count": True}, "node_count must be a whole number, 0 or more, not True"),
        ({"exclusive": "yes"}, "exclusive must be True or False, not 'yes'"),
    ],
)
def test_a_bad_part_is_named_with_its_place_and_what_is_right(arguments: dict, says: str) -> None:
    with pytest.raises(InvalidRequirement, match=re.escape(says)):
        Requirement(**arguments)


def test_an_unknown_part_in_json_is_named() -> None:
    with pytest.raises(InvalidRequirement, match="'nodecount' is no part of a requirement"):
        Requirement.from_json({"constraints": {}, "nodecount": 2})


def test_plain_constraints_are_a_requirement_in_settings() -> None:
    assert Requirement.from_json({"ngpus": 1}) == Requirement({"ngpus": 1})
