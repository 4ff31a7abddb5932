"""What came over a Redis connection outlives it: it is acknowledged over the next one.

Redis keeps what was delivered under a tag, and the tag is all that is needed to acknowledge it, over whatever
connection. kombu binds it to the channel that it came by. When the connection is lost, it gives everything
back that this channel has delivered, what runs as well, over a connection that it makes for that:
where the server is there again, what runs here runs once more elsewhere; where it is not, a worker of Celery
5.7 ends in the attempt, and earlier ones run it twice when its visibility timeout is over. And what ends
while there is no connection is acknowledged to nobody: it counts against the credit for ever, and a worker
whose credit that uses up never takes a message again, nor does it notice that its connection is lost.

So here kombu gives nothing back. What runs is taken over by the next channel, what has ended meanwhile is
acknowledged there, and what has not begun goes back to the front of its queue. And an acknowledgement that
fails is the end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from kombu.transport import redis as transport
from kombu.transport.virtual import QoS as VirtualQoS


class Deliveries:
    """The messages of one worker that are not settled, over all its connections. Also their channel, for as
    long as they have none. On brokers that take back themselves what a lost connection had, it does nothing.
    """

    no_ack_consumers = None
    """What kombu asks a channel before it acknowledges."""

    def __init__(self, consumer: Any) -> None:
        """From now on Celery's consumer tells when a connection of its is lost."""
        self._consumer = consumer
        self._after_loss = consumer.on_connection_error_after_connected
        consumer.on_connection_error_after_connected = self._lost
        self._channel: Any = None
        self._kept: dict[str, Any] = {}
        """Messages by tag, between two connections."""
        self._owed: dict[str, Callable[[Any], None]] = {}
        """By tag, what the broker has not heard yet of how a message was settled."""

    def __len__(self) -> int:
        return len(self._kept)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge it when there is a connection."""
        self._owed[delivery_tag] = partial(_ack, tag=delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject it then."""
        self._owed[delivery_tag] = partial(_reject, tag=delivery_tag, requeue=requeue)

    def _lost(self, error: Exception) -> None:
        """Before Celery closes what is left of it."""
        if self._consumer.task_consumer is not None:
            self.leave(self._consumer.task_consumer.channel)
        self._after_loss(error)

    def leave(self, channel: Any) -> None:
        """The connection of this channel is lost: it gives nothing back, and nobody uses it any more."""
        qos, self._channel = _qos_of(channel), None
        if qos is None:
            return
        for tag, message in list(qos._delivered.items()):
            if tag not in qos._dirty:
                message.channel = self
                self._kept[tag] = message
        qos._delivered.clear()

    def come_to(self, channel: Any, running: Collection[str]) -> int:
        """There is a new channel: settle what is to be settled, take over what is `running` (tags), give back
        the rest; how many that were. Raises what redis-py raises; then it is to be called again.
        """
        qos = _qos_of(channel)
        if qos is None:
            # Another broker: the URL may name several.
            self._kept.clear()
            self._owed.clear()
            return 0
        for tag in list(self._owed):
            self._owed[tag](qos)
            self._owed.pop(tag)
            self._kept.pop(tag, None)
        back = 0
        for tag, message in list(self._kept.items()):
            message.channel = channel
            if tag in running:
                VirtualQoS.append(qos, message, tag)
            else:
                qos.restore_by_tag(tag, leftmost=False)
                back += 1
            del self._kept[tag]
        # What is settled as the connection breaks is to be known as well.
        qos.ack, qos.reject = partial(self._try, qos.ack, _ack), partial(self._try, qos.reject, _reject)
        self._channel = channel
        return back

    def _try(
        self, settle: Callable[..., None], again: Callable[..., None], delivery_tag: str, **how: Any
    ) -> None:
        self._owed[delivery_tag] = partial(again, tag=delivery_tag, **how)
        try:
            settle(delivery_tag, **how)
        except self._consumer.connection_errors as error:
            # Whoever acknowledges only logs it, and the loop may have nothing to read that would tell.
            if self._channel is not None and self._consumer.hub is not None:
                # By a timer: what is to be called soon is a batch, and an error in it loses the rest, other
                # acknowledgements say.
                self._consumer.hub.call_later(0.0, self._end, self._channel, error)
            raise
        self._owed.pop(delivery_tag, None)

    def _end(self, channel: Any, error: Exception) -> None:
        """In the event loop: Celery connects anew, unless it has already."""
        if channel is self._channel:
            raise error


def _ack(qos: Any, tag: str) -> None:
    qos.ack(tag)


def _reject(qos: Any, tag: str, requeue: bool = False) -> None:
    qos.reject(tag, requeue=requeue)


def _qos_of(channel: Any) -> Any | None:
    qos = getattr(channel, "qos", None)
    return qos if isinstance(qos, transport.QoS) else None
