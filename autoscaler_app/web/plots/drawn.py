"""Which charts there are, and what of the figures is in each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from autoscaler_app.memory.figures import MOST_KINDS, OTHERS, SPANS, Figures, SpanName, Step
from autoscaler_app.web import words
from autoscaler_app.web.markup import Html, tag
from autoscaler_app.web.plots.chart import Chart, Layer, svg

MOST_LAYERS = 6
"""Kinds with a colour of their own; the others are one."""

NODES = (
    Layer(name="up", colour="good"),
    Layer(name="booting", colour="wait"),
    Layer(name="going", colour="going"),
    Layer(name="failed", colour="bad"),
)
CORES = (Layer(name="up", colour="good"), Layer(name="booting", colour="wait"))


def drawn(steps: Sequence[Step], name: SpanName, now: datetime, interval: timedelta) -> Html:
    """Every chart of a span, and the links to the other spans. `interval`: a pass is due so often."""
    demand = [(step.at, step.figures.demand) for step in steps]
    waiting = [(step.at, step.figures.waiting) for step in steps]
    shown = (
        _chart("Demand: tasks that wait or run", _kinds(demand), _folded(demand), _count),
        _chart("Waiting tasks", _kinds(waiting), _folded(waiting), _count),
        _chart("Nodes", NODES, _of(steps, lambda f: f.nodes), _count),
        _chart(
            "Capacity: cores",
            CORES,
            _of(steps, lambda f: {"up": f.cores_up, "booting": f.cores_booting}),
            _count,
        ),
        _chart(
            "Money per hour",
            (Layer(name="price", colour="money"),),
            _of(steps, lambda f: {"price": f.price_per_hour}),
            words.money,
        ),
        _chart(
            "Without a place",
            (Layer(name="unserved", colour="bad"),),
            _of(steps, lambda f: {"unserved": f.unserved}),
            _count,
        ),
    )
    span = SPANS[name]
    gap = max(2.5 * span.step, 2.5 * interval)
    charts = [svg(make(now - span.whole, now, span.step, gap)) for make in shown]
    links = [
        tag("a", each, href=f"?span={each}", aria_current="true" if each == name else None) for each in SPANS
    ]
    head = tag("div", tag("h2", "Over time"), tag("nav", *links, class_="spans"), class_="head")
    return tag("section", head, tag("div", *charts, class_="charts"), class_="over-time")


def of_queue(queue: str, steps: Sequence[Step], name: SpanName, now: datetime, interval: timedelta) -> Html:
    """The chart of one queue, for the times in which it was among the largest."""
    layers = (Layer(name="running", colour="good"), Layer(name="waiting", colour="wait"))

    def values(figures: Figures) -> Mapping[str, float]:
        return {"running": figures.running.get(queue, 0.0), "waiting": figures.waiting.get(queue, 0.0)}

    span = SPANS[name]
    make = _chart("Tasks", layers, _of(steps, values), _count)
    chart = make(now - span.whole, now, span.step, max(2.5 * span.step, 2.5 * interval))
    links = [
        tag(
            "a",
            each,
            href=f"?{urlencode({'name': queue, 'span': each})}",
            aria_current="true" if each == name else None,
        )
        for each in SPANS
    ]
    head = tag("div", tag("h2", "Over time"), tag("nav", *links, class_="spans"), class_="head")
    note = tag("p", f"Each pass tells apart the {MOST_KINDS} queues with most tasks.", class_="note")
    return tag("section", head, svg(chart), note, class_="over-time")


Points = Sequence[tuple[datetime, Mapping[str, float]]]


def _chart(
    title: str, layers: Sequence[Layer], points: Points, written: Callable[[float], str]
) -> Callable[[datetime, datetime, timedelta, timedelta], Chart]:
    return lambda begins, ends, step, gap: Chart(
        title=title,
        layers=layers,
        points=points,
        begins=begins,
        ends=ends,
        step=step,
        gap=gap,
        written=written,
    )


def _of(steps: Sequence[Step], values: Callable[[Figures], Mapping[str, float]]) -> Points:
    return [(step.at, values(step.figures)) for step in steps]


def _largest(points: Points) -> list[str]:
    """Kinds with a colour of their own: those of which there was most in all."""
    sums: Counter[str] = Counter()
    for _, values in points:
        for kind, value in values.items():
            if kind != OTHERS and value:
                sums[kind] += value  # type: ignore[assignment]
    return [kind for kind, _ in sums.most_common(MOST_LAYERS)]


def _kinds(points: Points) -> list[Layer]:
    own = [Layer(name=kind, colour=f"k{place}") for place, kind in enumerate(_largest(points))]
    return [*own, Layer(name=OTHERS, colour="rest")]


def _folded(points: Points) -> Points:
    own = set(_largest(points))
    return [
        (
            at,
            {kind: value for kind, value in values.items() if kind in own}
            | {OTHERS: sum(value for kind, value in values.items() if kind not in own)},
        )
        for at, values in points
    ]


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
