"""What is believed, empty at first; whose word counts, with one node whose key is bound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoscaler_app.listening.activity import Activity
from autoscaler_app.listening.trust import Trust
from autoscaler_app.memory.state import State
from tests.unit.autoscaler_app.listening.signers import CONTROL, NOW, OURS, SETTLING, Signer, a_node


@pytest.fixture
def activity() -> Activity:
    return Activity()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def trust(state: State) -> Trust:
    return Trust(state, lambda: CONTROL, settling=SETTLING)


@pytest.fixture
def node(trust: Trust) -> Signer:
    """A node that has spoken and is bound, for so long that nobody can contest it."""
    mine = Signer("n1", OURS)
    long_ago = NOW - 2 * SETTLING
    assert trust.event(mine.event(long_ago.timestamp()), long_ago) is not None
    assert trust.know([a_node()], long_ago) == frozenset()
    trust.remember()
    return mine
