"""What hosts are told about gangs when an answer does not come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autoscaler_app.passes.act.gang_acts import carry_out
from autoscaler_app.passes.plan import GangOrder
from celery_resources import Requirement

PAIR = Requirement({"ncpus": 2}, node_count=2)
NODENAMES = {"ip-1": "celery@ip-1", "ip-2": "celery@ip-2"}
FORM = GangOrder(order="form", gang="", queue="pairs", hosts=("ip-1", "ip-2"), reason="free")


class Hosts:
    """Two hosts; the head does what it is told to lead, and its answer to that is lost."""

    def __init__(self, role: str | None) -> None:
        self.role = role
        self.told: list[tuple[str, tuple[str, ...]]] = []

    def ask(self, command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.told.append((command, tuple(nodenames)))
        if command == "lead":
            return {}
        gang = {"id": arguments["gang"], "role": self.role}
        runs = command == "disband" and self.role == "runs"
        return {name: {"gang": gang if runs and name == "celery@ip-1" else None} for name in nodenames}


@pytest.mark.parametrize(
    ("role", "freed", "said"),
    [
        ("runs", ["celery@ip-1"], "celery@ip-1 has started the task meanwhile; it goes on"),
        ("waits", ["celery@ip-1", "celery@ip-2"], "none of its nodes is kept"),
    ],
)
def test_members_stay_with_a_head_whose_answer_was_late_and_that_runs(
    role: str, freed: list[str], said: str
) -> None:
    hosts = Hosts(role)
    wrong = carry_out(FORM, NODENAMES, PAIR, hosts.ask)
    assert [name for command, names in hosts.told if command == "disband" for name in names] == freed
    assert said in wrong
