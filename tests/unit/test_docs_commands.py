"""Each command that the docs show is one that its program takes: its name, its options, their values.

Nothing is run here. Those of the autoscaler are run on a live cluster by tests/acceptance/test_docs_live.py,
all of docs/adopt.md by test_adopt.py beside it, those of docs/deploy.md by tests/contract/deploy.
"""

from __future__ import annotations

import configparser
import importlib
import re
import shlex
import tomllib
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import pytest
from celery import Celery
from celery.bin.celery import celery
from kombu.utils.url import parse_url

from autoscaler_app.cli.group import autoscaler

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = ("celery", "python", "make", "pip", "autoscaler")
MODULES = {
    "autoscaler_app.beat": "autoscaler_app.beat.__main__",
    "cyclecloud_api": "cyclecloud_api.__main__",
    "cyclecloud_emulator": "cyclecloud_emulator.__main__",
    "demo": "demo.__main__",
    "demo.embedded": "demo.embedded",
    "worker_tasks": "worker_tasks.cli",
}
"""By what stands behind `python -m`: where its click command `main` is."""
IN_ROOT = ("add_task.py", "autoscale.py", "check_tasks.py")
"""Scripts of the template, in /root of the broker node."""


class Shown(NamedTuple):
    """A command, and where it stands."""

    page: str
    text: str


def shown() -> list[Shown]:
    """Every command of ours in the docs: in blocks, after a prompt or not, and between backticks."""
    found = []
    for path in PAGES:
        text = path.read_text()
        blocks = re.findall(r"^```(?:console|sh|bash)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        rest = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
        lines += re.findall(r"^ {4,}(.*)$", rest, re.MULTILINE)
        lines += [
            inline
            for inline in re.findall(r"`([^`\n]+)`", rest)
            if "…" not in inline and not inline.endswith("-A")
        ]
        for line in lines:
            said = re.sub(r"^\s*(\$ )?([A-Z_]+=\S+ )*", "", line)
            said = re.split(r"\s#|\s&&|\s&$| \| ", said)[0].strip()
            if re.match(rf"({'|'.join(OURS)}) [^ ]", said) and "  " not in said and "{" not in said[:20]:
                found.append(Shown(path.name, said))
    return sorted(set(found))


def takes(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Raises UsageError where it does not. Nothing is run."""
    if not isinstance(command, click.Group):
        # The end: --help. A name without what it needs: it is spoken of, not shown.
        with suppress(click.exceptions.Exit, click.MissingParameter):
            command.make_context(command.name, words, parent=parent)
        return
    obj = SimpleNamespace(app=Celery("docs", broker="memory://", set_as_current=False), quiet=True)
    context = click.Context(command, info_name=command.name, parent=parent, obj=obj)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if not rest:
        return
    found = command.get_command(context, rest[0])
    if found is None:
        raise click.UsageError(f"there is no command {rest[0]!r}")
    takes(found, rest[1:], context)


def without_resources(words: list[str]) -> list[str]:
    """`--resources` is an option that an app brings: tests/unit/celery_resources tries it."""
    if "--resources" in words:
        at = words.index("--resources")
        return words[:at] + words[at + 2 :]
    return words


def make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[0] in targets
    named = [word.partition("=") for word in words[1:]]
    assert {name for name, _, _ in named} <= {"ARGS", "JOBS", "NAME", "JSON", "PYTHON"}
    for name, _, value in named:
        assert name != "NAME" or (ROOT / "benchmarks" / f"{value}.py").exists()
        for broker in re.findall(r"--broker (amqp://\S+)", value):
            # The virtual host that every RabbitMQ has: another one is to be made first.
            assert parse_url(broker)["virtual_host"] == "/"


def pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    for said in re.findall(r"\[(\w+)\]", " ".join(words)):
        assert said in extras


def python(words: list[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "docs", "exec")
    elif words[0] == "-m" and words[1] in MODULES:
        main: Any = importlib.import_module(MODULES[words[1]]).main
        takes(main, words[2:])
    elif words[0] == "-m":
        assert words[1] in ("celery", "benchmarks", "build"), words
    else:
        assert words[0] in IN_ROOT, words


@pytest.mark.parametrize("each", shown(), ids=lambda each: f"{each.page}: {each.text}")
def test_a_command_of_the_docs_is_one_that_there_is(each: Shown) -> None:
    program, *words = shlex.split(each.text)
    if program == "celery":
        takes(celery, without_resources(words))
    elif program == "autoscaler":
        takes(autoscaler, words)
    else:
        {"make": make, "pip": pip, "python": python}[program](words)


@pytest.mark.parametrize("said", ["status --chek", "statuss", "journal --last ten", "hold a b"])
def test_what_there_is_not_is_refused(said: str) -> None:
    with pytest.raises(click.UsageError):
        takes(celery, ["-A", "autoscaler_app", "autoscaler", *said.split()])


def test_many_commands_are_found() -> None:
    programs = [each.text.split()[0] for each in shown()]
    assert {program: programs.count(program) >= 3 for program in OURS} == dict.fromkeys(OURS, True)


def units() -> list[str]:
    page = (ROOT / "docs" / "units.md").read_text()
    return [
        text for text in re.findall(r"^```ini\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "[" in text[:2]
    ]


def test_the_units_start_commands_that_there_are_and_end_workers_warmly() -> None:
    found = 0
    for text in units():
        unit = configparser.RawConfigParser(strict=True)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        for name in unit.sections():
            line = unit[name].get("ExecStart") or unit[name].get("command")
            if line is None:
                continue
            found += 1
            program, *words = shlex.split(line)
            assert program.endswith("/bin/celery")
            takes(celery, without_resources(words))
            if "worker" in words:
                # SIGTERM to its children would end tasks.
                assert unit[name].get("KillMode", "mixed") == "mixed"
                assert "stopasgroup" not in unit[name]
                assert int(unit[name].get("TimeoutStopSec") or unit[name]["stopwaitsecs"]) >= 60
            if "ExecStart" in unit[name]:
                assert unit[name]["Restart"] == "always"
                assert unit["Unit"]["StartLimitIntervalSec"] == "0", "it is tried for ever"
                assert unit["Install"]["WantedBy"] == "multi-user.target"
    assert found == 7
