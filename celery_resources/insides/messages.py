"""What kombu keeps with a message, and Celery with its queues and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kombu.transport.virtual import QoS as VirtualQoS


def put_in_front(message: Any) -> bool:
    """Give a message back so that it is the next of its queue, and let everybody here know.

    False, and nothing is done, where the broker does that by itself or the transport cannot.

    On Redis `reject(requeue=True)` puts it behind everything that waits; only the transport's own
    `restore_by_tag` takes an end of the list.
    """
    qos: Any = getattr(message.channel, "qos", None)
    if not hasattr(qos, "restore_by_tag"):
        return False
    qos.restore_by_tag(message.delivery_tag, leftmost=False)
    # Redis has forgotten it; now the channel's own list must, or it would be restored once more.
    VirtualQoS.ack(qos, message.delivery_tag)
    message._state = "REQUEUED"
    return True


def has_named_queues(app: Any) -> bool:
    """The worker was started with `-Q`; the public `consume_from` is all queues where it was not."""
    return app.amqp.queues._consume_from is not None


def task_of(app: Any, name: str) -> Any | None:
    """The task of this name, as far as it is known now; the public `app.tasks` finalizes a half-made app."""
    return app._tasks.get(name)


def bound_exchanges(channel: Any) -> Iterator[str]:
    """The exchanges that queues were ever bound to, on Redis, which has no other list; elsewhere none.

    A derived queue's exchange has its name.
    """
    pattern = getattr(channel, "keyprefix_queue", None)
    if pattern is None or not hasattr(channel, "conn_or_acquire"):
        return
    before = (getattr(channel, "global_keyprefix", "") or "") + pattern % ""
    with channel.conn_or_acquire() as client:
        for key in client.scan_iter(match=f"{before}*", count=1000):
            text = key.decode() if isinstance(key, bytes) else key
            yield text.removeprefix(before)
