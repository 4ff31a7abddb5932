"""The file that remembers which tasks were sent from here, so that they can be asked about later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

DEFAULT = "worker_tasks_sent.jsonl"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One task that was sent."""

    id: str
    kind: str
    seconds: float
    at: float
    """When, in seconds since the epoch."""


def sent_file(option: str | None) -> Path:
    """The named file, else the one in WORKER_TASKS_SENT, else one in the working directory."""
    return Path(option or os.environ.get("WORKER_TASKS_SENT") or DEFAULT)


def remember(path: Path, sent: Iterable[Sent]) -> None:
    """Append to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(each)) + "\n" for each in sent)


def recall(path: Path) -> list[Sent]:
    """Everything that was sent. FileNotFoundError if nothing ever was, ValueError if it is no such file."""
    found = []
    # What is written while we read may be there by half: a line counts when its end is there.
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found.append(Sent(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: not a sent task: {line!r}") from error
    return found
