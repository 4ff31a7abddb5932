"""pytest-celery components that are processes of this machine instead of containers.

pytest-celery's nodes use a small part of Docker's container interface; `ProcessContainer` offers that part
over a `demo.process.Process`, so that its classes work where there is no Docker engine.
"""

from __future__ import annotations

import signal as signals
from typing import Any

import psutil
from celery import Celery
from pytest_celery import CeleryTestContainer, CeleryTestSetup, CeleryTestWorker

from demo.process import Process


class ProcessContainer(CeleryTestContainer):
    """A process behind the interface of a container."""

    def __init__(self, process: Process, ready_prompt: str, config: dict[str, Any]) -> None:
        # The base class would ask a Docker engine; nothing of it is used.
        self.process, self._prompt, self._config = process, ready_prompt, config

    @property
    def id(self) -> str:
        return f"{self.process.pid:012d}"

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def status(self) -> str:
        return "running" if self.process.exit_code is None else "exited"

    @property
    def attrs(self) -> dict[str, Any]:
        return {"Config": {"Hostname": "localhost"}, "State": {"ExitCode": self.process.exit_code}}

    @property
    def ready_prompt(self) -> str:
        return self._prompt

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return dict(self._config)

    def logs(self, **_: Any) -> str:
        return self.process.log()

    def reload(self) -> None:
        """A process needs none."""

    def ready(self) -> bool:
        self.process.wait_for_line(self._prompt)
        return True

    def kill(self, signal: str | int = "SIGKILL") -> None:
        number = getattr(signals, signal) if isinstance(signal, str) else signals.Signals(signal)
        if number == signals.SIGKILL:
            self.process.kill()
        else:
            psutil.Process(self.process.pid).send_signal(number)

    def restart(self, timeout: int = 20) -> None:
        self.process.stop(timeout)
        self.process.start_again()
        self.ready()

    def teardown(self) -> None:
        self.process.stop()

    # What `CeleryTestWorker` asks of a worker's container besides.

    def version(self) -> str:
        import celery

        return str(celery.__version__)

    def log_level(self) -> str:
        return "INFO"

    def worker_name(self) -> str:
        return "control"

    def worker_queue(self) -> str:
        return "autoscale"


class ExternalContainer(ProcessContainer):
    """A service that runs already and is not ours to stop."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        self._name, self._config = name, config

    @property
    def id(self) -> str:
        return self._name

    @property
    def name(self) -> str:
        return self._name

    @property
    def status(self) -> str:
        return "running"

    def logs(self, **_: Any) -> str:
        return ""

    def ready(self) -> bool:
        return True

    def teardown(self) -> None:
        """It stays."""


class ControlWorker(CeleryTestWorker):
    """The control worker as pytest-celery's worker node."""

    def __init__(self, container: ProcessContainer, app: Celery) -> None:
        super().__init__(container, app)

    def get_running_processes_info(
        self, columns: list[str] | None = None, filters: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The worker and its children, from the process table of this machine."""
        worker = psutil.Process(self.container.process.pid)
        found = [process.as_dict(attrs=columns) for process in (worker, *worker.children(recursive=True))]
        return [info for info in found if all(info.get(k) == v for k, v in (filters or {}).items())]


class AutoscalerSetup(CeleryTestSetup):
    """A setup whose app is the one that the tests send through."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.update(task_default_queue="autoscale", broker_connection_retry_on_startup=True)
