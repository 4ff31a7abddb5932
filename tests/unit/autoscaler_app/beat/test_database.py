"""Which database is used, how its URL is read, and that no password is ever shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoscaler_app.beat import DatabaseScheduler, django_setup
from autoscaler_app.beat.database import Database, chosen, parse, without_password
from autoscaler_app.beat.errors import DatabaseUnusable
from autoscaler_app.celery import app
from scalelib.errors import InvalidConfig


def read(url: object, folder: Path) -> Database:
    return parse(url, folder=folder, place="HERE")


def test_the_environment_comes_before_the_setting_and_both_before_the_file(tmp_path: Path) -> None:
    environ = {"AUTOSCALER_CONFIG": str(tmp_path / "autoscale.json")}
    setting = {"beat_database": "sqlite:///setting.db"}
    named = {**environ, "AUTOSCALER_BEAT_DATABASE": "sqlite:///environment.db"}
    assert chosen({}, environ).name == str(tmp_path / "beat.db")
    assert chosen(setting, environ).name == str(tmp_path / "setting.db")
    assert chosen(setting, named).name == str(tmp_path / "environment.db")


def test_a_sqlite_file_is_relative_to_the_settings_or_absolute(tmp_path: Path) -> None:
    assert read("sqlite:///a%20b.db", tmp_path).name == str(tmp_path / "a b.db")
    assert read(f"sqlite:///{tmp_path}/c.db", tmp_path / "other").name == f"{tmp_path}/c.db"


def test_a_postgresql_url_is_read_whole(tmp_path: Path) -> None:
    url = "postgresql://us%40er:p%2Fw@db.example:6543/name?schema=beat_1&sslmode=require"
    database = read(url, tmp_path)
    entry = database.for_django()
    assert (entry["HOST"], entry["PORT"], entry["NAME"]) == ("db.example", "6543", "name")
    assert (entry["USER"], entry["PASSWORD"]) == ("us@er", "p/w")
    assert entry["OPTIONS"]["sslmode"] == "require"
    assert entry["OPTIONS"]["options"] == "-c search_path=beat_1"
    assert "p/w" not in f"{database} {database!r}"
    assert str(database) == "postgresql://us@er:***@db.example:6543/name?schema=beat_1"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (5, "HERE is 5"),
        ("beat.db", "'no scheme' is unknown"),
        ("mysql://h/n", "'mysql' is unknown"),
        ("sqlite://beat.db", "does not name a file"),
        ("sqlite:///", "does not name a file"),
        ("sqlite:////no/such/folder/beat.db", "there is no folder /no/such/folder"),
        ("postgresql://host/", "does not name one database"),
        ("postgresql://host/a/b", "does not name one database"),
        ("postgresql://host:port/name", "is no URL"),
        ("postgresql://host/name?schema", "is no URL"),
        ("postgresql://host/name?schema=Robert'; --", "the schema is"),
    ],
)
def test_a_wrong_url_is_an_error_that_names_the_place_and_what_is_wrong(
    tmp_path: Path, url: object, said: str
) -> None:
    with pytest.raises(InvalidConfig, match="HERE") as error:
        read(url, tmp_path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:s3cret@host/name",
        "postgresql://user:s3cret@host:port/name",
        "postgresql://user:s3cret@host/",
        "postgresql://user:s3cret/more@host/name",
        "postgresql://user:s3cret#more@host/name",
        "postgresql://user:1?s3cret@host/name",
        "postgresql://us@er:s3cret@host/a/b",
        "postgresql://host/a/b?password=s3cret&x=y",
        "sqlite://user:s3cret@host/a",
    ],
)
def test_a_password_is_in_no_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        read(url, tmp_path)
    assert "s3cret" not in str(error.value)
    assert "s3cret" not in without_password(url)


def test_a_folder_in_which_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    """Here the lock beside the database is in the way; more often the folder is somebody else's."""
    (tmp_path / "beat.db.lock").mkdir()
    with (
        pytest.raises(DatabaseUnusable, match=r"sqlite:.*beat\.db cannot be set up: .*beat\.db\.lock"),
        django_setup._alone(read("sqlite:///beat.db", tmp_path)),
    ):
        raise AssertionError("it was not alone")


@pytest.mark.parametrize("missing", ["django", "django_celery_beat"])
def test_a_missing_extra_ends_beat_with_the_command_that_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as ended:
        DatabaseScheduler(app)
    assert ended.value.code == 78
    assert "pip install 'celery-cluster-autoscaler[django]'" in capsys.readouterr().err
