"""The buttons as HTML, and what was done with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from autoscaler_app.web.hands.deeds import DEEDS, MOST_WORDS, Deed, Place, Wish
from autoscaler_app.web.hands.written import Done
from autoscaler_app.web.markup import Html, tag
from autoscaler_app.web.pages import parts

NEW_LINE = "\n"


def buttons(token: str, who: str, place: Place, wish: Wish | None = None) -> Html:
    """A form for each deed of this place. `wish`: what was wanted and not done; its words are not lost."""
    deeds = [deed for deed in DEEDS if deed.about == place.about]
    said = f"As {who or 'somebody without a name'}; each reason is written down."
    return tag(
        "section",
        tag("h2", "Do"),
        tag("p", said, class_="detail"),
        *(
            _form(deed, token, place, wish if wish is not None and wish.command == deed.command else None)
            for deed in deeds
        ),
        class_="hands",
    )


def sign_in() -> Html:
    """For who reads only."""
    return tag("p", tag("a", "Sign in to act", href="sign-in"), class_="note")


def _form(deed: Deed, token: str, place: Place, wish: Wish | None) -> Html:
    hidden = {"token": token, "command": deed.command, "node": place.node, "queue": place.queue}
    said = wish or Wish(deed.command, "")
    fields: list[Html] = [
        tag("input", type="hidden", name=name, value=value) for name, value in hidden.items() if value
    ]
    if deed.flags:
        options = (
            tag("option", text, value=flag, selected="" if flag and flag == said.flag else None)
            for flag, text in deed.flags.items()
        )
        fields.append(tag("select", *options, name="flag", aria_label="what"))
    if deed.seconds:
        fields.append(_field("seconds", said.seconds, "seconds", "15", class_="short", required=""))
    fields.append(
        _field(
            "why",
            said.why,
            f"why {deed.command}",
            f"why? ({deed.help})",
            required="",
            maxlength=str(MOST_WORDS),
            autocomplete="off",
        )
    )
    if deed.span:
        fields.append(_field("span", said.span, "for how long", "for 2h", class_="short"))
    return tag("form", *fields, tag("button", deed.label), method="post", action="do")


def _field(name: str, value: str, label: str, placeholder: str, **more: str) -> Html:
    return tag("input", name=name, value=value or None, placeholder=placeholder, aria_label=label, **more)


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
