"""A cable of the nodes' own that can be pulled: what is sent on it then is gone, and nobody is told."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from types import TracebackType
from typing import Self

_CLONE_NEWNET = 0x40000000
"""Of `setns(2)`: a network namespace."""


def why_no_cable() -> str:
    """Why none can be laid here; empty: one can."""
    if os.geteuid() != 0:
        return "root alone may make network namespaces"
    name = f"chaos-try-{os.getpid()}"
    try:
        tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no program `ip`"
    if tried.returncode != 0:
        return f"no network namespace can be made: {tried.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


class Cable:
    """Between this machine and a network namespace, whose end is `address`."""

    def __init__(self) -> None:
        number = os.getpid() % (250 * 100)
        self._space = f"chaos-{os.getpid()}"
        self._near = f"chaos{os.getpid()}"[:15]
        subnet = f"10.{150 + number // 250}.{number % 250}"
        self._ours, self.address = f"{subnet}.1", f"{subnet}.2"

    def __enter__(self) -> Self:
        _ip("netns", "add", self._space)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _ip("addr", "add", f"{self._ours}/24", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip("-n", self._space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.plug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("netns", "del", self._space)  # and the cable with it

    def listen(self) -> socket.socket:
        """A socket at the far end. It stays there, whoever takes what comes."""
        made: list[socket.socket] = []

        def over_there() -> None:
            # A thread may be in another namespace than its process, and a socket is where it was made.
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self._space}") as space:
                if libc.setns(space.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_server((self.address, 0)))

        thread = threading.Thread(target=over_there)
        thread.start()
        thread.join()
        return made[0]

    def pull(self) -> None:
        """The far end is off: the near one hears nothing of it but that nothing comes."""
        _ip("-n", self._space, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Packets pass again; what was sent meanwhile is sent anew by TCP, or was given up."""
        _ip("-n", self._space, "link", "set", "eth0", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
