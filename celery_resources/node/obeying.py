"""Whom a node that signs obeys: the commands that it does for its control side alone, and which that is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger

from celery_resources.errors import InvalidSetting
from celery_resources.trust.keys import fingerprint
from celery_resources.trust.replay import Growing

logger = get_logger(__name__)

OURS = frozenset(
    {"join", "notice", "pace", "fence", "unfence", "follow", "lead", "ready", "disband", "member_lost"}
)
"""Commands of this package that change something."""
STOCK = frozenset(
    {
        "shutdown",
        "pool_grow",
        "pool_shrink",
        "pool_restart",
        "autoscale",
        "add_consumer",
        "cancel_consumer",
        "rate_limit",
        "time_limit",
        "disable_events",
        "election",
    }
)
"""Celery's own that would end a worker, or make it something else than it says it is."""
TERMINATING = frozenset({"revoke", "revoke_by_stamped_headers", "terminate"})
"""Celery's own that end a running task, if they say so."""
GUARDED = OURS | STOCK | {"terminate"}
"""What is done for nobody but the control side."""
ASKED = "question"
"""Argument of a command: what the answer is to be signed with, so that it answers nothing else."""


def ends_a_task(command: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a command ends what runs; without that a revoke is the app's own."""
    return command == "terminate" or (command in TERMINATING and bool(arguments.get("terminate")))


class ControlFile:
    """What a node knows of the control side: its public key, and its newest command."""

    def __init__(self, path: Path, given: str | None) -> None:
        """`given`: the key that the node was told; None to take the first that it meets."""
        self._path = path
        known = self._read()
        self.key: str | None = given if given is not None else known.get("key")
        self._commands = Growing(int(known.get("newest", 0)) if self.key == known.get("key") else 0)

    def takes(self, key: str, count: int) -> str:
        """Why a command with this seal is not obeyed; empty if it is, which is written down first."""
        if self.key is not None and key != self.key:
            return (
                f"it is signed by another control side (key {fingerprint(key)}) than this node obeys "
                f"({fingerprint(self.key)})"
            )
        newest = self._commands.newest
        if not self._commands.takes(count):
            return "it was given before"
        try:
            self._write(key, count)
        except OSError as error:
            self._commands.newest = newest
            return f"{self._path} cannot be written: {error.strerror or error}"
        if self.key is None:
            logger.warning("from now on this node obeys the control side with the key %s", key)
            self.key = key
        return ""

    def _read(self) -> Mapping[str, Any]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(known["key"], str) and isinstance(known["newest"], int):
                return dict(known)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidSetting(f"{self._path} cannot be read ({error}); remove it to begin anew") from error
        raise InvalidSetting(f"{self._path} is not what a node keeps of its control side; remove it")

    def _write(self, key: str, count: int) -> None:
        beside = self._path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"key": key, "newest": count}, file)
        beside.replace(self._path)
