"""The tasks of a host whose node is gone are given back once, and not those that others have by now."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from autoscaler_app.brokers import BrokerUnreachable
from autoscaler_app.memory.state import KnownHost
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from tests.contract.passes.conftest import Hands


class Restored:
    """The broker of a control side, and what it was told to give back."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self.fails_for: set[str] = set()
        self.tasks: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def give_back_tasks(self, task_ids: Collection[str], taken: object = ()) -> int:
        if self.fails_for & set(task_ids):
            raise BrokerUnreachable("the broker did not finish in 5 s")
        self.tasks += task_ids
        return len(task_ids)


@pytest.fixture
def restored(control: Control, hands: Hands) -> Restored:
    """Two nodes that are gone had three tasks."""
    had = {"a": ("a1", "a2"), "b": ("b1",)}
    control.state.heard(
        [
            KnownHost(
                hostname=f"n-{name}", node_id=name, nodenames=(f"celery@n-{name}",), heard=hands.wall, tasks=t
            )
            for name, t in had.items()
        ]
    )
    control.broker = broker = Restored(control.broker)  # type: ignore[assignment]
    return broker


def test_what_another_host_has_by_now_stays_there(control: Control, hands: Hands, restored: Restored) -> None:
    """An evicted host has given its tasks back itself, and they run elsewhere before the next pass."""
    account = {"nodename": "celery@other", "pid": 7, "started": 1.0, "seq": 1, "running": [{"id": "a1"}]}
    control.activity.merge(account, hands.wall)
    made = make_pass(control)
    assert restored.tasks == ["a2", "b1"], made
    assert control.state.known_hosts() == {}


def test_what_was_given_back_is_not_given_back_again_because_another_could_not_be(
    control: Control, restored: Restored
) -> None:
    restored.fails_for = {"b1"}
    assert "BrokerUnreachable" in make_pass(control).error
    assert restored.tasks == ["a1", "a2"]
    restored.fails_for = set()
    assert make_pass(control).error == ""
    assert restored.tasks == ["a1", "a2", "b1"]
    assert control.state.known_hosts() == {}


def test_a_task_that_two_of_the_dead_had_one_after_the_other_is_given_back_once(
    control: Control, hands: Hands, restored: Restored
) -> None:
    """The first was evicted and gave it back, the second took it, and neither could say so any more."""
    for name in ("a", "b"):
        nodename = f"celery@n-{name}"
        control.state.heard(
            [
                KnownHost(
                    hostname=f"n-{name}", node_id=name, nodenames=(nodename,), heard=hands.wall, tasks=("t",)
                )
            ]
        )
        account = {"nodename": nodename, "pid": 7, "started": 1.0, "seq": 1, "running": [{"id": "t"}]}
        control.activity.merge(account, hands.wall)
    hands.run(20)
    made = make_pass(control)
    assert restored.tasks == ["t"], made
    assert control.state.known_hosts() == {}
