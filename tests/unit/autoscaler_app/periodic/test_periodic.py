"""What beat is going to send is demand before it is sent: read from the app, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.listening.activity import Sent
from autoscaler_app.memory.state import State
from autoscaler_app.periodic import READ_AGAIN, Entry, Foreseen, Periodic, due
from celery_resources import Requirement
from celery_resources.settings import ONE_CPU

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Write = Callable[[str], None]

APP = """
from celery import Celery
from celery.schedules import crontab
from celery_resources import with_resources

print("not part of the answer")
app = with_resources(Celery("proj", broker="redis://127.0.0.1:1/0"))
app.conf.timezone = "Europe/Berlin"
app.conf.resource_control_queue = "autoscale"
app.conf.task_routes = {"t.routed": {"queue": "far"}}

@app.task(constraints={"ncpus": 4, "memgb": 8})
def big(): ...

@app.task(queue="own")
def plain(): ...

app.conf.beat_schedule = {
"""
SCHEDULE = """
    "of the task": {"task": "proj.big", "schedule": crontab(minute=30)},
    "of the entry": {"task": "t", "schedule": crontab(hour=14, minute=5), "options": {"queue": "named"}},
    "of the call": {"task": "t", "schedule": crontab(minute=6), "options": {"constraints": {"ncpus": 3}}},
    "routed": {"task": "t.routed", "schedule": crontab(minute=7)},
    "default": {"task": "t", "schedule": crontab(minute=8)},
    "queue of the task": {"task": "proj.plain", "schedule": crontab(minute=9)},
    "interval": {"task": "t", "schedule": 5.0, "options": {"queue": "often"}},
    "ours": {"task": "autoscaler_app.autoscale", "schedule": crontab(), "options": {"queue": "autoscale"}},
}
"""


def unknown(queue: str) -> None:
    """No run time is known."""


def foresee(periodic: Periodic, *words: Any) -> Foreseen:
    """As a pass does: what was read and heard is remembered."""
    found = periodic.foreseen(*words)
    periodic.remember(found)
    return found


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the app's module into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "proj.py").write_text(text)

    return write


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.db")
    yield state
    state.close()


def test_each_entry_counts_in_the_queue_that_beat_would_send_it_to(write: Write, state: State) -> None:
    write(APP + SCHEDULE)
    found = foresee(Periodic("proj", state), NOON, timedelta(minutes=31), unknown)
    big, small = Requirement({"ncpus": 4, "memgb": 8}), Requirement({"ncpus": 3})
    assert found.warnings == ()
    assert {queue: [s / 60 for s in seconds] for queue, seconds in found.due.items()} == {
        "named": [5],  # 14:05 in Berlin
        "res:ncpus=3": [6],
        "far": [7],
        "celery": [8],
        "own": [9],
        "res:memgb=8:ncpus=4": [30],
    }
    assert dict(found.kinds) == {
        **dict.fromkeys(("named", "far", "celery", "own", "often"), ONE_CPU),
        "res:ncpus=3": small,
        "res:memgb=8:ncpus=4": big,
    }


def test_entries_that_the_app_adds_while_it_is_made_are_seen(write: Write, state: State) -> None:
    write("""
from celery import Celery
from celery.schedules import crontab
app = Celery("proj", broker="memory://")

@app.on_after_finalize.connect
def add(sender, **_):
    sender.add_periodic_task(crontab(minute=30), t.s(1).set(queue="of signature"), name="first")
    sender.add_periodic_task(crontab(minute=31), t.s(1), queue="of call")

