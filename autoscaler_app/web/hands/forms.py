"""The buttons as HTML, and what was done with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from autoscaler_app.web.hands.deeds import DEEDS, MOST_WORDS, Deed
from autoscaler_app.web.hands.written import Done
from autoscaler_app.web.markup import Html, tag
from autoscaler_app.web.pages import parts

NEW_LINE = "\n"


def buttons(token: str, who: str, *, node: str = "", schedule: bool = False) -> Html:
    """A form for each deed: those about a node, or the schedule, on their pages, the others on the first."""
    deeds = [deed for deed in DEEDS if deed.about_node == bool(node) and deed.about_schedule == schedule]
    said = f"As {who or 'somebody without a name'}; each reason is written down."
    return tag(
        "section",
        tag("h2", "Do"),
        tag("p", said, class_="detail"),
        *(_form(deed, token, node) for deed in deeds),
        class_="hands",
    )


def sign_in() -> Html:
    """For who reads only."""
    return tag("p", tag("a", "Sign in to act", href="sign-in"), class_="note")


def _form(deed: Deed, token: str, node: str) -> Html:
    hidden = {"token": token, "command": deed.command, "node": node}
    fields: list[Html] = [
        tag("input", type="hidden", name=name, value=value) for name, value in hidden.items() if value
    ]
    if deed.flags:
        options = (tag("option", text, value=flag) for flag, text in deed.flags.items())
        fields.append(tag("select", *options, name="flag", aria_label="what"))
    why = tag(
        "input",
        name="why",
        required="",
        maxlength=str(MOST_WORDS),
        placeholder=f"why? ({deed.help})",
        aria_label=f"why {deed.command}",
        autocomplete="off",
    )
    if deed.seconds:
        fields.append(
            tag("input", name="seconds", class_="short", required="", placeholder="15", aria_label="seconds")
        )
    span = (
        tag("input", name="span", class_="short", placeholder="for 2h", aria_label="for how long")
        if deed.span
        else None
    )
    return tag("form", *fields, why, span, tag("button", deed.label), method="post", action="do")


def done(deeds: Sequence[Done], now: datetime) -> Html | None:
    """What people did here."""
    if not deeds:
        return None
    return parts.section("Done by people", tag("ul", *_lines(deeds, now), class_="lines", id="by-people"))


def _lines(deeds: Iterable[Done], now: datetime) -> Iterable[Html]:
    for deed in deeds:
        yield tag(
            "li",
            parts.pill(deed.what if deed.ok else f"{deed.what} failed", "plain" if deed.ok else "bad"),
            " ",
            tag("b", deed.who or "somebody"),
            f": {deed.why} ",
            tag(
                "span",
                parts.ago(deed.at, now),
                f"; {deed.said.partition(NEW_LINE)[0]}",
                class_="detail",
            ),
        )
