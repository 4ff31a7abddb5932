"""What lies in a queue and is no message, or no task, ends nobody: it is set aside, and told.

kombu decodes every element that it pops, and looks into it, before anybody is asked (`Channel._brpop_read`,
`virtual.Message`): one `LPUSH celery x` ends each worker that meets it. Here such an element becomes a
message of a type that nobody accepts. Celery logs and drops that, like any message that it cannot decode.

py-amqp, too, decodes what comes with a message before anybody is asked: a content type that is no UTF-8, a
table of great depth or a time that no clock has ends the worker or its connection, and the message, which was
never taken, is the next worker's. A routing key that is no UTF-8, sent to the mailbox of all, ends them all.

A message whose fields are not of the kind that Celery expects (a task's id that is a list) is one that Celery
itself stumbles over: its worker ends, the message goes back, and the next worker ends.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any

from amqp import abstract_channel, serialization
from amqp.spec import Basic
from celery.utils.log import get_logger
from kombu.transport import redis as transport
from kombu.transport import virtual

from celery_resources.insides.requests import strike_off_those_of
from redis_keeper.giving_back import heard_of_garbage

logger = get_logger(__name__)

TYPE = "application/x-not-a-message"
NO_LIMITS = [None, None]
"""As nearly every message has them."""
SHOWN = 1000
"""Characters of it that the log keeps."""


@dataclass
class SetAside:
    """What this process has met that was no message."""

    count: int = 0


set_aside = SetAside()


def survive_odd_messages(consumer: Any) -> None:
    """From now on, in this worker: a message that Celery stumbles over is dropped, with a line in the log."""
    make = consumer.create_task_handler

    def create_task_handler(*args: Any, **kwargs: Any) -> Any:
        handle = make(*args, **kwargs)
        # kombu counts a KeyError among them, and would have the message come again for ever.
        lost = tuple(error for error in _errors_of(consumer) if not issubclass(KeyError, error))

        def on_task_received(message: Any) -> Any:
            try:
                if message.headers.get("timelimit") != NO_LIMITS:
                    _check_limits(message.headers.get("timelimit"))
                return handle(message)
            except lost:
                raise
            # Whatever it is, it is this message's, and it would be that of every worker.
            except Exception as error:
                set_aside.count += 1
                logger.exception(
                    "set aside: a message that is no task (%s): headers %s, body %s",
                    *(type(error).__name__, _shown(message.headers), _shown(message.body)),
                )
                message.reject_log_error(logger, lost)
                strike_off_those_of(message)

        return on_task_received

    consumer.create_task_handler = create_task_handler


def _check_limits(limits: Any) -> None:
    """Celery reads them long after it has taken the message: in the middle of its loop. Raises TypeError."""
    if limits and not (
        isinstance(limits, list | tuple)
        and len(limits) == 2
        and all(limit is None or isinstance(limit, int | float) for limit in limits)
    ):
        raise TypeError(f"its time limits are {_shown(limits)}; two numbers of seconds would be right")


def _errors_of(consumer: Any) -> tuple[type[BaseException], ...]:
    return (*consumer.connection_errors, *consumer.channel_errors)


def _shown(value: object) -> str:
    try:
        return ascii(value)[:SHOWN]
    except RecursionError:
        return f"a {type(value).__name__} of great depth"


class _NoMessage:
    """An element that is not even JSON."""

    def __init__(self, text: str) -> None:
        self.text = text


def survive_garbage() -> None:
    """From now on, in this process, for every connection to a broker. May be called twice."""
    if _count not in heard_of_garbage:
        heard_of_garbage.append(_count)
    if transport.loads is _loads:
        return
    transport.loads = _loads
    transport.Channel.Message = _Message
    serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = _properties
    abstract_channel.loads = _arguments


def _count() -> None:
    """The transport that loses nothing sets aside by itself."""
    set_aside.count += 1


def _loads(text: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return _kombus(text, *args, **kwargs)
    except (ValueError, RecursionError):
        return _NoMessage(text)


class _Message(virtual.Message):
    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        if _is_message(payload):
            try:
                super().__init__(payload, channel=channel, **kwargs)
            except ValueError:
                # Its body is not what it says: looked at once, where kombu does that itself.
                pass
            else:
                return
        super().__init__(_in_its_place(payload), channel=channel, **kwargs)


def _is_message(payload: Any) -> bool:
    if not isinstance(payload, dict) or not isinstance(payload.get("properties"), dict):
        return False
    properties = payload["properties"]
    return (
        isinstance(properties.get("delivery_tag"), str)
        and isinstance(properties.get("delivery_info"), dict)
        and {"exchange", "routing_key"} <= properties["delivery_info"].keys()
        and isinstance(payload.get("body"), str | None)
        and isinstance(payload.get("headers"), dict | None)
        and properties.get("body_encoding") in (None, "base64")
    )


def _in_its_place(payload: Any) -> dict[str, Any]:
    said = payload.text if isinstance(payload, _NoMessage) else json.dumps(payload)
    set_aside.count += 1
    logger.error(
        "set aside: an element of a queue that is no message (%d characters): %s",
        len(said),
        ascii(said[:SHOWN]),
    )
    return {
        "body": base64.b64encode(said.encode(errors="replace")).decode(),
        "content-type": TYPE,
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": ""},
            "delivery_mode": 2,
            "priority": 0,
        },
    }


def _properties(buf: Any, offset: int) -> tuple[dict[str, Any], int]:
    """The properties and headers of an AMQP message; of one whose own cannot be read, those of no message."""
    try:
        return _amqps(buf, offset)
    # They end where their frame ends: whatever is wrong in them, it is theirs alone.
    except Exception as error:  # noqa: BLE001
        set_aside.count += 1
        shown = _shown(bytes(buf[offset : offset + SHOWN]))
        logger.error("set aside: the properties of a message cannot be read (%r): %s", error, shown)
        return {"content_type": TYPE, "content_encoding": "binary"}, len(buf)


def _arguments(format: str, buf: Any, offset: int) -> Any:
    """The arguments of an AMQP method; what is no UTF-8 in a routing key, say, becomes question marks."""
    try:
        return serialization.loads(format, buf, offset)
    except UnicodeDecodeError:
        if not set(format) <= {"s", *_SIZES}:
            raise
        readable = bytearray(buf)
        _make_readable(format, readable, offset)
        return serialization.loads(format, readable, offset)


def _make_readable(format: str, buf: bytearray, offset: int) -> None:
    """Of the same length, so that nothing moves."""
    for kind in format:
        if kind == "s":
            start, offset = offset + 1, offset + 1 + buf[offset]
            buf[start:offset] = bytes(byte if byte < 128 else ord("?") for byte in buf[start:offset])
        else:
            offset += _SIZES[kind]


_SIZES = {"b": 1, "o": 1, "B": 2, "l": 4, "L": 8}
"""Octets. Of what comes with a message: no two bits stand beside each other, which would share one."""
_kombus = transport.loads
_amqps = serialization.PROPERTY_CLASSES[Basic.CLASS_ID]
