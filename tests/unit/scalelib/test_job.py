"""Jobs are read once, with care, and never change."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalelib.errors import InvalidConstraint, InvalidInput, InvalidJob
from scalelib.job import Job


def test_the_words_of_the_manual() -> None:
    """The spelling `colacated` is the manual's, and works."""
    job = Job("my-job", {"ncpus": 1, "memgb": 200, "ngpus": 1}, node_count=2, colacated=True, exclusive=True)
    assert (job.colocated, job.exclusive, job.node_count, job.iterations) == (True, True, 2, 1)
    assert Job(name="x", constraints={"ncpus": 1}).node_count == 0


def test_there_and_back() -> None:
    job = Job("a", [{"ncpus": 1}, {"or": [{"ngpus": 1}, {"memgb": 2}]}], 3, 2, True, True, ["h1"], 7)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    assert pickle.loads(pickle.dumps(job)) == job
    assert len({job, Job.from_json(job.to_json())}) == 1
    assert Job.from_json({"name": "a"}) == Job("a")
    assert "executing_hostnames=['h1']" in repr(job)


def test_a_job_cannot_be_changed() -> None:
    job = Job("a")
    with pytest.raises(AttributeError, match=r"make another one.*job\.evolve\(iterations=5\)"):
        job.iterations = 5
    with pytest.raises(AttributeError, match="iterations stays"):
        del job.iterations
    assert (job.evolve(iterations=5), job.iterations) == (Job("a", iterations=5), 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name: ''"),
        ({"name": 3}, "name: 3"),
        ({"iterations": 0}, "iterations: 0 is not between 1"),
        ({"iterations": -5}, "iterations: -5"),
        ({"iterations": 2.0}, "iterations: 2.0 is no whole number"),
        ({"iterations": True}, "iterations: True"),
        ({"iterations": 10**10}, "iterations: 10000000000"),
        ({"node_count": -1}, "node_count: -1"),
        ({"node_count": "2"}, "node_count: '2'"),
        ({"colocated": 1}, "colocated: 1 is neither"),
        ({"exclusive": "yes"}, "exclusive: 'yes'"),
        ({"executing_hostnames": "h1"}, "no list of host names"),
        ({"executing_hostnames": [3]}, r"executing_hostnames\[0\]: 3"),
        ({"priority": 0.5}, "priority: 0.5"),
    ],
)
def test_a_bad_job_is_refused_with_name_key_and_value(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        Job(**{"name": "j", **changes})


def test_a_bad_constraint_names_its_job() -> None:
    with pytest.raises(InvalidConstraint, match=r"job 'j': constraints\.ncpus"):
        Job("j", {"ncpus": -1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "is no object"),
        ({}, "'name' is missing"),
        ({"name": "j", "iteration": 2}, "did you mean 'iterations'"),
        ({"name": "j", "qqqq": 2}, "unknown key 'qqqq'"),
    ],
)
def test_a_bad_object_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        Job.from_json(value)


@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "constraints", "iterations", "node_count", "colocated", "exclusive", "priority", "x"]
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.none())
        ),
    )
)
def test_any_object_is_a_job_or_invalid_input(value: dict[str, Any]) -> None:
    try:
        job = Job.from_json(value)
    except InvalidInput:
        return
    assert Job.from_json(job.to_json()) == job
