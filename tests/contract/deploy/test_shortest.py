"""The shortest life of a cluster in boxes: what there is time for at every change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.deploy.cluster import WAY, cluster_in_a_box

pytestmark = pytest.mark.by_hand


@pytest.mark.timeout(1200)
def test_a_node_comes_runs_a_task_is_proven_empty_and_goes(tmp_path: Path, blobs: Path) -> None:
    """From the form: two machines install themselves from their blobs, with no route to anywhere."""
    with cluster_in_a_box(tmp_path, blobs) as cluster:
        cluster.converge()
        cluster.sh("python add_task.py")
        cluster.done(1, 200, "a task")
        assert {where for _, where in cluster.tasks().values()} == set(cluster.made())
        cluster.until(lambda: not cluster.emulator.nodes(), 200, "the node, which goes")
        assert cluster.way_of_a_node() == WAY
