"""What travels with a message has names of its own; the user's headers stay the user's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from celery_resources import InvalidRequirement, Requirement
from celery_resources.need.header import HEADER, carried, read_header, tell, tell_needs, to_send, told

FOUR = Requirement({"ncpus": 4})
OTHERS: list[Any] = ["mine", 7, {"team": "x"}, {"constraints": {"ncpus": 1}, "team": "x"}, ["a"], None]


@pytest.mark.parametrize("value", OTHERS)
def test_a_header_of_the_users_own_is_no_requirement(value: Any) -> None:
    assert read_header({"resources": value}) is None
    assert read_header({"resources": value, HEADER: FOUR.to_json()}) == FOUR


def test_a_message_of_a_version_before_is_understood() -> None:
    assert read_header({"resources": FOUR.to_json()}) == FOUR
    assert carried({"resources": FOUR.to_json()}) == FOUR.to_json()


def test_a_requirement_that_cannot_be_read_is_an_error_and_no_requirement_of_another_kind() -> None:
    with pytest.raises(InvalidRequirement):
        read_header({HEADER: "four"})


def as_the_task_finds_it(message: dict[str, Any], **local: Any) -> Any:
    """The request of a task whose message had these headers, on a node that adds what it decided."""
    request = dict(message)
    tell_needs(request)
    tell(request, **local)
    return Context(request)


def test_a_task_finds_what_it_needs_and_was_given_under_the_documented_names() -> None:
    found = as_the_task_finds_it({HEADER: FOUR.to_json()}, gpus=["0"], hosts=["a"], hostfile="/h")
    assert found.resources == FOUR.to_json()
    assert (found.gpus, found.hosts, found.hostfile) == (["0"], ["a"], "/h")
    assert [told(found, name) for name in ("gpus", "hosts", "hostfile")] == [["0"], ["a"], "/h"]
    assert told(SimpleNamespace(gpus=["7"]), "gpus") is None


def test_the_users_headers_of_the_same_names_stay_and_ours_are_found_all_the_same() -> None:
    own = {"resources": "mine", "gpus": 1, "hosts": ["x"], "hostfile": "f"}
    found = as_the_task_finds_it({**own, HEADER: FOUR.to_json()}, gpus=["0"], hosts=["a"], hostfile="/h")
    assert {name: getattr(found, name) for name in own} == own
    assert told(found, "gpus") == ["0"]


@pytest.mark.parametrize("own", [{}, {"resources": "mine", "gpus": 1, "hosts": ["x"]}, {"tenant": "t"}])
def test_of_what_a_node_added_nothing_travels_on_with_a_retry(own: dict[str, Any]) -> None:
    message = {**own, HEADER: FOUR.to_json()}
    found = as_the_task_finds_it(message, gpus=["0"], hosts=["a"], hostfile="/h")
    assert to_send(found.headers) == message
