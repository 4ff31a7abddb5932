"""What a command prints to standard output is said by us, whatever a library prints."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from click.testing import CliRunner

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.cli.opening import as_json, folded, say

NOISY = """
import ctypes, os, click
from autoscaler_app.cli.opening import as_json, say, speaks, stdout
from scalelib.errors import InvalidInput

@click.command()
@speaks
def command():
    os.write(1, b"a banner, by the descriptor\\n")
    print("a word, by the name")
    ctypes.CDLL(None).puts(b"a line, from C")
    ctypes.CDLL(None).fflush(None)
    say(as_json({"price": 1}))
    stdout().write("a row\\n")
    {end}

command()
"""


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("raise InvalidInput('no such thing')", 2)])
def test_what_a_library_prints_goes_to_standard_error(end: str, code: int) -> None:
    program = [sys.executable, "-c", NOISY.replace("{end}", end)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout == '{\n  "price": 1\n}\na row\n'
    for noise in ("a banner, by the descriptor", "a word, by the name", "a line, from C"):
        assert noise in done.stderr
    assert ("error: no such thing" in done.stderr) is (code == 2)


def test_it_is_so_for_every_command() -> None:
    """Each is wrapped: its callback knows the one that it wraps."""
    for name, command in autoscaler.commands.items():
        assert hasattr(command.callback, "__wrapped__"), name


def test_output_that_is_no_file_is_written_to_as_well(tmp_path) -> None:
    outcome = CliRunner().invoke(autoscaler, ["replay", str(tmp_path / "none.json")])
    assert outcome.exit_code == 2
    assert outcome.output.startswith("error: ")
    assert "none.json" in outcome.output


def test_on_a_terminal_no_word_is_broken_and_what_is_said_goes_on_below_its_label() -> None:
    said = "WARNING  broker  Redis writes nothing to disk: a restart loses\n  of it all and more of it\nshort"
    assert folded(said, 40).splitlines() == [
        "WARNING  broker  Redis writes nothing to",
        "             disk: a restart loses",
        "  of it all and more of it",
        "short",
    ]
    assert folded("  5 of these and of those", 16).splitlines() == ["  5 of these and", "    of those"]
    assert folded("\x1b[31ma row in colour\x1b[0m", 8) == "\x1b[31ma row in colour\x1b[0m"


def test_what_programs_read_is_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    written.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setenv("COLUMNS", "20")
    say(as_json({"sentence": "one two three four five"}))
    say("one two three four five")
    assert written.getvalue().splitlines()[1:] == [
        '  "sentence": "one two three four five"',
        "}",
        "one two three four",
        "  five",
    ]
