"""What two processes learn at once is learnt from both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.listening.activity import Run
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.memory.state import State
from autoscaler_app.passes.observe.remembering import learn_run_times

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(State(tmp_path / "state.db")) as state:
        yield state


def process(state: State, *runs: Run) -> Any:
    """A control side that was opened before anybody wrote."""
    return SimpleNamespace(
        state=state,
        runtimes=Runtimes(),
        activity=SimpleNamespace(take_runs=lambda: runs),
        now=lambda: NOW,
        busy_since=None,
    )


def test_run_times_that_another_process_learnt_meanwhile_are_kept(state: State) -> None:
    one = process(state, Run(queue="a", seconds=10.0, at=NOW))
    other = process(state, Run(queue="b", seconds=20.0, at=NOW), Run(queue="", seconds=1.0, at=NOW))
    learn_run_times(one)
    learn_run_times(other)
    kept = Runtimes.from_json(state.fact("runtimes"))
    assert (kept.mean("a"), kept.mean("b"), kept.mean("")) == (10.0, 20.0, None)
    assert other.runtimes.mean("a") == 10.0, "and it knows of it from now on"
    learn_run_times(process(state))
    assert Runtimes.from_json(state.fact("runtimes")).mean("a") == 10.0
