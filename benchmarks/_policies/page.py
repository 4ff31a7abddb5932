"""`docs/policies.md` and its pictures, made of results. SVG is written here: it needs no library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from autoscaler_app.listening.recording.trace import load
from benchmarks._policies.side_by_side import OURS, POLICIES, SITES, TRACES, Result, results, settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "policies.md"
PICTURES = ROOT / "docs" / "pictures"
COLOURS = dict(zip(POLICIES, ("#0b6e4f", "#c8553d", "#3d5a98", "#8a6d1c"), strict=True))
BEGIN, END = "<!-- from here on written by `make policies` -->", "<!-- until here -->"
WIDE, HIGH, LEFT, BELOW = 720, 300, 60, 40


def main() -> None:
    """Everything anew."""
    found = results()
    for trace in SITES:
        some = [each for each in found if each.trace == trace]
        (PICTURES / f"policies-{trace}.svg").write_text(scatter(some))
        (PICTURES / f"policies-{trace}-cores.svg").write_text(cores(some))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(text(found)) + f"\n{END}{after}")


# -- words


def text(found: Sequence[Result]) -> Iterator[str]:
    """The part of the page that is made of numbers."""
    tried = {policy: sum(each.policy == policy for each in settings()) for policy in POLICIES}
    yield "Settings tried: " + ", ".join(f"{policy} {count}" for policy, count in tried.items()) + ".\n"
    for trace in SITES:
        some = [each for each in found if each.trace == trace]
        whole = load(TRACES / f"{trace}.jsonl")
        yield f"### {trace}: {whole.note}\n"
        yield (
            f"{whole.count:,} tasks, {SITES[trace].cores} cores at most, a look every "
            f"{SITES[trace].interval:g} s. On always full machines of the cheapest kind the work would cost "
            f"{some[0].floor:.2f}.\n"
        )
        yield "| policy | setting | cost | mean wait | median | p99 | machines | never worked | tasks hit |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for policy in POLICIES:
            yield from rows([each for each in some if each.policy == policy])
        yield ""
        yield f"![Cost and wait of every setting](pictures/policies-{trace}.svg)\n"
        yield f"![Cores over time, as each comes](pictures/policies-{trace}-cores.svg)\n"
        yield from verdict(some)


def rows(some: Sequence[Result]) -> Iterator[str]:
    """As it comes, at its cheapest, and at its quickest; those that hit no task before those that do."""
    named: dict[str, list[str]] = {}
    by_setting = {each.setting: each for each in some}
    harmless = [each for each in some if each.is_harmless] or some
    named.setdefault(next(each.setting for each in some if each.as_it_comes), []).append("as it comes")
    named.setdefault(min(harmless, key=lambda each: each.cost).setting, []).append("cheapest")
    named.setdefault(min(harmless, key=lambda each: each.mean).setting, []).append("quickest")
    for setting, names in named.items():
        each = by_setting[setting]
        hit = f"{each.hits}; {each.undone} never done" if each.undone else str(each.hits)
        yield (
            f"| {each.policy} | {', '.join(names)}: {setting} | {each.cost:.2f} | {each.mean:.0f} s | "
            f"{each.median:.0f} s | {each.p99:.0f} s | {each.launched} | {each.wasted} | {hit} |"
        )


def verdict(some: Sequence[Result]) -> Iterator[str]:
    """How the others stand to ours as it comes: those of their settings that hit no task."""
    ours = next(each for each in some if each.policy == OURS and each.as_it_comes)
    others = [each for each in some if each.policy != OURS and each.is_harmless]
    as_quick = [each for each in others if each.mean <= ours.mean]
    if as_quick:
        best = min(as_quick, key=lambda each: each.cost)
        yield (
            f"- Where tasks wait no longer than with ours as it comes (mean {ours.mean:.0f} s, cost "
            f"{ours.cost:.2f}), the least cost of the others is {_told(best)}."
        )
    else:
        yield f"- With none of the others tasks wait as little as with ours as it comes ({ours.mean:.0f} s)."
    as_cheap = [each for each in others if each.cost <= ours.cost]
    if as_cheap:
        best = min(as_cheap, key=lambda each: each.mean)
        yield f"- For the cost of ours or less, the shortest mean wait of the others is {_told(best)}."
    else:
        yield "- None of the others costs as little as ours as it comes."
    better = sum(each.beats(ours) for each in others)
    yield (
        f"- Settings of the others that are better than ours as it comes in cost, mean wait and p99 at once: "
        f"{better} of {len(others)}.\n"
    )


def _told(each: Result) -> str:
    return (
        f"{each.policy}, {each.setting}: cost {each.cost:.2f}, mean wait {each.mean:.0f} s, "
        f"p99 {each.p99:.0f} s"
    )


# -- pictures


def scatter(some: Sequence[Result]) -> str:
    """Every setting: what it costs, and how long tasks wait on average."""
    most = max(each.cost for each in some) * 1.05
    least, top = 1.0, max(each.mean for each in some) * 1.5

    def x(cost: float) -> float:
        return LEFT + (WIDE - LEFT - 20) * cost / most

    def y(wait: float) -> float:
        share = math.log(max(wait, least) / least) / math.log(top / least)
        return HIGH - BELOW - (HIGH - BELOW - 20) * share

    marks = []
    for each in some:
        shape = (
            f'<circle cx="{x(each.cost):.1f}" cy="{y(each.mean):.1f}" r="{7 if each.as_it_comes else 4}" '
            f'fill="{COLOURS[each.policy] if each.is_harmless else "none"}" stroke="{COLOURS[each.policy]}" '
            f'stroke-width="1.5"><title>{each.policy}: {each.setting}</title></circle>'
        )
        marks.append(shape)
    waits = [each for each in (1, 3, 10, 30, 100, 300, 1000, 3000) if each <= top]
    return _drawn(
        [*_axes("cost", "mean wait, s", _steps(most), x, waits, y), *marks],
        "large: as it comes; hollow: tasks were hit, or never done",
    )


def cores(some: Sequence[Result]) -> str:
    """How many cores there were, over time."""
    lines = [each for each in some if each.as_it_comes]
    until = max(each.cores_at[-1][0] for each in lines)
    most = max(count for each in lines for _, count, _ in each.cores_at) * 1.05

    def x(hours: float) -> float:
        return LEFT + (WIDE - LEFT - 20) * hours * 3600 / until

    def y(count: float) -> float:
        return HIGH - BELOW - (HIGH - BELOW - 20) * count / most

    drawn = []
    for each in lines:
        points = " ".join(f"{x(t / 3600):.1f},{y(count):.1f}" for t, count in _thinned(each, until))
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[each.policy]}" stroke-width="1.2"/>'
        )
    return _drawn([*_axes("hours", "cores", _steps(until / 3600), x, _steps(most), y), *drawn], "")


def _thinned(each: Result, until: float) -> Iterator[tuple[float, int]]:
    """At most as many points as there are on paper: of those that fall together the largest."""
    bins: dict[int, tuple[float, int]] = {}
    for t, count, _ in each.cores_at:
        place = int(t / until * 320)
        if place not in bins or bins[place][1] < count:
            bins[place] = (t, count)
    return iter(bins.values())


def _steps(most: float) -> list[float]:
    """Round numbers up to the most."""
    step = 10 ** math.floor(math.log10(most))
    step = step / 5 if most / step < 2 else step / 2 if most / step < 5 else step
    return [step * n for n in range(int(most / step) + 1)]


def _axes(
    below: str, beside: str, xs: Iterable[float], x: object, ys: Iterable[float], y: object
) -> Iterator[str]:
    bottom = HIGH - BELOW
    for each in xs:
        at = x(each)  # type: ignore[operator]
        yield f'<line x1="{at:.1f}" y1="20" x2="{at:.1f}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{each:g}</text>'
    for each in ys:
        at = y(each)  # type: ignore[operator]
        yield f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDE - 20}" y2="{at:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{each:g}</text>'
    yield f'<text x="{WIDE - 20}" y="{HIGH - 8}" text-anchor="end">{below}</text>'
    yield f'<text x="{LEFT}" y="12">{beside}</text>'


def _drawn(parts: Iterable[str], note: str) -> str:
    legend = []
    for place, (policy, colour) in enumerate(COLOURS.items()):
        at = LEFT + 130 + place * 120
        legend.append(f'<rect x="{at}" y="4" width="9" height="9" fill="{colour}"/>')
        legend.append(f'<text x="{at + 13}" y="12">{policy}</text>')
    body = "\n".join([*parts, *legend, f'<text x="{LEFT}" y="{HIGH - 8}">{note}</text>'])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" '
        f'font-size="11">\n<rect width="{WIDE}" height="{HIGH}" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
