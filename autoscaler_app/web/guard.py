"""Who may read, and who may act: everybody on this machine reads, or whoever knows a password."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autoscaler_app.web.hands.passwords import Passwords, Person

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer that does not say otherwise itself."""


SIGN_IN = "/sign-in"
"""Asks for the operator's password, also where nobody needs one to read."""


class Guard:
    """Wraps an app: asks for a password, if one is needed, and puts the safe headers on every answer. Who
    asks is `person` in the scope.

    `local_only` refuses requests for another host name than this machine's own. Without it, any page that is
    open in a browser here could point its own name at 127.0.0.1 and read ours.
    """

    def __init__(self, app: ASGIApp, *, passwords: Passwords, local_only: bool) -> None:
        self._app = app
        self._passwords = passwords
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_missing(message, SAFE)
            await send(message)

        headers = Headers(scope=scope)
        person = self._passwords.person(*_told(headers.get("authorization", "")))
        refusal = self._refusal(scope["path"], headers, person)
        return await (refusal or self._app)({**scope, "person": person}, receive, guarded)

    def _refusal(self, path: str, headers: Headers, person: Person | None) -> PlainTextResponse | None:
        if self._local_only and not is_loopback(_host_of(headers.get("host", ""))):
            return PlainTextResponse(
                "This server answers on this machine only, under localhost or 127.0.0.1; to reach it under "
                "another name, start it with a password.\n",
                status_code=403,
            )
        if person is None or (path == SIGN_IN and self._passwords.operator and not person.may_act):
            return PlainTextResponse(
                "A password is needed; the user name is what you are called here.\n",
                status_code=401,
                headers={"www-authenticate": 'Basic realm="autoscaler", charset="UTF-8"'},
            )
        return None


def _told(authorization: str) -> tuple[str, bytes]:
    """Name and password; both empty where none is told, or not so that it can be read."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        name, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        # Not base64, or not even ASCII.
        return "", b""
    return name.decode(errors="replace"), password


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
