"""A Redis server that is a replica for a while, as in a failover; and a failover."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError
from resource_nodes import Lab

from tests.sentinel import Group


def test_a_node_waits_for_a_master_and_works_on_as_the_same_process(
    make_lab: Callable[..., Lab], lone_url: str
) -> None:
    lab = make_lab(lone_url)
    node = lab.node("n1").wait_ready()
    node.join("one")
    pid = node.ask("resources")["pid"]
    with redis.Redis.from_url(lone_url) as server:
        server.replicaof("127.0.0.1", "1")
        lab.wait_until(lambda: "against a read only replica" in node.text(), what="it has tried again")
        server.replicaof("NO", "ONE")
    lab.wait_finished([lab.send("one")])
    assert node.ask("resources")["pid"] == pid


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path / "group")
    yield made
    made.close()


def test_a_master_that_is_killed_costs_no_run_once_its_replica_leads(
    make_lab: Callable[..., Lab], group: Group, wait_until: Callable[..., object]
) -> None:
    settings = json.dumps({"broker_transport_options": group.options, "result_backend": None})
    lab = make_lab(group.url, RESOURCE_APP_SETTINGS=settings)
    node = lab.node("n1").wait_ready()
    node.join("one")
    through, ends = lab.send("one", "work", 600.0), lab.send("one", "work", 2.0)
    wait_until(lambda: len(lab.runs()) == 2 and lab.unacknowledged() == 2, what="both run")
    wait_until(group.is_in_step)
    group.kill_master()
    lab.wait_finished([ends])

    def is_back() -> bool:
        with contextlib.suppress(OperationalError, redis.RedisError):
            return node.try_ask("resources") is not None
        return False

    wait_until(is_back, what="the node serves the new master")
    lab.wait_finished([lab.send("one", "work", 0.0)])
    wait_until(lambda: lab.unacknowledged() == 1, what="it is settled what has ended")
    assert [each["id"] for each in node.ask("resources")["running"]] == [through.id]
    starts = [line["id"] for line in lab.runs() if line["what"] == "start"]
    assert len(starts) == len(set(starts)) == 3, "each ran once"
    assert node.process.poll() is None
