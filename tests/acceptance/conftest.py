"""Real processes: broker, emulator, control worker, beat and nodes, behind pytest-celery's fixtures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from pytest_celery import CeleryBackendCluster, CeleryTestBackend, CeleryTestBroker, CeleryTestWorker

from demo.site import Site, Wishes
from tests.acceptance.components import AutoscalerSetup, ControlWorker, ExternalContainer, ProcessContainer
from tests.acceptance.evidence import evidence


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "acceptance" in item.path.parts:
            item.add_marker(pytest.mark.acceptance)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test tells what its site looked like: it is gone a moment later."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and call.when == "call" and isinstance(site, Site):
        report.sections.append(("the site", evidence(site)))


@pytest.fixture
def wishes() -> Wishes:
    """What the site of a test is like; a test overrides it by parametrizing."""
    return Wishes(interval=1.0, idle_timeout=3.0, boot_seconds=1.0, terminate_seconds=0.2)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of the broker; empty for the embedded one. Parametrize it with the name of a fixture."""
    name = getattr(request, "param", "")
    return str(request.getfixturevalue(name)) if name else ""


@pytest.fixture
def site(wishes: Wishes, broker: str) -> Iterator[Site]:
    """Broker and emulator, running; no process is left of it at the end."""
    made = Site(dataclasses.replace(wishes, broker_url=broker))
    try:
        made.start_cloud()
        yield made
    finally:
        made.stop()


@pytest.fixture
def celery_setup_cls() -> type[AutoscalerSetup]:
    return AutoscalerSetup


@pytest.fixture
def celery_broker(site: Site) -> CeleryTestBroker:
    config = {"url": site.broker_url, "host_url": site.broker_url}
    if "broker" in site.processes:
        return CeleryTestBroker(ProcessContainer(site.processes["broker"], "Ready: ", config))
    return CeleryTestBroker(ExternalContainer("broker", config))


@pytest.fixture
def celery_backend(site: Site) -> CeleryTestBackend:
    url = site.env["CELERY_RESULT_BACKEND"]
    return CeleryTestBackend(ExternalContainer("backend", {"url": url, "host_url": url}))


@pytest.fixture
def celery_backend_cluster(celery_backend: CeleryTestBackend) -> CeleryBackendCluster:
    return CeleryBackendCluster(celery_backend)


@pytest.fixture
def celery_worker(site: Site, celery_setup_app: Celery) -> CeleryTestWorker:
    """The control worker."""
    return ControlWorker(ProcessContainer(site.start_control(), "ready.", {}), celery_setup_app)


@pytest.fixture
def send(site: Site) -> Callable[..., list[str]]:
    """Send tasks with the command of `worker_tasks`; their ids."""

    def send(count: int, kind: str, seconds: str = "0.3") -> list[str]:
        name = f"add-{len(site.processes)}"
        command = ("add", "--count", str(count), "--kind", kind, "--seconds", seconds, "--json")
        process = site.run_module(name, "worker_tasks", *command)
        assert process.wait() == 0, process.log()
        return [json.loads(line)["id"] for line in process.log().splitlines() if line.startswith("{")]

    return send
