"""docs/adopt.md, followed to the letter: its files written, its commands run, what is shown compared."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from demo.process import MARK, Process, kill_marked
from tests.conftest import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adopt.md"
FILES = {"python": "proj.py", "json": "autoscale.json"}
NOT_HERE = ("mkdir", "python3 -m venv", "pip install", ". venv/bin/activate")
"""How the commands begin that make the environment: the one that runs this test is it."""
STAYS = {"cyclecloud_emulator": "Ready:", "worker": "ready.", "beat": "is starting."}
"""Commands that run until they are stopped, by a word of theirs, and what they say when they are up."""


class Step(NamedTuple):
    """A file to write, or a command to run and what it shows."""

    file: str = ""
    text: str = ""
    command: str = ""
    shows: tuple[str, ...] = ()


def steps() -> Iterator[Step]:
    """Those of the page, in order."""
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        if language in FILES:
            yield Step(file=FILES[language], text=text)
            continue
        assert language == "console", language
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *shows = part.splitlines()
            yield Step(command=command, shows=tuple(filter(None, shows)))


class Folder:
    """An empty folder, the environment of its shells, and what was started there."""

    def __init__(self, path: Path, broker_url: str) -> None:
        self.path = path
        self.port = free_port()
        self.broker_port = broker_url.rpartition(":")[2].partition("/")[0]
        self.mark = uuid.uuid4().hex
        self.env = {**os.environ, MARK: self.mark, "TMPDIR": str(path), "PYTHONUNBUFFERED": "1"}
        for name in ("AUTOSCALER_CONFIG", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
            self.env.pop(name, None)
        self.started: list[Process] = []

    def here(self, text: str) -> str:
        """With the ports of this test."""
        return text.replace("6379", self.broker_port).replace("8081", str(self.port))

    def take(self, step: Step) -> None:
        """One step."""
        if step.file:
            (self.path / step.file).write_text(self.here(step.text))
        elif step.command.startswith("export "):
            name, _, value = self.here(step.command.removeprefix("export ")).partition("=")
            self.env[name] = value
        elif not step.command.startswith(NOT_HERE):
            self.run(step)

    def run(self, step: Step) -> None:
        words = self.words(step.command)
        ready = next((said for word, said in STAYS.items() if word in words), None)
        if ready is None:
            said = self.say(*words)
        else:
            more = ["--port", str(self.port)] if "cyclecloud_emulator" in words else []
            name = f"shell-{len(self.started)}"
            self.started.append(Process(name, [*words, *more], folder=self.path, cwd=self.path, env=self.env))
            self.started[-1].wait_for_line(ready, 60)
            said = self.started[-1].log()
        lines = {" ".join(line.split()) for line in said.splitlines()}
        for shown in step.shows:
            found = " ".join(self.here(shown).split())
            assert any(line.startswith(found) for line in lines), f"{step.command}: no {found!r} in\n{said}"

    def words(self, command: str) -> list[str]:
        program, *rest = shlex.split(self.here(command))
        assert program in ("celery", "python"), command
        return [sys.executable, *(["-m", "celery"] if program == "celery" else []), *rest]

    def say(self, *words: str) -> str:
        done = subprocess.run(words, cwd=self.path, env=self.env, capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        for process in reversed(self.started):
            process.stop()
        kill_marked(self.mark)


@pytest.fixture
def folder(tmp_path: Path, lone_url: str) -> Iterator[Folder]:
    (tmp_path / "proj").mkdir()
    made = Folder(tmp_path / "proj", lone_url)
    yield made
    made.stop()


@pytest.mark.timeout(300)
def test_the_page_is_followed_from_an_empty_folder_until_the_last_machine_is_gone(
    folder: Folder, wait_until: Callable[..., object]
) -> None:
    taken = list(steps())
    assert [step.file for step in taken if step.file] == ["proj.py", "autoscale.json"]
    for step in taken:
        folder.take(step)

    def stories() -> list[dict[str, object]]:
        return list(
            json.loads(folder.say(*folder.words("celery -A autoscaler_app autoscaler history --json")))
        )

    wait_until(lambda: all(story["gone"] for story in stories()), seconds=90, every=1.0, what="all are gone")
    came = stories()
    assert sum(int(str(story["runs"])) for story in came) == 7, "six scenes and a picture"
    assert {moments[-1]["why"] for story in came if (moments := list(story["moments"]))} <= {
        "idle",
        "surplus",
    }  # type: ignore[call-overload]
