"""Where the schedule is kept: a database URL, read. Pure; knows nothing of Django but its words for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from autoscaler_app.settings import CONFIG_VARIABLE
from scalelib.errors import InvalidConfig

VARIABLE = "AUTOSCALER_BEAT_DATABASE"
"""Environment variable that names the database; it comes before the setting."""

SETTING = "beat_database"
"""Setting of the Celery app (in `celeryconfig.py`) that names the database."""

DEFAULT_FILE = "beat.db"
"""Beside `autoscale.json`, if neither names one."""

RIGHT = (
    "write sqlite:///file (relative to the folder of autoscale.json), sqlite:////absolute/file or "
    "postgresql://user:password@host:5432/name?schema=beat"
)
BUSY_SECONDS = 20
CONNECT_SECONDS = "10"


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database. Its text form has no password."""

    kind: Literal["sqlite", "postgresql"]
    name: str
    """The file, absolute, or the database on the server."""
    host: str = ""
    port: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    """PostgreSQL: the schema of the tables, made if it is missing. Empty: what the server says."""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """PostgreSQL: further connection parameters of libpq, `sslmode` for example."""

    def __str__(self) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{self.name}"
        who = f"{self.user}{':***' if self.password else ''}@" if self.user else ""
        where = self.host + (f":{self.port}" if self.port else "")
        return f"postgresql://{who}{where}/{self.name}" + (f"?schema={self.schema}" if self.schema else "")

    def for_django(self) -> dict[str, Any]:
        """The entry of Django's `DATABASES`."""
        # Connections are kept, and asked for a sign of life before they are used again.
        kept = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
        if self.kind == "sqlite":
            # Write locks are taken at the start of a transaction: one taken later fails at once if another
            # process has written in between, however long the timeout.
            patient = {"timeout": BUSY_SECONDS, "transaction_mode": "IMMEDIATE"}
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": self.name, "OPTIONS": patient, **kept}
        options = {"connect_timeout": CONNECT_SECONDS, **self.options}
        if self.schema:
            options["options"] = f"{options.get('options', '')} -c search_path={self.schema}".strip()
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "HOST": self.host,
            "PORT": self.port,
            "USER": self.user,
            "PASSWORD": self.password,
            "OPTIONS": options,
            **kept,
        }


def chosen(conf: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Database:
    """The database that the environment names, else the app's setting, else one beside `autoscale.json`."""
    folder = Path(environ.get(CONFIG_VARIABLE, "autoscale.json")).resolve().parent
    url, place = environ.get(VARIABLE), VARIABLE
    if not url:
        url, place = conf.get(SETTING), f"{SETTING} (in celeryconfig.py)"
    if not url:
        url, place = f"sqlite:///{DEFAULT_FILE}", "the default database of beat"
    return parse(url, folder=folder, place=place)


def is_there(conf: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a schedule in a database: a project's, one that is named, or the default file.

    Raises InvalidConfig for a URL that cannot be read.
    """
    if environ.get("DJANGO_SETTINGS_MODULE"):
        return True
    database = chosen(conf, environ)
    return database.kind != "sqlite" or Path(database.name).is_file()


def parse(url: object, *, folder: Path, place: str) -> Database:
    """Read a URL. Raises InvalidConfig that names the place and never shows a password."""
    if not isinstance(url, str):
        raise InvalidConfig(f"{place} is {url!r}; {RIGHT}")
    shown = without_password(url)
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        # What Python says of it is not passed on: with a "/", "?" or "#" in the password it quotes from that.
        hint = "in a password, / ? # @ are written %2F %3F %23 %40"
        raise InvalidConfig(f"{place} is {shown!r}, which is no URL ({hint}); {RIGHT}") from None
    if parts.scheme == "sqlite":
        return _sqlite(unquote(parts.path), folder, f"{place} is {shown!r}", odd=bool(parts.netloc or query))
    if parts.scheme not in ("postgresql", "postgres"):
        raise InvalidConfig(f"{place} is {shown!r}, and {parts.scheme or 'no scheme'!r} is unknown; {RIGHT}")
    name = unquote(parts.path.lstrip("/"))
    if not name or "/" in name:
        raise InvalidConfig(f"{place} is {shown!r}, which does not name one database; {RIGHT}")
    schema = query.pop("schema", "")
    if schema and not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise InvalidConfig(
            f"{place}: the schema is {schema!r}; it is made of small letters, digits and underscores"
        )
    return Database(
        kind="postgresql",
        name=name,
        host=unquote(parts.hostname or ""),
        port=str(port or ""),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=schema,
        options=query,
    )


def _sqlite(path: str, folder: Path, what: str, *, odd: bool) -> Database:
    if odd or len(path) < 2:
        raise InvalidConfig(f"{what}, which does not name a file; {RIGHT}")
    file = folder / path[1:]
    if not file.parent.is_dir():
        raise InvalidConfig(f"{what}, and there is no folder {file.parent}; make it, or name another file")
    return Database(kind="sqlite", name=str(file))


def without_password(text: str) -> str:
    """A URL or a message about one, fit for a log."""
    text = re.sub(r"://(.*)@", "://***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)
