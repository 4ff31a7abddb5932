"""Tied hands do nothing to the world, and look as others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoscaler_app.listening.workers import Workers
from autoscaler_app.passes.act.tied import LOOKS, TiedBroker, TiedWorkers
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest
from scalelib.readonly import WHY, ReadOnly
from tests.unit.autoscaler_app.world import Host, World

COMMANDS = (
    "fence",
    "unfence",
    "join",
    "pace",
    "follow",
    "lead",
    "release",
    "member_lost",
    "ready",
    "shutdown",
)


class Untouchable:
    """Whoever does anything to it is found out."""

    def __init__(self, *may: str) -> None:
        self.may, self.asked = may, list[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        assert name in self.may, f"{name} reached the world"
        self.asked.append(name)
        return lambda *_, **__: ()


def test_nothing_reaches_the_cloud_but_looks() -> None:
    real: Any = Untouchable("cloud", "find_launch", "set_aside", "clock_was_set", "close")
    tied = ReadOnly(real)
    request = LaunchRequest(request_id="r", nodearray="a", vm_size="s", count=3)
    assert (tied.launch(request).added, tied.launch(request).message) == (0, WHY)
    for outcomes in (tied.terminate([NodeId("n")]), tied.start([NodeId("n")])):
        assert [(each.id, each.ok) for each in outcomes] == [("n", False)]
    assert (tied.settle(), tied.sweep(), tied.try_again()) == ((), (), ())
    for look in (tied.cloud, lambda: tied.find_launch("r"), tied.set_aside, tied.close):
        look()
    assert real.asked == ["cloud", "find_launch", "set_aside", "close"]


def test_no_message_is_moved(world: World) -> None:
    world.queues.waiting["celery"] = 3
    tied = TiedBroker(world.queues)
    assert tied.depths(["celery"])["celery"].waiting == 3
    assert (tied.give_back(["t"]), tied.give_back_tasks(["t"]), world.queues.given_back) == (0, 0, [])


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_are_asked_and_never_told(command: str, world: World) -> None:
    host = world.hosts.of["h"] = Host("h")
    tied: Workers = TiedWorkers(world.hosts)
    taken: list[object] = []
    assert tied.ask(command, None, {"queues": {}}) == {}
    tied.ask_aside(command, [host.nodename], {"queues": {}}, taken.append)
    tied.tell(command, [host.nodename])
    assert (host.told, taken, world.hosts.aside) == ([], [], [])
    assert tied.ask("resources", None).keys() == {host.nodename}
    tied.ask_aside("resources", [host.nodename], {}, taken.append)
    assert len(taken) == 1


def test_what_only_asks_is_known() -> None:
    assert {"resources", "claims"} == LOOKS
