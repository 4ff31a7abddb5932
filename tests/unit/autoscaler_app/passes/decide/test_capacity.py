"""What is occupied, fenced, going or not known is no capacity for what waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.plan import KeepReason
from autoscaler_app.passes.snapshot import GangSeen, HostSeen, JobSeen, QueueSeen, Snapshot
from tests.unit.autoscaler_app.conftest import host, node
from tests.unit.autoscaler_app.world import Host, World

Make = Callable[..., Snapshot]
FULL = {"total": {"ncpus": 1, "memgb": 4}, "running": 1}


def job(number: int, so_far: float = 0.0, **changes: Any) -> JobSeen:
    """One task of the queue `celery` that has run for so long on a host."""
    facts = {
        "name": f"celery on ip-{number}",
        "constraints": {"ncpus": 1},
        "executing_hostnames": (f"ip-{number}",),
        "queue": "celery",
        "so_far": (so_far,),
    }
    return JobSeen(**{**facts, **changes})


def launched(seen: Snapshot) -> int:
    return sum(launch.jobs.get("celery", 0) for launch in decide(seen).plan.launch)


def full(
    snapshot: Make, count: int, *, waiting: int, so_far: float, runtime: float, **changes: Any
) -> Snapshot:
    """So many hosts that each run one task, and have room for no other."""
    return snapshot(
        nodes=[node(n) for n in range(1, count + 1)],
        hosts=[host(n, **{**FULL, **changes}) for n in range(1, count + 1)],
        jobs=[job(n, so_far) for n in range(1, count + 1)],
        queues=[QueueSeen(queue="celery", waiting=waiting, running=count, runtime_seconds=runtime)],
    )


def test_who_serves_a_queue_takes_its_share_of_the_backlog(snapshot: Make) -> None:
    for count, asked in ((1, 3), (3, 1), (4, 0)):
        assert launched(full(snapshot, count, waiting=120, so_far=10.0, runtime=10.0)) == asked


def test_what_runs_for_longer_than_the_target_serves_nobody_meanwhile(snapshot: Make) -> None:
    """Ten hours of work behind ten tasks of an hour: nothing was bought, and none was said to be unserved."""
    assert launched(full(snapshot, 10, waiting=10, so_far=60.0, runtime=3600.0)) == 10
    assert launched(full(snapshot, 10, waiting=10, so_far=3600.0, runtime=3600.0)) == 0, (
        "each is about to end"
    )


GANG = GangSeen(id="pairs/1", hosts=("ip-1", "ip-2"), role="runs")


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        pytest.param({}, 0, id="it serves, and does the next in a moment"),
        pytest.param({"fenced": True}, 1, id="fenced"),
        pytest.param({"fenced": True, "evicted": True}, 1, id="evicted"),
        pytest.param({"stage": "leaving"}, 1, id="shutting down"),
        pytest.param({"gang": GANG}, 1, id="in a gang"),
        pytest.param({"heard_seconds_ago": 46.0}, 1, id="it has not told for too long"),
        pytest.param({"heard_seconds_ago": None}, 1, id="nothing is known of it"),
        pytest.param({"heard_seconds_ago": None, "untold_seconds": 45.0}, 0, id="it has its time to tell"),
        pytest.param({"heard_seconds_ago": None, "untold_seconds": 46.0}, 1, id="that is over"),
        pytest.param({"heard_seconds_ago": 601.0}, 1, id="silent"),
        pytest.param({"hungry_seconds": 181.0}, 1, id="hungry"),
    ],
)
def test_only_what_runs_on_a_host_that_serves_counts_as_serving(
    snapshot: Make, changes: dict[str, Any], asked: int
) -> None:
    assert launched(full(snapshot, 1, waiting=1, so_far=10.0, runtime=10.0, **changes)) == asked


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        pytest.param({}, 0, id="it has room"),
        pytest.param({"heard_seconds_ago": 45.0}, 0, id="it told a while ago"),
        pytest.param({"heard_seconds_ago": 46.0}, 1, id="it has not told for too long"),
        pytest.param({"heard_seconds_ago": None}, 1, id="nothing is known of it"),
        pytest.param({"heard_seconds_ago": None, "untold_seconds": 1.0}, 0, id="it has its time to tell"),
    ],
)
def test_beside_a_host_of_which_nothing_is_known_a_new_one_is_launched(
    snapshot: Make, changes: dict[str, Any], asked: int
) -> None:
    seen = snapshot(
        nodes=[node(1)], hosts=[host(1, **changes)], queues=[QueueSeen(queue="celery", waiting=1)]
    )
    made = decide(seen)
    assert sum(launch.jobs["celery"] for launch in made.plan.launch) == asked
    (kept,) = made.plan.keep
    known = changes.get("heard_seconds_ago", 1.0)
    assert kept.reason is (KeepReason.MATCHED if known is not None and known <= 45 else KeepReason.UNKNOWN)


def test_what_is_not_known_is_not_idle_and_not_surplus_meanwhile(snapshot: Make) -> None:
    for unknown, host_seen in (
        (True, host(1, heard_seconds_ago=None)),
        (True, host(1, fenced=True, heard_seconds_ago=50.0)),
        (False, host(1)),
        (False, host(1, stage="left", heard_seconds_ago=None)),
    ):
        made = decide(snapshot(nodes=[node(1)], hosts=[host_seen]))
        assert (bool(made.active), bool(made.needed)) == (unknown, unknown)


# -- how long nothing was told


@pytest.fixture
def up(world: World) -> Host:
    """A node with one task, seen by a control worker that listens."""
    world.queues.waiting["celery"] = 1
    world.make_pass()
    (only,) = world.boot()
    only.running = ["t1"]
    world.queues.waiting["celery"] = 0
    world.listen()
    world.make_pass()
    world.go_on(60)
    world.make_pass()
    return only


def seen_of(world: World) -> HostSeen:
    (seen,) = world.sight().snapshot.hosts
    return seen


def test_what_runs_is_seen_with_its_queue_and_for_how_long(world: World, up: Host) -> None:
    (seen,) = world.sight().snapshot.jobs
    assert (seen.queue, seen.iterations, seen.so_far) == ("celery", 1, (0.0,))
    up.held = ["t2"]
    world.go_on(40)
    (seen,) = world.sight().snapshot.jobs
    assert (seen.queue, seen.iterations, seen.so_far) == ("celery", 2, (40.0,)), "what is held does not run"


def test_a_host_that_stops_telling_is_room_no_longer_and_is_again_when_it_speaks(
    world: World, up: Host
) -> None:
    up.is_mute = True
    world.queues.waiting["celery"] = 1
    world.go_on(40)
    assert world.plan().launch == ()
    world.go_on(10)
    assert [launch.count for launch in world.plan().launch] == [1]
    up.is_mute = False
    assert world.plan().launch == ()


def test_after_a_new_connection_hosts_have_their_time_to_tell(world: World, up: Host) -> None:
    """Else every reconnection would buy the whole cluster anew."""
    up.is_mute = True
    world.go_on(3600)
    world.control.activity.doubt()
    world.listen(since=world.now)
    world.queues.waiting["celery"] = 1
    world.go_on(40)
    assert (seen_of(world).heard_seconds_ago, seen_of(world).untold_seconds) == (None, 40.0)
    assert world.plan().launch == ()
    world.go_on(10)
    assert [launch.count for launch in world.plan().launch] == [1]


def test_a_moment_of_doubt_makes_nobody_unknown(world: World, up: Host) -> None:
    """What the last pass noted stands: it told then."""
    up.is_mute = True
    world.control.activity.doubt()
    world.queues.waiting["celery"] = 1
    world.go_on(5)
    assert seen_of(world).untold_seconds == 5.0
    assert world.plan().launch == ()


def test_while_we_are_deaf_nobody_is_less_room_for_that(world: World, up: Host) -> None:
    up.is_mute = True
    world.listen(since=None)
    world.go_on(3600)
    assert seen_of(world).untold_seconds == 0.0


def test_a_worker_that_has_just_begun_has_its_time_to_tell(world: World) -> None:
    world.listen()
    world.go_on(3600)
    said = world.now - timedelta(seconds=3)
    event = {"type": "worker-heartbeat", "hostname": "celery@new", "pid": 7, "timestamp": said.timestamp()}
    world.control.activity.apply(event, world.now)
    (seen,) = world.sight().snapshot.hosts
    assert seen.untold_seconds == 3.0
