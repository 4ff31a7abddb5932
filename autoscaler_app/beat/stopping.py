"""A beat that ends when it is told to."""

from __future__ import annotations

from typing import Any


class StopsWhenTold:
    """For a Celery scheduler: once closed, it ends beat instead of ticking on.

    On SIGTERM Celery closes the scheduler and raises SystemExit where the program happens to be. In a
    finalizer, or in a function that SQLite calls, that exception is swallowed, and beat would go on for ever
    (measured: one stop in a hundred on a busy machine).
    """

    _closed = False

    def close(self) -> None:
        """Save the schedule. There is no tick after that."""
        self._closed = True
        super().close()  # type: ignore[misc]

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; seconds until the next look. Raises SystemExit after `close`."""
        if self._closed:
            raise SystemExit
        return super().tick(*args, **kwargs)  # type: ignore[misc]
