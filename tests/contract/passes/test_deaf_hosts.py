"""A host that is alive and starts nothing of what waits in its queues goes, and stays on its way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import Report
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from tests.contract.passes.conftest import Hands


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Of one node at most: no other can take what a deaf one leaves."""
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 0.0})
    clusters = {name: msgspec.structs.replace(each, max_count=1) for name, each in bare.clusters.items()}
    with Emulator.start(settings.replace(bare, clusters=clusters)) as running:
        yield running


@pytest.fixture
def deaf_node(control: Control, wait_until: Callable[..., Any]) -> Callable[..., Report]:
    """Makes passes, before which the one node tells that it does nothing, while a task waits."""
    quick = msgspec.structs.replace(control.settings.autoscaler, ask_timeout=0.2)
    control.settings = msgspec.structs.replace(control.settings, autoscaler=quick)
    control.app.send_task("some.task", queue="celery")
    make_pass(control)
    (node,) = wait_until(lambda: [n for n in control.provider.cloud().nodes if n.is_ready])
    seq = itertools.count(1)

    def tell_and_pass(**facts: Any) -> Report:
        account = {"nodename": f"celery@{node.hostname}", "pid": 7, "started": 1.0, "seq": next(seq)}
        control.activity.merge({**account, "total": {"ncpus": 2}, **facts}, control.now())
        return make_pass(control)

    return tell_and_pass


@pytest.mark.parametrize("queues", [["celery"], []], ids=["that-names-its-queues", "that-consumes-nothing"])
def test_a_deaf_host_that_was_fenced_is_not_opened_again_by_the_task_that_it_did_not_take(
    control: Control, hands: Hands, deaf_node: Callable[..., Report], queues: list[str]
) -> None:
    for _ in range(4):
        plan = deaf_node(queues=["celery"]).plan
        hands.run(70)
    assert plan is not None
    (fence,) = plan.fence
    assert fence.reason.value == "not-eating"
    assert fence.hostname in control.state.fact("hungry")

    plan = deaf_node(queues=queues, fenced=True).plan
    assert plan is not None
    assert (plan.unfence, [entry.node for entry in plan.delete]) == ((), [fence.node])
