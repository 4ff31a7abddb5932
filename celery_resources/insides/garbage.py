"""An element of a Redis list that is no message ends nobody: it is taken for an unreadable message, and told.

kombu decodes every element that it pops, and looks into it, before anybody is asked (`Channel._brpop_read`,
`virtual.Message`): one `LPUSH celery x` ends each worker that meets it. Here such an element becomes a
message of a type that nobody accepts. Celery logs and drops that, like any message that it cannot decode.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import redis as transport
from kombu.transport import virtual

logger = get_logger(__name__)

TYPE = "application/x-not-a-message"
SHOWN = 1000
"""Characters of it that the log keeps."""


@dataclass
class SetAside:
    """What this process has met that was no message."""

    count: int = 0


set_aside = SetAside()


class _NoMessage:
    """An element that is not even JSON."""

    def __init__(self, text: str) -> None:
        self.text = text


def survive_garbage() -> None:
    """From now on, in this process, for every Redis connection. May be called twice."""
    if transport.loads is _loads:
        return
    transport.loads = _loads
    transport.Channel.Message = _Message


def _loads(text: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return _kombus(text, *args, **kwargs)
    except (ValueError, RecursionError):
        return _NoMessage(text)


class _Message(virtual.Message):
    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        super().__init__(
            payload if _is_message(payload) else _in_its_place(payload), channel=channel, **kwargs
        )


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
        and _can_be_decoded(payload.get("body") or "", properties.get("body_encoding"))
    )


def _can_be_decoded(body: str, encoding: object) -> bool:
    try:
        return encoding is None or (encoding == "base64" and base64.b64decode(body) is not None)
    except ValueError:
        return False


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


_kombus = transport.loads
