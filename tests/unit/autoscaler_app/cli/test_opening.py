"""What a command prints to standard output is said by us, whatever a library prints."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from autoscaler_app.cli.group import autoscaler

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
