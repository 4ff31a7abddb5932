"""Reading an answer: what its status code means, and the server's words in a body of any kind."""

from __future__ import annotations

import html
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from cyclecloud_api import errors, models

S = TypeVar("S", bound=Struct)

LONGEST_TEXT = 300
"""Characters of a body that go into an error."""

TRY_LATER = frozenset({408, 425, 429})
"""Codes below 500 that mean the same as trouble on the server's side."""


def failure(
    status: int, body: bytes, *, request: str, location: str = "", retry_after: str = ""
) -> errors.CycleCloudError:
    """The error that an answer other than 2xx means."""
    text = words(body) or f"HTTP {status} without an explanation"
    if 300 <= status < 400:
        # A redirect is not followed: it would carry the password to wherever the answer points.
        where = f" to {location.split('?')[0]}" if location else ""
        return errors.Rejected(
            f"redirected{where} (HTTP {status}), which is not followed; "
            "is `url` the address of CycleCloud itself, with https and any path prefix?",
            request=request,
            status=status,
        )
    if status == 401:
        return errors.Unauthorised(
            f"user name or password refused: {text}; check `username` and `password`",
            request=request,
            status=status,
        )
    if status == 403:
        return errors.Unauthorised(
            f"the user has no right to do this: {text}; share the cluster with this user",
            request=request,
            status=status,
        )
    if status == 404:
        return errors.NotFound(text, request=request, status=status)
    if status == 409:
        return errors.Conflict(text, request=request, status=status)
    if status >= 500 or status in TRY_LATER:
        return errors.ServerTrouble(
            f"HTTP {status}: {text}", request=request, status=status, retry_after=_seconds(retry_after)
        )
    if status >= 400:
        return errors.Rejected(f"HTTP {status}: {text}", request=request, status=status)
    return errors.Garbled(f"HTTP {status} is no answer to this", request=request, status=status)


def words(body: bytes) -> str:
    """What the server says in an error body, be it JSON, HTML, plain text, cut short or empty."""
    try:
        decoded = msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    if isinstance(decoded, Mapping):
        for name in ("Message", "Detail", "Exception", "error"):
            found = models.get(decoded, name)
            if isinstance(found, str) and found.strip():
                return _short(found)
    if isinstance(decoded, str):
        return _short(decoded)
    text = body[: 20 * LONGEST_TEXT].decode("utf-8", "replace")
    if "<" in text:
        text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)", " ", text)
        text = html.unescape(re.sub(r"<[^>]*(>|$)", " ", text))
    return _short(text)


def decoded(body: bytes, *, request: str, status: int) -> Any:
    """The JSON of a successful answer; Garbled if it is none."""
    try:
        return msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        said = words(body)
        raise errors.Garbled(
            f"the answer is not JSON ({wrong}): {said or 'it is empty'}", request=request, status=status
        ) from wrong


def shaped(kind: type[S], value: Any, *, request: str, status: int) -> S:
    """A successful answer as a `kind`; Garbled, naming the property, if it does not have that shape."""
    try:
        return models.read(kind, value)
    except models.ShapeError as wrong:
        raise errors.Garbled(
            f"the answer is no {kind.__name__}: {wrong}", request=request, status=status
        ) from wrong


def _short(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _seconds(retry_after: str) -> float | None:
    """Seconds of a Retry-After header; its form with a date is ignored: clocks differ."""
    return float(retry_after) if retry_after.strip().isdecimal() and len(retry_after) < 8 else None
