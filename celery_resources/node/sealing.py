"""What a node signs, and whom it obeys: its side of `resource_signing` (docs/signing.md).

Its key pair and what it knows of the control side are files beside its fence: both outlive its worker.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger

from celery_resources.errors import InvalidSetting
from celery_resources.node.obeying import GUARDED, ControlFile, ends_a_task
from celery_resources.settings import Settings
from celery_resources.trust.keys import fingerprint, keep_or_make, public_bytes
from celery_resources.trust.signing import Kind, NotSealed, Said, opened, seal

logger = get_logger(__name__)

SIGNING = "CELERY_RESOURCES_SIGNING"
CONTROL_KEY = "CELERY_RESOURCES_CONTROL_KEY"


class Sealing:
    """Signs for one worker of a node, and says which commands it does."""

    def __init__(
        self,
        folder: Path,
        nodename: str,
        control_key: str | None,
        *,
        unsigned: Collection[str] = (),
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`unsigned`: commands that are done for anybody. InvalidSetting where the key cannot be kept."""
        self._unsigned = frozenset(unsigned)
        self.key = keep_or_make(folder / "node.key", random)
        self._nodename = nodename
        self._clock = clock
        self._life, self._count = clock(), 0
        self._control = ControlFile(
            folder / f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', nodename)}.control.json", control_key
        )
        logger.info("this node signs with the key %s", self.key.public)

    def account(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """An account, told unasked."""
        return self._seal(Kind.ACCOUNT, payload)

    def farewell(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The last word."""
        return self._seal(Kind.FAREWELL, facts)

    def answer(self, reply: Mapping[str, Any], question: str) -> dict[str, Any]:
        """What is answered to this question."""
        return self._seal(Kind.ANSWER, reply, question)

    def why_not(self, command: str, arguments: Mapping[str, Any]) -> str:
        """Why this command is not done; empty if it is."""
        name = "terminate" if ends_a_task(command, arguments) else command
        if name in self._unsigned or name not in GUARDED:
            return ""
        try:
            body, said = opened(Kind.COMMAND, arguments)
        except NotSealed as error:
            return f"{command}: this node does it only for its control side, signed: {error}"
        to = body.pop("to", None)
        if said.node != command or not isinstance(to, Mapping):
            return f"{command}: it is signed for something else"
        if to.get(self._nodename) != fingerprint(self.key.public):
            return f"{command}: it is not meant for this node and its key"
        why = self._control.takes(said.key, said.count)
        return f"{command}: {why}" if why else ""

    def _seal(self, kind: Kind, body: Mapping[str, Any], question: str = "") -> dict[str, Any]:
        self._count += 1
        said = Said(
            node=self._nodename,
            pid=os.getpid(),
            life=self._life,
            count=self._count,
            at=self._clock(),
            re=question,
        )
        return seal(self.key, kind, body, said)


def sealing_of(settings: Settings, folder: Path | None, nodename: str) -> Sealing | None:
    """What a node signs with; None where signing is off. InvalidSetting says what is missing."""
    if not settings.signing and not _is_on(os.environ.get(SIGNING, "")):
        return None
    if folder is None:
        raise InvalidSetting(
            "resource_signing needs a folder of the machine's own in which its key is kept: set "
            "CELERY_RESOURCES_STATE"
        )
    control_key = settings.control_key or os.environ.get(CONTROL_KEY) or None
    if control_key is not None:
        public_bytes(control_key)
    return Sealing(folder, nodename, control_key, unsigned=settings.unsigned_commands)


def _is_on(word: str) -> bool:
    if word.lower() not in ("", "off", "on"):
        raise InvalidSetting(f"{SIGNING} is {word!r}; 'on' or 'off' would be right")
    return word.lower() == "on"
