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
from celery_resources.node import eviction
from celery_resources.node.eviction import EVICTION, EvictionWatch, MetadataService, metadata_url
from celery_resources.node.standing import Standing
from celery_resources.settings import read_settings
from tests.metadata import Service, event, service
from tests.unit.celery_resources.plain import PlainStanding

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
    ("evicted", "fenced", "reason", "after"),
    [
        (True, False, "", (True, EVICTION)),
        (True, True, "autoscaler", (True, EVICTION)),
        (True, True, EVICTION, None),
        (False, True, EVICTION, (False, "")),
        (False, True, "autoscaler", None),
        (False, False, "", None),
    ],
    ids=["announced", "also of a fenced node", "once", "withdrawn", "a fence of others stays", "nothing"],
)
def test_a_node_fences_itself_and_opens_only_what_it_closed(
    evicted: bool, fenced: bool, reason: str, after: tuple[bool, str] | None
) -> None:
    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app, fenced=fenced, fence_reason=reason)
        EvictionWatch(worker)._follow(worker, evicted)
        assert worker.stands() == (after or (fenced, reason)), "at once, whatever the loop does"
        assert worker.consumer.done() == ([] if after is None else [after]), "and then on the worker's loop"


@pytest.mark.parametrize(
    "before", [(False, ""), (True, "repair"), (True, "")], ids=["open", "fenced", "fenced without a reason"]
)
def test_when_it_is_withdrawn_the_node_stands_as_it_did_before(before: tuple[bool, str]) -> None:
    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app, fenced=before[0], fence_reason=before[1])
        watch = EvictionWatch(worker)
        for evicted in (True, True, False):
            watch._follow(worker, evicted)
        assert worker.stands() == before
        assert worker.consumer.done() == [before, before], "each time as it stands when the loop turns"


def test_a_full_disk_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = iter([InvalidSetting("no space left"), None])

    def follow(watch: EvictionWatch, parent: Any, evicted: bool) -> None:
        if (trouble := next(looks)) is not None:
            raise trouble
        watch.stop(parent)

    monkeypatch.setattr(eviction, "EVERY", 0.0)
    monkeypatch.setattr(MetadataService, "is_to_be_evicted", lambda _: True)
    monkeypatch.setattr(EvictionWatch, "_follow", follow)
    with Celery(broker="memory://", set_as_current=False) as app:
        worker = worker_of(app)
        EvictionWatch(worker)._look(worker)
    assert "could not be acted on: no space left" in caplog.text


def worker_of(app: Any, **standing: Any) -> Any:
    """A worker whose loop turns when `consumer.done()` is asked how it stood then."""
    soon: list[Any] = []
    done: list[Any] = []
    gate = SimpleNamespace(standing=PlainStanding(), flow=SimpleNamespace(wake=lambda: None))
    gate.standing.now = Standing(**standing)

    def stands() -> tuple[bool, str]:
        return (gate.standing.now.fenced, gate.standing.now.fence_reason)

    gate.stands_anew = lambda: done.append(stands())

    def turn() -> list[Any]:
        while soon:
            soon.pop(0)()
        return done

    consumer = SimpleNamespace(resource_gate=gate, hub=SimpleNamespace(call_soon=soon.append), done=turn)
    options = {"resources": "ncpus=1"}
    return SimpleNamespace(
        app=app, hostname="celery@here", options=options, consumer=consumer, steps=[], stands=stands
    )


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
    program = "import sys, celery_resources.node.eviction; print('encodings.idna' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.strip() == "True"
    blueprint = WorkController.Blueprint(steps=[EvictionWatch])
    order = [step.name for step in blueprint._finalize_steps(blueprint.claim_steps())]
    assert order.index("celery.worker.components.Pool") < order.index(EvictionWatch.name)
