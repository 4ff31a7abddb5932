"""What was signed once is believed once, and only for a while: nothing is said twice by saying it again."""

from __future__ import annotations

from collections import OrderedDict

from celery_resources.trust.signing import Said

PATIENCE = 120.0
"""Seconds that a clock may be off, or a message under way: beyond that it is refused."""
WIDTH = 1024
"""So many counts back it is known which were seen; what is older is refused unseen."""
MOST_LIVES = 40_000
"""Lives of workers that are kept track of."""


class Window:
    """The counts of one life that were seen. Messages go different ways, so they may come out of order."""

    def __init__(self) -> None:
        self._newest = -1
        self._seen = 0

    def takes(self, count: int) -> bool:
        """True the first time, and never again."""
        if count < 0:
            return False
        if count > self._newest:
            ahead = min(count - self._newest, WIDTH)
            self._seen = (self._seen << ahead | 1) & ((1 << WIDTH) - 1)
            self._newest = count
            return True
        behind = self._newest - count
        if behind >= WIDTH or self._seen >> behind & 1:
            return False
        self._seen |= 1 << behind
        return True


class Lives:
    """What was seen of each life of each worker, as long as it could be said again in time."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[str, str, int, float], tuple[Window, float]] = OrderedDict()

    def why_not(self, said: Said, now: float, *, is_fresh: bool = False) -> str:
        """Why this is not to be believed; empty if it is, and then never again.

        `is_fresh`: something in it was not known before now (the question that it answers), so that it needs
        no clock. Times are seconds since the epoch.
        """
        late = now - said.at
        if not is_fresh and not abs(late) <= PATIENCE:  # also for what is no number
            return (
                f"it was signed {abs(late):.0f} s {'ago' if late > 0 else 'ahead of us'}: set the clock there"
            )
        if not is_fresh and not said.life <= said.at + PATIENCE:
            after = said.life - said.at
            return f"its worker started {after:.0f} s after it spoke: its clock was set; restart it"
        self._forget(now)
        life = (said.key, said.node, said.pid, said.life)
        window = self._windows.pop(life, (Window(), 0.0))[0]
        self._windows[life] = (window, now)
        return "" if window.takes(said.count) else "it was said before"

    def __len__(self) -> int:
        return len(self._windows)

    def _forget(self, now: float) -> None:
        """The lives that have been silent for so long that all they said is too old."""
        while self._windows:
            _, seen = next(iter(self._windows.values()))
            if len(self._windows) <= MOST_LIVES and now - seen <= 3 * PATIENCE:
                return
            self._windows.popitem(last=False)


class Growing:
    """For who listens to one speaker, in order: each count is above all that were before."""

    def __init__(self, newest: int = 0) -> None:
        self.newest = newest

    def takes(self, count: int) -> bool:
        """True if it grew."""
        if count <= self.newest:
            return False
        self.newest = count
        return True


def next_count(newest: int, now: float) -> int:
    """A count above the newest that grows also where the newest was forgotten: microseconds of the epoch."""
    return max(newest + 1, int(now * 1e6))
