"""Hundreds of tasks of six kinds on three nodes; what they wrote down is replayed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from resource_nodes import Lab, queues_of, replay

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

KINDS = ("one", "two", "four", "roomy", "half", "alone")
NODE = {"ncpus": 4, "memgb": 16}
NAMES = ("n1", "n2", "n3")


def _cluster(lab: Lab) -> list[Any]:
    nodes = [lab.node(name) for name in NAMES]
    for node in nodes:
        node.wait_ready().join(*KINDS)
    return nodes


def _send(lab: Lab, count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    kinds = [chance.choice(KINDS) for _ in range(count)]
    assert set(kinds) == set(KINDS)
    return [lab.send(kind, "work", round(chance.uniform(0.02, 0.25), 3)).id for kind in kinds]


def _left_behind(lab: Lab) -> int:
    return sum(lab.waiting(queue) for queue in queues_of(*KINDS))


def test_every_task_runs_exactly_once_and_no_node_is_ever_over_its_total(
    make_lab: Callable[..., Lab], broker_url: str
) -> None:
    lab = make_lab(broker_url)
    nodes = _cluster(lab)
    sent = _send(lab, 300, seed=1)
    assert lab.wait_finished(sent, seconds=240) == Counter(sent)
    assert replay(lab.runs(), {node.nodename: NODE for node in nodes}) == []
    assert _left_behind(lab) == 0
    for node in nodes:
        # A task writes down its end before its worker hears of it.
        lab.wait_until(lambda node=node: _is_idle(node), seconds=60, what="the books are even")
        assert node.stop() == 0
    farewells = [note["hostname"] for note in lab.notes() if note["kind"] == "left"]
    assert sorted(farewells) == sorted(NAMES)


def test_with_random_kills_tasks_run_as_often_as_the_kills_explain(
    make_lab: Callable[..., Lab], broker_url: str
) -> None:
    redis = broker_url.startswith("redis")
    # What a killed worker had comes back at once on RabbitMQ; on Redis when its visibility timeout has
    # passed.
    lab = make_lab(broker_url, RESOURCE_APP_VISIBILITY="8")
    nodes = _cluster(lab)
    sent = _send(lab, 240, seed=2)
    chance = random.Random(3)
    kills = 0
    for part in (40, 90, 140):
        lab.wait_until(lambda part=part: len(lab.finished()) >= part, seconds=120, what=f"{part} ended")
        victim = chance.choice(nodes)
        victim.kill()
        kills += 1
        victim.restart()
    lost_at_most = kills if redis else 0
    lab.wait_until(
        lambda: len(lab.finished().keys() & set(sent)) >= len(sent) - lost_at_most and _left_behind(lab) == 0,
        seconds=150,
        every=0.2,
        what="all ended that a kill did not swallow",
    )
    runs = lab.runs()
    assert replay(runs, {node.nodename: NODE for node in nodes}) == []
    starts = Counter(line["id"] for line in runs if line["what"] == "start")
    # A kill ends at most as many runs as there are places in the pool; each of those may start once more.
    assert sum(starts.values()) - len(starts) <= kills * 8
    for node in nodes:
        lab.wait_until(lambda node=node: _is_idle(node), seconds=60, what="the books are even")


def _is_idle(node: Any) -> bool:
    told = node.ask("resources")
    return bool(told["free"] == told["total"] and not told["running"])
