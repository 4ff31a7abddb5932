"""Nothing that we do makes the cause of its undoing: while nobody asks for anything else, no node is fenced
and un-fenced twice, and what is started is not started again and again.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from autoscaler_app.listening.activity import Activity, coming
from tests.unit.autoscaler_app.world import Host, World

ROOM = 2
"""Tasks that run on a machine at once, one cpu each."""
FAR = 30 * 86_400.0


class Life:
    """Messages, and hosts that take them as workers do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ready: list[str] = []
        self.later: dict[str, float] = {}
        self.number = 0
        self.gone: set[str] = set()

    def send(self, count: int = 1, *, seconds: float = 0.0) -> None:
        for _ in range(count):
            self.number += 1
            if seconds:
                self.later[f"t{self.number}"] = self.world.now.timestamp() + seconds
            else:
                self.ready.append(f"t{self.number}")
        self.count()

    def end(self, count: int) -> None:
        for host in self.hosts:
            while host.running and count:
                host.running.pop()
                count -= 1

    @property
    def hosts(self) -> list[Host]:
        return list(self.world.hosts.of.values())

    def turn(self, seconds: float) -> list[tuple[str, str]]:
        """Time passes, machines boot, hosts take what fits them, a pass is made; what it did."""
        world = self.world
        world.go_on(seconds)
        world.boot()
        for name in self.gone:  # its machine may be there yet, and nobody on it
            world.hosts.of.pop(name, None)
        for host in self.hosts:
            host.keeps_held = False
            if "celery" in host.queues and not host.fenced:
                host.coming |= self.later
                self.later = {}
                while self.ready and len(host.running) < ROOM:
                    host.running.append(self.ready.pop(0))
                if self.ready and not host.held:
                    host.held.append(self.ready.pop(0))
            if host.held and len(host.running) < ROOM:
                host.running.append(host.held.pop())
        self.count()
        made = world.make_pass()
        # Another machine may have the name then.
        self.gone -= {f"host-{action.target}" for action in made.actions if action.kind == "delete"}
        for host in self.hosts:
            if host.fenced and host.went_back:
                self.later |= {
                    said["id"]: said["at"] for said in host.went_back if not self.is_somewhere(said["id"])
                }
        lost = world.hosts.back_in.pop("celery", 0) - len(self.later)
        for _ in range(max(0, lost)):
            self.number += 1
            self.ready.append(f"back{self.number}")
        for host in self.hosts:
            if "shutdown" in host.told:
                world.last_word(host)
                self.gone.add(host.name)
        self.count()
        return [(action.kind, action.target) for action in made.actions if action.ok]

    def is_somewhere(self, task: str) -> bool:
        return task in self.later or any(task in host.coming for host in self.hosts)

    def count(self) -> None:
        self.world.queues.waiting["celery"] = len(self.ready) + len(self.later)


def quiet(life: Life, seed: random.Random, turns: int = 14) -> Counter[tuple[str, str]]:
    """Nobody asks for anything; what is done meanwhile, by kind and target."""
    done: Counter[tuple[str, str]] = Counter()
    for _ in range(turns):
        done.update(life.turn(seed.choice((5.0, 60.0, 301.0))))
    return done


@pytest.mark.parametrize("seed", range(12))
def test_no_node_is_fenced_and_unfenced_twice_while_nobody_asks_for_anything_else(
    world: World, seed: int
) -> None:
    chance, life = random.Random(seed), Life(world)
    for _ in range(5):
        what = chance.choice(("tasks", "later", "end", "both"))
        if what in ("tasks", "both"):
            life.send(chance.randint(1, 7))
        if what in ("later", "both"):
            life.send(chance.randint(1, 3), seconds=FAR)
        if what == "end":
            life.end(chance.randint(1, 4))
        done = quiet(life, chance)
        again = {target: count for (kind, target), count in done.items() if kind == "unfence" and count > 1}
        assert not again, done


def test_a_task_that_is_due_in_a_month_keeps_no_node_also_without_events_and_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    """The first node learns when it is due; from then on that is known, wherever the message is."""
    life = Life(world)
    life.send(seconds=FAR)
    done = quiet(life, random.Random(1), turns=12)
    assert life.hosts == [], done
    assert len(life.later) == 1
    assert (done["fence", "host-m1"], done["unfence", "host-m1"]) == (1, 0)
    activity = world.control.activity = Activity()
    assert world.plan().launch != (), "nothing is known"
    activity.expect(coming.from_json(world.control.state.fact("coming")), world.now)
    assert quiet(life, random.Random(2), turns=5) == {}
    life.send()
    assert world.plan().launch != (), "and it hides nobody else"


def test_one_that_was_revoked_in_its_queue_hides_no_other_for_long(world: World) -> None:
    life = Life(world)
    life.send(seconds=FAR)
    quiet(life, random.Random(1), turns=12)
    life.later = {}
    life.send(2)
    assert world.plan().launch != ()
    for _ in range(6):
        life.turn(20.0)
    assert not life.ready
    life.end(2)
    for _ in range(3):
        life.turn(20.0)
    assert [task for task in world.control.activity.coming() if not task.held_by] == []
    assert timedelta(seconds=20) > coming.TAKEN_WITHIN
