"""One of two has the lease of a broker; the other gets it when the first gives it up or dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.passes.lease.amqp import AmqpClaim
from autoscaler_app.passes.lease.claim import Claim
from autoscaler_app.passes.lease.keeping import Lease
from autoscaler_app.passes.lease.redis import RedisClaim

WaitUntil = Callable[..., object]
SECONDS = 2.0


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    with Celery("control", broker=broker_url, set_as_current=False) as made:
        yield made


def claim(app: Celery, name: str) -> Claim:
    kind = RedisClaim if str(app.conf.broker_url).startswith("redis") else AmqpClaim
    return kind(app, name=name, seconds=SECONDS)


def test_one_of_two_has_it_until_it_gives_it_up(app: Celery) -> None:
    first, second = claim(app, "process 1 on a"), claim(app, "process 2 on b")
    assert second.who() == ""
    assert first.hold("a") == ""
    assert first.hold("a") == "", "kept"
    assert second.hold("b")
    assert second.who()
    second.let_go("b")
    assert second.hold("b"), "what is not ours cannot be given up"
    first.let_go("a")
    assert second.hold("b") == ""
    assert first.hold("a")
    second.let_go("b")


def test_redis_says_by_name_who_has_it(redis_url: str) -> None:
    with Celery("control", broker=redis_url, set_as_current=False) as app:
        first, second = claim(app, "process 1 on a"), claim(app, "process 2 on b")
        first.hold("a")
        assert second.hold("b") == second.who() == "process 1 on a"


def test_of_one_that_is_silent_it_is_taken_over_and_never_before_it_knows(
    app: Celery, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The first stops asking, as a machine that is cut off; its connection stays open."""
    first, second = Lease(claim(app, "1"), tmp_path / "1"), Lease(claim(app, "2"), tmp_path / "2")
    first.keep()
    assert first.why_not() == ""
    second.keep()
    try:
        assert "another control side holds the lease" in second.why_not()
        first._done.set()
        assert first._thread is not None
        first._thread.join(10)
        began = time.monotonic()
        wait_until(lambda: not second.why_not(), seconds=10 * SECONDS)
        assert first.why_not(), "who is silent knows in time that it may not act any more"
        assert time.monotonic() - began < 3 * SECONDS + 1
    finally:
        second.stop()
        first.stop()


def test_a_process_that_starts_anew_on_the_same_machine_has_it_at_once(redis_url: str) -> None:
    with Celery("control", broker=redis_url, set_as_current=False) as app:
        assert claim(app, "process 1").hold("machine/state-file") == ""
        assert claim(app, "process 2").hold("machine/state-file") == ""


def test_a_broker_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    for url in ("redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1//"):
        with Celery("control", broker=url, set_as_current=False) as app:
            with pytest.raises(BrokerError):
                claim(app, "1").hold("a")
            lease = Lease(claim(app, "1"), tmp_path / "1")
            lease.keep()
            assert "the broker does not say who holds the lease" in lease.why_not()
            lease.stop()
