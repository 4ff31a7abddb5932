"""The metrics on a port of the control worker, read from the state file: a scrape waits for no pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler_app.memory import tally
from autoscaler_app.memory.orders import is_paused
from autoscaler_app.memory.state import State
from autoscaler_app.passes.journal import Journal
from scalelib.errors import InvalidConfig

if TYPE_CHECKING:
    from autoscaler_app.worker.telling.metrics import Facts

log = logging.getLogger(__name__)


def facts_of(state: State, now: datetime) -> Facts:
    """What the metrics are made from, as the state file has it now."""
    from autoscaler_app.worker.telling.metrics import Facts

    newest = next(iter(Journal(state=state).reports(1)), None)
    counted = tally.read(state.fact(tally.TALLY))
    return Facts(newest=newest, now=now, paused=is_paused(state, now), tally=counted)


class MetricsPort:
    """Serves `/metrics` in threads of its own."""

    def __init__(
        self, host: str, port: int, state_file: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._host, self._port, self._file, self._now = host, port, state_file, now
        self._server: Any = None
        self._thread: Any = None

    def start(self) -> None:
        """Raises InvalidConfig if what it needs is not installed, or the address cannot be had."""
        try:
            from prometheus_client import CollectorRegistry, start_http_server

            from autoscaler_app.worker.telling.metrics import FactsCollector
        except ModuleNotFoundError as missing:
            raise InvalidConfig(
                f"autoscaler.metrics_port needs {missing.name}: pip install 'celery-cluster-autoscaler[web]'"
            ) from missing
        registry = CollectorRegistry(auto_describe=False)
        registry.register(FactsCollector(self._facts))
        try:
            self._server, self._thread = start_http_server(self._port, self._host, registry)
        except OSError as error:
            raise InvalidConfig(
                f"autoscaler.metrics_port: nothing can be served on {self._host} port {self._port}: "
                f"{error.strerror}; name an address of this machine (autoscaler.metrics_host) and a free port"
            ) from error
        log.info("metrics on http://%s:%d/metrics", self._host, self.port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)
            self._server = None

    def _facts(self) -> Facts:
        # Opened anew each time: only looked at, and the file may be another one by then.
        with closing(State.look(self._file)) as state:
            return facts_of(state, self._now())
