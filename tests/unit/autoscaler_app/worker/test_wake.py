"""A burst of pokes costs one request for a pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from autoscaler_app.worker.wake import Wake


class Asked:
    """Counts, and knows when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.times: list[float] = []
        self._clock = clock

    def __call__(self) -> None:
        self.times.append(self._clock())


class Clock:
    """A time that stands still unless the test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def wake(asked: Asked) -> Iterator[Wake]:
    made = Wake(asked, quick=0.2, idle=0.2, longest=1.0)
    made.start()
    yield made
    made.stop()


def test_a_thousand_pokes_at_once_ask_once(
    wake: Wake, asked: Asked, wait_until: Callable[..., object]
) -> None:
    for _ in range(1000):
        wake.poke()
    wait_until(lambda: asked.times, seconds=5)
    wake.stop()
    assert len(asked.times) == 1


def test_pokes_that_never_cease_ask_all_the_same(wait_until: Callable[..., object]) -> None:
    """Time passes with the pokes: on a busy machine a pause between two of them is not taken for quiet."""
    clock = Clock()
    asked = Asked(clock)
    wake = Wake(asked, quick=0.2, idle=0.2, longest=1.0, clock=clock)
    wake.start()
    done = threading.Event()

    def poke_for_ever() -> None:
        while not done.wait(0.02):
            clock.now += 0.05
            wake.poke()

    thread = threading.Thread(target=poke_for_ever)
    thread.start()
    try:
        wait_until(lambda: asked.times)
    finally:
        done.set()
        thread.join()
        wake.stop()
    assert asked.times[0] >= 1.0, "a second after the first poke"


def test_a_poke_after_the_answer_asks_again(
    wake: Wake, asked: Asked, wait_until: Callable[..., object]
) -> None:
    wake.poke()
    wait_until(lambda: len(asked.times) == 1, seconds=5)
    wake.poke()
    wait_until(lambda: len(asked.times) == 2, seconds=5)


def test_a_request_that_fails_is_not_the_last(wait_until: Callable[..., object]) -> None:
    """A pooled connection that broke earlier fails with anything, not only with errors of connections."""
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise AttributeError("'NoneType' object has no attribute '_used_channel_ids'")

    made = Wake(ask, quick=0.05, idle=0.05, longest=1.0)
    made.start()
    try:
        made.poke()
        wait_until(lambda: len(asked) == 1, seconds=5)
        made.poke()
        wait_until(lambda: len(asked) == 2, seconds=5)
    finally:
        made.stop()


def test_stopping_with_a_poke_under_way_asks_for_nothing(asked: Asked) -> None:
    made = Wake(asked, quick=30, idle=30, longest=60)
    made.start()
    made.poke()
    made.stop()
    assert asked.times == []


@pytest.mark.parametrize(
    ("last", "due"),
    [(0.0, 0.25), (0.05, 0.3), (0.2, 1.2), (9.5, 10.0)],
    ids=["one", "at once", "burst", "long"],
)
def test_what_comes_at_once_asks_soon_and_a_burst_when_it_is_over(
    asked: Asked, last: float, due: float
) -> None:
    made = Wake(asked, quick=0.25, idle=1.0, longest=10.0)
    assert made._due(0.0, last) == pytest.approx(due)


def test_to_stop_ends_it_at_once_and_not_before_it_has_ended(asked: Asked) -> None:
    before = set(threading.enumerate())
    wake = Wake(asked, quick=60.0, idle=60.0, longest=60.0)
    wake.start()
    (thread,) = set(threading.enumerate()) - before
    wake.stop()
    assert not thread.is_alive()
