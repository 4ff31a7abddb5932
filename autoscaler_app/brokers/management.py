"""RabbitMQ's management plugin, asked for the one number that AMQP does not tell.

It may be up to 5 seconds old: the server counts at an interval of its own (`collect_statistics_interval`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import msgspec
from celery import Celery

from autoscaler_app.brokers.connection import Deadline
from autoscaler_app.brokers.errors import BrokerUnreachable, CountUnknown
from autoscaler_app.schedule import CONTROL_QUEUE, NOTES_QUEUE
from scalelib.errors import InvalidConfig

VARIABLE = "AUTOSCALER_RABBITMQ_MANAGEMENT_URL"
"""Environment variable with the whole URL, user and password included; it comes before the setting."""

SETTING = "autoscaler.rabbitmq_management_url"

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. A queue is about 100."""


class Management:
    """The plugin of one server, as one user sees one virtual host."""

    def __init__(self, url: str, *, vhost: str, login: tuple[str, str], timeout: float) -> None:
        """`url` is without user and password, `timeout` seconds for a whole answer."""
        self._where, self._vhost, self._login, self._timeout = url, vhost, login, timeout

    def unacked(self) -> int:
        """Messages delivered and not acknowledged, over all queues but our own.

        A queue that was declared a moment ago and is not in the statistics yet counts as having none. Raises
        CountUnknown.
        """
        queues = self._queues()
        counts = {
            queue.get("name"): int(queue["messages_unacknowledged"])
            for queue in queues
            if "messages_unacknowledged" in queue
        }
        if queues and not counts:
            raise CountUnknown(
                f"{self._where} knows {len(queues)} queues and no number of any (is its collection of "
                "statistics switched off?)"
            )
        for own in (CONTROL_QUEUE, NOTES_QUEUE):
            counts.pop(own, None)
        return sum(counts.values())

    def _queues(self) -> list[Mapping[str, Any]]:
        path = f"/api/queues/{quote(self._vhost, safe='')}"
        try:
            content = self._get(path, Deadline(self._timeout, f"reading {self._where}"))
            return msgspec.json.decode(content, type=list[dict[str, Any]])
        except msgspec.DecodeError as error:
            raise CountUnknown(f"{self._where} answered what is no list of queues: {error}") from error
        except BrokerUnreachable as error:
            raise CountUnknown(str(error)) from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise CountUnknown(f"no answer from {self._where}: {reason}") from error

    def _get(self, path: str, deadline: Deadline) -> bytes:
        with (
            httpx.Client(
                auth=httpx.BasicAuth(*self._login),
                timeout=deadline.seconds,
                trust_env=not _is_loopback(self._where),  # a proxy never stands between us and this machine
            ) as client,
            client.stream(
                "GET", self._where + path, params={"columns": "name,messages_unacknowledged"}
            ) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise CountUnknown(
                    f"{self._where} answered {response.status_code}{self._hint(response.status_code)}"
                )
            pieces = bytearray()
            # httpx has a time limit for each piece only: a server that drips would hold us.
            for piece in response.iter_bytes():
                deadline.check()
                pieces += piece
                if len(pieces) > LARGEST_ANSWER:
                    raise CountUnknown(f"{self._where} answered more than {LARGEST_ANSWER} bytes")
            return bytes(pieces)

    def _hint(self, status: int) -> str:
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return (
                f": user {self._login[0]!r} may not read virtual host {self._vhost!r} there (it needs the "
                "tag 'monitoring', and permissions there, if only empty ones); name user and password in "
                f"${VARIABLE}"
            )
        if status == httpx.codes.NOT_FOUND:
            return f": is this the management plugin, and is there a virtual host {self._vhost!r}?"
        return ""


def open_management(app: Celery, setting: str, *, timeout: float) -> Management | None:
    """The plugin that the environment or else the setting names, for the virtual host of this app.

    Where the address names no user, the broker's is taken. None if nothing is named. Raises InvalidConfig; no
    error ever shows a password.
    """
    named = os.environ.get(VARIABLE)
    place = f"${VARIABLE}" if named else SETTING
    url = named or setting
    if not url:
        return None
    try:
        parts, parsed = urlsplit(url), httpx.URL(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise InvalidConfig(
            f"{place} is no address of RabbitMQ's management plugin; write it like http://host:15672"
        )
    if not named and "@" in parts.netloc:
        raise InvalidConfig(f"{SETTING} holds a user; put the whole address into ${VARIABLE} instead")
    broker = app.connection_for_read()
    login = (parsed.username, parsed.password) if parsed.username else (broker.userid, broker.password)
    return Management(
        # httpx logs the address of a request with all that is in it: the password goes another way.
        urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/"),
        vhost=broker.virtual_host or "/",
        login=(login[0] or "guest", login[1] or "guest"),
        timeout=timeout,
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
