"""What was said in a node's name and not believed: counted, logged once, told while it goes on."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from celery_resources.trust.replay import PATIENCE

log = logging.getLogger(__name__)

MOST_LOGGED = 20
"""Reasons that are logged of one host; the report names the latest all the same."""
_NO_DIGITS = str.maketrans("", "", "0123456789.-")


@dataclass(slots=True)
class _Noted:
    count: int = 0
    why: str = ""
    last: float = 0.0
    logged: set[str] = field(default_factory=set)
    """Reasons, without their numbers."""


class Disbelief:
    """By host. As large as the cluster: of names that no node has, nothing is kept."""

    def __init__(self) -> None:
        self._of: dict[str, _Noted] = {}

    def note(self, names: Collection[str], why: str, now: datetime) -> None:
        """Something was said in these names of nodes."""
        for name in sorted(names):
            noted = self._of.setdefault(name, _Noted())
            reason = why.translate(_NO_DIGITS)
            if reason not in noted.logged and len(noted.logged) < MOST_LOGGED:
                noted.logged.add(reason)
                log.warning("in the name of %s something was said and not believed: %s", name, why)
            noted.count, noted.why, noted.last = noted.count + 1, why, now.timestamp()

    def keep(self, names: Collection[str]) -> None:
        """Nodes have these names only."""
        self._of = {name: noted for name, noted in self._of.items() if name in names}

    def lately(self, now: datetime) -> frozenset[str]:
        """The hosts in whose name it goes on."""
        since = now.timestamp() - PATIENCE
        return frozenset(name for name, noted in self._of.items() if noted.last >= since)

    def warnings(self, now: datetime) -> tuple[str, ...]:
        """A sentence for each of them."""
        return tuple(
            f"{name}: {noted.count} messages in its name were not believed; {noted.why}"
            for name, noted in sorted(self._of.items())
            if name in self.lately(now)
        )
