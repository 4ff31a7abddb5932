"""What was learnt of machines, in the state file: what they really have, and what was bought in vain."""

from __future__ import annotations

import msgspec

from autoscaler_app.memory.state import State
from autoscaler_app.passes.snapshot import Learnt

_FACT = "learnt"


def recall(state: State) -> Learnt:
    """What the last pass wrote down; what cannot be read is learnt again."""
    try:
        return msgspec.convert(state.fact(_FACT) or {}, Learnt)
    except msgspec.ValidationError:
        return Learnt()


def forget(state: State) -> Learnt:
    """Nothing was ever learnt; what it was."""
    before = recall(state)
    write_down(state, Learnt())
    return before


def write_down(state: State, learnt: Learnt) -> None:
    """For the next pass."""
    plain = msgspec.json.decode(msgspec.json.encode(learnt))
    state.change(_FACT, lambda _: plain)
