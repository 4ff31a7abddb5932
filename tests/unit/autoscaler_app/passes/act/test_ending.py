"""The way out of a node, step by step, with hosts that do not do what they are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.passes import way_out
from autoscaler_app.passes.act import ending
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.report import Action
from autoscaler_app.passes.way_out import State
from scalelib.node import NodeId
from scalelib.provider import NodeOutcome
from tests.unit.autoscaler_app.world import Host, World


@pytest.fixture
def idle(world: World) -> Host:
    """A node that was up and is idle past its timeout, and what its worker tells."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.queues.waiting["celery"] = 0
    world.make_pass()
    world.go_on(301)
    return host


def deeds(world: World) -> list[tuple[str, bool]]:
    """What a pass did, and whether it was done."""
    return [(action.kind, action.ok) for action in world.make_pass().actions]


def state(world: World) -> State | None:
    drain = world.control.state.drains().get("m1")
    return None if drain is None else way_out.state_of(drain)


def test_a_fence_that_was_not_heard_is_tried_again_and_nothing_goes_on_until_it_was(
    world: World, idle: Host
) -> None:
    idle.is_deaf_to.add("fence")
    for _ in range(3):
        assert deeds(world) == [("fence", False)]
        assert state(world) is State.CHOSEN
    idle.is_deaf_to.clear()
    assert deeds(world) == [("fence", True)]
    assert state(world) is State.FENCED


def test_what_a_node_that_never_joined_was_counted_on_for_is_bought_at_once(world: World) -> None:
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.cloud.boot()
    world.make_pass()
    world.go_on(200)
    ended = world.make_pass()
    assert [(action.kind, action.target) for action in ended.actions] == [("delete", "m1")]
    assert ended.again, "the plan had counted on it"
    assert [action.kind for action in world.make_pass().actions] == ["launch"]


def test_one_that_is_listed_still_though_it_was_ended_asks_for_no_pass_over_and_over(world: World) -> None:
    """A list may be old for minutes, and a pass at once would see the same again."""
    world.listen()
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.cloud.boot()
    world.make_pass()
    world.go_on(200)
    world.cloud.shows_an_old_list = True
    assert world.make_pass().again
    ended = world.make_pass()
    assert ("delete", "m1") in [(action.kind, action.target) for action in ended.actions]
    assert not ended.again


def test_a_fence_whose_answer_was_lost_is_seen_in_the_next_account(world: World, idle: Host) -> None:
    idle.is_deaf_to.add("fence")
    assert deeds(world) == [("fence", False)]
    idle.fenced = True
    assert deeds(world) == [("shut-down", True)]
    drain = world.control.state.drains()["m1"]
    assert drain.fenced == world.now, "so that it counts as fenced while nobody hears it"


def test_a_fence_is_written_down_before_it_is_sent(world: World, idle: Host) -> None:
    """A pass that is killed in between is followed by one that knows of it."""

    def dies(*_: object) -> None:
        raise BrokerUnreachable("away")

    sight, plan = world.sight(), world.plan()
    world.control.workers = type("Away", (), {"ask": dies, "tell": dies})()
    with pytest.raises(BrokerUnreachable):
        ending.fence(world.control, Deeds(), sight, plan)
    assert state(world) is State.CHOSEN


def test_a_host_that_was_empty_when_it_was_fenced_is_gone_on_with_at_once(world: World, idle: Host) -> None:
    assert world.make_pass().again


@pytest.mark.parametrize("what", ["running", "held"])
def test_what_it_still_has_when_it_is_fenced_is_waited_for(world: World, idle: Host, what: str) -> None:
    world_plan = world.plan()
    setattr(idle, what, ["t1"])
    done = Deeds()
    ending.fence(world.control, done, world.sight(), world_plan)
    assert not done.again
    for _ in range(3):
        assert deeds(world) == []
        assert state(world) is State.FENCED
    setattr(idle, what, [])
    assert deeds(world) == [("shut-down", True)]


