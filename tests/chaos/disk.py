"""A disk of a run's own, with the broker's data and the state file on it, that can be filled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SIZE = 1 << 29
"""Bytes. RabbitMQ takes nothing in when less than 50 MB are free, and its files are large from the start."""
_AT_ONCE = bytes(1 << 20)


def why_no_disk() -> str:
    """Why none can be had here; empty: one can."""
    if os.geteuid() != 0:
        return "root alone may mount a disk"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"no disk can be mounted: {tried.stderr.strip()}"


class Disk:
    """In memory, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def __enter__(self) -> Self:
        self.path.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self.path))

    def fill(self) -> None:
        """To the last byte."""
        with self._ballast.open("wb", buffering=0) as ballast:
            for piece in (_AT_ONCE, _AT_ONCE[:4096], _AT_ONCE[:1]):
                try:
                    while ballast.write(piece):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
