"""The app of the nodes, and of whoever sends: what a run wants otherwise is in `CHAOS_SETTINGS`, as JSON.

On Redis with the transport that loses no message (`redis_keeper`).
"""

import json
import os

import redis_keeper

redis_keeper.install()

from worker_tasks.celery import app  # noqa: E402 - it connects as was just said

app.conf.update(json.loads(os.environ.get("CHAOS_SETTINGS", "{}")))

__all__ = ["app"]
