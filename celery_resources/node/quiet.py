"""A node says little of its own accord, because it may be one of a thousand.

Celery's own chatter is meant for a few workers. By gossip each reads the events of all others; to mingle,
each asks all others when it starts; each sends a heartbeat every two seconds. Of a thousand workers that
is 500 heartbeats a second, each delivered a thousand times. What a node has to say is in its account.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from celery_resources.room.node import is_node
from celery_resources.settings import read_settings


class Quiet(bootsteps.Step):
    """Chooses the options of a node's consumer before that is made. Leaves other workers alone."""

    label = "Quiet"

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        chosen = parent.options
        settings = read_settings(parent.app.conf)
        if not settings.quiet or not is_node(chosen.get("resources")):
            return
        chosen["without_mingle"] = True
        if not chosen.get("without_heartbeat") or parent.task_events:
            # A worker without events of any kind has no way to tell its account: then gossip keeps it open.
            chosen["without_gossip"] = True
        if chosen.get("heartbeat_interval") is None:
            chosen["heartbeat_interval"] = 2 * settings.beat
