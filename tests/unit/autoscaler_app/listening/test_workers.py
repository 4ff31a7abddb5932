"""Asking without waiting."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from autoscaler_app.brokers import BrokerError
from autoscaler_app.listening.workers import BrokersWorkers


class Asked:
    """Questions that wait for their answer until a test lets them have it."""

    def __init__(self, workers: BrokersWorkers) -> None:
        self.questions: list[tuple[Any, ...]] = []
        self.answered, self._workers = threading.Event(), workers
        workers.ask = self._ask  # type: ignore[method-assign]
        self.trouble: BrokerError | None = None

    def _ask(self, *question: Any) -> dict[str, Any]:
        self.questions.append(question)
        assert self.answered.wait(10)
        if self.trouble is not None:
            raise self.trouble
        return {"celery@n1": {"pid": 1}}

    def end(self) -> None:
        self.answered.set()
        (thread,) = self._workers._aside.values()
        thread.join(10)


@pytest.fixture
def workers() -> BrokersWorkers:
    return BrokersWorkers(None, timeout=1.0)  # type: ignore[arg-type]


def test_it_goes_on_and_the_answers_come_when_they_are_there(workers: BrokersWorkers) -> None:
    asked, taken = Asked(workers), list[Mapping[str, Any]]()
    workers.ask_aside("resources", [], {"pids": [1]}, taken.append)
    assert workers._aside == {}, "nobody is nobody"
    workers.ask_aside("resources", ["celery@n1"], {"pids": [1]}, taken.append)
    workers.ask_aside("resources", ["celery@n2"], {"pids": [2]}, taken.append)
    assert taken == []
    asked.end()
    assert taken == [{"celery@n1": {"pid": 1}}]
    assert asked.questions == [("resources", ["celery@n1"], {"pids": [1]})], "one question at a time"
    workers.ask_aside("resources", ["celery@n2"], {}, taken.append)
    asked.end()
    assert len(taken) == 2


def test_a_broker_that_is_away_is_told_in_the_log_and_is_no_answer(
    workers: BrokersWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    asked, taken = Asked(workers), list[Mapping[str, Any]]()
    asked.trouble = BrokerError("it is away")
    workers.ask_aside("resources", ["celery@n1"], {}, taken.append)
    asked.end()
    assert taken == []
    assert "could not ask 1 workers for 'resources': it is away" in caplog.text
