"""The last step of a drain before the deletion, while the broker is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.listening.workers import BrokersWorkers
from autoscaler_app.passes import way_out
from autoscaler_app.passes.act import ending
from autoscaler_app.passes.act.deeds import Deeds
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
    plan: Any = SimpleNamespace(delete=[Delete(node="worker-1", node_id="i-1", reason=DeleteReason.IDLE)])

    with Celery(broker="redis://127.0.0.1:1/0") as away:
        control.workers = BrokersWorkers(away, 2.0)
        with pytest.raises(BrokerUnreachable):
            ending.end(control, Deeds(), sight, plan)

    drain = control.state.drains()["i-1"]
    assert (drain.shut_down, way_out.state_of(drain)) == (hands.wall, way_out.State.EMPTY)
