"""`app.control.purge()` empties the derived queues as well."""

from __future__ import annotations

import contextlib
from typing import Any

from celery.app.control import Control

from celery_resources.sending.known import known_queues

PURGES = f"{__name__}:Purges"
"""As an app is told of its class, and pickled with it."""


class Purges(Control):
    """Celery's own, which knows only of queues that were declared."""

    def purge(self, connection: Any = None) -> int:
        """Discard all waiting tasks of this app, whatever they need; how many."""
        queues = known_queues(self.app).keys() - self.app.amqp.queues.consume_from.keys()
        with self.app.connection_or_acquire(connection) as conn:
            discarded = int(super().purge(conn))
            for queue in queues:
                # Suppressed: there is no such queue yet.
                with contextlib.suppress(*conn.channel_errors), conn.channel() as channel:
                    discarded += int(channel.queue_purge(queue) or 0)
        return discarded

    discard_all = purge
