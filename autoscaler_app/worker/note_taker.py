"""The control worker's hand for notes: takes them out of their queue, in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from celery import Celery

from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.brokers.inbox import open_inbox

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the next try after an error."""


class NoteTaker:
    """Calls `take` with the bodies of the notes that came, until it is stopped.

    What `take` has returned from is forgotten by the broker; where it raises, the notes come again.
    """

    def __init__(self, app: Celery, control_queue: str, take: Callable[[list[bytes]], object]) -> None:
        self._app, self._control_queue, self._take = app, control_queue, take
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaler-notes", daemon=True)

    def start(self) -> None:
        """Begin to take notes."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Take none any more. May be called twice, and before `start`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                with open_inbox(self._app, self._control_queue) as inbox:
                    while not self._stopping.is_set():
                        if bodies := inbox.take():
                            self._take(bodies)
                            inbox.done()
                        pause = FIRST_PAUSE
            except BrokerError as error:
                log.warning("the queue of notes cannot be read, and is tried again: %s", error)
            except Exception:
                log.exception("taking notes failed, and is tried again")
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE, pause * 2)
