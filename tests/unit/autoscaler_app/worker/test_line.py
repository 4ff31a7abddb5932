"""What stands in the control queue and is no request takes no slot, holds up no pass, and is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection
from kombu.message import Message

from autoscaler_app.listening.notes import DROPPED, MAX_BYTES, UNREADABLE
from autoscaler_app.schedule import AUTOSCALE, NOTE
from autoscaler_app.worker.line import MOST_KEPT, NO_REQUEST, Line
from autoscaler_app.worker.requests import FEW, LOOK_EVERY, Requests
from celery_resources.insides.garbage import set_aside
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.world import World

SAID = {"kind": "announce", "queue": "q", "requirement": {"constraints": {"ncpus": 1}}}


class Head:
    """The head of the queue: what is sent comes to a line, and what became of it is written down."""

    def __init__(self) -> None:
        self.did: list[Any] = []
        self.now = 0.0
        self.looks: list[Callable[[], object]] = []
        self.fails: Exception | None = None
        self.requests = Requests(lambda: self.now, lambda: self.now)
        self.line = Line(self.requests, self._take)
        self.consumer: Any = SimpleNamespace(
            connection_errors=(ConnectionError,),
            channel_errors=(),
            create_task_handler=lambda: lambda message: self.did.append("slot"),
            pool=SimpleNamespace(apply_async=self._in_the_slot),
        )
        self.line.stand_before(self.consumer, lambda: self.did.append("look"))

    def _in_the_slot(
        self, what: Callable[..., object], args: Any, callback: Callable[[object], None]
    ) -> None:
        self.looks.append(lambda: callback(what(*args)))

    def _take(self, notes: list[Any]) -> None:
        self.did.append(list(notes))
        if self.fails is not None:
            raise self.fails

    def say(self, body: object, kind: str = "application/json", **headers: Any) -> None:
        message = Message(
            body=body if isinstance(body, bytes) else json.dumps(body),
            delivery_tag="1",
            content_type=kind,
            content_encoding="utf-8",
            headers=headers,
            channel=Connection("memory://").default_channel,
        )
        message.ack_log_error = lambda *_, **__: self.did.append("acknowledged")
        self.consumer.create_task_handler()(message)

    def dropped(self, state: Any) -> Any:
        self.line.count_dropped(state)
        return state.fact(DROPPED)


@pytest.fixture
def head() -> Head:
    return Head()


def test_a_request_goes_to_the_slot(head: Head) -> None:
    head.say([[], {}, {}], task=AUTOSCALE)
    head.say({"task": AUTOSCALE, "id": "1", "args": [], "kwargs": {}})
    assert head.did == ["slot", "slot"], "which acknowledges it; in either protocol of Celery"


def test_a_note_of_an_earlier_version_is_acknowledged_when_it_is_taken(head: Head) -> None:
    head.say([[], SAID, {}], task=NOTE)
    head.say({"task": NOTE, "id": "1", "args": [], "kwargs": SAID})
    assert head.did == [[SAID], "acknowledged"] * 2
    head.did.clear()
    head.say([[], {"gang": "g"}, {}], task=NOTE)
    assert head.did[0] == [{"kind": "", "gang": "g"}]


def test_a_note_that_cannot_be_written_down_is_kept_and_holds_up_nobody(
    head: Head, caplog: pytest.LogCaptureFixture
) -> None:
    head.fails = InvalidConfig("the disk is full")
    head.say([[], SAID, {}], task=NOTE)
    assert head.did == [[SAID], "acknowledged"]
    assert "kept until it can be written down: the disk is full" in caplog.text
    head.did.clear()
    head.fails = None
    head.say([[], {}, {}], task=AUTOSCALE)
    head.say([[], {}, {}], task=AUTOSCALE)
    assert head.did == [[SAID], "slot", "slot"]


def test_no_more_notes_are_kept_than_there_is_room_for(head: Head) -> None:
    head.fails = InvalidConfig("the disk is full")
    for number in range(3):
        head.line._notes = [{}] * MOST_KEPT
        head.say([[], {"kind": number}, {}], task=NOTE)
    assert (len(head.line._notes), head.line._notes[-1]) == (MOST_KEPT, {"kind": 2})


UNREAD = {
    "no arguments by name": ([[], 5, {}], "application/json"),
    "no arguments": ([5], "application/json"),
    "a text": ("text", "application/json"),
    "no JSON": (b"\xff", "application/json"),
    "pickle": ([[], SAID, {}], "application/x-python-serialize"),
    "too long": ([[], {"kind": "x" * MAX_BYTES}, {}], "application/json"),
}


@pytest.mark.parametrize(("body", "kind"), UNREAD.values(), ids=list(UNREAD))
def test_a_note_that_cannot_be_read_is_dropped_and_told(
    head: Head, world: World, body: object, kind: str
) -> None:
    head.say(body, kind, task=NOTE)
    assert head.did == ["acknowledged"]
    assert head.dropped(world.control.state) == {UNREADABLE: 1}


NO_REQUESTS: dict[str, tuple[object, dict[str, Any]]] = {
    "another task": ([[], {}, {}], {"task": "os.system"}),
    "one of Celery's own": ([[], {}, {}], {"task": "celery.group"}),
    "a name that is none": ([[], {}, {}], {"task": []}),
    "no headers": ([[], {}, {}], {}),
    "another task in the first protocol": ({"task": "os.system", "id": "1"}, {}),
    "no JSON": (b"\xff\xfe", {}),
}


@pytest.mark.parametrize(("body", "headers"), NO_REQUESTS.values(), ids=list(NO_REQUESTS))
def test_what_is_no_request_takes_no_slot_and_is_told(
    head: Head, world: World, caplog: pytest.LogCaptureFixture, body: object, headers: dict[str, Any]
) -> None:
    state = world.control.state
    for _ in range(3):
        head.say(body, **headers)
    assert head.did == ["acknowledged"] * 3
    assert caplog.text.count("a message was dropped: it stood in the control queue and is no request") == 1
    assert head.dropped(state) == {NO_REQUEST: 3}
    assert head.dropped(state) == {NO_REQUEST: 3}, "each once"
    head.say(body, **headers)
    assert caplog.text.count("a message was dropped") == 2, "a line of the log for each report"
    state.set_fact(DROPPED, {"another": 2})
    assert head.dropped(state) == {NO_REQUEST: 1, "another": 2}


def test_what_is_dropped_while_the_file_cannot_be_written_is_told_later(head: Head, world: World) -> None:
    head.say([], task="os.system")

    def full(*_: object) -> None:
        raise InvalidConfig("the disk is full")

    head.line.count_dropped(SimpleNamespace(change=full))  # type: ignore[arg-type]
    assert head.dropped(world.control.state) == {NO_REQUEST: 1}


def test_a_request_that_celery_stumbles_over_is_told(head: Head, world: World) -> None:
    def stumble(message: Any) -> None:
        set_aside.count += 1

    head.consumer.create_task_handler = lambda: stumble
    head.line.stand_before(head.consumer, lambda: None)
    head.say([], task=AUTOSCALE, id=[])
    assert head.dropped(world.control.state) == {NO_REQUEST: 1}
    assert head.did == [], "it was rejected where it was set aside"


def test_of_a_line_looks_are_taken_in_the_slot_one_at_a_time(head: Head) -> None:
    for _ in range(3 * FEW):
        head.say([], task="os.system")
        head.now += LOOK_EVERY
    assert len(head.looks) == 1, "until it is taken"
    head.looks.pop()()
    assert head.did.count("look") == 1
    for _ in range(FEW):
        head.say([], task=AUTOSCALE)
    assert len(head.looks) == 1, "of requests as well"


def test_a_look_that_fails_is_told_and_the_next_one_comes(
    head: Head, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("no")

    head.line.stand_before(head.consumer, fail)
    for _ in range(2):
        for _ in range(FEW):
            head.say([], task="os.system")
        head.looks.pop()()
        head.now += LOOK_EVERY
    assert caplog.text.count("looking at the line of the control queue failed") == 2
