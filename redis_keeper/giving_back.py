"""From the hash of what was delivered back into the queues, each message in one step and once.

Two may try at the same time, or the one that was thought dead settles it after all: whoever comes second
finds it gone. kombu's own watches the whole hash and begins anew with every message that anybody settles
meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from kombu.utils.json import dumps, loads

from redis_keeper.layout import Layout, consumer_of, element_of
from redis_keeper.scripts import GIVE_BACK, SET_ASIDE, SETTLE

log = logging.getLogger(__name__)

SILENCE = 600.0
"""Seconds without a word after which a consumer is dead even if its connection looks open: a machine that
vanished leaves one, and a server that was told so keeps it for ever."""
SHOWN = 1000
"""Characters of what is no message that the log keeps."""

Lookup = Callable[[str, str], Sequence[str]]

heard_of_garbage: list[Callable[[], object]] = []
"""Called for each element that this process has set aside."""


class Shelf:
    """What was delivered and not settled, in one Redis, as one app's settings call it.

    `client` makes a client of redis-py that adds no prefix. Everything raises what redis-py raises.
    """

    def __init__(self, layout: Layout, client: Callable[[], Any]) -> None:
        self.layout = layout
        self._client = client

    def settle(self, tag: str) -> None:
        """It is done with."""
        SETTLE(self._client(), [self.layout.unacked, self.layout.index], [tag])

    def give_back(self, tag: str, *, last: bool = False, lookup: Lookup | None = None, dead: str = "") -> int:
        """It is next in its queue, or the last one, marked as redelivered: 1; 0 if it was settled meanwhile.

        `lookup` finds the queues of what another transport has delivered. `dead`: only if this consumer is
        so; -1 if it lives.
        """
        client, names = self._client(), self.layout
        entry = client.hget(names.unacked, tag)
        if entry is None:
            client.zrem(names.index, tag)
            return 0
        try:
            message, exchange, routing_key = loads(entry.decode())
            queues = [routing_key] if not exchange else (lookup or _nowhere)(exchange, routing_key)
            again = dumps(_redelivered(message))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is of what lies there
            return self._no_message(tag, entry, error)
        if not queues:
            log.error("kept: the message %s, of which the exchange %r knows no queue", tag, exchange)
            return 0
        keys = [names.consumers, names.unacked, names.index]
        for queue in queues:
            keys += [names.list_of(message, queue), names.wake(queue)]
        push = "LPUSH" if last else "RPUSH"
        arguments = [tag, entry, again, push, dead, names.alive(dead), SILENCE]
        return int(GIVE_BACK(client, keys, arguments))

    def refuse(self, tag: str) -> int:
        """The answer to a fetch was lost: give back what it took, or let it take nothing any more."""
        # Long enough for whatever may still lie in a socket.
        self._client().set(self.layout.refused(tag), "1", ex=86_400)
        return self.give_back(tag)

    def set_aside(self, tag: str, queue: str, element: bytes, why: Exception) -> None:
        """This is no message: nobody is to meet it again."""
        names = self.layout
        keys = [names.unacked, names.index, names.set_aside(queue)]
        SET_ASIDE(self._client(), keys, [tag, element])
        log.error(
            "set aside into %s: an element of the queue %r that is no message (%s: %s), %d bytes: %s",
            *(names.set_aside(queue), queue, type(why).__name__, why, len(element)),
            ascii(element[:SHOWN]),
        )
        for hear in heard_of_garbage:
            hear()

    def tags_of(self, consumer: str) -> list[str]:
        """What this consumer has fetched and not settled."""
        found = self._client().hscan_iter(self.layout.unacked, match=f"{consumer}:*", count=1000)
        return sorted(tag.decode() for tag, _ in found)

    def _no_message(self, tag: str, entry: bytes, why: Exception) -> int:
        if consumer_of(tag) is None:
            log.error("kept: what lies under %s is no entry of kombu (%s)", tag, why)
            return 0
        element, queue = element_of(entry)
        self.set_aside(tag, queue, element, why)
        return 1


def _nowhere(exchange: str, routing_key: str) -> Sequence[str]:
    return ()


def _redelivered(message: Any) -> Any:
    """As kombu marks it."""
    properties = message["properties"]
    return {
        **message,
        "headers": {**(message.get("headers") or {}), "redelivered": True},
        "properties": {
            **properties,
            "delivery_info": {**properties["delivery_info"], "redelivered": True},
        },
    }
