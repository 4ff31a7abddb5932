"""The schedule in a database: made once, edited live, never reset; the same on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab

from autoscaler_app.beat.database import Database
from autoscaler_app.schedule import ASKED_EVERY, AUTOSCALE, CONTROL_QUEUE
from scalelib.errors import InvalidConfig

Start = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def models(database: Database) -> Any:
    from django_celery_beat import models

    return models


@pytest.fixture
def entries(database: Database) -> Any:
    from autoscaler_app.beat import entries

    return entries


def seconds_between_passes(scheduler: Any) -> float:
    """As a running beat sees it at its next look, which is seconds away at most."""
    scheduler.tick()
    return float(scheduler.schedule["autoscale"].schedule.seconds)


def test_a_look_is_never_more_than_seconds_away(start_scheduler: Start) -> None:
    assert start_scheduler(interval=3600.0).tick() <= 5.0


def test_the_first_start_makes_the_entry_from_beat_schedule(start_scheduler: Start, models: Any) -> None:
    start_scheduler(interval=15.0)
    row = models.PeriodicTask.objects.get()
    assert (row.name, row.task, row.queue, row.enabled) == ("autoscale", AUTOSCALE, CONTROL_QUEUE, True)
    assert (row.interval.every, row.interval.period) == (15, "seconds")
    assert row.expire_seconds == 14


@pytest.mark.parametrize("interval", [0.3, 2.0, 2.5])
def test_any_interval_of_beat_schedule_is_kept_exactly(start_scheduler: Start, interval: float) -> None:
    scheduler = start_scheduler(interval=interval)
    assert seconds_between_passes(scheduler) == interval
    assert scheduler.schedule["autoscale"].options["expires"] == pytest.approx(interval * 0.9)


def test_a_restart_resets_nothing_that_was_edited(start_scheduler: Start, entries: Any, models: Any) -> None:
    start_scheduler(interval=15.0)
    entries.set_interval(60.0)
    row = models.PeriodicTask.objects.get()
    row.queue, row.description = "elsewhere", "mine"
    row.save()
    again = start_scheduler(interval=15.0)
    row = models.PeriodicTask.objects.get()
    assert (row.queue, row.description, row.expire_seconds) == ("elsewhere", "mine", 54)
    assert seconds_between_passes(again) == 60.0


def test_a_disabled_entry_stays_disabled(start_scheduler: Start, models: Any) -> None:
    start_scheduler()
    row = models.PeriodicTask.objects.get()
    row.enabled = False
    row.save()
    again = start_scheduler()
    again.tick()
    assert not models.PeriodicTask.objects.get().enabled
    assert "autoscale" not in again.schedule


def test_in_a_projects_database_only_rows_of_ours_are_served(
    start_scheduler: Start, entries: Any, models: Any
) -> None:
    """The others are sent by the project's own beat, and would be sent twice."""
    seldom = entries.interval_row(3600)
    models.PeriodicTask.objects.create(name="theirs", task="proj.tick", interval=seldom)
    models.PeriodicTask.objects.create(name="another pass", task=AUTOSCALE, interval=seldom)
    assert start_scheduler(is_a_projects=True).schedule.keys() == {"autoscale", "another pass"}
    assert start_scheduler(is_a_projects=False).schedule.keys() == {"autoscale", "another pass", "theirs"}


def test_an_interval_edited_through_django_is_noticed(start_scheduler: Start, models: Any) -> None:
    scheduler = start_scheduler(interval=3600.0)
    assert seconds_between_passes(scheduler) == 3600.0
    row = models.PeriodicTask.objects.get()
    row.interval = models.IntervalSchedule.objects.create(every=2, period="minutes")
    row.save()
    assert seconds_between_passes(scheduler) == 120.0


