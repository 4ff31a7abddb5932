"""Launches happen once: under every fault of the create, and killed between any two side effects."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cyclecloud_api.intents import Fate, SQLiteIntents
from cyclecloud_api.launching import SENT_AGAIN_WITHIN
from cyclecloud_api.store import StateFile
from scalelib.errors import ProviderError
from scalelib.provider import LaunchRequest

if TYPE_CHECKING:
    from conftest import World

Wish = Callable[..., LaunchRequest]

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": 400}),
    ("status", {"status": 401}),
    ("status", {"status": 409}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status_after", {"status": 409}),
    ("status_after", {"status": 500}),
    ("status_after", {"status": 503}),
    ("refuse", {}),
    ("lost", {}),
    ("truncate", {}),
    ("garbage", {}),
    ("empty", {}),
    ("redirect", {}),
    ("lie", {"lie": "not_an_object"}),
    ("lie", {"lie": "missing"}),
]


def one_pass(world: World, request: LaunchRequest) -> bool:
    """What a pass does: settle, look, launch what is missing. True if it came to its end."""
    try:
        world.provider.settle()
        there = sum(n.is_booting or n.is_ready for n in world.provider.cloud().nodes)
        if there < request.count:
            world.provider.launch(replace(request, count=request.count - there))
    except ProviderError:
        return False
    return True


@pytest.mark.parametrize(("kind", "more"), FAULTS, ids=lambda v: str(v) if v else "")
def test_whatever_goes_wrong_with_a_create_the_nodes_are_there_once(
    world: World, wish: Wish, kind: str, more: dict[str, Any]
) -> None:
    """The next passes settle it, each with a request id of its own."""
    world.fault(kind, path="nodes/create", times=1, **more)
    for number in range(12):
        one_pass(world, wish(f"pass-{number}", 3))
        world.clock.later(30)
        assert len(world.nodes()) <= 3
    assert len(world.nodes()) == 3
    assert one_pass(world, wish("last", 3))
    assert world.start_over().settle() == []


def test_a_lost_answer_after_a_restart_of_the_server_without_its_memory(world: World, wish: Wish) -> None:
    """The server forgot the request id, yet the nodes are there: the look finds them, no more are made."""
    world.fault("lost", path="nodes/create", times=1)
    assert not one_pass(world, wish("first"))
    world.lose_memory(nodes=False)
    world.clock.later(SENT_AGAIN_WITHIN.total_seconds() + 1)
    assert one_pass(world, wish("second"))
    assert len(world.nodes()) == 3


@pytest.mark.parametrize("seconds", [0, 60])
def test_before_a_launch_is_sent_again_its_nodes_are_looked_for(
    world: World, wish: Wish, seconds: float
) -> None:
    """A server that forgot the request id would carry it out once more."""
    world.fault("lost", path="nodes/create", times=1)
    assert not one_pass(world, wish("first"))
    world.lose_memory(nodes=False)
    world.clock.later(seconds)
    assert [(settled.added, len(settled.nodes)) for settled in world.provider.settle()] == [(3, 3)]
    assert len(world.nodes()) == 3


# -- killed ---------------------------------------------------------------------------------------------

POINTS = {
    "before the intent is written": 0,
    "after the intent, before the create is sent": 3,
    "after the server acted, before the answer is read": 3,
    "after the answer, before the names are asked": 3,
    "after the names are read, before the intent is settled": 3,
    "after the intent is settled": 3,
}
"""Every point between two side effects of a launch, and how many nodes there are after the next pass with no
other launch decided: an intent that was written is carried out, whatever happened."""

CHILD = """
import os, signal, sys
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.intents import Fate, SQLiteIntents
from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_api.store import StateFile
from cyclecloud_api.wire import Wire
from scalelib.provider import LaunchRequest

url, user, password, cluster, path, point, deed = sys.argv[1:]

def die_at(here):
    if here == point:
        os.kill(os.getpid(), signal.SIGKILL)

class Intents(SQLiteIntents):
    def write(self, intent):
        if intent.fate is Fate.OPEN:
            die_at("before the intent is written")
            super().write(intent)
            die_at("after the intent, before the create is sent")
        else:
            die_at("after the names are read, before the intent is settled")
            super().write(intent)
            die_at("after the intent is settled")

class Killer(Wire):
    def _all_of(self, response, request, deadline):
        if request.startswith("POST"):
            die_at("after the server acted, before the answer is read")
        return super()._all_of(response, request, deadline)

    def send(self, method, path, query=None, body=None):
        answer = super().send(method, path, query, body)
        if method == "POST":
            die_at("after the answer, before the names are asked")
        return answer

client = CycleCloudClient("", "", "", cluster, wire=Killer(url, user, password))
provider = CycleCloudProvider(client, intents=Intents(StateFile(path)))
if deed == "launch":
    provider.launch(LaunchRequest(request_id="first", nodearray="worker", vm_size="Standard_D4s_v5", count=3))
else:
    provider.settle()
print("survived")
"""


def killed(world: World, state: Path, point: str, deed: str) -> None:
    """A process of ours that launches, or settles, and is killed at that point."""
    emulator = world.emulator
    words = [emulator.url, *emulator.auth, emulator.cluster, str(state), point, deed]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
    )
    assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr


def all_is_well(world: World, wish: Wish) -> None:
    """After one more pass that wants three nodes there are three, and every book is closed."""
    assert one_pass(world, wish("second"))
    assert len(world.nodes()) == 3
    world.provider.cloud()
    assert world.provider.sweep() == ()
    assert world.provider.settle() == []


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_of_a_launch_nothing_is_lost_and_nothing_happens_twice(
    world: World, wish: Wish, tmp_path: Path, point: str
) -> None:
    killed(world, tmp_path / "world-0" / "state.db", point, "launch")
    assert len(world.nodes()) in (0, 3)
    provider = world.start_over()
    provider.settle()
    assert len(world.nodes()) == POINTS[point]
    all_is_well(world, wish)
    books = SQLiteIntents(StateFile(tmp_path / "world-0" / "state.db"))
    first = books.find("first")
    books.close()
    assert first is None if point == "before the intent is written" else first.fate is Fate.DONE


BEFORE_IT_ARRIVED, AFTER_IT_ARRIVED = list(POINTS)[1:3]
TWICE = [(BEFORE_IT_ARRIVED, second) for second in list(POINTS)[1:]]
TWICE += [(AFTER_IT_ARRIVED, second) for second in list(POINTS)[-2:]]
"""What never arrived is sent again, so every point is on the way; what arrived is adopted."""


@pytest.mark.parametrize(("first", "second"), TWICE)
def test_killed_once_more_while_it_settles(
    world: World, wish: Wish, tmp_path: Path, first: str, second: str
) -> None:
    killed(world, tmp_path / "world-0" / "state.db", first, "launch")
    killed(world, tmp_path / "world-0" / "state.db", second, "settle")
    provider = world.start_over()
    provider.settle()
    assert len(world.nodes()) == 3
    all_is_well(world, wish)