def test_a_message_that_is_taken_between_the_look_and_the_deed_keeps_the_host(
    world: World, idle: Host
) -> None:
    """The plan says that it is empty; what its worker said last counts."""
    world.make_pass()
    plan = world.plan()
    idle.held = ["t1"]
    world.control.activity.merge(idle.account(10_000), world.now)
    done = Deeds()
    later = world.sight()
    ending.end(world.control, done, later, plan)
    assert [(a.kind, a.ok, a.detail) for a in done.actions] == [
        ("shut-down", False, "not proven empty; looked at again")
    ]
    assert idle.told == ["join", "fence"]
    assert state(world) is State.FENCED


def test_a_shut_down_is_written_down_before_it_is_sent(world: World, idle: Host) -> None:
    """A last word that comes back at once finds what it is the last word of."""
    world.make_pass()
    said = []

    class Quick:
        ask = world.hosts.ask

        def tell(self, command: str, nodenames: object) -> None:
            said.append((command, state(world), world.last_word(idle)))

    world.control.workers = Quick()
    assert deeds(world) == [("shut-down", True)]
    assert said == [("shutdown", State.EMPTY, True)]
    assert state(world) is State.LEFT
    assert deeds(world) == [("delete", True)]


def test_a_host_that_did_not_hear_the_shut_down_is_told_again_after_a_minute(
    world: World, idle: Host
) -> None:
    idle.is_deaf_to.add("shutdown")
    assert deeds(world) == [("fence", True)]
    assert deeds(world) == [("shut-down", True)]
    world.go_on(59)
    assert deeds(world) == []
    world.go_on(2)
    idle.is_deaf_to.clear()
    assert deeds(world) == [("shut-down", True)]
    assert idle.told == ["join", "fence", "shutdown"]
    assert world.cloud.ended == []


def test_of_two_workers_on_a_host_both_have_to_say_their_last_word(world: World, idle: Host) -> None:
    other = world.hosts.of["second"] = Host(idle.name, pid=2, worker="second")
    other.is_deaf_to.add("fence")
    assert deeds(world) == [("fence", False)], "one of them is not enough"
    assert state(world) is State.CHOSEN
    other.is_deaf_to.clear()
    assert deeds(world) == [("fence", True)]
    assert deeds(world) == [("shut-down", True)]
    assert world.last_word(idle)
    assert deeds(world) == []
    assert state(world) is State.EMPTY
    assert world.last_word(other)
    assert deeds(world) == [("delete", True)]


def test_a_worker_that_was_started_again_without_its_fence_ends_the_drain_if_it_is_to_serve(
    world: World, idle: Host
) -> None:
    world.make_pass()
    idle.fenced = False
    world.queues.waiting["celery"] = 2
    assert deeds(world) == []
    assert state(world) is None


def test_a_worker_that_was_started_again_without_its_fence_is_fenced_again_if_it_is_to_go(
    world: World, idle: Host
) -> None:
    world.make_pass()
    chosen = world.control.state.drains()["m1"].chosen
    idle.fenced = False
    assert deeds(world) == [("fence", True)]
    assert world.control.state.drains()["m1"].chosen == chosen, "the same drain goes on"


