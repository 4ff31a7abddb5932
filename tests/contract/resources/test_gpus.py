"""GPUs by index: a task sees its own, and a whole one is never shared."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from resource_nodes import Lab, replay

NODE = {"ncpus": 8, "ngpus": 2}


@pytest.mark.parametrize("visible", [None, "5,7"])
def test_no_two_tasks_share_a_gpu_unless_they_ask_for_a_part(
    lab: Lab, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    env: dict[str, Any] = {"CUDA_VISIBLE_DEVICES": visible} if visible else {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    node = lab.node("g1", "ncpus=8,ngpus=2", **env).wait_ready()
    node.join("gpu", "half_gpu", "one")
    sent = [lab.send(kind, "work", 0.1) for kind in ("gpu", "half_gpu", "half_gpu", "half_gpu", "one") * 4]
    assert set(lab.wait_finished(sent).values()) == {1}
    assert replay(lab.runs(), {node.nodename: NODE}) == []
    used: dict[str, float] = defaultdict(float)
    for line in lab.runs():
        share = (line["need"] or {})["constraints"].get("ngpus", 0)
        if not share:
            assert line["gpus"] == "", "a task that asked for none sees none"
            continue
        assert line["gpus"] in (visible or "0,1").split(",")
        used[line["gpus"]] += share if line["what"] == "start" else -share
        assert used[line["gpus"]] <= 1
    assert len(used) == 2


def test_without_gpus_the_environment_is_left_alone(lab: Lab) -> None:
    lab.node("n1", "ncpus=2", CUDA_VISIBLE_DEVICES="3").wait_ready().join("one")
    lab.wait_finished([lab.send("one")])
    assert {line["gpus"] for line in lab.runs()} == {"3"}
