"""A pool that is emptied keeps what its children were given, and a pool of another shape is left alone."""

from __future__ import annotations

import logging
from types import MethodType, SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool

from celery_resources.insides.surviving import keep_what_children_were_given


class Job:
    """A job of the pool; `pipe` is that of the child that has it."""

    def __init__(self, number: int, pipe: int | None, *, ends: bool = False) -> None:
        self._job, self.ends, self._ended = number, ends, False
        self._write_to = None if pipe is None else SimpleNamespace(inqW_fd=pipe)

    def ready(self) -> bool:
        return self._ended


def _pool(monkeypatch: pytest.MonkeyPatch, *jobs: Job) -> Any:
    """Celery's pool as its `flush` leaves it in the oldest version: with no job, and no child busy.

    A child that is found dead meanwhile has ended its job.
    """

    def flush(pool: Any) -> None:
        for job in pool._cache.values():
            job._ended = job.ends
        pool._cache.clear()
        pool._busy_workers.clear()

    monkeypatch.setattr(AsynPool, "flush", flush)
    inner: Any = SimpleNamespace(_cache={job._job: job for job in jobs}, _busy_workers={3, 4, 5})
    inner.flush = MethodType(AsynPool.flush, inner)
    return SimpleNamespace(flush=inner.flush, inner=inner)


def test_what_a_child_has_stays_in_the_books_and_the_child_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, waits, died = Job(1, 3), Job(2, None), Job(3, 4, ends=True)
    pool = _pool(monkeypatch, runs, waits, died)
    keep_what_children_were_given(pool)
    pool.flush()
    assert pool.inner._cache == {1: runs}
    assert pool.inner._busy_workers == {3}


def test_a_pool_of_another_shape_is_left_alone_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = _pool(monkeypatch)
    del pool.inner._busy_workers
    with caplog.at_level(logging.WARNING):
        keep_what_children_were_given(pool)
    assert isinstance(pool.flush, MethodType)
    assert "has no _busy_workers" in caplog.text
