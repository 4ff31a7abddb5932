"""What was spent, and on what: the tables of `cost`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler_app.web import words
from autoscaler_app.web.markup import Column, Html, join, table, tag
from autoscaler_app.web.pages import parts

TITLES = {
    "day": "By day",
    "use": "By queue, and what was no work",
    "nodearray": "By nodearray",
    "vm_size": "By size",
}
DAYS = (1, 7, 30)


def spent(costs: Mapping[str, Mapping[str, Any]], days: int) -> Html:
    """`costs`: the answers of `cost`, by what they are added up by."""
    any_of = costs["day"]
    share = any_of["not_at_work"] / any_of["total"] if any_of["total"] else 0.0
    links = [
        tag(
            "a",
            "today" if each == 1 else f"{each} days",
            href=f"?days={each}",
            aria_current="true" if each == days else None,
        )
        for each in DAYS
    ]
    numbers = [
        (words.money(any_of["total"]), "spent", f"since {any_of['since']}"),
        (f"{share:.0%}", "while nothing ran", ""),
    ]
    head = tag(
        "section",
        tag("div", tag("h2", "Money"), tag("nav", *links, class_="spans"), class_="head"),
        parts.figures(numbers),
        tag("p", "At the prices of the settings: a figure to compare, not the cloud's bill.", class_="note"),
    )
    return join((head, tag("div", *(_table(by, costs[by]) for by in TITLES), class_="pair")))


def _table(by: str, facts: Mapping[str, Any]) -> Html:
    columns = (
        Column(name=by, wide=True),
        Column(name="money", number=True),
        Column(name="share", number=True),
        Column(name="machine hours", number=True),
    )
    rows = [
        (
            parts.queue(row[by]) if by == "use" and not row[by].startswith("(") else row[by],
            words.money(row["money"]),
            f"{row['share']:.0%}",
            f"{row['hours']:.2f}",
        )
        for row in facts["rows"]
    ]
    return parts.section(
        TITLES[by], table(columns, rows, id_=f"cost-{by}", empty=f"Nothing since {facts['since']}.")
    )
