"""Who may read: everybody on this machine, or whoever knows the password."""

from __future__ import annotations

import base64
import ipaddress
import secrets
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer that does not say otherwise itself."""


class Guard:
    """Wraps an app: asks for the password, if there is one, and puts the safe headers on every answer.

    `local_only` refuses requests for another host name than this machine's own. Without it, any page that is
    open in a browser here could point its own name at 127.0.0.1 and read ours.
    """

    def __init__(self, app: ASGIApp, *, password: str, local_only: bool) -> None:
        self._app = app
        self._password = password.encode()
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_missing(message, SAFE)
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        return await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if self._local_only and not is_loopback(_host_of(headers.get("host", ""))):
            return PlainTextResponse(
                "This server answers on this machine only, under localhost or 127.0.0.1; to reach it under "
                "another name, start it with a password.\n",
                status_code=403,
            )
        if self._password and not self._knows(headers.get("authorization", "")):
            return PlainTextResponse(
                "A password is needed; the user name does not matter.\n",
                status_code=401,
                headers={"www-authenticate": 'Basic realm="autoscaler", charset="UTF-8"'},
            )
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except ValueError:
            # Not base64, or not even ASCII.
            return False
        return secrets.compare_digest(password, self._password)


def is_loopback(host: str) -> bool:
    """Whether this name or address is this machine's own."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(header: str) -> str:
    """`[::1]:8787` is `::1`, `localhost:8787` is `localhost`."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _add_missing(message: MutableMapping[str, Any], headers: dict[str, str]) -> None:
    present = MutableHeaders(scope=message)
    for name, value in headers.items():
        present.setdefault(name, value)
