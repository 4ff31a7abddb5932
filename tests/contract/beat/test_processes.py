"""`celery beat` on a database, as real processes: first starts at once, edits, errors, Django projects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

ROOT = Path(__file__).resolve().parents[3]
WaitUntil = Callable[..., object]
BEAT = ("celery", "-A", "autoscaler_app", "beat", "-l", "INFO", "-S", "autoscaler_app.beat:DatabaseScheduler")
COMMAND = ("autoscaler_app.beat", "interval")


class Programs:
    """Starts `python -m …` with an environment of its own; nothing of it is left at the end."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "AUTOSCALER_CONFIG": str(folder / "autoscale.json"),
            "AUTOSCALER_INTERVAL": "3600",
            "CELERY_BROKER_URL": broker,
        }
        self.env.pop("DJANGO_SETTINGS_MODULE", None)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, log: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env={**self.env, **env},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def run(self, *words: str, **env: str) -> tuple[int, str]:
        """Exit code and everything it said."""
        code = self.start(*words, log="run.log", **env).wait(60)
        return code, self.said("run.log")

    def said(self, log: str) -> str:
        return (self.folder / log).read_text()

    def stop(self) -> None:
        for process in self.started:
            process.terminate()
        stuck = []
        for process in self.started:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                stuck.append(process.args)
                process.kill()
                process.wait()
        assert stuck == []


@pytest.fixture
def programs(tmp_path: Path, valkey_url: str) -> Iterator[Programs]:
    made = Programs(tmp_path, valkey_url)
    yield made
    made.stop()


