"""HTTP basic authentication for one user, with the lock-out that the product documents."""

from __future__ import annotations

import base64
import hmac

from cyclecloud_emulator.errors import Unauthorised

FAILURES_TO_LOCK = 5
WITHIN_SECONDS = 60.0
LOCKED_SECONDS = 300.0


class Gate:
    """Knows the one user, and counts bad passwords: five, each within a minute of the one before, lock."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._password = password
        self._failures = 0
        self._last_failure = float("-inf")
        self._locked_until = float("-inf")

    def check(self, header: str | None, now: float, *, lock: bool) -> None:
        """Let a request pass, or raise Unauthorised."""
        given = _credentials(header)
        if given is None:
            raise Unauthorised("Authentication is required: send a user name and password (HTTP basic)")
        if now < self._locked_until:
            raise Unauthorised("The account is locked after too many bad passwords")
        user, password = given
        right_user = hmac.compare_digest(user.encode(), self.user.encode())
        right_password = hmac.compare_digest(password.encode(), self._password.encode())
        if right_user and right_password:
            self._failures = 0
            return
        self._failures = self._failures + 1 if now - self._last_failure <= WITHIN_SECONDS else 1
        self._last_failure = now
        if lock and self._failures >= FAILURES_TO_LOCK:
            self._locked_until = now + LOCKED_SECONDS
        raise Unauthorised("Invalid user name or password")

    @property
    def failures(self) -> int:
        """Bad passwords in a row."""
        return self._failures

    def unlock(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._locked_until = float("-inf")


def _credentials(header: str | None) -> tuple[str, str] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        # Not base64, or not even ASCII, or not UTF-8 inside.
        return None
    return (user, password) if colon else None
