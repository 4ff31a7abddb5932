"""A steady trickle of short tasks keeps the nodes that it needs, and no others.

What runs between two looks is no idle time, and the node that was needed stays the one that is.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from autoscaler_app.listening.activity import HostView, Run, RunningTask
from autoscaler_app.passes.observe.lately import busy_by_queue, ran_lately
from tests.unit.autoscaler_app.world import NOON, Host, World

IDLE = 300
QUEUE = "celery"


def run(seconds: float, ago: float, count: int = 1) -> Run:
    return Run(queue=QUEUE, seconds=seconds, at=NOON - timedelta(seconds=ago), count=count)


@pytest.mark.parametrize(
    ("runs", "busy"),
    [
        ([], {}),
        ([run(0.5, ago) for ago in range(10)], {QUEUE: 0.5}),
        ([run(0.5, 1, count=10)], {QUEUE: 0.5}),
        ([run(600, 5)], {QUEUE: 0.5}),
        ([run(600, 0), run(600, 0)], {QUEUE: 2.0}),
    ],
    ids=["nothing ran", "one after the other", "told of at once", "it had begun before", "two all the time"],
)
def test_what_ended_since_the_last_look_ran_on_average(runs: list[Run], busy: dict[str, float]) -> None:
    assert busy_by_queue(runs, NOON - timedelta(seconds=10), NOON) == pytest.approx(busy)


def view(name: str, worked: float, **changes: object) -> HostView:
    facts = {"queues": (QUEUE,), "worked": NOON - timedelta(seconds=worked), **changes}
    return HostView(hostname=name, **facts)  # type: ignore[arg-type]


def test_it_is_work_of_the_hosts_that_worked_last_less_what_runs_and_waits() -> None:
    views = [view("a", 9.0), view("b", 1.0), view("c", 5.0, fenced=True), view("d", 4.0, queues=("other",))]

    def lately(busy: float, waiting: int = 0, more: tuple[HostView, ...] = ()) -> dict[str, int]:
        jobs = ran_lately({QUEUE: busy}, [*views, *more], {QUEUE: waiting}, {})
        assert all(not job.queue and not job.so_far for job in jobs), "it takes no share of a backlog"
        return {host: job.iterations for job in jobs for host in job.executing_hostnames}

    assert lately(0.5) == {"b": 1}
    assert lately(1.5) == {"b": 1, "a": 1}
    assert lately(2.5) == {"b": 2, "a": 1}
    assert lately(1.5, waiting=1) == {"b": 1}
    assert lately(0.5, waiting=1) == {}
    task = RunningTask(id="t", name="t", queue=QUEUE, started=NOON, nodename="celery@e")
    assert lately(1.0, more=(view("e", 0.0, running=(task,)),)) == {}
    assert lately(0.0) == {}
    for endless in (1e9, 1e30, float("inf")):
        assert sum(lately(endless).values()) == 1_000_000


def trickle(world: World, hosts: list[Host], chance: random.Random, seconds: int) -> Counter[str]:
    """A task of half a second, each second, on any host that takes it, and a pass between two of them now and
    then; what the passes did.
    """
    done: Counter[str] = Counter()
    for second in range(seconds):
        world.go_on(1.0)
        taking = [host for host in hosts if host.name in world.hosts.of and not host.fenced]
        assert taking, "nobody is left to take it"
        who = chance.choice(taking)
        said = {"hostname": who.nodename, "pid": who.pid, "uuid": f"s{second}", "runtime": 0.5}
        for kind, at in (("started", -0.6), ("succeeded", -0.1)):
            event = {**said, "type": f"task-{kind}", "timestamp": world.now.timestamp() + at}
            world.control.activity.apply(event, world.now)
        if second % 15 == 0:
            done.update(action.kind for action in world.make_pass().actions)
            for host in hosts:
                if "shutdown" in host.told and host.name in world.hosts.of:
                    world.last_word(host)
    return done


@pytest.mark.parametrize("seed", range(2))
def test_a_fleet_that_nibbles_shrinks_to_what_it_needs_and_nothing_is_undone(world: World, seed: int) -> None:
    world.queues.waiting[QUEUE] = 20
    world.make_pass()
    hosts = world.boot()
    world.listen()
    world.make_pass()
    world.queues.waiting[QUEUE] = 0
    sent = [
        {"type": "task-sent", "uuid": f"s{i}", "name": "t", "queue": QUEUE, "timestamp": NOON.timestamp()}
        for i in range(900)
    ]
    for event in sent:
        world.control.activity.apply(event, world.now)
    done = trickle(world, hosts, random.Random(seed), 900)
    assert len(world.cloud.machines) == 1
    assert done["unfence"] == 0
    assert done["launch"] == 0