@pytest.mark.timeout(300)  # two starts at once, which also make the tables
def test_two_first_starts_at_once_an_edit_while_they_run_and_no_password_in_the_logs(
    programs: Programs, database_url: str, valkey_url: str, wait_until: WaitUntil
) -> None:
    url = database_url.replace("postgres@", "postgres:s3cret@")
    programs.env["AUTOSCALER_BEAT_DATABASE"] = url
    logs = ("one.log", "two.log")
    beats = [programs.start(*BEAT, log=log) for log in logs]
    for log in logs:
        wait_until(lambda log=log: "asked for by: 'autoscale' every 3600 s" in programs.said(log), seconds=90)

    code, said = programs.run(*COMMAND, "0.5")
    assert code == 0, said
    assert "autoscale: every 0.5 s" in said
    with redis.Redis.from_url(valkey_url) as broker:
        wait_until(lambda: broker.llen("autoscale") >= 3, seconds=60, what="beat asks at the new interval")
    assert [beat.poll() for beat in beats] == [None, None]
    together = programs.said("one.log") + programs.said("two.log") + said
    assert together.count("entry 'autoscale' is now in the database") == 1
    assert "s3cret" not in together
    assert "Traceback" not in together


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"AUTOSCALER_BEAT_DATABASE": "postgresql://user:s3cret@127.0.0.1:1/name"},
            "beat not started: postgresql://user:***@127.0.0.1:1/name cannot be used: connection failed",
        ),
        ({"AUTOSCALER_BEAT_DATABASE": "mysql://user:s3cret@host/name"}, "'mysql' is unknown"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_and_exit_code_78(
    programs: Programs, environment: dict[str, str], said: str
) -> None:
    code, log = programs.run(*BEAT, **environment)
    assert code == 78
    assert said in log
    assert "s3cret" not in log
    assert "Traceback" not in log


def test_a_django_project_that_cannot_start_is_one_sentence(programs: Programs) -> None:
    code, said = programs.run(*COMMAND, DJANGO_SETTINGS_MODULE="no_such_project")
    assert code == 78
    assert said.startswith("error: DJANGO_SETTINGS_MODULE is 'no_such_project'")


def django_project(folder: Path) -> dict[str, str]:
    """A Django project of its own in this folder; the environment in which programs find it."""
    (folder / "project_of_test.py").write_text(
        "SECRET_KEY = 'none'\nUSE_TZ = True\nINSTALLED_APPS = ['django_celery_beat']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', "
        f"'NAME': {str(folder / 'project.db')!r}, 'OPTIONS': {{'timeout': 30}}}}}}\n"
    )
    return {"DJANGO_SETTINGS_MODULE": "project_of_test", "PYTHONPATH": str(folder)}


@pytest.mark.timeout(300)  # four programs, one after the other
def test_the_database_of_a_django_project_is_used_as_it_is(programs: Programs, tmp_path: Path) -> None:
    project = django_project(tmp_path)
    code, said = programs.run(*COMMAND, **project)
    assert code == 78
    assert "manage.py migrate django_celery_beat" in said

    code, said = programs.run("django", "migrate", "--verbosity", "0", **project)
    assert code == 0, said
    code, said = programs.run(*COMMAND, "7", **project)
    assert code == 0, said
    assert "autoscale: every 7 s" in said
    assert "project_of_test" in said
    assert not (tmp_path / "beat.db").exists()


THEIRS = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
often = IntervalSchedule.objects.create(every=500_000, period="microseconds")
PeriodicTask.objects.create(name="theirs", task="proj.tick", interval=often)
"""


@pytest.mark.timeout(300)  # five programs
def test_beside_the_beat_of_a_project_each_of_its_tasks_is_sent_once_and_that_beat_alone_asks_for_passes(
    programs: Programs, valkey_url: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """As docs/beat.md shows it: the project's own beat serves our row like any other."""
    programs.env |= django_project(tmp_path)
    (tmp_path / "proj.py").write_text("from celery import Celery\napp = Celery('proj')\n")
    assert programs.run("django", "migrate", "--verbosity", "0") == (0, "")
    code, said = programs.run(*COMMAND, "0.5")
    assert code == 0, said
    assert programs.run("django", "shell", "-v", "0", "-c", THEIRS) == (0, "")

    ours = programs.start(*BEAT, log="ours.log")
    wait_until(lambda: programs.said("ours.log").count("Sending due task autoscale") >= 3, seconds=60)
    ours.terminate()
    ours.wait(60)
    with redis.Redis.from_url(valkey_url) as broker:
        assert broker.llen("celery") == 0, "what is not ours was not sent"
        asked = broker.llen("autoscale")
        theirs = programs.start(
            "celery", "-A", "proj", "beat", "-S", "django", "-l", "INFO", log="theirs.log"
        )
        wait_until(lambda: broker.llen("celery") >= 3, seconds=60, what="the project's own task is sent")
        wait_until(lambda: broker.llen("autoscale") >= asked + 3, seconds=60, what="and passes are asked for")
    assert theirs.poll() is None


STOPPED_IN_A_FINALIZER = """
import os, signal
from autoscaler_app.beat.clock import FileScheduler

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        os.getpid()  # the handler has run by now, and what it raised ends here

class StoppedInAFinalizer(FileScheduler):
    def apply_entry(self, entry, producer=None):
        print("stopped in a finalizer", flush=True)
        Dying()
"""


def test_a_beat_that_is_stopped_where_the_exception_is_lost_ends_all_the_same(
    programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "scheduler_of_test.py").write_text(STOPPED_IN_A_FINALIZER)
    code, said = programs.run(
        *BEAT[:-1],
        "scheduler_of_test:StoppedInAFinalizer",
        "-s",
        str(tmp_path / "schedule"),
        PYTHONPATH=str(tmp_path),
        AUTOSCALER_INTERVAL="0.5",
    )
    assert code == 0, said
    assert "Exception ignored" in said
    assert said.count("stopped in a finalizer") == 1


STOPPED_IN_A_QUERY = """
import os, signal
from autoscaler_app import beat

def Scheduler(*args, **kwargs):
    made = beat.DatabaseScheduler(*args, **kwargs)
    from django.db import connection
    applies = made.apply_entry

    def apply_entry(*args, **kwargs):
        applies(*args, **kwargs)
        assert made._dirty, "there is something to save"
        print("stopped in a query", flush=True)
        with connection.connection.lock:  # as every query on PostgreSQL does
            os.kill(os.getpid(), signal.SIGTERM)
            os.getpid()  # the handler runs here

    made.apply_entry = apply_entry
    return made
"""


def test_a_beat_that_is_stopped_in_the_middle_of_a_query_saves_and_ends(
    programs: Programs, postgres_url: str, tmp_path: Path
) -> None:
    psycopg = pytest.importorskip("psycopg", reason="install the extra 'django'")
    (tmp_path / "scheduler_of_test.py").write_text(STOPPED_IN_A_QUERY)
    programs.env |= {"AUTOSCALER_BEAT_DATABASE": postgres_url, "AUTOSCALER_INTERVAL": "0.5"}
    begin = ("scheduler_of_test:Scheduler", "--max-interval", "1")
    code, said = programs.run(*BEAT[:-1], *begin, PYTHONPATH=str(tmp_path))
    assert code == 0, said
    assert said.count("stopped in a query") == 1
    url, schema = postgres_url.split("?schema=")
    with psycopg.connect(url) as database:
        rows = database.execute(f"SELECT name, total_run_count FROM {schema}.django_celery_beat_periodictask")
        assert ("autoscale", 1) in rows.fetchall(), "what it sent was saved"


STOPPED_WHILE_IT_STARTS = """
import os, signal
from autoscaler_app import beat
from autoscaler_app.beat import django_setup

prepare = django_setup.prepare
stopped = []

def prepare_and_stop(conf):
    database = prepare(conf)
    if not stopped and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # not for the banner
        stopped.append(True)
        print("stopped while it starts", flush=True)
        from django.db import connection
        connection.ensure_connection()
        with connection.connection.lock:  # as every query on PostgreSQL does
            os.kill(os.getpid(), signal.SIGTERM)
            os.getpid()  # the handler runs here
    return database

django_setup.prepare = prepare_and_stop
Scheduler = beat.DatabaseScheduler
"""


def test_a_beat_that_is_stopped_in_a_query_while_it_starts_ends(
    programs: Programs, postgres_url: str, tmp_path: Path
) -> None:
    """Celery's handler would make another scheduler, to save it: over the connection that is in use."""
    (tmp_path / "scheduler_of_test.py").write_text(STOPPED_WHILE_IT_STARTS)
    programs.env |= {"AUTOSCALER_BEAT_DATABASE": postgres_url}
    code, said = programs.run(*BEAT[:-1], "scheduler_of_test:Scheduler", PYTHONPATH=str(tmp_path))
    assert code == 0, said
    assert said.count("stopped while it starts") == 1
