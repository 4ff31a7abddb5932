"""A thread of ours that goes on until it is stopped, whatever goes wrong in it."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the next try after an error: the first time, and at most."""


class Background(ABC):
    """What has such a thread. `run` is its body, and looks at `stopping` now and then."""

    def __init__(self, name: str) -> None:
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Until it is stopped. Raises nothing."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop, and wait for the thread. May be called twice, and before `start`."""
        self.stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def pause(self, seconds: float) -> float:
        """Wait before the next try, not in step with others; how long to wait the time after that."""
        self.stopping.wait(seconds * random.uniform(0.5, 1.0))
        return min(LONGEST_PAUSE, seconds * 2)
