"""What Celery's own options and settings promise, a node keeps: they read the same books as the gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from resource_nodes import Lab

OPTIONS = [("--autoscale=3,1", "redis"), ("--autoscale=3,1", "amqp"), ("--disable-prefetch", "redis")]
"""Each with a broker on which Celery has it."""


@pytest.mark.parametrize(("option", "scheme"), OPTIONS)
def test_with_an_option_that_goes_by_what_was_reserved_a_node_fills_its_places_and_no_more(
    make_lab: Callable[..., Lab], request: pytest.FixtureRequest, option: str, scheme: str, tmp_path: Path
) -> None:
    """A pool that grows on demand grows by the tasks that it was given: kept back for want of places, none
    would come.
    """
    lab = make_lab(request.getfixturevalue(f"{scheme}_url"))
    go_on = tmp_path / "go on"
    lab.node("n1", "ncpus=4,memgb=16", "-c", "3", option).wait_ready().join("one")
    sent = [lab.send("one", "until", str(go_on)) for _ in range(5)]
    lab.wait_until(lambda: len(lab.runs()) == 3, seconds=30, what="three run at once, and a cpu is free")
    assert lab.waiting("res:ncpus=1") == 2
    go_on.touch()
    assert set(lab.wait_finished(sent).values()) == {1}


def test_a_task_whose_time_is_over_before_there_is_room_for_it_never_runs(lab: Lab, tmp_path: Path) -> None:
    """RabbitMQ drops it, and on Redis the node that takes it revokes it; either way nothing is left of it."""
    go_on = tmp_path / "go on"
    node = lab.node("n1", "ncpus=1,memgb=16").wait_ready()
    node.join("one")
    first = lab.send("one", "until", str(go_on))
    lab.wait_until(lambda: len(lab.runs()) == 1, what="the first runs, and there is no room")
    over, fine = lab.send("one", expires=-1), lab.send("one", expires=600)
    go_on.touch()
    assert lab.wait_finished([first, fine]).keys() == {first.id, fine.id}
    lab.wait_until(lambda: node.ask("resources")["running"] == [], what="all has ended")
    told = node.ask("resources")
    assert (told["held"], told["free"]) == ([], told["total"])
    lab.wait_until(lambda: lab.unacknowledged() == 0, what="nothing is left with the broker")
    assert lab.waiting("res:ncpus=1") == 0
    if lab.broker.startswith("redis"):
        assert over.state == "REVOKED"
