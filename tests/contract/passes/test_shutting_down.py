"""The last step of a drain before the deletion, while the broker is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.passes.act.actor import Actor
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.plan import Delete, DeleteReason
from autoscaler_app.passes.snapshot import HostSeen
from scalelib.node import NodeId
from tests.contract.passes.conftest import Hands


def test_a_broker_that_went_away_is_an_error_of_the_broker(control: Control, hands: Hands) -> None:
    """It is in the report, and no defect. That the host was to be told is written down: told again."""
    account = {"nodename": "celery@n1", "pid": 7, "started": 1.0, "seq": 1, "fenced": True}
    control.activity.merge(account, hands.wall)
    host = HostSeen(hostname="n1", fenced=True)
    sight: Any = SimpleNamespace(host_of={NodeId("i-1"): host}, view_of=control.activity.host)
    entry = Delete(node="worker-1", node_id="i-1", reason=DeleteReason.IDLE)

    with Celery(broker="redis://127.0.0.1:1/0") as away:
        control.app = away
        with pytest.raises(BrokerUnreachable):
            Actor(control)._shut_down(sight, entry)

    drain = control.state.drains()["i-1"]
    assert (drain.shut_down, drain.has_left) == (hands.wall, False)
