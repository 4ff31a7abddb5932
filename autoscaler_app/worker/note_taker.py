"""The control worker's hand for notes: takes them out of their queue, in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import Celery

from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.brokers.inbox import open_inbox
from autoscaler_app.listening.background import FIRST_PAUSE, Background

log = logging.getLogger(__name__)

LOOK_AGAIN = 0.5
"""Seconds after which one that may take none asks whether it may."""


class NoteTaker(Background):
    """Calls `take` with the bodies of the notes that came, until it is stopped.

    What `take` has returned from is forgotten by the broker; where it raises, the notes come again.
    """

    def __init__(
        self,
        app: Celery,
        control_queue: str,
        take: Callable[[list[bytes]], object],
        why_not: Callable[[], str] = str,
    ) -> None:
        """`why_not`: why none is to be taken at present (another control side acts); empty: take them."""
        super().__init__("autoscaler-notes")
        self._app, self._control_queue, self._take, self._why_not = app, control_queue, take, why_not

    def run(self) -> None:
        """Take them, and connect again for ever."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            if self._why_not():
                self.stopping.wait(LOOK_AGAIN)
                continue
            try:
                self._take_all()
                pause = FIRST_PAUSE
                continue
            except BrokerError as error:
                log.warning("the queue of notes cannot be read, and is tried again: %s", error)
            except Exception:
                log.exception("taking notes failed, and is tried again")
            pause = self.pause(pause)

    def _take_all(self) -> None:
        """Until it is stopped, or may take none any more. Raises what `take` raises, and BrokerError."""
        failed: Exception | None = None
        with open_inbox(self._app, self._control_queue) as inbox:
            while failed is None and not (self.stopping.is_set() or self._why_not()):
                bodies = inbox.take()
                try:
                    # A full disk is no fault of the broker, and is not to be told as one.
                    if bodies:
                        self._take(bodies)
                except OSError as error:
                    failed = error
                else:
                    inbox.done()
        if failed is not None:
            raise failed
