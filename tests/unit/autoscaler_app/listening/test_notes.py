"""Notes, taken many at a time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app import schedule
from autoscaler_app.brokers.inbox import AT_MOST
from autoscaler_app.listening.notes import MAX_BYTES, YOUNG, Notes, read
from autoscaler_app.memory import kinds as memory
from celery_resources.sending.notes import notes_queue
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.world import Host, World


def announcement(queue: str, **constraints: Any) -> bytes:
    said = {"constraints": constraints or {"ncpus": 1}}
    return json.dumps({"kind": "announce", "queue": queue, "requirement": said}).encode()


@pytest.fixture
def notes(world: World) -> Notes:
    return Notes(world.control.state, world.control.activity)


def warnings(world: World) -> tuple[str, ...]:
    """What a pass says that was not as it should be."""
    saw = world.make_pass().saw
    assert saw is not None
    return saw.warnings


def test_a_new_kind_is_worth_a_pass_and_a_known_one_is_not(world: World, notes: Notes) -> None:
    assert notes.take([announcement("q"), announcement("q")], world.now)
    assert not notes.take([announcement("q")], world.now)
    assert notes.take([announcement("q"), announcement("r", ncpus=2)], world.now)
    assert world.control.state.kinds.all() == {
        "q": {"constraints": {"ncpus": 1}},
        "r": {"constraints": {"ncpus": 2}},
    }


def test_a_known_and_young_kind_costs_no_transaction(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.take([announcement("q")], world.now)
    with monkeypatch.context() as patch:
        patch.setattr(world.control.state._file, "transaction", lambda: pytest.fail("written"))
        notes.take([announcement("q")] * 1000, world.now + YOUNG - timedelta(seconds=1))
    notes.take([announcement("q")], world.now + YOUNG)
    world.go_on(YOUNG.total_seconds() + 3)
    assert world.control.state.kinds.use((), world.now, kept=timedelta(seconds=10)) == (), "announced since"


def test_a_known_kind_that_needs_something_else_now_is_written_down(world: World, notes: Notes) -> None:
    notes.take([announcement("q")], world.now)
    notes.take([announcement("q", ncpus=8)], world.now)
    assert world.control.state.kinds.all()["q"] == {"constraints": {"ncpus": 8}}


def test_many_notes_are_one_transaction(world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = world.control.state._file.transaction, []
    monkeypatch.setattr(world.control.state._file, "transaction", lambda: begun.append(1) or real())
    notes.take([announcement(f"q{i}") for i in range(1200)], world.now)
    assert len(world.control.state.kinds.all()) == 1200
    assert len(begun) == 1


DEEP = b"[" * 800 + b"]" * 800
"""Of such a depth JSON can still be read, and Python's recursion goes no further in what is made of it."""


@pytest.mark.parametrize(
    "body",
    [
        *(b"x", b"\xff", b"[]", b"5", b"[" * 10_000, b'{"kind": 5}', b'"' + b"x" * 70_000 + b'"'),
        b'{"kind": %s}' % DEEP,
        b'{"kind": "announce", "queue": %s}' % DEEP,
        b'{"kind": "announce", "queue": "r", "requirement": {"constraints": {"x": %s}}}' % DEEP,
        b'{"kind": "left", "hostname": "n1", "nodename": "celery@n1", "pid": %s}' % DEEP,
    ],
    ids=lambda body: body[:60].decode(errors="replace"),
)
def test_what_is_no_note_spoils_itself_only_and_the_next_pass_reports_it(
    world: World, notes: Notes, body: bytes
) -> None:
    assert notes.take([announcement("q"), body], world.now), "the kind is new"
    assert world.control.state.kinds.all().keys() == {"q"}
    assert "1 note of producers or nodes dropped since the last pass: it could not be read" in (
        warnings(world)
    )
    assert not any("dropped" in warning for warning in warnings(world)), "told once"


