"""Who could not be heard, because nobody listened, is neither silent nor late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from autoscaler_app.memory.state import KnownHost
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import Report
from scalelib.node import Node
from tests.contract.passes.conftest import Hands
from tests.contract.passes.test_strangers import listens


@pytest.fixture(autouse=True)
def quick(control: Control) -> None:
    """Nobody answers here."""
    quick = msgspec.structs.replace(control.settings.autoscaler, ask_timeout=0.2)
    control.settings = msgspec.structs.replace(control.settings, autoscaler=quick)


@pytest.fixture
def node(control: Control, hands: Hands, wait_until: Callable[..., Any]) -> Node:
    """One that was seen Ready, a moment before the control worker went down for an hour."""
    listens(control, hands.wall)
    control.app.send_task("some.task", queue="celery")
    make_pass(control)
    (node,) = wait_until(lambda: [n for n in control.provider.cloud().nodes if n.is_ready])
    with control.app.connection_for_write() as connection:
        connection.default_channel.queue_purge("celery")
    make_pass(control)
    hands.run(3600)
    return node


def deleted(made: Report) -> list[str]:
    assert made.plan is not None, made.error
    return [entry.reason.value for entry in made.plan.delete]


@pytest.mark.parametrize("connected", [True, False])
def test_a_node_that_may_have_joined_while_nobody_listened_has_its_time_from_then_on(
    control: Control, hands: Hands, node: Node, connected: bool
) -> None:
    """Its worker has a name of its own, so that nobody can guess whom to ask."""
    since: datetime = hands.wall
    listens(control, since if connected else None)
    assert deleted(make_pass(control)) == []
    listens(control, since)
    hands.run(170)
    assert deleted(make_pass(control)) == []
    hands.run(20)
    assert deleted(make_pass(control)) == ["never-joined"]


def test_a_command_that_gets_no_answer_deletes_nothing(control: Control, hands: Hands, node: Node) -> None:
    control.listener = None
    assert deleted(make_pass(control)) == []
    assert node.hostname is not None
    heard = KnownHost(hostname=node.hostname, node_id=node.id, nodenames=("celery@x",), heard=hands.wall)
    control.state.heard([heard])
    hands.run(3600)
    assert deleted(make_pass(control)) == [], "it was heard, and has been busy since, for all we know"


@pytest.mark.parametrize("doubted", [False, True])
def test_a_host_is_not_silent_while_one_of_its_workers_is_heard(
    control: Control, hands: Hands, node: Node, doubted: bool
) -> None:
    """A second worker process was killed; what the first one runs is not to go with it."""
    listens(control, hands.wall)

    def tell(name: str, seq: int) -> None:
        account = {"nodename": f"{name}@{node.hostname}", "pid": 7, "started": 1.0, "seq": seq}
        control.activity.merge({**account, "running": [{"id": name}]}, hands.wall)

    def kept(made: Report) -> list[str]:
        assert made.plan is not None
        return [entry.reason.value for entry in made.plan.keep]

    tell("killed", 1)
    for seq in range(1, 20):
        if doubted and seq == 2:
            control.activity.doubt()
        tell("celery", seq)
        made = make_pass(control)
        assert deleted(made) == [], hands.wall
        if 120 < seq * 40 <= 600:
            assert kept(made) == ["unknown"]
        hands.run(40)
    # In the end it is only the dead worker that is silent: the node can be told what to do, and be ended.
    assert kept(made) == ["running"]
    assert control.activity.nodenames() == {f"celery@{node.hostname}"}
    hands.run(700)
    assert deleted(make_pass(control)) == ["silent"]
