"""Names from elsewhere, wherever people meet them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.cli.tables import table
from autoscaler_app.listening.shown import printable, shortened
from autoscaler_app.web.markup import tag

EVIL = "\x1b[2J\x1b]0;pwned\x07<img src=x>\r\n\u202eevil[red]x"


@given(st.text())
def test_what_is_shown_has_nothing_that_moves_a_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
    assert shortened(text).isascii()
    assert len(shortened(text)) <= 80


def test_what_nobody_can_write_out_is_shown_all_the_same() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shortened(deep) == "a list that cannot be shown"
    assert shortened(10**9000) == "a int that cannot be shown"
    while deep:  # the interpreter's own way of ending it is as deep
        deep = deep.pop()  # type: ignore[assignment]


@pytest.mark.parametrize(
    "shown",
    [table(["queue"], [[EVIL]]), tag("p", EVIL), tag("p", "x", title=EVIL)],
    ids=["table", "page", "attribute"],
)
def test_a_name_is_shown_as_it_is_spelt_and_not_as_it_commands(shown: str) -> None:
    assert all(line.isprintable() for line in shown.splitlines())
    assert "\\x1b[2J" in shown
    assert "\\u202eevil[red]x" in shown
    assert "<img" not in shown or "|" not in shown
