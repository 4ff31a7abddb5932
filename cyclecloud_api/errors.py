"""What can go wrong between us and CycleCloud, in one tree.

CycleCloudError                  carries the request (method and path), never the password
├── NotFound                     no such cluster, node, operation or request id
├── Unauthorised                 the credentials were refused, or lack the right; do not repeat
├── Rejected                     understood and refused; repeating the same will not help
│   ├── Conflict                 409: a value of the request is wrong
│   │   └── RepeatedRequestId    409: this request id was carried out before; nothing new happened
│   └── OverLimit                fewer nodes than asked, down to none, because of a limit
├── ServerTrouble                the server says that it is in trouble; try again later
├── Unreachable                  no answer, or not all of it; whether it acted is unknown
└── Garbled                      an answer that cannot be understood; whether it acted is unknown

Each is also the error of the same meaning in `scalelib.errors`, so a caller who knows only the engine
catches the right thing.
"""

from __future__ import annotations

from scalelib import errors


class CycleCloudError(errors.ProviderError):
    """A request to CycleCloud did not do what it was meant to."""

    def __init__(self, message: str, *, request: str = "", status: int | None = None) -> None:
        super().__init__(f"{request}: {message}" if request else message)
        self.request = request
        """Method and path, for people; no query values, no credentials."""
        self.status = status
        """The HTTP status code, if there was an answer."""
        self.message = message
        """What went wrong, without the request; the server's own words where it gave any."""


class NotFound(CycleCloudError, errors.CloudNotFound):
    """No such cluster, node, operation or request id."""


class Unauthorised(CycleCloudError, errors.CloudUnauthorised):
    """The credentials were refused, or the user has no right to do this."""


class Rejected(CycleCloudError, errors.CloudRefused):
    """Understood and refused."""


class Conflict(Rejected):
    """A value of the request is wrong: an unknown nodearray, no such size, a malformed body."""


class RepeatedRequestId(Conflict):
    """This request id was carried out before; nothing new happened."""


class OverLimit(Rejected):
    """Fewer nodes than asked were created because of a limit."""

    def __init__(self, message: str, *, asked: int, added: int, request: str = "") -> None:
        super().__init__(message, request=request)
        self.asked = asked
        self.added = added


class ServerTrouble(CycleCloudError, errors.CloudTrouble):
    """The server says that it is in trouble."""

    def __init__(
        self, message: str, *, request: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, request=request, status=status)
        self.retry_after = retry_after
        """Seconds that the server asked to be left alone, if it did."""


class Unreachable(CycleCloudError, errors.CloudUnreachable):
    """No answer came, or not all of it."""

    def __init__(self, message: str, *, request: str = "", sent: bool = True) -> None:
        super().__init__(message, request=request)
        self.sent = sent
        """False only if it is certain that the server never saw the request."""


class Garbled(CycleCloudError, errors.CloudGarbled):
    """An answer came that cannot be understood."""
