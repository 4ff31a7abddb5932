"""A node that is told of its eviction fences itself, whether its broker can be reached or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resource_nodes import Lab

from celery_resources.node.eviction import EVICTION
from tests.metadata import Service, event, service

__all__ = ["service"]


def test_it_does_so_while_its_broker_cannot_be_reached(
    redis_url: str, make_lab: Callable[..., Lab], service: Service, wait_until: Any
) -> None:
    """And it takes nothing when the broker is back."""
    lab = make_lab(redis_url)
    relay = lab.relay()
    env = {"RESOURCE_APP_BROKER": relay.url, "CELERY_RESOURCES_METADATA_URL": service.url}
    node = lab.node("n1", "ncpus=2,memgb=8", **env).wait_ready()
    node.join("one")
    state = Path(lab.env["CELERY_RESOURCES_STATE"])
    relay.refuses = True
    assert relay.cut()
    wait_until(lambda: relay.refused, what="it has tried to reach its broker")
    service.events = [event()]
    wait_until(lambda: EVICTION in _reasons(state), seconds=10, what="it fenced itself")
    waiting = lab.send("one")
    relay.refuses = False
    wait_until(lambda: (node.try_ask("resources") or {}).get("ok"), what="it is back")
    told = node.ask("resources")
    assert (told["fenced"], told["fence_reason"]) == (True, EVICTION)
    assert lab.runs() == []
    waiting.forget()


def _reasons(folder: Path) -> set[str]:
    """Why the workers of a machine are fenced, as they wrote it down."""
    found = (json.loads(path.read_text()) for path in folder.glob("*.json"))
    return {each["fence_reason"] for each in found if each.get("fenced")}
