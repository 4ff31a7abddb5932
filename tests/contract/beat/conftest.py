"""The schedule's database, once in SQLite and once in PostgreSQL, each test with one of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.beat import django_setup
from autoscaler_app.beat.database import Database, parse
from autoscaler_app.schedule import every
from tests.conftest import missing

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of a schema of a PostgreSQL database that belongs to this test."""
    psycopg = pytest.importorskip("psycopg", reason="install the extra 'django'")
    try:
        server = psycopg.connect(POSTGRES_URL, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        missing(f"no PostgreSQL at {POSTGRES_URL}", "TEST_POSTGRES_URL")
    schema = f"beat_{uuid.uuid4().hex[:12]}"
    with server:
        yield f"{POSTGRES_URL}?schema={schema}"
        server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/beat.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """The database, set up, and Django in this process pointed at it. Django can be configured only once."""
    from django.conf import settings
    from django.db import connections

    made = parse(database_url, folder=tmp_path, place="the test")
    if not settings.configured:
        django_setup.configure(made)
    connections.settings = connections.configure_settings({"default": made.for_django()})
    del connections["default"]
    django_setup.set_up(made)
    yield made
    connections.close_all()


@pytest.fixture
def start_scheduler(database: Database) -> Iterator[Callable[..., Any]]:
    """Makes schedulers of the database, as `celery beat` does when it starts."""
    from autoscaler_app.beat.scheduler import DatabaseScheduler

    made = []

    def start(interval: float = 15.0, is_a_projects: bool = False) -> DatabaseScheduler:
        app = Celery(broker="memory://", set_as_current=False)
        app.conf.update(beat_schedule=every(interval), result_expires=None)
        made.append(DatabaseScheduler(app=app, database=str(database), is_a_projects=is_a_projects))
        return made[-1]

    yield start
    for scheduler in made:
        scheduler.close()
        scheduler._finalize.cancel()
        scheduler.app.close()
