"""A Redis server that stops being the master of its group loses its connections, and ends no worker.

It says so with errors that kombu takes for a defect of the worker (`channel_errors`, as of any answer that
refuses something), and each worker that waits for a message would end. Here they are what they mean, the loss
of the connection: Celery connects again until a master answers.
"""

from __future__ import annotations

from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError

UNBLOCKED, READONLY = "UNBLOCKED", "READONLY"
"""How the server begins: to one that waits for a message at that moment; to one that writes from then on."""


class NoLongerMaster(ReadOnlyError, LostConnection):
    """It takes no writes."""


def survive_failover() -> None:
    """From now on, in this process, for every Redis connection. May be called twice."""
    classes = DefaultParser.EXCEPTION_CLASSES
    classes[UNBLOCKED], classes[READONLY] = LostConnection, NoLongerMaster
