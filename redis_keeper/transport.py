"""The transport: kombu's, but for how a message is fetched and what it is to wait for one.

kombu's waits in BRPOP over the lists of its queues, and what it is given exists nowhere else until it is
written down. A script can fetch and write down in one step, but cannot wait. So there are two commands on the
one connection that kombu watches: the script, as long as it finds something; and when it finds nothing, BRPOP
over a list of *tokens* for each queue. Whoever puts a message into a queue leaves a token, and so does who
fetches one and leaves more: a token wakes one of those that wait, and then the script is asked again. A token
may be lost with whoever took it, or never be left where the producer is a stock one: the wait lasts a second
at most.

kombu calls both of them its BRPOP; every private name of it that is used here is in the canary's table,
`tests/unit/redis_keeper`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from queue import Empty
from time import monotonic
from typing import Any

import redis
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from redis_keeper.layout import Layout, ending
from redis_keeper.pulse import PATIENCE, Pulse, pulse_of
from redis_keeper.qos import QoS
from redis_keeper.scripts import PUT, TAKE, TAKEN

LONGEST_WAIT = 1.0
"""Seconds. Who was not woken looks all the same."""


class NotAMessage(ValueError):
    """What lay in a queue has not the shape of a message of kombu."""


class Message(virtual.Message):
    """kombu's, which says with one error whatever it stumbles over."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **kwargs)
            # What every one of them is asked for later.
            _ = self.delivery_info["exchange"], self.delivery_info["routing_key"]
            if not isinstance(self.headers, dict):
                raise TypeError(f"its headers are {type(self.headers).__name__}")
        except Exception as error:
            raise NotAMessage(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Ask:
    """A fetch that was sent."""

    tag: str
    queues: Sequence[str]
    endings: Sequence[str]
    """Of each queue; empty where nobody will acknowledge."""


class Keeping:
    """What is different about a channel."""

    QoS = QoS
    Message = Message
    _look = True
    """Whether there may be something: the next command is the script."""
    _asked: Ask | None = None
    _pulse: Pulse | None = None
    _client_of: Any = None
    _own_client: Any = None

    # Of kombu's channel, which this is mixed into.
    ack_emulation: bool
    connection: Any
    client: Any
    pool: Any
    active_queues: list[str]
    _expires: dict[str, int]
    _connparams: Any

    # -- the parts --------------------------------------------------------------------------------------

    @cached_property
    def layout(self) -> Layout:
        """The names of its keys."""
        return Layout.of(self)

    @property
    def pulse(self) -> Pulse:
        """This process as a consumer of this broker."""
        if self._pulse is None or self._pulse.process != os.getpid():
            url = self.connection.client.as_uri()
            key = (type(self), url, getattr(self, "master_name", ""), self.layout)
            self._pulse = pulse_of(key, lambda: Pulse(self.layout, self._own_pool()))
        return self._pulse

    def _plain(self) -> Any:
        """A client that adds no prefix: scripts are given whole names."""
        if self._client_of is not self.pool:
            self._client_of, self._own_client = self.pool, redis.Redis(connection_pool=self.pool)
        return self._own_client

    def _own_pool(self) -> Any:
        """Of the pulse, which outlives this channel."""
        theirs = self._connparams

        def parameters(*args: Any, **kwargs: Any) -> dict[str, Any]:
            found = theirs(*args, **kwargs)
            for option in ("socket_timeout", "socket_connect_timeout"):
                found[option] = found.get(option) or PATIENCE
            # Every thread of this process settles over it. And with protocol 2 what the server tells of
            # changes is a message, to who listens to messages.
            return {**found, "max_connections": 1000, "protocol": 2}

        self._connparams = parameters
        try:
            return self._get_pool()  # type: ignore[attr-defined]
        finally:
            del self._connparams

    # -- consuming --------------------------------------------------------------------------------------

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> Any:
        if self.ack_emulation:
            self.connection.unacknowledged[queue] = no_ack
            if not no_ack:
                self.pulse.serve(self)
            self._look = True
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)  # type: ignore[misc]

    def _ask(self, queues: Sequence[str], no_ack: Sequence[bool], waits: Callable[[], bool]) -> Ask:
        tag = self.pulse.ask(waits)
        return Ask(tag, queues, ["" if never else ending(q) for q, never in zip(queues, no_ack, strict=True)])

    def _take(self, ask: Ask) -> tuple[list[str], list[Any]]:
        """Keys and arguments of the script."""
        names, pulse = self.layout, self.pulse
        keys = [names.unacked, names.index, names.consumers, names.refused(ask.tag)]
        keys += [names.wake(queue) for queue in ask.queues]
        keys += names.lists(ask.queues)
        return keys, [ask.tag, pulse.consumer, len(ask.queues), *ask.endings]

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self.ack_emulation:
            super()._brpop_start(*(() if timeout is None else (timeout,)))  # type: ignore[misc]
            return
        queues = self._queue_cycle.consume(len(self.active_queues))  # type: ignore[attr-defined]
        if not queues:
            return
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if self._look:
            never = [self.connection.unacknowledged.get(queue, False) for queue in queues]
            self._asked = self._ask(list(queues), never, _waiting(self, connection))
            command = TAKE.command(*self._take(self._asked))
        else:
            self._asked = None
            names = self.layout
            # An option since kombu 5.6.
            theirs = getattr(self.connection, "brpop_timeout", None)
            wait = min(theirs or LONGEST_WAIT, LONGEST_WAIT)
            command = ["BRPOP", *(names.wake(queue) for queue in queues), wait]
        connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        if not self.ack_emulation:
            return bool(super()._brpop_read(**options))  # type: ignore[misc]
        connection, asked = self.client.connection, self._asked
        try:
            try:
                answer = self.client.parse_response(connection, "EVALSHA" if asked else "BRPOP", **options)
            except redis.exceptions.NoScriptError:
                self._plain().script_load(TAKE.text)
                self._answered(asked)
                raise Empty from None
            except self.connection_errors:  # type: ignore[attr-defined]
                # The fetch may have been done: the pulse finds out.
                connection.disconnect()
                raise
            if asked is None:
                self._look = True
                raise Empty
            found = self._found(asked, answer)
            self._look = found is not None
            if found is None:
                raise Empty
            queue, element, is_written = found
            self._queue_cycle.rotate(queue)  # type: ignore[attr-defined]
            self._deliver(asked.tag if is_written else "", queue, element)
            return True
        finally:
            self._in_poll = self._asked = None
            # Since kombu 5.6: the moment at which the connection can be given new credentials.
            getattr(self, "_flush_brpop_reauth", _nothing)()

    def _poll_error(self, type: str, **options: Any) -> None:
        if type == "LISTEN" or not self.ack_emulation:
            super()._poll_error(type, **options)  # type: ignore[misc]
        else:
            self._brpop_read()

    def _found(self, asked: Ask, answer: Any) -> tuple[str, bytes, bool] | None:
        """Queue, element, and whether it is written down under our name."""
        if not answer:
            self._answered(asked)
            return None
        if answer[0] != TAKEN:
            return None  # sent twice: the pulse gives back what the first one took
        _, number, element = answer
        is_written = bool(asked.endings[number])
        self.pulse.answered(asked.tag, holds=is_written)
        return asked.queues[number], element, is_written

    def _answered(self, asked: Ask | None) -> None:
        if asked is not None:
            self.pulse.answered(asked.tag, holds=False)

    def _deliver(self, tag: str, queue: str, element: bytes) -> None:
        try:
            self.connection._deliver(_payload(element, tag), queue)
        except NotAMessage as error:
            self._set_aside(tag, queue, element, error)

    def _set_aside(self, tag: str, queue: str, element: bytes, why: Exception) -> None:
        pulse = self.pulse
        try:
            pulse.shelf.set_aside(tag, queue, element, why)
        except self.connection_errors:  # type: ignore[attr-defined]
            pulse.owe(tag, lambda: pulse.shelf.set_aside(tag, queue, element, why))
            raise
        pulse.settled(tag)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        if not self.ack_emulation:
            return super().basic_get(queue, no_ack=no_ack, **kwargs)  # type: ignore[misc]
        self.pulse.serve(self)
        while True:
            asking = [True]
            asked = self._ask([queue], [no_ack], lambda: bool(asking))  # noqa: B023 (each has its own)
            try:
                found = self._found(asked, TAKE(self._plain(), *self._take(asked)))
            finally:
                asking.clear()
            self._renew_expiry(queue)
            if found is None:
                return None
            _, element, is_written = found
            tag = asked.tag if is_written else ""
            try:
                message = self.Message(_payload(element, tag), channel=self)
            except NotAMessage as error:
                self._set_aside(tag, queue, element, error)
                continue
            if not no_ack:
                self.qos.append(message, message.delivery_tag)  # type: ignore[attr-defined]
            return message

    def _renew_expiry(self, queue: str) -> None:
        """A queue that is looked into is in use (since kombu 5.6)."""
        if getattr(self, "_expires", None):
            with self.conn_or_acquire() as client:  # type: ignore[attr-defined]
                self._maybe_update_queues_expire(client, queue)  # type: ignore[attr-defined]

    # -- putting ----------------------------------------------------------------------------------------

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        names = self.layout
        token = names.wake(queue)
        batch = kwargs.get("_publish_batch")
        if batch is not None:
            super()._put(queue, message, **kwargs)  # type: ignore[misc]
            token = token.removeprefix(names.prefix)
            for command in (("lpush", token, "1"), ("ltrim", token, 0, 0), ("expire", token, 10)):
                batch.add(*command)
        elif getattr(self, "_expires", None) and queue in self._expires:
            super()._put(queue, message, **kwargs)  # type: ignore[misc]
        else:
            try:
                PUT(self._plain(), [names.list_of(message, queue), token], [dumps(message)])
            except redis.exceptions.NoPermissionError:
                # Who may do no more than put: whoever waits sees it within a second.
                super()._put(queue, message, **kwargs)  # type: ignore[misc]

    # -- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        pulse = self.pulse if self.ack_emulation and self.connection is not None else None
        super().close()  # type: ignore[misc]
        if pulse is not None:
            pulse.leave(self)


def _waiting(channel: Keeping, connection: Any) -> Callable[[], bool]:
    """Whether this channel still waits for an answer over this connection."""
    there = weakref.ref(channel)

    def waits() -> bool:
        found = there()
        return found is not None and getattr(found, "_in_poll", None) is connection

    return waits


def _payload(element: bytes, tag: str) -> Any:
    """The message, under the tag by which it was fetched: one that came to several queues has one of its own
    in each. Raises NotAMessage.
    """
    try:
        payload = loads(bytes_to_str(element))
        if tag:
            payload["properties"]["delivery_tag"] = tag
    except Exception as error:
        raise NotAMessage(f"{type(error).__name__}: {error}") from error
    return payload


def _nothing() -> None:
    pass


class Channel(Keeping, stock.Channel):
    """A channel to one server."""


class SentinelChannel(Keeping, stock.SentinelChannel):
    """A channel to the server that Sentinel says leads."""


class Transport(stock.Transport):
    """For `redis://` and `rediss://`."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unacknowledged: dict[str, bool] = {}
        """By queue, whether its consumer never acknowledges."""


class SentinelTransport(Transport, stock.SentinelTransport):
    """For `sentinel://`."""

    Channel = SentinelChannel
