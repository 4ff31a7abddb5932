"""What the control worker tells systemd (`Type=notify`, `WatchdogSec`): ready, and still alive.

A consumer whose loop hangs (a broker that went away without a word, a lock that nobody gives back) looks
alive to a supervisor that only sees the process. The loop itself sends the sign of life; when it stays out,
systemd kills and starts again, which at any point of a pass is safe.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Any

from celery import bootsteps

log = logging.getLogger(__name__)


def tell(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send a line to the supervisor; False where there is none, or it does not listen."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
            end.connect(address)
            end.sendall(state.encode())
    except OSError as error:
        log.warning("systemd was not told %s: %s", state, error)
        return False
    return True


def seconds_between(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often it wants a sign of life, with as much again to spare; None if it wants none."""
    try:
        wanted = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    return wanted / 2 if wanted > 0 else None


class Supervised(bootsteps.StartStopStep):
    """A step of the consumer: started when it consumes, and again after each lost connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **_: Any) -> None:
        self._signs: Any = None

    def start(self, parent: Any) -> None:
        """Say that we are ready, and from now on that the loop turns."""
        tell("READY=1")
        if (seconds := seconds_between()) is not None:
            self._signs = parent.timer.call_repeatedly(seconds, tell, ("WATCHDOG=1",))

    def stop(self, parent: Any) -> None:
        """A connection that is being made again is life too: the last sign before it."""
        if self._signs is not None:
            self._signs.cancel()
            self._signs = None
            tell("WATCHDOG=1")

    terminate = stop
