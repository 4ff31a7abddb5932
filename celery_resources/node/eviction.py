"""A node that its cloud is about to take back fences itself, so that its last seconds take no new work.

The cloud announces it to the machine alone, through Azure's Scheduled Events
(https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events): an event of type `Preempt` that
names the machine, about 30 s before. The event is not acknowledged: that would bring the end forward, and
CycleCloud advises against it because it may then miss the event. If the event is withdrawn the node opens
itself again, unless it was fenced before. Off unless `resource_metadata_url`, or
$CELERY_RESOURCES_METADATA_URL, names the service.
"""

from __future__ import annotations

import codecs
import http.client
import json
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from celery import bootsteps

from celery_resources.errors import InvalidSetting
from celery_resources.node.gate import ResourceGate
from celery_resources.room.node import is_node
from celery_resources.settings import read_settings

log = logging.getLogger(__name__)

METADATA_URL = "CELERY_RESOURCES_METADATA_URL"
EVICTION = "eviction"
"""The reason of a fence that a node gave itself."""
EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
EVERY = 1.0
"""Seconds between two looks, as the service's description advises."""
TIMEOUT = 150.0
"""The first answer may take two minutes: asking switches the service on."""

# The pool forks while our thread may be at work, and a lock that the thread holds at that moment is held in
# the child for ever. Connecting looks this codec up: the first time it imports it, under the lock of imports.
codecs.lookup("idna")

_Failed = (OSError, http.client.HTTPException, ValueError)


class MetadataService:
    """Asks the service. No proxy: it answers only to the machine itself."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._name: str | None = None

    def is_to_be_evicted(self) -> bool:
        """Whether the cloud has announced to take this machine back. Raises OSError or ValueError."""
        if self._name is None:
            self._name = self._get(NAME).strip()
        document = json.loads(self._get(EVENTS))
        # Machines of one scale set are told of each other's events.
        return any(
            event.get("EventType") == "Preempt" and self._name in event.get("Resources", ())
            for event in document.get("Events", ())
        )

    def _get(self, path: str) -> str:
        request = urllib.request.Request(self._url + path, headers={"Metadata": "true"})
        with self._open(request, timeout=TIMEOUT) as answer:
            return str(answer.read().decode())


class EvictionWatch(bootsteps.StartStopStep):
    """Looks once a second in a thread of its own, and lets the worker fence or open itself."""

    label = "EvictionWatch"
    # Its first children are forked before our thread begins.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._url = metadata_url(read_settings(parent.app.conf).metadata_url)
        self.enabled = bool(self._url) and is_node(parent.options.get("resources"))
        self._done = threading.Event()
        self._fenced_before: str | None = None
        """The reason of the fence that stood when the eviction was announced; None if none did."""

    def include_if(self, parent: Any) -> bool:
        """Where there is a service to ask."""
        return self.enabled

    def start(self, parent: Any) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, args=(parent,), name="eviction-watch", daemon=True).start()

    def stop(self, parent: Any) -> None:
        """Look no more."""
        self._done.set()

    def _look(self, parent: Any) -> None:
        service = MetadataService(self._url)
        while not self._done.wait(EVERY):
            try:
                self._follow(parent, service.is_to_be_evicted())
            except InvalidSetting as error:
                # A full disk, say. The next look tries again.
                log.warning("an announced eviction could not be acted on: %s", error)
            except _Failed as error:
                log.debug("the metadata service does not tell: %s", error)
            except Exception:
                # A defect of ours: the next look tries again.
                log.warning("an announced eviction could not be acted on", exc_info=True)

    def _follow(self, parent: Any, evicted: bool) -> None:
        gate: ResourceGate | None = getattr(parent.consumer, "resource_gate", None)
        if gate is None:
            return
        now = gate.standing.now
        ours = now.fenced and now.fence_reason == EVICTION
        if evicted == ours:
            return
        before = self._fenced_before
        if evicted:
            before = self._fenced_before = now.fence_reason if now.fenced else None
        # Somebody else's fence stands again: it is not ours to lift.
        reason = EVICTION if evicted else before
        # It holds from here on. The worker's loop stands still while its broker cannot be reached, and the
        # machine has half a minute.
        gate.standing.change(fenced=reason is not None, fence_reason=reason or "")
        log.warning("eviction %s", "announced" if evicted else "withdrawn")
        # What is to be given back, or taken again, belongs to the worker's main thread.
        parent.consumer.hub.call_soon(gate.stands_anew)
        gate.flow.wake()


def metadata_url(setting: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Where the service answers; empty if nobody says so."""
    return setting or environ.get(METADATA_URL, "")
