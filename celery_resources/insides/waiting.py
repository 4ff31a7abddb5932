"""Ending a Redis consumer's wait early.

On Redis a worker waits for messages with one BRPOP over the queues it consumed when the wait began, for up to
a second. A queue that is added meanwhile is not heard until then, and a message that the wait has already
popped when the worker runs out of credit lies unread in the socket. `CLIENT UNBLOCK` ends the wait at once.
Other brokers push, so there is nothing to end.

The same connection bears the worker's name in the server's list (`CLIENT LIST`), so that whoever has none
there is known to take nothing.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

logger = logging.getLogger(__name__)


RELIES_ON = ("_in_poll", "client", "conn_or_acquire", "ResponseError")
"""What a channel has to have for its waits to be ended. kombu says nowhere else that its Redis transport
waits, and on which connection. Every other kind of channel lacks the first."""


def connection_name(nodename: str) -> str:
    """How the connections of this worker are called; Redis takes neither spaces nor other alphabets."""
    return "".join(c if "!" <= c <= "~" else "_" for c in nodename)


class BrokerWait:
    """The wait of one consumer's channel. Made anew for each connection."""

    def __init__(self, channel: Any, nodename: str = "") -> None:
        self._channel = channel
        self._name = connection_name(nodename)
        self.is_named = False
        """Whether the server shows the worker's name with this connection."""
        self._socket: object = None
        self._client_id: int | None = None
        self._is_redis = all(hasattr(channel, name) for name in RELIES_ON)
        self.can_unblock = self._is_redis
        """Whether this is a Redis whose waits we can end."""

    @property
    def is_on(self) -> bool:
        """Is a BRPOP under way? (While a message is being delivered it says so, wrongly.)"""
        return bool(getattr(self._channel, "_in_poll", False))

    def learn(self) -> None:
        """Ask the server for the number of the waiting connection; possible only between two waits."""
        connection = self._connection
        if connection is None or self.is_on or connection._sock is self._socket:
            return
        try:
            connection.send_command("CLIENT", "ID")
            self._client_id = int(connection.read_response())
            self._socket = connection._sock
            self._tell_name(connection)
        except self._channel.ResponseError as error:
            self._give_up(error)

    def _tell_name(self, connection: Any) -> None:
        if not self._name:
            return
        try:
            connection.send_command("CLIENT", "SETNAME", self._name)
            connection.read_response()
            self.is_named = True
        except self._channel.ResponseError as error:
            # A server may forbid the command to us.
            logger.info("the server does not let us name our connection: %s", error)
            self.is_named = False

    def end(self) -> None:
        """If the worker waits now, let the wait end at once."""
        connection = self._connection
        if connection is None or not self.is_on or connection._sock is not self._socket:
            return
        try:
            with self._channel.conn_or_acquire() as client:
                client.client_unblock(self._client_id)
        except self._channel.ResponseError as error:
            self._give_up(error)

    def check(self) -> None:
        """Raise an error of the connection if the server is gone: Redis looks connected until it is asked."""
        if self._is_redis:
            # To be refused is an answer as well.
            with contextlib.suppress(self._channel.ResponseError), self._channel.conn_or_acquire() as client:
                client.ping()

    @property
    def _connection(self) -> Any:
        if not self.can_unblock:
            return None
        client = self._channel.client
        if client.connection is None:
            # As the transport does before its first wait.
            client.connection = client.connection_pool.get_connection("_")
        # Where it keeps its socket elsewhere, it cannot be told whether it is still the one that we asked.
        return client.connection if hasattr(client.connection, "_sock") else None

    def _give_up(self, error: Exception) -> None:
        # A server may forbid the command to us. Then a new queue is heard a second later, no more.
        logger.info("the server does not let us end a wait early: %s", error)
        self.can_unblock = False
