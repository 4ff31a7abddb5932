"""A connection for a few words, on which nobody waits for ever.

RabbitMQ in an alarm (too little memory or disk) takes what is published and reads no further from whoever
has published. Celery's own sending asks for no answer, and goes on; whoever waits for one, or says goodbye in
the polite way, waits until the alarm is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError

WORD = 5.0
"""Seconds within which the broker has to answer."""


class NoWord(OperationalError):
    """The broker was sent something and does not say that it has it."""

    def __init__(self) -> None:
        super().__init__(f"the broker gives no answer for {WORD:g} s (an alarm: too little memory or disk?)")


@contextmanager
def brief_connection(app: Any) -> Iterator[Connection]:
    """A connection to publish on, closed at the end. Raises NoWord where a wait on it lasts too long."""
    connection = app.connection_for_write()
    try:
        yield connection
    except (TimeoutError, NoWord) as error:
        # Without a goodbye: it would be waited for as well.
        connection.collect()
        raise error if isinstance(error, NoWord) else NoWord from error
    except BaseException:
        connection.release()
        raise
    connection.release()


def bound_waiting(connection: Connection) -> None:
    """Let no answer be waited for longer than it may take: TimeoutError then. To be done for each connection
    that is made; Redis is not waited for.
    """
    sock = getattr(connection.connection, "sock", None)
    if sock is not None:
        sock.settimeout(WORD)
