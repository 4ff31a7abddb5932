"""What people did from pages, and why: the latest of it, in the state file."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import msgspec

from autoscaler_app import settings as settings_module
from autoscaler_app.memory.state import State
from autoscaler_app.passes.journal import Journal

FACT = "done_on_pages"
MOST = 100


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One deed."""

    at: datetime
    who: str
    what: str
    """The command, with its node."""
    why: str
    ok: bool
    said: str
    """What the command answered."""


def write(done: Done) -> None:
    """Add it. Raises InvalidConfig where the state file cannot be written."""

    def added(before: Any) -> Any:
        return [*(before or []), msgspec.to_builtins(done)][-MOST:]

    with closing(State(settings_module.load().state_file)) as state:
        state.change(FACT, added)


def latest(count: int) -> list[Done]:
    """The newest first."""
    with closing(Journal.look()) as journal:
        kept = msgspec.convert(journal.state.fact(FACT) or [], list[Done], strict=False)
    return kept[::-1][:count]
