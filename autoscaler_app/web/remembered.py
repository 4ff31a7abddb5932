"""What pages read of the state file beside the last reports: one small interface, so that no page and no plot
knows how it is kept. The functions are those of the commands: `why`, `history`, `cost`, `explain`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from autoscaler_app import settings as settings_module
from autoscaler_app.beat.database import is_there as has_database
from autoscaler_app.cli import process, stories
from autoscaler_app.cli.explaining import TaskIs
from autoscaler_app.memory.figures import FiguresBook, SpanName, Step
from autoscaler_app.memory.orders import Pause
from autoscaler_app.memory.runtimes import Runtimes
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.report import Report
from autoscaler_app.web.hands import written
from autoscaler_app.web.hands.deeds import AUTOSCALER, BEAT, Run, Said, as_command
from autoscaler_app.web.hands.written import Done


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long things take here."""

    run_seconds: Callable[[str], float | None] = lambda queue: None
    """Of a task of a queue, on average."""
    boot_seconds: float = 0.0


class Remembered(Protocol):
    """What it owes: answers from the state file alone, at once. Raises InvalidInput for what is unknown."""

    def report(self, number: int) -> Report | None:
        """One pass; None if it is not, or no longer, in the journal."""

    def times(self) -> Times:
        """How long tasks run and nodes boot."""

    def why(self, node: str) -> dict[str, Any]:
        """What became of a node."""

    def history(self, last: int) -> list[dict[str, Any]]:
        """The nodes that are there and those that went last."""

    def cost(self, days: int, by: str, now: datetime) -> dict[str, Any]:
        """What was spent."""

    def steps(self, span: SpanName, now: datetime) -> list[Step]:
        """What was seen over time."""

    def worker(self) -> dict[str, Any] | None:
        """The control worker of this machine; None if there is none."""

    def pauses(self) -> tuple[Pause, ...]:
        """What passes are not to do now, who said so, and why."""

    def schedule(self) -> str | None:
        """What the database of beat says; None: there is none. May take a second."""

    def whatif(self, queue: str, count: str) -> Said:
        """What would be planned. Asks the cloud, the broker and the workers, which may take seconds."""

    def by_people(self, last: int) -> list[Done]:
        """What people did from pages, and why; newest first."""

    def task(self, task_id: str) -> TaskIs:
        """Where a task is. Asks the workers and the broker, which may take seconds. Raises BrokerError."""


class StateFile:
    """The state file that the settings name, looked at only."""

    def __init__(self, task: Callable[[str], TaskIs], run: Run = as_command) -> None:
        self.task, self._run = task, run

    def report(self, number: int) -> Report | None:
        with closing(Journal.look()) as journal:
            return journal.report(number)

    def times(self) -> Times:
        with closing(Journal.look()) as journal:
            runtimes = Runtimes.from_json(journal.state.fact("runtimes") or {})
            return Times(
                run_seconds=runtimes.mean, boot_seconds=float(journal.state.fact("boot_seconds") or 0.0)
            )

    def why(self, node: str) -> dict[str, Any]:
        return stories.why(node)

    def history(self, last: int) -> list[dict[str, Any]]:
        return stories.history(last)

    def cost(self, days: int, by: str, now: datetime) -> dict[str, Any]:
        return stories.cost(days, by, now)

    def steps(self, span: SpanName, now: datetime) -> list[Step]:
        with closing(FiguresBook.look(settings_module.load().state_file)) as book:
            return book.steps(span, now)

    def pauses(self) -> tuple[Pause, ...]:
        with closing(Journal.look()) as journal:
            return journal.orders().pauses

    def schedule(self) -> str | None:
        from autoscaler_app.celery import app

        # Asked for in a process of its own: Django is set up once in a process, and keeps connections.
        return self._run([*BEAT, "interval"], "").text if has_database(app.conf) else None

    def whatif(self, queue: str, count: str) -> Said:
        return self._run([*AUTOSCALER, "whatif", "--", f"{queue}={count}"], "")

    def by_people(self, last: int) -> list[Done]:
        return written.latest(last)

    def worker(self) -> dict[str, Any] | None:
        return process.facts(process.look())