def test_a_node_that_the_cloud_would_not_end_is_said_and_tried_again(
    world: World, idle: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make_pass()
    world.make_pass()
    world.last_word(idle)
    refused = (NodeOutcome(id=NodeId("m1"), ok=False, error="it is protected"),)
    with monkeypatch.context() as patch:
        patch.setattr(world.cloud, "terminate", lambda nodes: refused)
        made = world.make_pass()
    assert made.actions == (Action(kind="delete", target="m1", ok=False, detail="it is protected"),)
    assert not made.ok
    assert deeds(world) == [("delete", True)]


def test_a_node_that_needs_no_certificate_is_deleted_at_once(world: World, idle: Host) -> None:
    world.cloud.machines["m1"].state = "Failed"
    world.hosts.of.clear()
    world.control.activity.forget(idle.name)
    assert deeds(world) == [("delete", True)]
    assert idle.told == ["join"]


def test_a_node_that_stays_though_it_was_ended_is_ended_again_unless_nothing_may_be(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    world.queues.waiting["celery"] = 0
    world.cloud.machines["m1"].state = "Terminating"
    world.cloud.lasting = True
    world.cloud.no_ending = "half of the nodes failed"
    assert deeds(world) == []
    assert world.cloud.ended == []
    world.cloud.no_ending = ""
    (again,) = world.make_pass().actions
    assert (again.kind, again.target, again.detail) == ("delete", "m1", "again: on its way out")


def test_a_drain_that_takes_too_long_is_a_warning_that_names_what_is_missing(
    world: World, idle: Host
) -> None:
    idle.is_deaf_to.add("fence")
    world.make_pass()
    world.go_on(timedelta(minutes=15).total_seconds())
    assert _warnings(world) == ()
    world.go_on(1)
    (warning,) = _warnings(world)
    assert "m1 has been draining for 15 min: not every worker process" in warning
    world.cloud.machines["m1"].wanted = False
    assert _warnings(world) == (), "the cloud is ending it anyway"


def _warnings(world: World) -> tuple[str, ...]:
    saw = world.make_pass().saw
    assert saw is not None
    return saw.warnings


def test_two_processes_under_one_name_are_neither_fenced_nor_ended_until_one_has_left(
    world: World, idle: Host
) -> None:
    """The idle one was started by hand beside the unit, which is busy, or the other way round."""
    other = world.hosts.of["other"] = Host(idle.name, pid=2, running=["t"])
    for _ in range(3):
        assert deeds(world) == []
        world.go_on(301)
    (warning,) = world.make_pass().saw.warnings  # type: ignore[union-attr]
    assert f"{idle.nodename} is several worker processes at once (1, 2)" in warning
    (kept,) = world.plan().keep
    assert (kept.reason.value, idle.nodename in kept.detail) == ("unknown", True)
    other.running = []
    world.last_word(other)
    assert deeds(world) == []
    world.go_on(301)
    assert deeds(world) == [("fence", True)], "idle since the other has left"


def test_of_two_processes_under_one_name_one_that_is_silent_for_long_counts_no_more(
    world: World, idle: Host
) -> None:
    other = world.hosts.of["other"] = Host(idle.name, pid=2)
    world.listen()
    assert deeds(world) == []
    assert len(world.sight().snapshot.hosts) == 1
    del world.hosts.of["other"]
    assert other.nodename == idle.nodename
    world.go_on(590)
    assert deeds(world) == []
    world.go_on(20)
    world.make_pass()
    assert deeds(world) == [], "what was not known was not idle"
    world.go_on(301)
    assert deeds(world) == [("fence", True)]


def test_the_last_word_of_another_process_of_the_same_name_proves_nothing(world: World, idle: Host) -> None:
    assert deeds(world) == [("fence", True)]
    assert deeds(world) == [("shut-down", True)]
    assert not world.last_word(Host(idle.name, pid=2))
    assert state(world) is State.EMPTY
    assert deeds(world) == []
    assert world.last_word(idle)
    assert deeds(world) == [("delete", True)]


@pytest.mark.parametrize("fenced", [False, True])
def test_a_process_that_is_heard_after_the_last_word_makes_every_step_be_shown_anew(
    world: World, idle: Host, fenced: bool
) -> None:
    assert deeds(world) == [("fence", True)]
    assert deeds(world) == [("shut-down", True)]
    assert world.last_word(idle)
    anew = world.hosts.of[idle.name] = Host(idle.name, pid=9, running=["t"], fenced=fenced)
    world.control.activity.merge(anew.account(0), world.now)
    world.make_pass()
    assert world.cloud.ended == []
    anew.running = []
    if not fenced:
        assert state(world) is None, "it serves: the drain was called off"
        world.go_on(301)
        assert deeds(world) == [("fence", True)]
    assert deeds(world) == [("shut-down", True)]
    assert world.last_word(anew)
    assert deeds(world) == [("delete", True)]
