"""Files that are for their owner only: they say what runs where, or decide what ends."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress

log = logging.getLogger(__name__)

OWNER_ONLY = 0o600


def make_private(path: str | os.PathLike[str]) -> None:
    """Make the file for its owner only if it is not there, else take from others what they may.

    Never opens a file that is there: closing it would take SQLite's locks from whoever has it open in this
    process (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    Where that cannot be, a warning; where no file can be made, nothing: who opens it will say so better.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
    narrow(path)


def narrow(path: str | os.PathLike[str]) -> None:
    """Take from others what they may do with this file, if it is there."""
    try:
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
            os.chmod(path, stat.S_IMODE(found.st_mode) & 0o700)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        log.warning(
            "%s may be read by others, and it cannot be taken from them (%s): chmod 600 %s",
            *(path, error.strerror, path),
        )
