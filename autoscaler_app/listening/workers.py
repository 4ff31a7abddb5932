"""The workers of all hosts, as far as they can be spoken to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from celery import Celery

from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.listening.ask import ask, tell
from autoscaler_app.listening.trust import Trust

log = logging.getLogger(__name__)


class Workers(Protocol):
    """Who can be asked and told something, by name. Every call has a deadline and may raise BrokerError."""

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a command and collect the answers, by nodename; None asks everybody.

        A worker that answered that it could not has None; one that did not answer is missing. Both mean
        unknown.
        """

    def ask_aside(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:
        """The same without waiting: `take` gets the answers when they are there, perhaps in another thread.
        Nothing is sent while an earlier such command of this name is open. Raises nothing: an error is in the
        log.
        """

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        """Send a command; no answers are awaited."""


class BrokersWorkers:
    """Those that the broker reaches."""

    def __init__(self, app: Celery, timeout: float, trust: Trust | None = None) -> None:
        """`timeout`: seconds for which answers are waited for."""
        self._app, self._timeout, self._trust = app, timeout, trust
        self._aside: dict[str, threading.Thread] = {}
        """By command: who waits for its answers."""

    def ask(
        self, command: str, nodenames: Collection[str] | None, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a command and collect the answers, by nodename; None asks everybody."""
        return ask(self._app, command, nodenames, arguments, timeout=self._timeout, trust=self._trust)

    def ask_aside(
        self,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
    ) -> None:
        """Ask in a thread that ends with the question."""
        if not nodenames or (command in self._aside and self._aside[command].is_alive()):
            return

        def ask_and_take() -> None:
            try:
                take(self.ask(command, nodenames, arguments))
            except BrokerError as error:
                log.warning("could not ask %d workers for %r: %s", len(nodenames), command, error)

        self._aside[command] = threading.Thread(target=ask_and_take, name="autoscaler-asks", daemon=True)
        self._aside[command].start()

    def tell(self, command: str, nodenames: Collection[str]) -> None:
        """Send a command; no answers are awaited."""
        tell(self._app, command, nodenames, timeout=self._timeout, trust=self._trust)
