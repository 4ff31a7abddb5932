"""Which queues the worker consumes now, and how many more messages the broker may send it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from typing import Any

from celery.utils.log import get_logger

from celery_resources.insides.consuming import name_queues
from celery_resources.insides.unwaited import Unwaited
from celery_resources.insides.waiting import BrokerWait

logger = get_logger(__name__)

SETTLE = 0.02
"""Least seconds between two additions while tasks run, or a node of tiny tasks would do nothing but that."""

LONGEST_QUIET = 1.0
"""Most seconds for which a node at work leaves a queue that brought nothing; the first time: `SETTLE`."""

LATELY = 2.0
"""Seconds for which a queue that brought a message is taken to have more."""

REBIND = 5.0
"""Seconds after which at the latest a queue that was consumed anew is bound again, in case it was deleted."""

PLENTY = 0xFFFF
"""A credit that nothing runs into."""


class Subscriptions:
    """The consumed queues and the credit of one worker. `choose` decides, `apply` tells the broker.

    On Redis and on classic RabbitMQ queues there is one credit for all queues, and it can be changed at any
    time. Quorum queues know a credit only per consumer, fixed when it begins: there, a consumer that has
    used up its credit is replaced while there is room, and one whose kind does not fit is always cancelled.
    """

    def __init__(self, consumer: Any, changed: Callable[[], None]) -> None:
        """`changed` is called when the broker has ended one: it is to be chosen and applied anew."""
        self._consumer = consumer
        self._changed = changed
        self.active: set[str] = set()
        """The queues consumed now."""
        self._wait: BrokerWait | None = None
        self._unwaited: Unwaited | None = None
        self._leaves_all = self._has_left = False
        self._drop: set[str] = set()
        self._add: set[str] = set()
        self._declared: set[str] = set()
        self._unsure: set[str] = set()
        self._bound_at = 0.0
        self._added_at = 0.0
        self.postponed = 0.0
        """Seconds after which to choose again, because something is to be added then; 0 if nothing is."""
        self._heard: dict[str, float] = {}
        """When a queue brought a message last (monotonic)."""
        self._waited_for: set[str] = set()
        """The queues that had messages when that was looked at last."""
        self._quiet: dict[str, tuple[float, float]] = {}
        """What was added, brought nothing and was dropped again: until when it is left alone (monotonic), and
        for how many seconds it was."""
        self._backed_off = False
        self.room = 0
        """How many messages more there is room for."""
        self.is_per_consumer = False
        """Is there a credit for each queue, that nobody can change, instead of one for all?"""
        self._credits: dict[str, int] = {}

    def connected(self) -> None:
        """A new connection: Celery has set up a consumer with the queues that are selected in the app."""
        task_consumer = self._consumer.task_consumer
        task_consumer.auto_declare = False
        self.active = {queue.name for queue in task_consumer.queues}
        self._declared = set(self.active)
        self._unsure.clear()
        self._heard.clear()
        self._waited_for.clear()
        self._quiet.clear()
        self._added_at = 0.0
        self.is_per_consumer = _has_credit_per_consumer(self._consumer)
        self._unwaited = Unwaited(task_consumer.channel, self._lost)
        self._has_left = False
        self._credits = dict.fromkeys(self.active, 1) if self.is_per_consumer else {}
        name_queues(task_consumer.channel, self._heard, self._credits)
        self._wait = BrokerWait(task_consumer.channel, self._consumer.hostname)
        self._wait.learn()

    def back_off(self) -> None:
        """A message was kept for too long: consume nothing that does not fit, even if nothing else does."""
        self._backed_off = True

    def waiting(self, depths: Mapping[str, int]) -> None:
        """So many messages are in these queues: what has any is not left alone for having brought none."""
        self._waited_for = {queue for queue, depth in depths.items() if depth}
        for queue in self._waited_for:
            self._quiet.pop(queue, None)

    def quiet_until(self, queue: str) -> float:
        """Until when it is left alone (monotonic), 0 if it is not."""
        return self._quiet.get(queue, (0.0, 0.0))[0]

    def choose(self, *, allowed: Set[str], fitting: set[str], idle: bool, rested: bool = False) -> None:
        """Decide what is consumed, of the `allowed` queues, given those that fit now.

        `idle`: nothing runs at present. `rested`: and that is so for a while.
        """
        self.postponed = 0.0
        self._leaves_all = not allowed and not self._has_left
        self._has_left = not allowed
        if fitting:
            self._backed_off = False
            self._drop = self.active - fitting
            kept = self.active - self._drop
            self._add = self._to_add(fitting - kept, kept, idle=idle, rested=rested)
        else:
            # Full. Stopping the credit is enough, and cheaper than to cancel everything and come back.
            lazy = not (self._backed_off or self.is_per_consumer)
            self._drop = self.active - allowed if lazy else set(self.active)
            self._add = set()
        self.active = (self.active - self._drop) | self._add
        self._note_quiet(self._drop & allowed)

    def _to_add(self, wanted: set[str], kept: set[str], *, idle: bool, rested: bool) -> set[str]:
        """Those of the wanted that are consumed from now on; the others are `postponed`."""
        if not wanted or rested:
            return wanted
        now = time.monotonic()
        settled = now if idle or not kept else self._added_at + SETTLE
        when = {queue: max(settled, self.quiet_until(queue)) for queue in wanted}
        due = {queue for queue in wanted if when[queue] <= now}
        if not (due or kept):
            # Nothing else would come.
            return wanted
        self.postponed = min((when[queue] - now for queue in wanted - due), default=0.0)
        return due

    def _note_quiet(self, dropped: set[str]) -> None:
        """What is dropped because it does not fit, and brought nothing, is most likely empty: to consume it
        again whenever it fits for a moment would be the most that a node of small tasks does.
        """
        now = time.monotonic()
        for queue in dropped - self._waited_for:
            before = self._quiet.pop(queue, (0.0, 0.0))[1]
            if now - self._heard.get(queue, -LATELY) >= LATELY:
                pause = min(2 * before or SETTLE, LONGEST_QUIET)
                self._quiet[queue] = (now + pause, pause)

    def apply(self, credit: int, room: int, *, now_consuming: bool = True) -> bool:
        """Tell the broker: `credit` messages may be here unacknowledged, `room` of them may yet come.

        True if that is more than before.
        """
        assert self._wait is not None
        assert self._unwaited is not None
        drop, add, self._drop, self._add = self._drop, self._add, set(), set()
        if self.is_per_consumer:
            self._apply_per_consumer(drop, add, room, now_consuming)
            self._leave_all()
            return False
        self._wait.learn()
        if add:
            self._wait.end()
        self.room = room
        for queue in drop:
            self._cancel(queue)
        if not self.active and self._wait.can_unblock:
            # Nothing new is asked for; a message that a wait has popped already may still come back.
            credit = PLENTY
        # 0 would mean no limit at all.
        credit = max(credit, 1)
        more = bool(add) or credit > (self._consumer.qos.prev or 0)
        self._set_credit(credit)
        for queue in add:
            self._consume(queue, now_consuming)
        self._leave_all()
        return more

    def _leave_all(self) -> None:
        if self._leaves_all and self._unwaited is not None:
            # What is on its way is to come before anybody is told that nothing is left here.
            self._leaves_all = False
            self._unwaited.catch_up()

    def _apply_per_consumer(self, drop: set[str], add: set[str], room: int, now_consuming: bool) -> None:
        spent = {queue for queue in self.active - add if room and self._credits.get(queue, 0) <= 0}
        for queue in drop | spent:
            self._cancel(queue)
        if add or spent:
            self._set_credit(max(room, 1))
        for queue in add | spent:
            # One that is replaced is there: RabbitMQ would have ended its consumer.
            self._consume(queue, now_consuming, is_there=queue in spent)
            self._credits[queue] = max(room, 1)

    @property
    def is_stuck(self) -> bool:
        """A wait goes on, begun while there was room for a message, and now there is none."""
        return not self.room and bool(self.active) and self._wait is not None and self._wait.is_on

    @property
    def is_named(self) -> bool:
        """Does the server's list of connections show this worker's name?"""
        return self._wait is not None and self._wait.is_named

    @property
    def is_connected(self) -> bool:
        """Can what is still here be brought back to the broker?"""
        connection = self._consumer.connection
        if self._wait is None or connection is None or not connection.connected:
            return False
        try:
            self._wait.check()
        except self._consumer.connection_errors as error:
            logger.warning("the broker does not answer: %s", error)
            return False
        return True

    @property
    def credit_was_moved(self) -> bool:
        """Somebody else changed the credit since `apply`, where that means anything."""
        qos = self._consumer.qos
        if self.is_per_consumer:
            qos.value = qos.prev
        return bool(qos.value != qos.prev)

    def _set_credit(self, credit: int) -> None:
        qos = self._consumer.qos
        qos.value = credit
        if qos.prev != credit:
            qos.update()

    def _cancel(self, name: str) -> None:
        self._consumer.app.amqp.queues.deselect(name)
        self._consumer.task_consumer.cancel_by_queue(name)
        self._credits.pop(name, None)

    def _consume(self, name: str, now_consuming: bool, *, is_there: bool = False) -> None:
        assert self._unwaited is not None
        queues, task_consumer = self._consumer.app.amqp.queues, self._consumer.task_consumer
        queue = task_consumer.add_queue(queues.select_add(queues[name]))
        if self._unwaited.is_on:
            # Each time: somebody may have deleted it since it was last consumed. To bind it is a transaction
            # of the whole RabbitMQ cluster, and Celery nearly always sends to the queue itself: it waits.
            if not is_there:
                self._unwaited.declare(queue, bind=name not in self._declared)
                (self._unsure if name in self._declared else self._declared).add(name)
        elif name not in self._declared:
            # Elsewhere this costs round trips, and a queue is no more than its messages.
            queue.declare()
            self._declared.add(name)
        self._added_at = time.monotonic()
        if now_consuming:
            self._unwaited.consume(task_consumer)

    def bind_again(self) -> None:
        """To be called now and then: a queue that was deleted and is there again may lack its bindings."""
        now, task_consumer = time.monotonic(), self._consumer.task_consumer
        if self._unsure and now >= self._bound_at + REBIND and task_consumer is not None:
            assert self._unwaited is not None
            self._bound_at = now
            for queue in task_consumer.queues:
                if queue.name in self._unsure:
                    self._unwaited.declare(queue)
                    self._unsure.discard(queue.name)

    def _lost(self, name: str) -> None:
        logger.warning("the broker ended the consumer of queue %s: was it deleted? It is made again", name)
        self._cancel(name)
        self.active.discard(name)
        self._declared.discard(name)
        self._changed()


def _has_credit_per_consumer(consumer: Any) -> bool:
    """Did Celery, when it set up this connection, choose a credit for each queue that nobody can change?"""
    driver = consumer.connection.transport.driver_type
    if driver != "amqp":
        return False
    if hasattr(consumer, "qos_global"):
        return consumer.qos_global is False
    # Until 5.6 it keeps to itself what it chose; so decide as it did.
    if not consumer.app.conf.worker_detect_quorum_queues:
        return False
    from celery.utils.quorum_queues import detect_quorum_queues

    return bool(detect_quorum_queues(consumer.app, driver)[0])
