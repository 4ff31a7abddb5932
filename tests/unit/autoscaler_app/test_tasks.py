"""The task of the control queue: which requests make a pass; and what each note leads to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from autoscaler_app import schedule, tasks
from autoscaler_app.brokers import BrokerError
from autoscaler_app.listening.trust import FROM_BEFORE, Trust
from autoscaler_app.passes import way_out
from autoscaler_app.passes.lock import held
from autoscaler_app.worker.line import Line
from autoscaler_app.worker.requests import Requests
from celery_resources.trust.keys import KeyPair
from scalelib.errors import CloudUnreachable
from tests.unit.autoscaler_app.world import Host, World


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every further pass that was asked for; the tasks run with the control side of the test."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks.worker, "control", lambda: world.control)
    monkeypatch.setattr(
        tasks.worker, "requests", Requests(lambda: world.now.timestamp(), lambda: world.monotonic)
    )
    monkeypatch.setattr(tasks.worker, "line", Line(tasks.worker.requests, lambda notes: None))
    monkeypatch.setattr(tasks.autoscale, "apply_async", lambda **options: found.append(options))
    monkeypatch.setattr(tasks.worker.Listens, "poke", lambda: found.append({}))
    return found


def autoscale(**headers: Any) -> dict[str, Any]:
    """A request comes out of the queue."""
    tasks.worker.requests.came()
    tasks.autoscale.push_request(**headers)
    try:
        answer: dict[str, Any] = tasks.autoscale.run()
    finally:
        tasks.autoscale.pop_request()
    return answer


# -- requests


def test_a_request_makes_a_pass_and_says_what_it_did(world: World, asked: list[Any]) -> None:
    world.queues.waiting["celery"] = 2
    answer = autoscale()
    assert (answer["number"], answer["ok"], answer["launched"]) == (1, True, {"all/small": 1})
    assert "wanted new 1" in answer["summary"]
    assert asked == []


def test_a_request_that_was_sent_before_a_pass_began_is_covered_by_it(world: World, asked: list[Any]) -> None:
    sent = world.now.timestamp()
    world.go_on(1)
    number = autoscale(**{schedule.ASKED_AT: sent})["number"]
    assert autoscale(**{schedule.ASKED_AT: sent}) == {"covered_by": number}
    assert autoscale()["number"] == number + 1, "one that does not say when it was sent is none"
    world.go_on(5)
    assert autoscale(**{schedule.ASKED_AT: world.now.timestamp() - 1})["number"] == number + 2


def test_requests_that_do_not_say_when_they_were_sent_are_covered_if_they_were_in_line(
    world: World, asked: list[Any]
) -> None:
    """Whoever may send tasks on RabbitMQ can put ten thousand there: they are one pass, and one more."""
    world.queues.waiting[schedule.CONTROL_QUEUE] = 2
    number = autoscale()["number"]
    world.queues.waiting[schedule.CONTROL_QUEUE] = 0
    assert [autoscale(), autoscale(**{schedule.ASKED_AT: 1e11})] == [{"covered_by": number}] * 2
    assert autoscale()["number"] == number + 1


def test_where_nobody_knows_how_many_are_in_line_a_pass_is_made(
    world: World, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(queues: Any) -> Any:
        if list(queues) == [schedule.CONTROL_QUEUE]:
            raise BrokerError("no")
        return depths(queues)

    depths = world.queues.depths
    monkeypatch.setattr(world.queues, "depths", unknown)
    assert [autoscale()["ok"], autoscale()["ok"]] == [True, True]


def test_a_pass_that_failed_covers_nothing(
    world: World, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise CloudUnreachable("no")

    sent = world.now.timestamp()
    world.go_on(1)
    with monkeypatch.context() as patch:
        patch.setattr(world.cloud, "cloud", away)
        failed = autoscale(**{schedule.ASKED_AT: sent})
    assert (failed["ok"], failed["launched"]) == (False, {})
    assert "number" in autoscale(**{schedule.ASKED_AT: sent})


def test_a_pass_that_has_more_to_do_asks_for_the_next(world: World, asked: list[Any]) -> None:
    world.queues.waiting["celery"] = 2
    autoscale()
    world.boot()
    world.queues.waiting["celery"] = 0
    autoscale()
    assert asked == []
    world.go_on(301)
    autoscale()
    again = {"ignore_result": True, "headers": {schedule.ASKED_BY: "again"}}
    assert asked == [again], "fenced, and empty: it may be shut down at once"


def test_a_pass_of_another_process_is_not_waited_for_for_ever(world: World, asked: list[Any]) -> None:
    quick = msgspec.structs.replace(world.control.settings.autoscaler, lock_patience=0.0)
    world.control.settings = msgspec.structs.replace(world.control.settings, autoscaler=quick)
    with held(world.control.settings.lock_file):
        answer = autoscale()
    assert answer["covered_by"] is None
    assert "a pass is running" in answer["error"]


# -- a line of messages in the control queue


def test_what_came_into_a_line_gets_a_pass_before_it_is_read(
    world: World, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.control.lease, "why_not", str)
    world.queues.waiting[schedule.CONTROL_QUEUE] = 5000
    tasks.look_at_the_line()
    [made] = world.control.reports(10)
    assert made.asked_by == "line"
    assert made.saw is not None
    assert [each for each in made.saw.warnings if "5000 messages stood in the control queue" in each]
    world.go_on(2)
    tasks.look_at_the_line()
    assert len(world.control.reports(10)) == 1, "nothing has come since"
    world.queues.waiting[schedule.CONTROL_QUEUE] = 5001
    tasks.look_at_the_line()
    assert len(world.control.reports(10)) == 2
    assert tasks.worker.requests.covered_by(world.now.timestamp() - 1) == 2
    world.queues.waiting[schedule.CONTROL_QUEUE] = 99
    world.go_on(2)
    autoscale(**{schedule.ASKED_AT: world.now.timestamp()})
    [made] = world.control.reports(1)
    assert made.saw is not None
    assert not [each for each in made.saw.warnings if "control queue" in each]


def test_who_has_no_lease_makes_no_pass_for_a_line(
    world: World, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.control.lease, "why_not", lambda: "another one acts")
    world.queues.waiting[schedule.CONTROL_QUEUE] = 5000
    tasks.look_at_the_line()
    assert world.control.reports(1) == []


def test_a_pass_of_another_process_serves_a_line_as_well(
    world: World, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.control.lease, "why_not", str)
    quick = msgspec.structs.replace(world.control.settings.autoscaler, lock_patience=0.0)
    world.control.settings = msgspec.structs.replace(world.control.settings, autoscaler=quick)
    with held(world.control.settings.lock_file):
        tasks.look_at_the_line()
    assert world.control.reports(1) == []


def test_the_control_worker_looks_at_its_line_in_this_way() -> None:
    assert tasks.worker.TakesPasses.look is tasks.look_at_the_line


# -- notes


def note(**facts: Any) -> None:
    """One of an earlier version, which comes by the control queue."""
    tasks.worker._take_from_the_line([facts])


def test_a_new_queue_is_remembered_and_asks_for_a_pass_once(world: World, asked: list[Any]) -> None:
    facts = {"queue": "res:ncpus=4", "requirement": {"constraints": {"ncpus": 4}}}
    for _ in range(2):
        note(kind="announce", **facts)
    assert world.control.state.kinds.all().keys() == {"res:ncpus=4"}
    assert len(asked) == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"queue": "q"},
        {"queue": "q", "requirement": 5},
        {"queue": 5, "requirement": {"constraints": {"ncpus": 4}}},
        {"queue": "", "requirement": {"constraints": {"ncpus": 4}}},
        {"queue": "q", "requirement": {"constraints": {}, "node_count": -1}},
        {"requirement": {"constraints": {"ncpus": 4}}},
    ],
)
def test_an_announcement_that_cannot_be_read_spoils_itself_only(
    world: World, asked: list[Any], facts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    note(kind="announce", **facts)
    assert world.control.state.kinds.all() == {}
    assert asked == []
    assert "was dropped" in caplog.text


@pytest.fixture
def leaving(world: World) -> Host:
    """A host that was told to shut down."""
    host = Host("n1", pid=7)
    world.control.activity.merge(host.account(1), world.now)
    state = world.control.state
    state.begin_drain("m1", "n1", "idle", world.now)
    state.mark_fenced("m1", world.now)
    state.mark_shut_down("m1", [host.process], world.now)
    return host


def last_word(host: Host, **changes: Any) -> None:
    facts = {
        "hostname": host.name,
        "nodename": host.nodename,
        "pid": host.pid,
        "started": float(host.pid),
        **changes,
    }
    note(kind="left", **facts)


def state(world: World) -> way_out.State:
    return way_out.state_of(world.control.state.drains()["m1"])


def test_the_last_word_of_a_worker_that_was_told_to_shut_down_is_the_proof(
    world: World, asked: list[Any], leaving: Host
) -> None:
    for _ in range(2):
        last_word(leaving)
        assert state(world) is way_out.State.LEFT, "it may come twice"
    assert len(asked) == 2
    assert world.control.activity.host("n1") is None


def test_the_last_word_of_an_earlier_life_proves_nothing_of_this_one(
    world: World, asked: list[Any], leaving: Host
) -> None:
    last_word(leaving, pid=6)
    assert state(world) is way_out.State.EMPTY
    assert world.control.activity.host("n1") is not None
    assert asked == []


def test_the_last_word_of_a_worker_that_nobody_told_to_go_asks_for_no_pass(
    world: World, asked: list[Any]
) -> None:
    host = Host("n2", pid=3)
    world.control.activity.merge(host.account(1), world.now)
    world.control.state.begin_drain("m2", "n2", "idle", world.now)
    last_word(host)
    assert world.control.activity.host("n2") is None
    assert asked == []


@pytest.mark.parametrize("changes", [{"nodename": None}, {"hostname": 5}, {"nodename": ""}])
def test_a_last_word_that_cannot_be_read_spoils_itself_only(
    world: World, asked: list[Any], leaving: Host, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    last_word(leaving, **changes)
    assert state(world) is way_out.State.EMPTY
    assert "was dropped" in caplog.text


def test_a_gang_that_has_ended_asks_for_a_pass_and_an_unknown_note_for_none(
    world: World, asked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    note(kind="gang-ended", gang="g")
    assert len(asked) == 1
    note(kind="hello", who="me")
    assert len(asked) == 1
    assert "its kind is 'hello'" in caplog.text


def test_a_last_word_that_its_node_did_not_sign_is_as_if_never_said(world: World, asked: list[Any]) -> None:
    world.queues.waiting["celery"] = 1
    world.make_pass()
    [host] = world.boot()
    world.make_pass()
    world.control.state.set_fact(FROM_BEFORE, {})
    world.control.trust = Trust(world.control.state, KeyPair, settling=timedelta(0))  # type: ignore[arg-type]
    world.control.trust.know(world.control.provider.cloud().nodes, world.now)
    note(kind="left", hostname=host.name, nodename=host.nodename, pid=host.pid)
    assert asked == []
    assert world.control.activity.host(host.name) is not None


def test_a_pass_says_who_asked_for_it(world: World, asked: list[Any]) -> None:
    for headers, who in (
        ({}, "call"),
        ({schedule.ASKED_BY: "beat"}, "beat"),
        ({schedule.ASKED_BY: "x"}, "call"),
    ):
        autoscale(**headers)
        assert world.control.reports(1)[0].asked_by == who
