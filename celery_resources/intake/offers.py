"""The queues that a node serves before anybody has told it which."""

from __future__ import annotations

import queue as queues
import random
import threading
from typing import Any

from celery.utils.log import get_logger

from celery_resources.insides.messages import has_named_queues
from celery_resources.need.naming import family_of, family_of_destination
from celery_resources.need.requirement import Requirement
from celery_resources.sending import board
from celery_resources.sending.kinds import Kinds

logger = get_logger(__name__)

OFTEN, SELDOM = 1.0, 30.0
"""Seconds between two looks at the board: short ones after the start, then longer and longer."""


class Offers:
    """What Celery selected for this worker, and, where no autoscaler will say `join`, every kind it hears of.

    A worker that was started with `-Q` serves those queues and their families (what is routed to one of them
    and says what it needs), and no others.
    """

    def __init__(self, app: Any, kinds: Kinds) -> None:
        self._app = app
        self._kinds = kinds
        self.is_open = kinds.settings.control_queue is None
        """Whether there are more than Celery selected."""
        self.queues: dict[str, None] = dict.fromkeys(app.amqp.queues.consume_from)
        """In the order in which they became known."""
        has_named = has_named_queues(app)
        families = {family_of_destination(queue) for queue in self.queues}
        self._families = families if has_named else families | {""}
        self._read: queues.SimpleQueue[dict[str, Requirement]] = queues.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._ended = threading.Event()
        if self.is_open:
            declared = [] if has_named else list(kinds.settings.queues)
            self.queues.update(dict.fromkeys([*declared, *filter(self._is_for_us, self._of_tasks())]))

    def _of_tasks(self) -> list[str]:
        """The queues of the tasks that say what they need where they are defined."""
        router = self._app.amqp.router
        found = (router.queue_of_task(task) for task in self._app.tasks.values())
        return [queue for queue in found if queue is not None]

    def _is_for_us(self, queue: str) -> bool:
        return family_of(queue) in self._families

    def add(self, queue: str, requirement: Requirement) -> bool:
        """There is such a kind. Whether that was news."""
        if not self.is_open or queue in self.queues or not self._is_for_us(queue):
            return False
        self._kinds.learn(queue, requirement)
        self.queues[queue] = None
        return True

    def start_reading(self) -> None:
        """Look at the board from now on, in a thread: a broker that hangs must not stop the node."""
        if self.is_open and self._reader is None:
            self._reader = threading.Thread(target=self._keep_reading, name="board", daemon=True)
            self._reader.start()

    def stop_reading(self) -> None:
        """Look no more."""
        self._ended.set()

    def news(self) -> bool:
        """Take in what was read since the last call. Whether there was any news."""
        found = False
        while not self._read.empty():
            added = [self.add(queue, requirement) for queue, requirement in self._read.get().items()]
            found = found or any(added)
        return found

    def _keep_reading(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause * random.uniform(0.5, 1.0)):
            try:
                self._read.put(board.read(self._app))
            except Exception as error:  # noqa: BLE001 - whatever a transport raises: it is tried again
                logger.warning("the board of kinds cannot be read, a new try follows: %s", error)
            pause = min(max(OFTEN, pause * 2), SELDOM)