@app.task
def t(n): ...
""")
    found = foresee(Periodic("proj:app", state), NOON, timedelta(hours=1), unknown)
    assert found.due == {"of signature": (1800.0,), "of call": (1860.0,)}


def test_a_task_is_due_no_earlier_than_the_horizon_and_not_once_it_was_sent(
    write: Write, state: State
) -> None:
    write(APP + SCHEDULE)
    periodic = Periodic("proj", state)

    def due_at(minutes: float) -> tuple[float, ...]:
        return foresee(periodic, NOON + minutes * MINUTE, 3 * MINUTE, unknown).due.get("named", ())

    assert [due_at(minutes) for minutes in (1.9, 2, 4.5, 5, 6)] == [(), (180.0,), (30.0,), (), ()]


@pytest.mark.parametrize(
    ("runtime", "wanted", "why"),
    [
        (None, (60.0,), "unknown: the next one"),
        (30.0, (60.0,), "done before the one after it is sent"),
        (150.0, (60.0, 120.0, 180.0), "three run at once"),
        (9000.0, (60.0, 120.0, 180.0, 240.0, 300.0), "all within the horizon, none beyond"),
    ],
)
def test_of_a_frequent_entry_only_what_runs_at_once_counts(
    runtime: float | None, wanted: tuple[float, ...], why: str
) -> None:
    every_minute = Entry(queue="q", at=tuple(NOON + minute * MINUTE for minute in range(-2, 30)))
    found = due((every_minute,), NOON, 5 * MINUTE, {"q": runtime}.get)
    assert found == {"q": wanted}, why


def test_entries_of_one_queue_add_up() -> None:
    one, other = Entry(queue="q", at=(NOON + 2 * MINUTE,)), Entry(queue="q", at=(NOON + MINUTE,))
    assert due((one, other), NOON, 5 * MINUTE, unknown) == {"q": (60.0, 120.0)}


def test_the_schedule_is_read_seldom_and_again_when_it_may_have_changed(write: Write, state: State) -> None:
    write(APP + SCHEDULE)
    periodic = Periodic("proj", state)

    def named(at: datetime, horizon: timedelta = 30 * MINUTE) -> tuple[float, ...]:
        return foresee(periodic, at, horizon, unknown).due.get("named", ())

    assert named(NOON) == (300.0,)
    write(APP + SCHEDULE.replace("minute=5)", "minute=20)"))
    assert named(NOON + 0.9 * READ_AGAIN, MINUTE) == (), "as it was read"
    assert named(NOON) == (300.0,)
    assert named(NOON + READ_AGAIN) == (600.0,), "read again"
    write(APP + SCHEDULE.replace("minute=5)", "minute=2)"))
    assert named(NOON - MINUTE) == (180.0,), "the clock was set back"
    write(APP + SCHEDULE.replace("minute=5)", "minute=59)"))
    assert named(NOON, timedelta(hours=1)) == (3540.0,), "further than was read"
    assert foresee(Periodic("other", state), NOON, MINUTE, unknown).warnings, "another app"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (APP, "SyntaxError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import os; os._exit(7)", "ended with 7"),
        ("import os; os.write(1, b'noise'); os._exit(0)", "does not read as a schedule"),
        ("import time; time.sleep(60)", "not loaded within 1 s"),  # an app that hangs; it is ended
    ],
)
def test_an_app_that_cannot_be_loaded_is_a_warning_and_what_was_known_stands(
    write: Write, state: State, program: str, said: str
) -> None:
    write(APP + SCHEDULE)
    horizon = 2 * READ_AGAIN
    assert "own" in foresee(Periodic("proj", state), NOON - 3 * MINUTE, horizon, unknown).due
    write(program)
    periodic = Periodic("proj", state, patience=1 if "sleep" in program else 60)
    for at in (NOON + 8 * MINUTE, NOON + 8.5 * MINUTE):
        found = foresee(periodic, at, horizon, unknown)
        (warning,) = found.warnings
        assert "beat_schedule_app 'proj'" in warning
        assert said in warning
        assert "own" in found.due, "its time was known before"
    write(APP + SCHEDULE)
    mended = foresee(Periodic("proj", state), NOON + 9 * MINUTE + READ_AGAIN, horizon, unknown)
    assert mended.warnings == ()


def test_an_interval_is_foreseen_from_what_was_heard_of_it(write: Write, state: State) -> None:
    """Its first task makes the rhythm known. That outlives a restart, and ends when tasks fail to come."""
    write(APP + SCHEDULE.replace("5.0", "600.0"))
    horizon = 5 * MINUTE

    def often(at: float, sent: tuple[Sent, ...] = (), periodic: Periodic | None = None) -> tuple[float, ...]:
        found = foresee(periodic or Periodic("proj", state), NOON + at * MINUTE, horizon, unknown, sent)
        assert found.watched == {"t"}
        return found.due.get("often", ())

    def sent(at: float, queue: str = "often") -> Sent:
        return Sent("t", queue, NOON + at * MINUTE)

    assert often(0) == (), "nothing is known of it"
    assert often(2, (sent(1), sent(1.5, "named"))) == (), "the next is further away than the horizon"
    assert often(7) == (240.0,), "to the control worker that was started meanwhile"
    assert often(8, (sent(7.5),)) == (180.0,), "that one was sent by hand"
    assert often(12, (sent(11.1),)) == ()
    assert often(18) == (186.0,)
    assert often(28) == (), "beat sends it no more"


def test_without_the_setting_nothing_is_foreseen(state: State) -> None:
    assert Periodic("", state).foreseen(NOON, timedelta(hours=1), unknown) == Foreseen()
    assert state.fact("timetable") is None


def test_who_only_looks_remembers_nothing_and_takes_nothing_from_the_one_who_does(
    write: Write, state: State
) -> None:
    write(APP + SCHEDULE.replace("5.0", "600.0"))
    periodic, sent = Periodic("proj", state), Sent("t", "often", NOON + MINUTE)
    periodic.foreseen(NOON + 2 * MINUTE, 20 * MINUTE, unknown, (sent,))
    assert (state.fact("timetable"), state.fact("rhythms")) == (None, None)
    old = periodic.foreseen(NOON + 2 * MINUTE, 20 * MINUTE, unknown)
    foresee(periodic, NOON + 2 * MINUTE, 20 * MINUTE, unknown, (sent,))
    periodic.remember(replace(old, rhythms=dict.fromkeys(state.fact("rhythms"), NOON)))
    found = periodic.foreseen(NOON + 2 * MINUTE, 20 * MINUTE, unknown)
    assert found.due["often"] == (540.0,), "the later word of the two stands"


def test_a_schedule_that_could_not_be_read_takes_nothing_from_what_another_process_has_read(
    write: Write, state: State
) -> None:
    write("raise RuntimeError('no licence')")
    periodic = Periodic("proj", state)
    failed = periodic.foreseen(NOON, 20 * MINUTE, unknown)
    write(APP + SCHEDULE)
    foresee(Periodic("proj", state), NOON, 20 * MINUTE, unknown)
    periodic.remember(failed)
    assert "own" in periodic.foreseen(NOON + MINUTE, 20 * MINUTE, unknown).due
