"""The app of the nodes: on Redis with the transport that loses no message (`redis_keeper`)."""

import redis_keeper

redis_keeper.install()

from worker_tasks.celery import app  # noqa: E402 - it connects as was just said

__all__ = ["app"]