def test_of_equal_notes_that_are_taken_together_one_is_read_and_all_are_counted(
    world: World, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand producers that start say the same."""
    notes.take([b"no json"] * 3 + [b'{"kind": "odd"}'] * 2, world.now)
    assert len([line for line in caplog.messages if line.startswith("a note was dropped")]) == 2
    assert any(warning.startswith("5 notes of producers") for warning in warnings(world))


@pytest.mark.parametrize(
    "odd",
    [
        *({"hostname": 5}, {"hostname": "\x1b[2J"}, {"nodename": None}, {"nodename": "x" * 256}),
        *({"pid": "1"}, {"pid": True}, {"pid": None}, {"started": "1"}, {"started": True}),
    ],
    ids=str,
)
def test_a_last_word_of_nobody_is_dropped_and_ends_nobody(
    world: World, notes: Notes, odd: dict[str, Any]
) -> None:
    world.control.activity.merge(Host("n1").account(1), world.now)
    left = {"kind": "left", "hostname": "n1", "nodename": "celery@n1", "pid": 1, "started": 1.0, **odd}
    assert not notes.take([json.dumps(left).encode()], world.now)
    assert world.control.activity.host("n1") is not None
    assert any("dropped" in warning for warning in warnings(world))


def test_the_end_of_a_gang_is_worth_a_pass(notes: Notes, world: World) -> None:
    assert notes.take([b'{"kind": "gang-ended"}'], world.now)


def test_a_note_may_have_so_many_bytes_and_no_more() -> None:
    assert read(b" " * (MAX_BYTES - 1) + b"5") == 5
    with pytest.raises(ValueError, match="at most 65536"):
        read(b" " * MAX_BYTES + b"5")


def test_a_last_word_that_cannot_be_written_down_is_not_dropped_but_comes_again(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no fault of the note."""
    left = json.dumps({"kind": "left", "hostname": "n1", "nodename": "celery@n1", "pid": 1}).encode()
    with monkeypatch.context() as patch:
        patch.setattr(world.control.state, "last_word", _full_disk)
        with pytest.raises(InvalidConfig):
            notes.take([left], world.now)
    assert not any("dropped" in warning for warning in warnings(world))


def _full_disk(process: str) -> bool:
    raise InvalidConfig("state file: database or disk is full")


def test_kinds_have_a_bound_that_is_reported_when_it_is_reached(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_KINDS", 3)
    notes.take([announcement(f"q{i}") for i in range(5)], world.now)
    assert len(world.control.state.kinds.all()) == 3
    assert not notes.take([announcement("q9")], world.now), "it is not worth a pass"
    assert (
        "3 notes of producers or nodes dropped since the last pass: the most kinds that are kept are known"
        in (warnings(world))
    )


def test_where_no_room_is_left_unused_kinds_make_room_soon(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_KINDS", 3)
    notes.take([announcement(f"q{i}") for i in range(3)], world.now)
    world.queues.waiting["q1"] = 1
    world.go_on(memory.KEPT_WHERE_FULL.total_seconds() + 1)
    world.make_pass()
    assert world.control.state.kinds.all().keys() == {"q1"}
    assert notes.take([announcement("q9")], world.now)


def test_a_kind_that_nobody_uses_is_forgotten_after_the_set_time_and_not_before(
    world: World, notes: Notes
) -> None:
    notes.take([announcement("used"), announcement("unused"), announcement("unreadable")], world.now)
    world.queues.unreadable.add("unreadable")
    kept = world.control.settings.autoscaler.kinds_kept
    for part in (0.5, 0.49):
        world.queues.waiting["used"] = 1
        world.go_on(kept * part)
        world.make_pass()
        assert world.control.state.kinds.all().keys() == {"used", "unused", "unreadable"}
    world.queues.waiting["used"] = 0
    world.go_on(kept * 0.02)
    world.make_pass()
    assert world.control.state.kinds.all().keys() == {"used", "unreadable"}, "used lately; nobody knows"


def test_a_kind_in_use_is_written_down_again_only_now_and_then(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass says which kinds are in use: it costs a transaction four times in the time they are kept."""
    notes.take([announcement("q")], world.now)
    kept, begun, real = timedelta(minutes=40), list[int](), world.control.state._file.transaction
    monkeypatch.setattr(world.control.state._file, "transaction", lambda: begun.append(1) or real())
    for _ in range(40):
        world.go_on(60)
        assert world.control.state.kinds.use(["q", "unheard of"], world.now, kept=kept) == ()
    assert 3 <= len(begun) <= 4
    world.go_on(kept.total_seconds())
    assert world.control.state.kinds.use(["q"], world.now, kept=kept) == (), "in use, however long ago"
    world.go_on(kept.total_seconds())
    assert world.control.state.kinds.use([], world.now, kept=kept) == (), "not for longer"
    world.go_on(1)
    assert world.control.state.kinds.use([], world.now, kept=kept) == ("q",)


def test_a_kind_that_was_announced_by_a_clock_ahead_of_ours_is_written_down_again(
    world: World, notes: Notes
) -> None:
    notes.take([announcement("q")], world.now + timedelta(days=9))
    notes.take([announcement("q")], world.now)
    world.go_on(3)
    assert world.control.state.kinds.use([], world.now, kept=timedelta(seconds=2)) == ("q",)


def test_ten_thousand_notes_of_known_kinds_are_no_transaction_and_of_new_ones_one_each_time(
    world: World, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are taken in between of passes, that share the file: what counts is how seldom it is held."""
    notes.take([announcement(f"q{number}") for number in range(100)], world.now)
    begun, real = list[int](), world.control.state._file.transaction
    monkeypatch.setattr(world.control.state._file, "transaction", lambda: begun.append(1) or real())
    for start in range(0, 10_000, AT_MOST):
        notes.take([announcement(f"q{number % 100}") for number in range(start, start + AT_MOST)], world.now)
    assert begun == []
    for start in range(0, 2_000, AT_MOST):
        notes.take([announcement(f"r{number}") for number in range(start, start + AT_MOST)], world.now)
    assert len(begun) == 2_000 / AT_MOST


def test_the_queue_of_notes_is_the_one_that_nodes_write() -> None:
    assert notes_queue(schedule.CONTROL_QUEUE) == schedule.NOTES_QUEUE
