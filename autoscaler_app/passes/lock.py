"""One pass at a time on the broker node: a lock file that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalelib.errors import ScalelibError
from scalelib.privatefile import make_private


class PassIsRunning(ScalelibError):
    """Another process on this machine is making a pass."""


@contextmanager
def held(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock; wait `patience` seconds for it. Raises PassIsRunning naming the holder.

    The file is never emptied before the lock is won, and never removed: a second file of the same name would
    be a second lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    make_private(path)
    with path.open("a+") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise PassIsRunning(
                        f"a pass is running (process {holder} holds {path}); try again when it is done"
                    ) from None
                time.sleep(0.05)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
