"""What was probably meant, by the one place that guesses."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scalelib.spelling import MOST, meant, near, nearest

KNOWN = ("celery", "render", "renders", "renderer", "rendered", "Standard_D4s")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("celry", "did you mean celery?"),
        ("RENDER", "did you mean render or renders or renderer?"),
        ("standard_d4", "did you mean Standard_D4s?"),
        ("zzz", "none is like it"),
        ("", "none is like it"),
    ],
)
def test_a_sentence_names_those_that_are_like_it_the_likeliest_first(word: str, said: str) -> None:
    assert meant(word, KNOWN, "none is like it") == said


def test_the_nearest_is_one_of_them_as_it_is_written() -> None:
    assert (nearest("STANDARD_d4", KNOWN), nearest("zzz", KNOWN)) == ("Standard_D4s", None)
    assert len(near("render", KNOWN)) == MOST


def test_nobody_else_guesses() -> None:
    root = Path(__file__).resolve().parents[3]
    rooms = (
        "scalelib",
        "cyclecloud_api",
        "celery_resources",
        "autoscaler_app",
        "worker_tasks",
        "redis_keeper",
    )
    guess = [
        str(path.relative_to(root))
        for room in rooms
        for path in sorted((root / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(alias.name == "difflib" for alias in node.names)
    ]
    assert guess == ["scalelib/spelling.py"]
