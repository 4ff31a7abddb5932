"""What was probably meant, and what each command does, uncut."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from autoscaler_app.cli import autoscaler


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
