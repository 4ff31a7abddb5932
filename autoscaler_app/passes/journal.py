"""What the last passes reported, read from the state file alone: without a broker, a cloud or a password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from autoscaler_app import settings as settings_module
from autoscaler_app.memory.orders import Orders, recall
from autoscaler_app.memory.state import State
from autoscaler_app.passes import report
from autoscaler_app.passes.report import Report


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The state file, for who looks."""

    state: State

    @classmethod
    def look(cls) -> Self:
        """The one that the settings name; it may be missing. Raises InvalidConfig if it cannot be read."""
        return cls(state=State.look(settings_module.load().state_file))

    @staticmethod
    def now() -> datetime:
        """The time, to say how long ago something was."""
        return datetime.now(UTC)

    @property
    def paused(self) -> bool:
        """Passes look and tell, and do nothing."""
        return any(pause.is_whole for pause in self.orders().pauses)

    def orders(self) -> Orders:
        """What people asked for by hand."""
        return recall(self.state, self.now())

    def reports(self, last: int) -> list[Report]:
        """The newest reports, newest first."""
        return [report.decode(text, number) for number, text in self.state.reports(last)]

    def report(self, number: int) -> Report | None:
        """One pass; None if it is not, or no longer, there."""
        text = self.state.journal.one(number)
        return None if text is None else report.decode(text, number)

    def close(self) -> None:
        """Let go of the file."""
        self.state.close()
