"""What pages are made of: sections, links to a queue, a node, a pass, and tables that end somewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

from autoscaler_app.web import words
from autoscaler_app.web.hands.deeds import Place
from autoscaler_app.web.markup import Child, Html, tag

MOST = 300
"""Rows of one table. A fleet may have thousands of nodes; the page is for looking, the JSON has them all."""

R = TypeVar("R")


def section(title: str, *inner: Child, id_: str | None = None) -> Html:
    """A card with a heading."""
    return tag("section", tag("h2", title), *inner, id=id_)


def pill(text: str, kind: str = "plain") -> Html:
    """A word that stands out: `good`, `warn`, `bad`, `plain`."""
    return tag("span", text, class_=f"pill {kind}")


def address(page: str, **query: str) -> str:
    """Where a page is, from any other."""
    return f"{page}?{urlencode(query)}"


def address_of(place: Place) -> str:
    """The page that buttons of this place stand on."""
    if place.node:
        return address("node", name=place.node)
    if place.queue:
        return address("queue", name=place.queue)
    return "schedule" if place.schedule else "./"


def queue(name: str) -> Html:
    """A link to a queue's own page."""
    return tag("a", name, href=address("queue", name=name))


def node(name: str, host: str | None = None) -> Html:
    """A link to a node's own page."""
    return tag("a", name, href=address("node", name=name), title=host or None)


def a_pass(number: int) -> Html:
    """A link to a pass' own page."""
    return tag("a", str(number), href=address("pass", number=str(number)))


def ago(at: datetime, now: datetime) -> Html:
    """How long ago, and when that was."""
    return tag(
        "time",
        f"{words.duration(now - at)} ago",
        datetime=at.isoformat(),
        title=f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


def figures(values: Sequence[tuple[str, str, str]]) -> Html:
    """Large numbers, each with what it is and what is to be added."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name, tag("small", f" {more}") if more else None), tag("dd", value))
            for value, name, more in values
        ),
        class_="figures",
    )


def most(
    rows: Sequence[R], noun: str, *, important: Callable[[R], bool], limit: int = MOST
) -> tuple[list[R], Html | None]:
    """At most so many rows, in their order, the important ones sooner; and a note on what is left out."""
    if len(rows) <= limit:
        return list(rows), None
    places = sorted(range(len(rows)), key=lambda place: not important(rows[place]))[:limit]
    left = words.plural(len(rows) - limit, noun)
    link = tag("a", "/api/status", href="api/status")
    note = tag(
        "p", f"and {left} more that nothing special is to be said of; all are in ", link, class_="note"
    )
    return [rows[place] for place in sorted(places)], note
