"""When the event loop looks for what has ended in a thread of the pool."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals

from celery_resources.room.threads import ThreadEnds
from tests.unit.celery_resources.plain import Request, plain_gate

EARLY, LATE = SimpleNamespace(acks_late=False), SimpleNamespace(acks_late=True)


def ends(
    soon: list[Any], later: list[Any], *, hub_wakes: bool = True, wake: Any = lambda: None
) -> tuple[Any, ThreadEnds]:
    """A gate, and the ends of its threads; what the loop is to do `soon` and `later`."""
    gate = plain_gate([], ncpus=4)
    gate.consumer.hub = SimpleNamespace(
        call_soon=soon.append, call_later=lambda seconds, look: later.append(look)
    )
    waker: Any = SimpleNamespace(hub_wakes=hub_wakes, wake_from_thread=wake)
    return gate, ThreadEnds(gate.consumer, gate.books, waker, gate._tick)


@pytest.mark.parametrize(("task", "wakes", "looks"), [(LATE, True, 0), (LATE, False, 1), (EARLY, True, 1)])
def test_a_thread_asks_for_a_look_unless_the_loop_is_about_to_acknowledge_what_ended(
    task: Any, wakes: bool, looks: int
) -> None:
    soon: list[Any] = []
    _, threads = ends(soon, [], hub_wakes=wakes)
    threads.ran(task)
    assert len(soon) == looks


def test_one_look_is_for_all_threads_that_end_until_then(celery_has: dict[str, Any]) -> None:
    soon, later = list[Any](), list[Any]()
    _, threads = ends(soon, later)
    for _ in range(3):
        threads.ran(EARLY)
    assert len(soon) == 1
    soon[0]()
    assert len(later) == 1
    threads.ran(EARLY)
    assert len(soon) == 2, "the look that is under way may come too early for this one"


@pytest.mark.parametrize(("shown", "looks_again"), [(2, 0), (1, 1)])
def test_what_celery_shows_late_of_the_ends_of_threads_is_looked_for_once_more(
    celery_has: dict[str, Any], shown: int, looks_again: int
) -> None:
    soon, later = list[Any](), list[Any]()
    gate, threads = ends(soon, later)
    for number in range(2):
        celery_has[str(number)] = request = Request(str(number))
        gate.asked(request)
        threads.ran(EARLY)
    for number in range(shown):
        del celery_has[str(number)]
    soon[0]()
    assert (gate.books.ended, len(later)) == (shown, looks_again)
    celery_has["next"] = request = Request("next")
    gate.asked(request)
    threads.ran(EARLY)
    celery_has.clear()
    soon[1]()
    assert len(later) == looks_again, "each end is looked for once"


def test_the_loop_is_woken_where_celery_does_not_do_it_and_asked_anew_after_a_lost_connection() -> None:
    soon, woken = list[Any](), list[bool]()
    _, threads = ends(soon, [], hub_wakes=False, wake=lambda: woken.append(True))
    threads.ran(LATE)
    threads.ran(LATE)
    assert (len(soon), woken) == (1, [True, True])
    threads.connected()
    threads.ran(LATE)
    assert len(soon) == 2, "the loop has forgotten what it was to do"


def test_the_ends_of_the_tasks_of_this_process_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals.task_postrun, "receivers", [])
    soon: list[Any] = []
    _, threads = ends(soon, [])
    threads.listen()
    signals.task_postrun.send(sender=None, task=EARLY, task_id="t")
    assert len(soon) == 1
