"""The mark of the control worker on its machine: a file that it holds locked for as long as it lives.

By it the other processes of this control side know which process it is, and whether it may act now. The
kernel lets go of the lock when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from scalelib.errors import InvalidConfig, ScalelibError

PATIENCE = 0.2
"""Seconds for which somebody who only looks may hold the lock."""


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder has written."""

    pid: int
    nodename: str = ""
    """Empty: a command that makes one pass."""
    started: float
    """Seconds since the epoch."""
    can_reload: bool = False
    """Whether SIGHUP makes it start anew."""
    until: float = 0.0
    """It holds the lease until then, on the monotonic clock, which is one for all processes of a machine."""
    why_not: str = ""
    """Why it does not hold the lease."""

    @property
    def holds_the_lease(self) -> bool:
        """Whether it does now."""
        return time.monotonic() < self.until


class Mark:
    """The file, as its holder has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Hold it, if nobody else does; whether it is ours now. Raises InvalidConfig if it cannot be made."""
        if self._file is not None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(file, 0o600)
        except OSError as error:
            raise InvalidConfig(f"{self.path}: cannot be written: {error.strerror}") from error
        if not _lock(file, fcntl.LOCK_EX):
            os.close(file)
            return False
        self._file = file
        return True

    def write(self, marked: Marked) -> None:
        """Say so. Only for who holds it."""
        if self._file is not None:
            text = msgspec.json.encode(marked)
            # In one write: who reads meanwhile sees the one or the other, spaces behind.
            os.pwrite(self._file, text.ljust(max(len(text), os.fstat(self._file).st_size)), 0)

    def identity(self) -> str:
        """The same for every process that uses this file on this machine until it is booted anew, and for no
        other. Only for who holds it."""
        assert self._file is not None
        file = os.fstat(self._file)
        return f"{os.uname().nodename}/{_boot_id()}/{file.st_dev:x}-{file.st_ino:x}"

    def let_go(self) -> None:
        """Somebody else may take it. It stays, empty: a second file of this name would be a second lock."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def look(path: Path) -> Marked | None:
    """What the process that holds the mark has written; None if none does. Makes no file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if _lock(file, fcntl.LOCK_SH, patience=0.0):
            return None
        text = os.pread(file, 65536, 0)
    finally:
        os.close(file)
    return _read(text)


class NoControlWorker(ScalelibError):
    """No control worker runs on this machine with this state file."""


def _read(text: bytes) -> Marked | None:
    try:
        return msgspec.json.decode(text.strip() or b"null", type=Marked | None)
    except msgspec.DecodeError:
        return None  # being written for the first time


def _lock(file: int, how: int, patience: float = PATIENCE) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        time.sleep(0.01)


def _boot_id() -> Any:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
