"""Django without a Django project: configured from a database URL, its tables made under a lock.

Where there is a Django project (`DJANGO_SETTINGS_MODULE`), its settings and its database are used as they
are, and its tables are its own business.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoscaler_app.beat.database import VARIABLE, Database, chosen, without_password
from autoscaler_app.beat.errors import DatabaseUnusable, MissingExtra
from autoscaler_app.passes import lock
from scalelib.errors import InvalidConfig

log = logging.getLogger(__name__)

APP = "django_celery_beat"
PROJECT = "DJANGO_SETTINGS_MODULE"

LOCK_SECONDS = 60
"""How long to wait for another beat that sets the database up."""
LOCK_NUMBER = 0x6175746F
"""Names the lock among the advisory locks of a PostgreSQL database."""

_ours: Database | None = None
"""The database for which Django was configured here; None where a Django project did it."""


def prepare(conf: Mapping[str, Any]) -> str:
    """Have Django configured and the tables there; what database it is, without its password.

    Raises MissingExtra, InvalidConfig or DatabaseUnusable.
    """
    global _ours
    _need("django", "the database scheduler")
    _need(APP, "the database scheduler")
    if _ours is not None:
        return str(_ours)
    from django.conf import settings

    if settings.configured or os.environ.get(PROJECT):
        return _use_the_project()
    database = chosen(conf)
    if database.kind == "postgresql":
        _need("psycopg", "a PostgreSQL database", package="psycopg[binary]")
    configure(database)
    set_up(database)
    _ours = database
    return str(database)


def is_a_projects() -> bool:
    """Whether the database that `prepare` has found belongs to a Django project."""
    return _ours is None


def configure(database: Database) -> None:
    """Configure Django for this database and nothing else."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=[APP],
        DATABASES={"default": database.for_django()},
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        # Celery has set logging up.
        LOGGING_CONFIG=None,
    )
    django.setup()


def set_up(database: Database) -> None:
    """Make the tables, or bring them up to date. Two at once do it one after the other."""
    from django.core.management import call_command

    with translated(str(database)), _alone(database):
        call_command("migrate", verbosity=0, interactive=False)


@contextmanager
def translated(database: str) -> Iterator[None]:
    """Errors of the database become DatabaseUnusable, without passwords."""
    from django.db import Error

    try:
        yield
    except Error as error:
        said = without_password(str(error).strip())
        raise DatabaseUnusable(f"{database} cannot be used: {said}") from error


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    if database.kind == "sqlite":
        try:
            with lock.held(Path(database.name + ".lock"), patience=LOCK_SECONDS):
                yield
        except lock.PassIsRunning as busy:
            raise DatabaseUnusable(f"another process sets {database} up: {busy}") from busy
        except OSError as error:
            raise DatabaseUnusable(f"{database} cannot be set up: {error}") from error
        return
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK_NUMBER])
        try:
            _make_schema(cursor, database.schema)
            yield
        finally:
            # Also where the set-up has failed: the connection is kept, and with it would be the lock.
            connection.close()


def _make_schema(cursor: Any, schema: str) -> None:
    """Asked first: who may use a schema may not always make one."""
    if not schema:
        return
    cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if cursor.fetchone() is None:
        cursor.execute(f'CREATE SCHEMA "{schema}"')


def _use_the_project() -> str:
    """A Django project that is configured already, or is by `DJANGO_SETTINGS_MODULE`."""
    import django
    from django.apps import apps
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connection

    named = os.environ.get(PROJECT, "")
    try:
        if not apps.ready:
            django.setup()
    except (ImproperlyConfigured, ImportError) as error:
        raise InvalidConfig(f"{PROJECT} is {named!r}, and Django cannot start with it: {error}") from error
    if not apps.is_installed(APP):
        raise InvalidConfig(f"{PROJECT} is {named!r}; add {APP!r} to its INSTALLED_APPS, or unset {PROJECT}")
    if os.environ.get(VARIABLE):
        log.warning("%s is ignored: the database is that of the Django project %s", VARIABLE, named)
    place = f"the database of the Django project {named or settings.SETTINGS_MODULE}"
    with translated(place):
        tables = connection.introspection.table_names()
    if f"{APP}_periodictask" not in tables:
        raise DatabaseUnusable(f"{place} has no tables of {APP}; run: manage.py migrate {APP}")
    return place


def _need(module: str, what_for: str, package: str = "celery-cluster-autoscaler[django]") -> None:
    try:
        found = importlib.util.find_spec(module) is not None
    except ValueError:
        found = False
    if not found:
        raise MissingExtra(f"{what_for} needs {module}, which is not installed: pip install '{package}'")
