"""When a message that was taken counts as lost, and when it is left alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from autoscaler_app.brokers import Consumers
from autoscaler_app.listening.activity import HeldTask, HostView, RunningTask
from autoscaler_app.passes.observe import strays
from autoscaler_app.passes.observe.strays import Claims, Strays, StrayWatch, claims_of

AFTER = 60.0
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Shelf:
    """The unacknowledged messages of a broker: tag -> task."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.read = 0

    def unacked_tags(self) -> frozenset[str]:
        return frozenset(self.messages)

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        self.read += len(tags)
        return {tag: self.messages[tag] for tag in tags}


class Scene:
    """A watch on a shelf, and what hosts and workers say at each look."""

    def __init__(self, after: float = AFTER) -> None:
        self.now = 1000.0
        self.shelf = Shelf()
        self.watch = StrayWatch(after, clock=lambda: self.now)
        self.hosts: list[HostView] = []
        self.own: list[str] = []
        self.later: list[str] = []
        self.claims = Claims(ids=frozenset())
        self.asked = 0

    def look(self, *, later: float = AFTER / 2) -> Strays:
        self.now += later
        return self.watch.look(self.shelf, self.hosts, self.own, self._ask, self.later)  # type: ignore[arg-type]

    def _ask(self) -> Claims:
        self.asked += 1
        return self.claims


def host(*, running: str = "", held: str = "", scheduled: int = 0) -> HostView:
    return HostView(
        hostname="n1",
        running=tuple(
            RunningTask(id=i, name="t", queue="q", started=NOW, nodename="celery@n1") for i in running
        ),
        held=tuple(HeldTask(id=i, queue="q") for i in held),
        scheduled=scheduled,
        told=NOW,
    )


def test_what_nobody_has_over_two_questions_is_given_back_and_only_then() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a"}
    looks = [scene.look().tags for _ in range(3)]
    assert looks == [(), (), ("tag-a",)]
    assert scene.asked == 2


def test_it_looks_no_more_often_than_it_must() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a"}
    for _ in range(100):
        scene.look(later=AFTER / 100)
    assert scene.asked <= 2


def test_switched_off_it_does_not_even_read() -> None:
    scene = Scene(after=0.0)
    scene.shelf.messages = {"tag-a": "a"}
    assert [scene.look(later=1000.0).tags for _ in range(5)] == [()] * 5
    assert (scene.shelf.read, scene.asked) == (0, 0)


@pytest.mark.parametrize(
    ("hosts", "own", "why"),
    [
        ([host(running="a")], [], "it runs"),
        ([host(held="a")], [], "it is held"),
        ([host(scheduled=1)], [], "somebody keeps one for later, and tells only how many"),
        ([], ["a"], "it is our own"),
    ],
)
def test_what_is_accounted_for_costs_no_question(hosts: list[HostView], own: list[str], why: str) -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a"}
    scene.hosts, scene.own = hosts, own
    assert [scene.look().tags for _ in range(6)] == [()] * 6, why
    assert scene.asked == 0


def test_what_is_claimed_stays_however_many_are_lost() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a", "tag-b": "b", "tag-c": "c"}
    scene.hosts = [host(scheduled=1)]
    scene.claims = Claims(ids=frozenset({"b"}))
    assert [scene.look().tags for _ in range(3)] == [(), (), ("tag-a", "tag-c")]


def test_claimed_once_in_between_it_begins_anew() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a", "tag-b": "b"}
    scene.look()
    scene.look()
    scene.claims = Claims(ids=frozenset({"a"}))
    assert scene.look().tags == ("tag-b",)
    scene.claims = Claims(ids=frozenset())
    del scene.shelf.messages["tag-b"]
    assert [scene.look().tags for _ in range(2)] == [(), ("tag-a",)]


def test_a_redelivery_is_another_message() -> None:
    """The same task under another tag: somebody has taken it anew."""
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a"}
    scene.look()
    scene.look()
    scene.shelf.messages = {"tag-b": "a"}
    assert [scene.look().tags for _ in range(3)] == [(), (), ("tag-b",)]


