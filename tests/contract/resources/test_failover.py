"""A Redis server that is a replica for a while, as in a failover."""

from __future__ import annotations

from collections.abc import Callable

import redis
from resource_nodes import Lab


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
