"""Sending one request and getting all of its answer: sign-in, TLS, deadline, safe repeats.

Everything that httpx may raise is translated here, once.
"""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import httpx
from msgspec import Struct

from cyclecloud_api import answers, errors
from cyclecloud_api.lockout import SHARED, Lockout, account_key
from scalelib.errors import InvalidConfig

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""Most times that a request which may be repeated is sent."""

FIRST_PAUSE = 0.5
"""Seconds before the first repeat at most; doubled for each one after it."""

LARGEST_ANSWER = 256 * 1024 * 1024
"""Bytes. 5,000 nodes are about 10 MB; what is longer than this is not for us."""

# The server never saw the request: even a create may be sent again.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Answer(Struct, frozen=True, kw_only=True):
    """A successful answer."""

    request: str
    """Method and path, for errors."""
    status: int
    body: bytes


class Wire:
    """A signed-in connection to one CycleCloud."""

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        verify: bool | str | Path = True,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        lockout: Lockout = SHARED,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.url = _checked_url(url)
        if not username or ":" in username:
            raise InvalidConfig(f"username is {username!r}: a name without a colon is wanted")
        if not password:
            raise InvalidConfig("password is empty: set `password`, `password_file` or CYCLECLOUD_PASSWORD")
        if not timeout > 0:
            raise InvalidConfig(f"timeout is {timeout!r}: a number of seconds above 0 is wanted")
        self._timeout = timeout
        self._password = password
        self._account = account_key(self.url, username, password)
        self._lockout, self._clock, self._sleep, self._jitter = lockout, clock, sleep, jitter
        self._http = httpx.Client(
            auth=httpx.BasicAuth(username, password),
            verify=_tls(verify, self.url),
            timeout=timeout,
            transport=transport,
            follow_redirects=False,
            # A proxy never stands between us and this machine, and none is given the password in the clear:
            # for https it passes on what it cannot read, for http it would read all.
            trust_env=self.url.startswith("https:") and not _is_loopback(self.url),
            headers={"Accept": "application/json", "User-Agent": "celery-cluster-autoscaler"},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The answer to a request, if it is a good one. Reads are repeated after trouble, writes are not."""
        request = f"{method} {path}"
        deadline = self._clock() + self._timeout
        for attempt in range(ATTEMPTS):
            try:
                return self._once(method, path, query or {}, body, request, deadline)
            except (errors.Unreachable, errors.ServerTrouble) as trouble:
                pause = self._pause(attempt, trouble)
                last = attempt == ATTEMPTS - 1 or self._clock() + pause >= deadline
                if last or not _may_repeat(method, trouble):
                    raise
                log.info("cyclecloud.repeat %s in %.1f s: %s", request, pause, trouble.message)
                self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        request: str,
        deadline: float,
    ) -> Answer:
        self._refuse_if_locked(request)
        headers = {} if body is None else {"Content-Type": "application/json"}
        left = max(0.001, deadline - self._clock())
        try:
            with self._http.stream(
                method, self.url + path, params=dict(query), content=body, headers=headers, timeout=left
            ) as response:
                content = self._all_of(response, request, deadline)
        except _NEVER_SENT as error:
            raise errors.Unreachable(
                f"cannot connect to {self.url}: {self._described(error)}", request=request, sent=False
            ) from error
        except httpx.TimeoutException as error:
            raise errors.Unreachable(f"no answer within {self._timeout:g} s", request=request) from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise errors.Unreachable(
                f"the answer was lost: {self._described(error)}", request=request
            ) from error
        if 200 <= response.status_code < 300:
            return Answer(request=request, status=response.status_code, body=content)
        if response.status_code == 401:
            self._lockout.refused(self._account)
        raise answers.failure(
            response.status_code,
            self._without_password(content),
            request=request,
            location=response.headers.get("Location", ""),
            retry_after=response.headers.get("Retry-After", ""),
        )

    def _all_of(self, response: httpx.Response, request: str, deadline: float) -> bytes:
        """The whole body. httpx has a time limit for each piece only: a server that drips would hold us."""
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                raise errors.Garbled(f"the answer is longer than {LARGEST_ANSWER} bytes", request=request)
            if self._clock() > deadline:
                raise errors.Unreachable(f"no whole answer within {self._timeout:g} s", request=request)
        return b"".join(pieces)

    def _refuse_if_locked(self, request: str) -> None:
        left = self._lockout.remaining(self._account)
        if left > 0:
            raise errors.Unauthorised(
                "not sent: the server has refused this user name or password, and trying again soon would "
                f"lock the account; next try possible in {left:.0f} s",
                request=request,
                status=401,
            )

    def _pause(self, attempt: int, trouble: errors.CycleCloudError) -> float:
        """Full jitter: any time up to a limit that doubles; longer if the server asked for it."""
        pause = FIRST_PAUSE * 2.0**attempt * self._jitter()
        asked = trouble.retry_after if isinstance(trouble, errors.ServerTrouble) else None
        return max(pause, asked or 0.0)

    def _described(self, error: Exception) -> str:
        """The text of an httpx error; the TLS ones with a hint."""
        text = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in text:
            text += "; if the certificate is CycleCloud's own, give it as `ca_file`"
        return text

    def _without_password(self, content: bytes) -> bytes:
        """A server may echo what it was sent."""
        return content.replace(self._password.encode(), b"***")


def _may_repeat(method: str, trouble: errors.CycleCloudError) -> bool:
    return method == "GET" or (isinstance(trouble, errors.Unreachable) and not trouble.sent)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidConfig(f"url is {url!r}: an address such as https://cyclecloud.example.com is wanted")
    if parts.username or parts.password:
        raise InvalidConfig("url holds a user name or password: give them as `username` and `password`")
    if parts.query or parts.fragment:
        raise InvalidConfig(f"url is {url!r}: an address without '?' or '#' is wanted")
    if parts.scheme == "http" and not _is_loopback(url):
        log.warning("cyclecloud.insecure %s: the password goes over the network in the clear", url)
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(verify: bool | str | Path, url: str) -> ssl.SSLContext | bool:
    if url.startswith("http:"):
        return False
    if verify is False:
        log.warning(
            "cyclecloud.insecure TLS certificates of %s are NOT verified: anybody in between can read the "
            "password and answer in its place; set `ca_file` instead of `verify_certificates: false`",
            url,
        )
        return False
    if verify is True:
        context = ssl.create_default_context(cafile=certifi.where())
        context.load_default_certs()  # an organisation's own authority is in the machine's store
        return context
    path = Path(verify)
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfig(
            f"ca_file is {str(path)!r}: a file of PEM certificates is wanted: {error}"
        ) from error
