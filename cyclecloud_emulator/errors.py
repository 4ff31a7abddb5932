"""What can go wrong, in one tree.

EmulatorError
├── BadSettings     the settings cannot be used; nothing was started
└── ApiError        an answer that is not a success; carries its HTTP status
    ├── BadQuery        400
    ├── Unauthorised    401
    ├── NotFound        404
    ├── NotAllowed      405
    ├── Conflict        409
    └── TooManyRequests 429
"""

from __future__ import annotations


class EmulatorError(Exception):
    """Base of every error that the emulator raises on purpose."""


class BadSettings(EmulatorError, ValueError):
    """A setting is wrong; the message names the value, the place and what would be right."""


class ApiError(EmulatorError):
    """An answer that is not a success."""

    status = 500

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class BadQuery(ApiError):
    """The query itself is bad."""

    status = 400


class Unauthorised(ApiError):
    """No user name and password, wrong ones, or a locked account."""

    status = 401


class NotFound(ApiError):
    """No such path, cluster, node, operation or request."""

    status = 404


class NotAllowed(ApiError):
    """The path exists, the method does not."""

    status = 405


class Conflict(ApiError):
    """Invalid input, or a request id that was used before: the API has one status for both."""

    status = 409


class TooManyRequests(ApiError):
    """More than the rate limit allows."""

    status = 429
