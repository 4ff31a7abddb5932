"""How a node stands with the control side: the queues it joined, its gang, and whether it is fenced.

Kept in a file beside the worker, so that a worker that is restarted stays fenced and stays joined.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from celery_resources.errors import InvalidSetting, ResourceError
from celery_resources.gangs.gang import Gang
from celery_resources.need.requirement import Requirement
from scalelib.privatefile import make_private, narrow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the control side last said to this node."""

    joined: Mapping[str, Requirement] | None = None
    """The queues to serve, each with what its tasks need; None if it was never told."""
    fenced: bool = False
    fence_reason: str = ""
    gang: Gang | None = None
    """The gang that this node is in."""


class StandingFile:
    """A standing that survives a restart of the worker, if there is a folder to keep it in."""

    def __init__(self, folder: Path | None, nodename: str) -> None:
        self._path = folder / f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', nodename)}.json" if folder else None
        if self._path is not None:
            narrow(self._path)
        self._changing = threading.Lock()
        self.now = self._read()

    def change(self, **changes: object) -> Standing:
        """Write the change down first, then let it hold. From any thread."""
        with self._changing:
            changed = replace(self.now, **changes)  # type: ignore[arg-type]
            if changed != self.now:
                self._write(changed)
                self.now = changed
            return self.now

    def _read(self) -> Standing:
        if self._path is None or not self._path.exists():
            return Standing()
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
            joined = value["joined"]
            return Standing(
                joined=None
                if joined is None
                else {queue: Requirement.from_json(each) for queue, each in joined.items()},
                fenced=bool(value["fenced"]),
                fence_reason=str(value["fence_reason"]),
                gang=Gang.from_json(value["gang"]) if value["gang"] else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, ResourceError) as error:
            # A file that cannot be read may have held a fence: taking work could lose it.
            logger.error("%s cannot be read (%s): fenced until told otherwise", self._path, error)
            return Standing(fenced=True, fence_reason=f"unreadable state file {self._path.name}")

    def _write(self, standing: Standing) -> None:
        if self._path is None:
            return
        text = json.dumps(
            {
                "joined": None
                if standing.joined is None
                else {queue: each.to_json() for queue, each in standing.joined.items()},
                "fenced": standing.fenced,
                "fence_reason": standing.fence_reason,
                "gang": standing.gang.to_json() if standing.gang else None,
            }
        )
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            make_private(beside)
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise InvalidSetting(
                f"the node's state cannot be written to {self._path.parent}: {error}"
            ) from error
