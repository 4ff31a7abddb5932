"""The dead are buried once, and nobody is taken for dead who may be alive."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.memory.state import KnownHost
from autoscaler_app.passes.act import housekeeping
from autoscaler_app.passes.act.deeds import Deeds
from scalelib.node import NodeId
from scalelib.provider import LaunchResult, Swept
from tests.unit.autoscaler_app.world import NOON, Host, World


def know(world: World, node_id: str, *tasks: str, ago: float = 3600.0) -> KnownHost:
    """A host that was heard once, on a node that the cloud does not have."""
    host = KnownHost(
        hostname=f"host-{node_id}",
        node_id=node_id,
        nodenames=(f"celery@host-{node_id}",),
        heard=world.now - timedelta(seconds=ago),
        tasks=tasks,
    )
    world.control.state.heard([host])
    return host


def bury(world: World) -> Deeds:
    deeds = Deeds()
    housekeeping.bury_the_dead(world.control, deeds, world.sight())
    return deeds


def test_the_tasks_of_a_node_that_is_gone_go_back_and_it_is_forgotten(world: World) -> None:
    know(world, "m7", "t2", "t1")
    world.control.state.begin_drain("m7", "host-m7", "idle", world.now)
    deeds = bury(world)
    assert world.queues.given_back == ["t1", "t2"]
    assert [(a.kind, a.target, a.detail) for a in deeds.actions] == [
        ("restore", "host-m7", "2 of 2 tasks given back")
    ]
    assert deeds.again, "there is work that waits now"
    assert world.control.state.known_hosts() == {}
    assert world.control.state.drains() == {}
    assert bury(world).actions == []


def test_a_node_that_had_nothing_is_forgotten_without_a_word(world: World) -> None:
    know(world, "m7")
    deeds = bury(world)
    assert (deeds.actions, deeds.again) == ([], False)
    assert world.control.state.known_hosts() == {}


@pytest.mark.parametrize(("ago", "buried"), [(9.0, False), (11.0, True)])
def test_a_worker_that_gave_a_sign_of_life_just_now_is_not_dead(
    world: World, ago: float, buried: bool
) -> None:
    """The cloud has forgotten the node, and its worker talks: whatever it runs is with it."""
    know(world, "m7", "t1")
    world.listen()
    account = Host("host-m7", running=["t1"]).account(1)
    world.control.activity.merge(account, world.now - timedelta(seconds=ago))
    bury(world)
    assert (world.queues.given_back == ["t1"]) is buried
    assert (world.control.activity.host("host-m7") is None) is buried
    assert (world.control.state.known_hosts() == {}) is buried


def test_who_is_not_listed_and_answers_is_not_dead(world: World) -> None:
    """One record of the list could not be read, say; with a long task it is heard twice a minute."""
    know(world, "m7", "t1")
    world.listen()
    host = world.hosts.of["host-m7"] = Host("host-m7", running=["t1"])
    world.control.activity.merge(host.account(1), world.now - timedelta(seconds=25))
    world.hosts.seq = 1
    assert (bury(world).actions, world.queues.given_back) == ([], [])
    host.is_mute = True
    world.go_on(11)
    assert bury(world).actions
    assert world.queues.given_back == ["t1"], "nobody answers any more"


def test_a_further_pass_sees_what_a_dead_host_served_also_where_the_broker_gave_it_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(world, "m7", "t1")
    monkeypatch.setattr(world.queues, "give_back_tasks", lambda tasks, queues: 0)
    assert bury(world).again


@pytest.mark.parametrize("what", ["running", "held"])
def test_what_another_host_has_by_now_stays_with_it(world: World, what: str) -> None:
    know(world, "m7", "t1", "t2")
    world.hosts.of["other"] = Host("other", **{what: ["t1"]})
    bury(world)
    assert world.queues.given_back == ["t2"]


def test_one_task_that_two_dead_hosts_had_is_given_back_once(world: World) -> None:
    know(world, "m7", "t1")
    know(world, "m8", "t1", "t2")
    bury(world)
    assert world.queues.given_back == ["t1", "t2"]


def test_what_a_dead_host_had_itself_does_not_keep_its_tasks(world: World) -> None:
    """Its last account is still believed: it is the dead one, under another spelling of its name."""
    know(world, "m7", "t1")
    world.listen()
    account = Host("HOST-M7.internal", running=["t1"]).account(1)
    world.control.activity.merge(account, world.now - timedelta(minutes=5))
    bury(world)
    assert world.queues.given_back == ["t1"]


def test_what_was_given_back_is_not_given_back_again_because_another_could_not_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(world, "m7", "t1")
    know(world, "m8", "t2")

    def give_back_tasks(tasks: list[str], taken: object = ()) -> int:
        if "t2" in tasks:
            raise BrokerUnreachable("away")
        world.queues.given_back += tasks
        return len(tasks)

    with monkeypatch.context() as patch:
        patch.setattr(world.queues, "give_back_tasks", give_back_tasks)
        with pytest.raises(BrokerUnreachable):
            bury(world)
    bury(world)
    assert world.queues.given_back == ["t1", "t2"]


@pytest.mark.parametrize(
    ("dead", "living", "is_lost"),
    [
        (("first",), "second", True),
        (("first",), "first", False),
        (("first",), "", False),
        ((), "second", False),
        (("first", "second"), "second", False),
    ],
    ids=["a copy from another queue", "the same message", "not told", "not told by the dead", "one of both"],
)
def test_what_another_host_has_of_a_task_from_another_queue_is_another_message(
    dead: tuple[str, ...], living: str, is_lost: bool
) -> None:
    assert housekeeping._is_lost("t", dead, {"t": {living}}) is is_lost
    assert housekeeping._is_lost("t", dead, {})


def test_the_dead_are_remembered_with_the_queues_of_what_they_had(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be those of an exchange that the control side has never heard of."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    host.running = ["t"]
    world.make_pass()
    (known,) = world.control.state.known_hosts().values()
    assert known.queues == {"t": ("celery",)}
    said: list[object] = []

    def give_back(tasks: object, queues: object = None) -> int:
        said.append((tasks, queues))
        return 1

    monkeypatch.setattr(world.queues, "give_back_tasks", give_back)
    world.hosts.of.clear()
    world.cloud.machines.clear()
    world.go_on(60)
    world.make_pass()
    assert said == [(["t"], {"t": ("celery",)})]


def test_what_a_dead_node_kept_for_later_comes_back_with_what_it_ran(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    later = (NOON + timedelta(hours=1)).timestamp()
    host.running, host.coming = ["t"], {"later": later}
    world.make_pass()
    world.hosts.of.clear()
    world.cloud.machines.clear()
    world.go_on(60)
    world.make_pass()
    assert world.queues.given_back == ["later", "t"]


def test_what_another_host_keeps_for_later_stays_with_it(world: World) -> None:
    know(world, "m7", "t1", "t2")
    world.hosts.of["other"] = Host("other", coming={"t1": (NOON + timedelta(hours=1)).timestamp()})
    bury(world)
    assert world.queues.given_back == ["t2"]


# -- strangers


def test_a_stranger_that_fell_silent_is_forgotten_after_its_time_and_not_for_our_own_deafness(
    world: World,
) -> None:
    """It is on no node of the cloud, and would be asked for what it has for ever."""
    world.control.activity.merge(Host("stranger").account(1), NOON)
    for listening, seconds, forgotten in ((None, 9000.0, False), (0.0, 600.0, False), (0.0, 601.0, True)):
        world.now = NOON + timedelta(seconds=seconds)
        world.listen(world.now if listening is None else NOON)
        housekeeping.forget_strangers(world.control, world.sight())
        assert (world.control.activity.host("stranger") is None) is forgotten


def test_a_worker_of_a_node_that_is_silent_as_a_whole_is_not_forgotten(world: World) -> None:
    """Forgotten, the node would look as if it had never joined, or had nothing."""
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    world.make_pass()
    host.is_mute = True
    world.listen()
    world.go_on(601)
    housekeeping.forget_strangers(world.control, world.sight())
    assert world.control.activity.host(host.name) is not None


def test_of_two_workers_on_a_node_the_silent_one_is_forgotten_alone(world: World) -> None:
    world.queues.waiting["celery"] = 2
    world.make_pass()
    (host,) = world.boot()
    second = {**host.account(1), "nodename": f"second@{host.name}", "pid": 2}
    world.control.activity.merge(second, world.now)
    world.listen()
    world.go_on(601)
    world.control.activity.merge(host.account(2), world.now)
    housekeeping.forget_strangers(world.control, world.sight())
    view = world.control.activity.host(host.name)
    assert view is not None
    assert [worker.nodename for worker in view.workers] == [host.nodename]


# -- the cloud's own books


def test_what_became_of_open_launches_and_orphans_is_in_the_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = (LaunchResult(request_id="r1", added=2), LaunchResult(request_id="r2", added=0, message="gone"))
    swept = (Swept(id=NodeId("m9"), name="worker-9", request_id="r3", done="adopt"),)
    monkeypatch.setattr(world.cloud, "settle", lambda: settled)
    monkeypatch.setattr(world.cloud, "sweep", lambda: swept)
    assert [(a.kind, a.target, a.detail) for a in world.make_pass().actions] == [
        ("settle", "r1", "2 nodes: as asked"),
        ("settle", "r2", "0 nodes: gone"),
        ("sweep", "worker-9", "adopt: launch r3"),
    ]
