"""Where alarms go: an address that is a secret, by HTTP or by mail. Nothing of it is ever logged."""

from __future__ import annotations

import os
import smtplib
import ssl
import stat
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

import msgspec

from scalelib.errors import InvalidConfig

VARIABLE = "AUTOSCALER_ALARM_URL"
"""The addresses, with blanks between them; comes before `alarm_url_file`."""

TIMEOUT = 5.0

FAILURES = (OSError, HTTPError, URLError, smtplib.SMTPException, ValueError)
"""What sending raises where the other side, or the way there, is to blame. (`http.client` raises a ValueError
for an address with odd characters.)"""

_PORTS = {"smtp": 25, "smtps": 465}
_HERE = ("localhost", "127.0.0.1", "::1")


def addresses(file: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Where alarms go; nowhere where nobody says. Raises InvalidConfig that does not tell the address."""
    text, place = environment.get(VARIABLE, ""), f"${VARIABLE}"
    if not text and file is not None:
        place = f"autoscaler.alarm_url_file {str(file)!r}"
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise InvalidConfig(f"{place}: others may read it: chmod 600 {file}")
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfig(
                f"{place}: cannot be read: {getattr(error, 'strerror', 'no text')}"
            ) from error
    found = tuple(text.split())
    for number, address in enumerate(found, 1):
        if not _is_right(address):
            raise InvalidConfig(
                f"{place}: address {number} is none: https://HOST/PATH, or "
                "smtp://USER:PASSWORD@HOST:PORT/TO?from=FROM (smtps:// for TLS from the start)"
            )
    return found


def _is_right(address: str) -> bool:
    try:
        url = urlsplit(address)
        port = url.port  # raises where it is no number
    except ValueError:
        return False
    is_mail = url.scheme in _PORTS and "@" in unquote(url.path)
    return bool(url.hostname) and port != 0 and (url.scheme in ("http", "https") or is_mail)


def send(address: str, alarm: Mapping[str, Any]) -> None:
    """Tell it there. Raises one of `FAILURES`."""
    url = urlsplit(address)
    if url.scheme in _PORTS:
        _mail(url, alarm)
        return
    body = msgspec.json.encode(alarm)
    request = Request(address, body, {"Content-Type": "application/json"}, method="POST")
    with urlopen(request, timeout=TIMEOUT) as answer:
        answer.read(1)


def _mail(url: SplitResult, alarm: Mapping[str, Any]) -> None:
    to = unquote(url.path).strip("/")
    message = EmailMessage()
    message["Subject"] = f"autoscaler: {alarm['matter']}"
    message["From"] = parse_qs(url.query).get("from", [to])[0]
    message["To"] = to
    message.set_content(f"{alarm['text']}\n\nPass {alarm['pass']}, {alarm['at']}\n")
    with _connected(url) as server:
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)


def _connected(url: SplitResult) -> smtplib.SMTP:
    """A password goes to nobody but the server whose certificate bears its name, or to this machine."""
    assert url.hostname is not None
    port = url.port or _PORTS[url.scheme]
    context = ssl.create_default_context()
    is_secret = bool(url.username) and url.hostname not in _HERE
    if not is_secret:
        # Many a mail server has made its own, and to go without it is no better.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(url.hostname, port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(url.hostname, port, timeout=TIMEOUT)
    try:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif is_secret:
            raise smtplib.SMTPNotSupportedError("the server has no TLS, and the password is not sent without")
    except BaseException:
        server.close()
        raise
    return server


def why(error: BaseException) -> str:
    """What went wrong, without the address: some errors quote it."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", error)
    number = getattr(reason, "strerror", None)
    return f"{type(reason).__name__}{f': {number}' if isinstance(number, str) else ''}"
