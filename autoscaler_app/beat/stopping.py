"""A beat that ends when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopsWhenTold:
    """For a Celery scheduler: once closed, it ends beat instead of ticking on.

    On SIGTERM Celery closes the scheduler and raises SystemExit where the program happens to be. Both can
    keep beat from ending:

    - In a finalizer, or in a function that SQLite calls, that exception is swallowed, and beat would go on
      for ever (measured: one stop in a hundred on a busy machine).
    - To close is to save, and in the middle of a query on PostgreSQL the connection is locked by the very
      thread that would save: it would wait for itself for ever (seen once in CI's tests on a busy machine).

    Celery closes the scheduler a second time when its loop has ended. So while the schedule is being worked
    on, the first time only takes note.
    """

    _closed = False
    _at_work = 0

    def close(self) -> None:
        """Save the schedule, if this is a good moment. There is no tick after that."""
        self._closed = True
        if not self._at_work:
            super().close()  # type: ignore[misc]

    def sync(self) -> None:
        """Save the schedule."""
        with self._working():
            super().sync()  # type: ignore[misc]

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; seconds until the next look. Raises SystemExit after `close`."""
        if self._closed:
            raise SystemExit
        with self._working():
            return super().tick(*args, **kwargs)  # type: ignore[misc]

    @contextmanager
    def _working(self) -> Iterator[None]:
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
