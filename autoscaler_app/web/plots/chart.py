"""One chart as inline SVG: areas one upon the other, over time. Pure.

Numbers stand beside the drawing as text, so that the drawing may be stretched to any width. Colours are
classes: the policy of the page allows no style within an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor, log10

from autoscaler_app.web.markup import Html, tag

WIDTH, HEIGHT = 600, 120
MOST_TIPS = 60
"""Places of one chart that tell their numbers when they are pointed at."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One area."""

    name: str
    colour: str
    """Class of the page's style: `k0` to `k5`, `rest`, `good`, `wait`, `going`, `bad`."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What is to be drawn. A time of which nothing is known is left out, not zero."""

    title: str
    layers: Sequence[Layer]
    """The lowest first."""
    points: Sequence[tuple[datetime, Mapping[str, float]]]
    """By layer; in order of time."""
    begins: datetime
    ends: datetime
    step: timedelta
    """One point tells of so much time."""
    gap: timedelta
    """Points that are further apart are not joined."""
    written: Callable[[float], str]
    """A value, for people."""


def svg(chart: Chart) -> Html:
    """The chart with its heading, its numbers and what the colours are."""
    top = nice(max((sum(values.values()) for _, values in chart.points), default=0.0))
    latest = chart.points[-1][1] if chart.points else {}
    now = sum(latest.values())
    said = chart.written(now) if chart.points else "nothing was seen in this time"
    drawing = tag(
        "svg",
        *_areas(chart, top),
        *_tips(chart),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{chart.title}: {said}",
    )
    scale = [tag("span", f"{value:,g}", class_=f"y{place}") for place, value in ((1, top), (2, top / 2))]
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("b", chart.title),
            tag("span", said, class_="now" if chart.points else "now none"),
        ),
        tag("div", drawing, *scale, class_="plot"),
        tag("div", *(tag("span", text) for text in _times(chart)), class_="times"),
        _legend(chart, latest),
    )


def nice(value: float) -> float:
    """The least of 1, 2, 4, 6, 10, 20, 40 … that is not less; halves of it are round too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(factor * power for factor in (1, 2, 4, 6, 10) if factor * power >= value * 0.999999)


def _areas(chart: Chart, top: float) -> list[Html]:
    """One path a layer; each run of points that belong together is a piece of it."""
    bottoms = [0.0] * len(chart.points)
    drawn = []
    for layer in chart.layers:
        tops = [
            below + values.get(layer.name, 0.0)
            for below, (_, values) in zip(bottoms, chart.points, strict=True)
        ]
        pieces = [
            _piece(chart, top, run, bottoms, tops)
            for run in _runs(chart)
            if any(tops[place] > bottoms[place] for place in run)
        ]
        if pieces:
            drawn.append(tag("path", d="".join(pieces), class_=f"area {layer.colour}"))
        bottoms = tops
    return drawn


def _runs(chart: Chart) -> list[list[int]]:
    runs: list[list[int]] = []
    for place, (at, _) in enumerate(chart.points):
        if not runs or at - chart.points[place - 1][0] > chart.gap:
            runs.append([])
        runs[-1].append(place)
    return runs


def _piece(
    chart: Chart, top: float, run: Sequence[int], bottoms: Sequence[float], tops: Sequence[float]
) -> str:
    """There along the tops, and back along the bottoms; the last value holds for its step."""
    places = [(_x(chart, chart.points[place][0]), place) for place in run]
    places.append((_x(chart, chart.points[run[-1]][0] + chart.step), run[-1]))
    there = [f"{x:.0f} {_y(tops[place], top):.1f}" for x, place in places]
    back = [f"{x:.0f} {_y(bottoms[place], top):.1f}" for x, place in reversed(places)]
    return f"M{'L'.join(there + back)}Z"


def _x(chart: Chart, at: datetime) -> float:
    share = (at - chart.begins) / (chart.ends - chart.begins)
    return WIDTH * min(max(share, 0.0), 1.0)


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - value / top)


def _tips(chart: Chart) -> list[Html]:
    """Invisible, one behind the other: what is pointed at says its numbers, without a script."""
    every = max(1, ceil(len(chart.points) / MOST_TIPS))
    tips = []
    for at, values in chart.points[::every]:
        x, until = _x(chart, at), _x(chart, at + every * chart.step)
        lines = [f"{at:%a %H:%M} UTC"]
        lines += [
            f"{layer.name}: {chart.written(v)}"
            for layer in chart.layers
            if (v := values.get(layer.name, 0.0))
        ]
        tips.append(
            tag(
                "rect",
                tag("title", "\n".join(lines)),
                x=f"{x:.0f}",
                width=f"{max(until - x, 1):.0f}",
                height=str(HEIGHT),
                class_="tip",
            )
        )
    return tips


def _times(chart: Chart) -> tuple[str, str, str]:
    form = "%a %H:%M" if chart.ends - chart.begins > timedelta(days=1) else "%H:%M"
    middle = chart.begins + (chart.ends - chart.begins) / 2
    return f"{chart.begins:{form}}", f"{middle:{form}}", "now"


def _legend(chart: Chart, latest: Mapping[str, float]) -> Html | None:
    """The uppermost first, as they lie; those that nothing was drawn of are left out."""
    if len(chart.layers) < 2:
        return None
    ever = [layer for layer in chart.layers if any(values.get(layer.name) for _, values in chart.points)]
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("i", class_=layer.colour),
                tag("span", layer.name, class_="name"),
                tag("span", chart.written(latest.get(layer.name, 0.0)), class_="value"),
            )
            for layer in reversed(ever)
        ),
        class_="legend",
    )
