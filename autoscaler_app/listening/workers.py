"""The workers of all hosts, as far as they can be spoken to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from celery import Celery

from autoscaler_app.listening.ask import ask, tell
from autoscaler_app.listening.trust import Trust


class Workers(Protocol):
    """Who can be asked and told something, by name. Every call has a deadline and may raise BrokerError."""

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a command and collect the answers, by nodename; None asks everybody.

        A worker that answered that it could not has None; one that did not answer is missing. Both mean
        unknown.
        """

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        """Send a command; no answers are awaited."""


class BrokersWorkers:
    """Those that the broker reaches."""

    def __init__(self, app: Celery, timeout: float, trust: Trust | None = None) -> None:
        """`timeout`: seconds for which answers are waited for."""
        self._app, self._timeout, self._trust = app, timeout, trust

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a command and collect the answers, by nodename; None asks everybody."""
        return ask(self._app, command, nodenames, arguments, timeout=self._timeout, trust=self._trust)

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        """Send a command; no answers are awaited."""
        tell(self._app, command, nodenames, timeout=self._timeout, trust=self._trust)
