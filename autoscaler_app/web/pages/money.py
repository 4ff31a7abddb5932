"""What was spent, and on what: the tables of `cost`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler_app.memory.stories.budget import Spending
from autoscaler_app.web import words
from autoscaler_app.web.markup import Html, columns, join, table, tag
from autoscaler_app.web.pages import parts

TITLES = {
    "day": "By day",
    "use": "By queue, and what was no work",
    "task": "By name of the task",
    "nodearray": "By nodearray",
    "vm_size": "By size",
}
DAYS = (1, 7, 30)


def spent(costs: Mapping[str, Mapping[str, Any]], days: int, budgets: Sequence[Spending]) -> Html:
    """`costs`: the answers of `cost`, by what they are added up by. `budgets`: as the last pass saw them."""
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
    return join(
        (head, _budgets(budgets), tag("div", *(_table(by, costs[by]) for by in TITLES), class_="pair"))
    )


def _budgets(budgets: Sequence[Spending]) -> Html:
    """How those stand that the settings name."""
    heads = columns("budget", "#spent", "#of", "#share", "*so")
    rows = [
        (
            f"this {each.span}",
            words.money(each.spent),
            f"{words.money(each.allowed)} {each.currency}".strip(),
            f"{each.spent / each.allowed:.0%}" if each.allowed else "100%",
            _so(each),
        )
        for each in budgets
    ]
    none = "None is set (budget_per_day, budget_per_month)."
    return parts.section("Budgets", table(heads, rows, id_="budgets", empty=none))


def _so(budget: Spending) -> Html:
    kind = "bad" if budget.is_used_up else "warn" if budget.is_nearly else "good"
    word = "used up" if budget.is_used_up else "nearly used up" if budget.is_nearly else "enough is left"
    then = "nothing is launched" if budget.stops else "machines are launched all the same"
    said = f"; once it is used up {then}, until {budget.until:%Y-%m-%d} (UTC)"
    return join((parts.pill(word, kind), tag("span", said, class_="detail")))


def _table(by: str, facts: Mapping[str, Any]) -> Html:
    heads = columns(f"*{by}", "#money", "#share", "#machine hours")
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
        TITLES[by], table(heads, rows, id_=f"cost-{by}", empty=f"Nothing since {facts['since']}.")
    )
