"""Leads what runs on one node, and sees to it that none of it outlives the emulator for long.

Run as a file of its own by `processes`, in the node's folder, with nothing imported but the standard library:

    python -I -S guardian.py LOGFILE LINGER COMMAND...

The emulator holds the other ends of standard input and output. It writes `stop SECONDS` (SIGTERM, and
SIGKILL after so long), `kill` or `end` (everything, at once); the guardian writes `up PID` and `exit CODE`.
When standard input ends, because the emulator closed it or died in whatever way, everything is killed: at
once if LINGER is 0, else after so many seconds, in which an emulator that was started again may take over
through the socket `guardian.sock`. What is said on it is the same. The command runs in a session of its own,
so that one signal reaches all of its processes, and none from a terminal does. On Linux the guardian also
adopts what leaves that session, and kills it in the end: a machine that is gone runs nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from types import FrameType
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""
DOOR = "guardian.sock"
"""In the node's folder."""


def main(log_file: str, linger: float, command: list[str]) -> int:
    """Run the command until it ends or the emulator does."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ignore)
    _adopt_strays()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever wants the node ended tells the emulator, or ends it.
        signal.signal(number, _ignore)
    door = _open_door() if linger > 0 else None
    try:
        with open(log_file, "ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as error:
        with open(log_file, "a", encoding="utf-8") as log_text:
            log_text.write(f"cannot start {command}: {error}\n")
        _tell(1, "exit 127")
        return 0
    _tell(1, f"up {child.pid}")
    Watch(child, wake_read, door, linger).run()
    return 0


def _open_door() -> socket.socket:
    """Where an emulator that was started again comes in. The path is relative: its length is limited."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(DOOR)
    door = socket.socket(socket.AF_UNIX)
    door.bind(DOOR)
    door.listen(1)
    return door


class Watch:
    """Waits for what the emulator says, for the end of the child, and for the deadlines of both."""

    def __init__(
        self, child: subprocess.Popen[bytes], wake: int, door: socket.socket | None, linger: float
    ) -> None:
        self.child, self.wake, self.door, self.linger = child, wake, door, linger
        self.reads: int | None = 0
        """Where the emulator is heard; None while there is none."""
        self.writes = 1
        self.text = b""
        self.kill_at = self.alone_until = float("inf")
        self.code: int | None = None
        """How the child ended, if it has and nobody could be told yet."""

    def run(self) -> None:
        """Until there is nothing left to lead."""
        while True:
            heard: list[Any] = [self.wake, self.door if self.reads is None else self.reads]
            left = min(self.kill_at, self.alone_until) - time.monotonic()
            readable, _, _ = select.select(heard, [], [], max(0.0, min(left, 3600.0)))
            if self.wake in readable:
                os.read(self.wake, 4096)
            if self.door in readable:
                self._let_in()
            elif self.reads is not None and self.reads in readable and not self._listen(self.reads):
                # Said although it was asked for: the number of a worker that is reaped is not its own any
                # more, and an emulator that does not know so would kill whatever has it next.
                _tell(self.writes, f"exit {self._end()}")
                return
            if time.monotonic() >= self.alone_until:
                self._end()
                return
            if time.monotonic() >= self.kill_at:
                _signal_all(self.child, signal.SIGKILL)
                self.kill_at = float("inf")
            if self.code is None and _ended(self.child):
                # Before the child is reaped its number cannot be given to another process: what is left
                # of the group is killed first.
                self.code = self._end()
            if self.code is not None and self.reads is not None:
                _tell(self.writes, f"exit {self.code}")
                return

    def _let_in(self) -> None:
        assert self.door is not None
        visitor, _ = self.door.accept()
        self.reads = self.writes = visitor.detach()
        self.alone_until, self.text = float("inf"), b""
        _tell(self.writes, f"up {self.child.pid}")

    def _listen(self, emulator: int) -> bool:
        """Do what the emulator says; False if that, or its death, is the end."""
        try:
            data = os.read(emulator, 4096)
        except OSError:
            data = b""
        if not data:
            self.reads, self.alone_until = None, time.monotonic() + self.linger
            return self.door is not None
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            word, _, seconds = line.decode().partition(" ")
            if word == "end":
                return False
            _signal_all(self.child, signal.SIGTERM if word == "stop" else signal.SIGKILL)
            if word == "stop":
                self.kill_at = time.monotonic() + float(seconds)
        return True

    def _end(self) -> int:
        """Kill everything; the exit code of the child."""
        if self.code is None:
            _signal_all(self.child, signal.SIGKILL)
            self.code = self.child.wait()
            self.kill_at = float("inf")
            _end_strays()
        return self.code


def _ended(child: subprocess.Popen[bytes]) -> bool:
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return child.poll() is not None


def _signal_all(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        # Gone already; macOS says PermissionError of a group that holds nothing but a zombie.
        return


def _adopt_strays() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_strays() -> None:
    """Kill what is left below this process, one generation after the other."""
    while strays := _children():
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """Processes whose parent is this one, where the system says so in /proc."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="latin-1") as file:
                # pid (name) state parent …: the name may hold brackets and spaces.
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


def _tell(emulator: int, line: str) -> None:
    with contextlib.suppress(OSError):
        # If it is gone, what is heard from it says so too.
        os.write(emulator, line.encode() + b"\n")


def _ignore(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing: the wake-up pipe has told already."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