def test_while_somebody_is_missing_nothing_is_given_back_and_the_report_says_why() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-a": "a", "tag-b": "b"}
    scene.claims = Claims(ids=frozenset({"b"}), missing="celery@n7 did not answer")
    for _ in range(6):
        found = scene.look()
        assert found.tags == ()
    assert len(found.warnings) == 1
    assert "1 messages" in found.warnings[0]
    assert "celery@n7 did not answer" in found.warnings[0]
    assert scene.look(later=1.0).warnings == found.warnings, "between two looks it is still so"

    scene.claims = Claims(ids=frozenset({"b"}))
    looks = [scene.look() for _ in range(2)]
    assert [look.tags for look in looks] == [(), ("tag-a",)]
    assert looks[-1].warnings == ()


def test_what_is_no_task_is_left_alone() -> None:
    scene = Scene()
    scene.shelf.messages = {"tag-x": ""}
    assert [scene.look().tags for _ in range(4)] == [()] * 4


def test_each_message_is_read_once() -> None:
    scene = Scene()
    scene.shelf.messages = {f"tag-{number}": f"id-{number}" for number in range(100)}
    scene.hosts = [host(scheduled=100)]
    for _ in range(5):
        scene.look()
    assert scene.shelf.read == 100


EVERYBODY: dict[str, Any] = {"celery@n1": ["a"], "celery@n2": []}


@pytest.mark.parametrize(
    ("answers", "expected", "consumers", "missing"),
    [
        (EVERYBODY, EVERYBODY, 3, ""),
        (EVERYBODY, [], 1, ""),
        ({**EVERYBODY, "control@host": None}, [*EVERYBODY, "control@host"], 3, ""),
        (EVERYBODY, [*EVERYBODY, "celery@n3"], 3, "celery@n3 did not answer"),
        ({**EVERYBODY, "plain@x": None}, EVERYBODY, 3, "plain@x cannot say"),
        (EVERYBODY, EVERYBODY, 4, "4 connections consume, and 3 workers are known"),
        (EVERYBODY, EVERYBODY, None, "does not tell who consumes"),
        ({}, [f"celery@n{number}" for number in range(9)], 1, "and 6 more did not answer"),
    ],
)
def test_the_answers_prove_something_only_if_everybody_is_among_them(
    answers: dict[str, Any], expected: Collection[str], consumers: int | None, missing: str
) -> None:
    seen = None if consumers is None else Consumers(count=consumers, names=frozenset())
    claims = claims_of(answers, expected=expected, me="control@host", own=["o"], consumers=seen)
    assert (missing in claims.missing) if missing else (claims.missing == "")
    assert claims.ids == {"o", *(i for ids in answers.values() for i in ids or ())}


@pytest.mark.parametrize(
    ("names", "unheard", "consumers", "missing"),
    [
        ((), ["celery@n 3"], 3, ""),
        (("celery@n_3",), ["celery@n 3"], 3, "did not answer"),
        ((), [], 3, "did not answer"),
        # A connection that bears no name yet may be its.
        ((), ["celery@n 3"], 4, "4 connections consume"),
        (None, ["celery@n 3"], 0, "did not answer; the broker does not tell who consumes"),
    ],
)
def test_one_that_is_not_heard_and_has_no_connection_need_not_answer(
    names: Collection[str] | None, unheard: Collection[str], consumers: int, missing: str
) -> None:
    claims = claims_of(
        EVERYBODY,
        expected=[*EVERYBODY, "celery@n 3"],
        me="control@host",
        own=(),
        consumers=None if names is None else Consumers(count=consumers, names=frozenset(names)),
        unheard=unheard,
    )
    assert (missing in claims.missing) if missing else (claims.missing == "")


def test_what_is_named_for_later_is_somebodys_and_hides_nothing_else() -> None:
    scene = Scene()
    scene.hosts = [host(scheduled=1)]
    scene.shelf.messages = {"tag-l": "l", "tag-a": "a"}
    scene.later = ["l"]
    assert [scene.look().tags for _ in range(3)][-1] == ("tag-a",)


def test_of_very_many_messages_only_so_many_are_read_in_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays, "MOST_READ", 5)
    scene = Scene()
    scene.shelf.messages = {f"tag{i}": f"task{i}" for i in range(12)}
    read = []
    for _ in range(4):
        scene.look()
        read.append(scene.shelf.read)
    assert read == [5, 10, 12, 12]
