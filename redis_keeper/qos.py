"""What a channel has delivered and what becomes of it, each settled in one step by its tag."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import time
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual

from redis_keeper.giving_back import Shelf
from redis_keeper.layout import consumer_of


class QoS(stock.QoS):
    """kombu's, without its second step."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """It is delivered. What we fetched is written down already."""
        if self.channel.pulse.holds(delivery_tag):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            # By someone who had said that nobody would acknowledge, say.
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """It is done."""
        self._settle(delivery_tag, lambda shelf: shelf.settle(delivery_tag))
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """It is not: away with it, or to the end of its queue, as kombu has it."""
        if requeue:
            self.restore_by_tag(delivery_tag, leftmost=True)
        else:
            self._settle(delivery_tag, lambda shelf: shelf.settle(delivery_tag))
        virtual.QoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """To the end of its queue that is next, or (`leftmost`) the last one."""
        self._settle(tag, lambda shelf: shelf.give_back(tag, last=leftmost, lookup=self.channel._lookup))

    def restore_unacked(self, client: Any = None) -> None:
        """All of it, as the channel closes."""
        for tag in list(self._delivered):
            try:
                self.restore_by_tag(tag)
            except self.channel.connection_errors:
                continue  # owed, and others' turn
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """What other transports have delivered longer ago than the visibility timeout. Ours is given back
        when who has it is dead, and not by time.
        """
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        with self.channel.conn_or_acquire() as client:
            try:
                with stock.Mutex(client, self.unacked_mutex_key, self.unacked_mutex_expire):
                    late = client.zrange(
                        *(self.unacked_index_key, time() - self.visibility_timeout, 0),
                        desc=True,
                        byscore=True,
                        **({"offset": start, "num": num} if num else {}),
                    )
                    for tag in (each.decode() for each in late):
                        owner = consumer_of(tag)
                        self.channel.pulse.shelf.give_back(tag, lookup=self.channel._lookup, dead=owner or "")
            except stock.MutexHeld:
                return

    def _settle(self, tag: str, settle: Callable[[Shelf], object]) -> None:
        # Not over the channel's own connections: it may be closed, as Celery closes it under its tasks.
        pulse = self.channel.pulse
        try:
            settle(pulse.shelf)
        except self.channel.connection_errors:
            # Nobody gives back by time what a process has that lives: it has to be told.
            pulse.owe(tag, partial(settle, pulse.shelf))
            raise
        pulse.settled(tag)