def test_an_interval_edited_with_plain_sql_is_noticed(start_scheduler: Start) -> None:
    from django.db import connection

    scheduler = start_scheduler(interval=3600.0)
    assert seconds_between_passes(scheduler) == 3600.0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_celery_beat_intervalschedule SET every = 5")
    assert seconds_between_passes(scheduler) == 5.0


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("crontabschedule", "minute = '30'"),
        ("periodictask", "args = '[2]'"),
        ("periodictask", "priority = 3"),
        ("periodictask", "one_off = true"),
    ],
)
def test_any_edit_with_plain_sql_is_noticed(
    start_scheduler: Start, entries: Any, models: Any, table: str, change: str
) -> None:
    from django.db import connection

    crontab_row, _ = entries.Entry.to_model_schedule(crontab(minute="0"))
    models.PeriodicTask.objects.create(name="other", task="x.y", crontab=crontab_row, args="[1]")
    scheduler = start_scheduler()
    scheduler.tick()
    scheduler.schedule_changed()
    assert not scheduler.schedule_changed()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE django_celery_beat_{table} SET {change}")
    assert scheduler.schedule_changed()
    assert not scheduler.schedule_changed()


def test_an_edit_by_the_command_is_noticed_and_the_expiry_follows(
    start_scheduler: Start, entries: Any
) -> None:
    scheduler = start_scheduler(interval=3600.0)
    assert entries.set_interval(8.0).when == "every 8 s"
    assert seconds_between_passes(scheduler) == 8.0
    options = scheduler.schedule["autoscale"].options
    assert options["expires"] == pytest.approx(7.2)
    assert options["headers"][ASKED_EVERY] == 8.0
    assert options["ignore_result"] is True
    assert options["queue"] == CONTROL_QUEUE


def test_an_interval_out_of_range_is_refused_and_nothing_is_changed(
    start_scheduler: Start, entries: Any
) -> None:
    start_scheduler(interval=15.0)
    with pytest.raises(ValueError, match=r"between passes is 0 s"):
        entries.set_interval(0.0)
    assert [entry.when for entry in entries.planned()] == ["every 15 s"]


def test_an_interval_is_not_set_where_two_entries_ask_for_passes(
    start_scheduler: Start, entries: Any, models: Any
) -> None:
    start_scheduler()
    models.PeriodicTask.objects.create(
        name="by night", task=AUTOSCALE, interval=models.IntervalSchedule.objects.first()
    )
    with pytest.raises(InvalidConfig, match="'by night'"):
        entries.set_interval(5.0)


def test_an_entry_by_the_clock_is_made_once_as_well(entries: Any, models: Any) -> None:
    nightly = {"nightly": {"task": "proj.report", "schedule": crontab(hour=3, minute=0), "options": {}}}
    assert entries.make_missing(nightly) == ["nightly"]
    assert entries.make_missing(nightly) == []
    assert models.PeriodicTask.objects.get().crontab.hour == "3"


def test_a_last_run_in_the_future_does_not_stop_passes(start_scheduler: Start, models: Any) -> None:
    """The clock of the host was set back by a day while beat was down."""
    start_scheduler(interval=1.0)
    models.PeriodicTask.objects.update(last_run_at=datetime.now(UTC) + timedelta(days=1))
    scheduler = start_scheduler(interval=1.0)
    assert scheduler.tick() <= 1.0
    assert scheduler.schedule["autoscale"].last_run_at <= datetime.now(UTC)


def test_a_database_that_drops_the_connection_costs_neither_beat_nor_edits(postgres_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, postgres_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3600.0", "9.0"]


DROPPED = """
import sys
from pathlib import Path
import psycopg
from celery import Celery
from autoscaler_app.beat import django_setup
from autoscaler_app.beat.database import parse
from autoscaler_app.schedule import every

database = parse(sys.argv[1], folder=Path("."), place="here")
django_setup.configure(database)
django_setup.set_up(database)
from django.db import connection
from autoscaler_app.beat import entries
from autoscaler_app.beat.scheduler import DatabaseScheduler

app = Celery(broker="memory://")
app.conf.update(beat_schedule=every(3600.0), result_expires=None)
scheduler = DatabaseScheduler(app=app)
scheduler.tick()
print(scheduler.schedule["autoscale"].schedule.seconds)
connection.ensure_connection()
pid = connection.connection.info.backend_pid
with psycopg.connect(sys.argv[1].partition("?")[0], autocommit=True) as admin:
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
scheduler.tick()
entries.set_interval(9.0)
scheduler.tick()
print(scheduler.schedule["autoscale"].schedule.seconds)
"""
