"""Five bad passwords within a minute of each other lock a CycleCloud account, so one refusal stops us all.

The memory is shared by every client of this process that uses the same account, since a caller may well make
a new client for each try.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

QUIET_SECONDS = 65.0
"""The server counts failures that are within 60 s of the one before; so wait a little longer."""


class Lockout:
    """Which accounts were refused, and until when they are not to be tried."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def refused(self, account: str) -> None:
        """Remember that the server has just refused this account."""
        with self._lock:
            self._until[account] = self._clock() + QUIET_SECONDS

    def remaining(self, account: str) -> float:
        """Seconds for which nothing may be sent with this account; 0 if it may be tried."""
        with self._lock:
            left = self._until.get(account, 0.0) - self._clock()
            if left <= 0:
                self._until.pop(account, None)
            return max(0.0, left)


def account_key(url: str, username: str, password: str) -> str:
    """Tells accounts apart without keeping a password; a corrected password is another account."""
    return hashlib.sha256("\0".join((url, username, password)).encode()).hexdigest()


SHARED = Lockout()
"""Of this process."""
