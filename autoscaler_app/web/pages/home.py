"""The first page: how things stand now, what stands against growth, and what was seen over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autoscaler_app.cli.health import matters_of_passes
from autoscaler_app.memory.orders import PAUSED, Pause
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import Saw
from autoscaler_app.web import words
from autoscaler_app.web.markup import Html, join, tag
from autoscaler_app.web.overview import Overview
from autoscaler_app.web.pages import nodes, parts, passes, queues
from autoscaler_app.web.remembered import Times

LAST = 10
"""Passes that the first page lists."""


def now(
    overview: Overview,
    times: Times,
    badge: str,
    *,
    pauses: Sequence[Pause],
    plots: Html | None,
    today: float | None,
) -> Html:
    """All of it. `badge`: what is said on top already. `today`: what was spent since the day began (UTC), if
    that is known.
    """
    look = overview.look
    inner: list[Html | None] = [*_banners(overview, badge, pauses)]
    if look.newest is None:
        return join(inner)
    if look.seen is not None and look.seen.saw is not None:
        plan = look.seen.plan
        inner += [
            _figures(look.seen.saw, plan, today),
            queues.unserved(plan) if plan is not None else None,
            plots,
            queues.listed(look.seen, times, paused=overview.paused, limit=queues.MOST_AT_ONCE),
            nodes.overview(look.seen.saw.nodes, plan),
        ]
    decided = passes.decided(look.seen.plan) if look.seen is not None and look.seen.plan is not None else None
    inner += [
        tag("div", decided, passes.done(look.newest), class_="pair"),
        passes.listed(look.passes[:LAST], overview.now, more=len(look.passes) > LAST),
    ]
    return join(inner)


def _banners(overview: Overview, badge: str, pauses: Sequence[Pause]) -> Iterator[Html]:
    """What a person must know before reading on, and the badge does not say: it names the worst only."""
    newest, seen = overview.look.newest, overview.look.seen
    if newest is not None and seen is not newest:
        says = (
            f"What stands below is what pass {seen.number} saw "
            f"{words.duration(overview.now - seen.started)} ago."
            if seen is not None
            else "No pass that is still in memory has seen queues and nodes."
        )
        yield tag("p", says, class_="banner warn")
    matters = [
        matter.sentence for matter in matters_of_passes(newest, overview.now, overview.due, paused=pauses)
    ]
    if seen is not None and seen.saw is not None:
        # What a pass said of pauses is as old as it is.
        matters += [warning for warning in seen.saw.warnings if not warning.startswith(PAUSED)]
    for sentence in matters:
        if sentence not in badge:
            yield tag("p", sentence, class_="banner warn")


def _figures(saw: Saw, plan: Plan | None, today: float | None) -> Html:
    fenced = sum(node.fenced for node in saw.nodes)
    figures = [
        (f"{sum(queue.waiting for queue in saw.queues):,}", "waiting", ""),
        (f"{sum(queue.running for queue in saw.queues):,}", "running", ""),
        (f"{len(saw.nodes):,}", "nodes", f"{fenced:,} fenced" if fenced else ""),
    ]
    if plan is not None:
        price = plan.price_per_hour
        more = f"+ {words.money(price.added)}" if price.added else ""
        figures += [
            (f"{sum(entry.count for entry in plan.unserved):,}", "without a place", ""),
            (words.money(price.before), "per hour", more),
        ]
    if today is not None:
        of = next((f"of {words.money(each.allowed)}" for each in saw.budgets if each.span == "day"), "")
        figures.append((words.money(today), "spent today", of))
    if saw.cluster_state:
        figures.append((saw.cluster_state, "cluster", ""))
    return parts.figures(figures)
