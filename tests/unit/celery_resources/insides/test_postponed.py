"""Of the requests that Celery takes, those that are to wait are told of, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kombu.asynchronous.timer import Timer

from celery_resources.insides.requests import tell_of_postponed


class Consumer:
    """As Celery's, as far as its strategies ask it."""

    def __init__(self) -> None:
        self.timer = Timer()
        self.limited: list[Any] = []

    def _limit_task(self, request: Any, bucket: Any, tokens: int) -> None:
        self.limited.append((request, bucket, tokens))

    def _limit_post_eta(self, request: Any, bucket: Any, tokens: int) -> None: ...

    def apply_eta_task(self, task: Any) -> None: ...


def test_what_waits_for_its_time_or_its_rate_is_told_of_and_goes_its_way() -> None:
    consumer, told = Consumer(), list[Any]()
    tell_of_postponed(consumer, told.append)
    request = [SimpleNamespace(id=number) for number in range(3)]
    consumer._limit_task(request[0], "bucket", 1)
    assert consumer.limited == [(request[0], "bucket", 1)]
    entries = [
        consumer.timer.call_at(1.0, consumer.apply_eta_task, (request[1],), priority=6),
        consumer.timer.call_at(1.0, consumer._limit_post_eta, (request[2], "bucket", 1), priority=6),
        consumer.timer.call_at(1.0, print, ("no request",)),
    ]
    assert told == request
    assert [entry.args[0] for entry in entries] == [request[1], request[2], "no request"]
