"""What the metadata service says is read as it is described, and only for this machine."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import WorkController

from celery_resources import InvalidSetting
from celery_resources.node.eviction import EVICTION, EvictionWatch, MetadataService, metadata_url
from celery_resources.node.standing import Standing
from celery_resources.settings import read_settings
from tests.metadata import Service, event, service

__all__ = ["service"]


@pytest.mark.parametrize(
    ("events", "evicted"),
    [
        ([], False),
        ([event()], True),
        ([event(EventType="Reboot")], False),
        ([event(Resources=["vm_4"])], False),
        ([event(Resources=["vm_4"]), event(Resources=["vm_2", "vm_3"])], True),
        ([{}], False),
    ],
)
def test_only_a_preempt_that_names_this_machine_counts(
    service: Service, events: list[dict[str, Any]], evicted: bool
) -> None:
    service.events = events
    asked = MetadataService(f"http://127.0.0.1:{service.server_port}/")
    assert asked.is_to_be_evicted() is evicted


def test_a_service_that_does_not_answer_is_an_error_and_no_eviction(service: Service) -> None:
    with pytest.raises(OSError, match="404"):
        MetadataService(f"http://127.0.0.1:{service.server_port}/nowhere").is_to_be_evicted()


@pytest.mark.parametrize(
    ("evicted", "fenced", "reason", "told"),
    [
        (True, False, "", ("fence", {"reason": EVICTION})),
        (True, True, "autoscaler", ("fence", {"reason": EVICTION})),
        (True, True, EVICTION, None),
        (False, True, EVICTION, ("unfence", {})),
        (False, True, "autoscaler", None),
        (False, False, "", None),
    ],
    ids=["announced", "also of a fenced node", "once", "withdrawn", "a fence of others stays", "nothing"],
)
def test_a_node_fences_itself_and_opens_only_what_it_closed(
    evicted: bool, fenced: bool, reason: str, told: tuple[str, dict[str, str]] | None
) -> None:
    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app, Standing(fenced=fenced, fence_reason=reason))
        EvictionWatch(worker)._follow(worker, evicted)
        assert worker.consumer.done() == ([] if told is None else [told])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Standing(), ("unfence", {})),
        (Standing(fenced=True, fence_reason="repair"), ("fence", {"reason": "repair"})),
        (Standing(fenced=True), ("fence", {"reason": ""})),
    ],
)
def test_when_it_is_withdrawn_the_node_stands_as_it_did_before(
    before: Standing, after: tuple[str, dict[str, str]]
) -> None:
    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app, before)
        watch, standing = EvictionWatch(worker), worker.consumer.resource_gate.standing
        watch._follow(worker, True)
        standing.now = Standing(fenced=True, fence_reason=EVICTION)
        watch._follow(worker, True)
        watch._follow(worker, False)
        assert worker.consumer.done() == [("fence", {"reason": EVICTION}), after]


def test_a_full_disk_does_not_end_the_worker() -> None:
    def fails(reason: str) -> None:
        raise InvalidSetting("no space left")

    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app, Standing())
        worker.consumer.resource_gate.fence = fails
        EvictionWatch(worker)._follow(worker, True)
        assert worker.consumer.done() == []


def worker_of(app: Any, standing: Standing) -> Any:
    """A worker whose loop turns when `consumer.done()` is asked what it did."""
    soon: list[Any] = []
    done: list[Any] = []
    gate = SimpleNamespace(
        standing=SimpleNamespace(now=standing),
        fence=lambda reason: done.append(("fence", {"reason": reason})),
        unfence=lambda: done.append(("unfence", {})),
        flow=SimpleNamespace(wake=lambda: None),
    )

    def turn() -> list[Any]:
        while soon:
            soon.pop(0)()
        return done

    consumer = SimpleNamespace(resource_gate=gate, hub=SimpleNamespace(call_soon=soon.append), done=turn)
    options = {"resources": "ncpus=1"}
    return SimpleNamespace(app=app, hostname="celery@here", options=options, consumer=consumer, steps=[])


@pytest.mark.parametrize(
    ("conf", "environ", "url"),
    [
        ({}, {}, ""),
        ({}, {"CELERY_RESOURCES_METADATA_URL": "http://a"}, "http://a"),
        (
            {"resource_metadata_url": "http://b"},
            {"CELERY_RESOURCES_METADATA_URL": "http://a"},
            "http://b",
        ),
    ],
)
def test_nobody_asks_unless_told_where(conf: dict[str, str], environ: dict[str, str], url: str) -> None:
    assert metadata_url(read_settings(conf).metadata_url, environ) == url


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="resource_metadata_url must be an address"):
        read_settings({"resource_metadata_url": "169.254.169.254"})


def test_the_watch_begins_after_the_pool_has_forked_and_imports_nothing_then() -> None:
    """A child that is forked while the watch holds the lock of imports would wait for it for ever."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys, celery_resources; print('encodings.idna' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.strip() == "True"
    blueprint = WorkController.Blueprint(steps=[EvictionWatch])
    order = [step.name for step in blueprint._finalize_steps(blueprint.claim_steps())]
    assert order.index("celery.worker.components.Pool") < order.index(EvictionWatch.name)
