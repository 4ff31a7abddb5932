"""What was probably meant, and what each command does, uncut."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from autoscaler_app.cli import autoscaler
from autoscaler_app.cli.group import autoscaler as real


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("stauts",), "status"), (("dran", "n1"), "drain"), (("status", "--jsn"), "--json")],
    ids=["command", "another", "option"],
)
def test_what_was_meant_is_told_with_exit_code_2(words: tuple[str, ...], meant: str) -> None:
    outcome = CliRunner().invoke(autoscaler, words)
    assert outcome.exit_code == 2
    assert "did you mean" in outcome.output.lower()
    assert meant in outcome.output


def test_nothing_in_the_list_of_commands_is_cut() -> None:
    told = CliRunner().invoke(autoscaler, ["--help"]).output
    assert "..." not in told.partition("Commands:")[2]


def every(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, each with how it is called."""
    yield names, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from every(each, *names, name)


COMMANDS = list(every(real))


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize(
    ("names", "command"), COMMANDS, ids=[" ".join(names) or "all" for names, _ in COMMANDS]
)
def test_help_is_told_whole_and_fits_the_terminal(
    names: tuple[str, ...], command: click.Command, width: int
) -> None:
    done = CliRunner().invoke(real, [*names, "--help"], terminal_width=width)
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if len(line) > width] == []
    told = " ".join(done.output.split())
    said = [inspect.cleandoc(command.help or "").replace("\b", "")]
    said += [each.help or "" for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if isinstance(command, click.Group):
        said += [each.get_short_help_str(10_000) for each in command.commands.values() if not each.hidden]
    assert all(said), "nothing is left without a word"
    cut = [text for text in said if " ".join(text.partition("\f")[0].split()) not in told]
    assert cut == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("wh", {"whatif", "why"}), ("cost --b", {"--by"}), ("cost --by ta", {"task"})],
    ids=["a command", "an option", "a choice"],
)
def test_the_shell_completes_what_is_typed(typed: str, offered: set[str]) -> None:
    """As docs/commands.md says how to have it: the shell asks the program itself."""
    words = f"celery -A autoscaler_app autoscaler {typed}"
    asks = {
        "_CELERY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    celery = Path(sys.executable).with_name("celery")
    done = subprocess.run(
        [celery], env={**os.environ, **asks}, capture_output=True, text=True, check=True, timeout=60
    )
    assert {line.removeprefix("plain,") for line in done.stdout.split()} == offered
