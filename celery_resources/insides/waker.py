"""Ending the event loop's wait from inside the loop: something has changed that its next turn looks at."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

RELIES_ON = "_wake_pending"
"""What a loop has that is woken by what a thread tells it; nothing public says whether it is."""


class Waker:
    """A pair of sockets: a byte into the one is an event on the other."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self.hub_wakes = False
        """Does the loop turn at once for what a thread tells it (`call_soon`)?"""
        self._read.setblocking(False)
        self._write.setblocking(False)

    def register(self, hub: Any) -> None:
        """To be done again for every connection: the loop forgets its sockets with it."""
        hub.add_reader(self._read, self._woken)
        self.hub_wakes = hasattr(hub, RELIES_ON)

    def wake(self) -> None:
        """Let the loop turn once more right after this turn."""
        with contextlib.suppress(BlockingIOError):  # full of wake-ups that are under way already
            self._write.send(b"\0")

    def wake_from_thread(self) -> None:
        """The same where what a thread tells the loop (`call_soon`) does not wake it: with a kombu before 5.7
        it is seen at the loop's next turn only, up to a second later.
        """
        if not self.hub_wakes:
            self.wake()

    def _woken(self, *args: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            self._read.recv(4096)
