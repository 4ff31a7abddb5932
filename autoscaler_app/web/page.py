"""The page: one overview as HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import TypeVar

from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import Action, NodeSaw, Report, Saw
from autoscaler_app.web import words
from autoscaler_app.web.fate import fates
from autoscaler_app.web.markup import Column, Html, join, table, tag
from autoscaler_app.web.overview import Overview
from autoscaler_app.web.recent import PassLine

MOST = 300
"""Rows of one table. A fleet may have thousands of nodes; the page is for looking, the JSON has them all."""

R = TypeVar("R")


def render(overview: Overview, *, refresh: float) -> str:
    """The whole document; without a script it asks for itself again after `refresh` seconds too."""
    look = overview.look
    parts = [*_banners(overview)]
    if look.newest is not None:
        if look.seen is not None and look.seen.saw is not None:
            parts += [*_seen(look.seen, look.seen.saw)]
        decided = _decided(look.seen.plan) if look.seen is not None and look.seen.plan is not None else None
        parts += [tag("div", decided, _done(look.newest), class_="pair"), _passes(look.passes, overview)]
    return _template().substitute(
        title=_title(overview),
        state=_state(overview),
        main=join(parts),
        refresh=f"{refresh:g}",
        written=f"{overview.now:%Y-%m-%d %H:%M:%S} UTC",
    )


@cache
def _template() -> Template:
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))


@cache
def policy() -> str:
    """What a browser may do with the page: run this script and this style, ask this server, nothing else.

    By their hashes, not by a nonce: the script reads the next page, whose style would carry another nonce.
    """
    script, style = (_hash_of(name, _template().template) for name in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash_of(name: str, document: str) -> str:
    inner = document.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    return f"sha256-{b64encode(sha256(inner.encode()).digest()).decode()}"


def _title(overview: Overview) -> Html:
    return tag("title", "Autoscaler" if not overview.troubles else "⚠ Autoscaler")


def _state(overview: Overview) -> Html:
    """What there is to say in the head line."""
    if overview.look.newest is None:
        return tag("span", "no pass yet", class_="pill warn")
    if overview.has_failed:
        return tag("span", "last pass failed", class_="pill bad")
    if overview.is_old:
        return tag("span", "last pass is old", class_="pill bad")
    if overview.paused:
        return tag("span", "paused", class_="pill warn")
    return tag("span", overview.sentence, class_="pill good")


def _banners(overview: Overview) -> Iterator[Html]:
    """What a person must know before reading on."""
    newest, seen = overview.look.newest, overview.look.seen
    for trouble in overview.troubles:
        yield tag("p", trouble, class_="banner warn" if newest is None else "banner bad", role="alert")
    if overview.paused:
        yield tag(
            "p",
            "Paused: nothing is launched, fenced or deleted until "
            "`celery -A autoscaler_app autoscaler resume`.",
            class_="banner warn",
        )
    if newest is not None and seen is not newest:
        says = (
            f"What stands below is what pass {seen.number} saw "
            f"{words.duration(overview.now - seen.started)} ago."
            if seen is not None
            else "No pass that is still in memory has seen queues and nodes."
        )
        yield tag("p", says, class_="banner warn")
    if seen is not None and seen.saw is not None:
        for warning in seen.saw.warnings:
            yield tag("p", warning, class_="banner warn")


# -- what the pass saw


def _seen(seen: Report, saw: Saw) -> Iterator[Html]:
    yield _figures(saw, seen.plan)
    if seen.plan is not None and seen.plan.unserved:
        yield _unserved(seen.plan)
    yield _queues(saw)
    yield _nodes(saw, seen.plan)


def _figures(saw: Saw, plan: Plan | None) -> Html:
    fenced = sum(node.fenced for node in saw.nodes)
    figures: list[tuple[str, str, str]] = [
        (f"{sum(queue.waiting for queue in saw.queues):,}", "waiting", ""),
        (f"{sum(queue.running for queue in saw.queues):,}", "running", ""),
        (f"{len(saw.nodes):,}", "nodes", f"{fenced:,} fenced" if fenced else ""),
    ]
    if plan is not None:
        price = plan.price_per_hour
        figures += [
            (
                words.money(price.before),
                "per hour",
                f"+ {words.money(price.added)}" if price.added else "",
            ),
            (f"{sum(entry.count for entry in plan.unserved):,}", "unserved", ""),
        ]
    if saw.cluster_state:
        figures.append((saw.cluster_state, "cluster", ""))
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name, tag("small", f" {more}") if more else None), tag("dd", value))
            for value, name, more in figures
        ),
        class_="figures",
    )


def _unserved(plan: Plan) -> Html:
    columns = (
        Column(name="job"),
        Column(name="slots", number=True),
        Column(name="reason"),
        Column(name="why", wide=True),
    )
    shown, note = _most(plan.unserved, "job", important=lambda entry: True)
    rows = [
        (entry.job, f"{entry.count:,}", tag("span", entry.reason, class_="pill warn"), entry.detail)
        for entry in shown
    ]
    return _section("Unserved", table(columns, rows, id_="unserved", empty=""), note)


def _queues(saw: Saw) -> Html:
    columns = (
        Column(name="queue", wide=True),
        Column(name="waiting", number=True),
        Column(name="running", number=True),
        Column(name="held", number=True),
        Column(name="oldest", number=True),
    )
    shown, note = _most(
        saw.queues, "queue", important=lambda queue: bool(queue.waiting or queue.running or queue.held)
    )
    rows = [
        (
            tag("b", queue.queue),
            f"{queue.waiting:,}",
            f"{queue.running:,}",
            f"{queue.held:,}",
            None if queue.oldest_seconds is None else words.duration(queue.oldest_seconds),
        )
        for queue in shown
    ]
    return _section("Queues", table(columns, rows, id_="queues", empty="No queue is watched."), note)


def _nodes(saw: Saw, plan: Plan | None) -> Html:
    fate = fates(plan, saw.nodes)
    columns = (
        Column(name="node"),
        Column(name="state"),
        Column(name="size"),
        Column(name="running", number=True),
        Column(name="held", number=True),
        Column(name="heard", number=True),
        Column(name="price/h", number=True),
        Column(name="decided", wide=True),
    )
    ordered = sorted(saw.nodes, key=lambda node: (node.nodearray, words.natural(node.node)))
    shown, note = _most(ordered, "node", important=lambda node: node.fenced or node.state != "Ready")
    rows = [
        (
            tag("b", node.node, title=node.hostname or None),
            join((_node_state(node), tag("span", " fenced", class_="pill warn") if node.fenced else None)),
            node.vm_size,
            node.running,
            node.held or None,
            None if node.heard_seconds_ago is None else f"{words.duration(node.heard_seconds_ago)} ago",
            words.money(node.price_per_hour),
            fate.get(node.node_id),
        )
        for node in shown
    ]
    return _section("Nodes", table(columns, rows, id_="nodes", empty="There are no nodes."), note)


def _node_state(node: NodeSaw) -> Html:
    kind = {"Ready": "good", "Failed": "bad"}.get(node.state, "plain")
    return tag("span", node.state, class_=f"pill {kind}")


# -- what it decided and did


def _decided(plan: Plan) -> Html:
    lines = [
        *(
            _line(
                "launch",
                f"{entry.count:,} × {entry.nodearray}/{entry.vm_size}"
                f"{' spot' if entry.spot else ''}"
                f"{f' in {entry.placement_group}' if entry.placement_group else ''}",
                f"for {words.jobs(entry.jobs)}; {words.money(entry.price_per_hour)} per hour",
            )
            for entry in plan.launch
        ),
        *(_line("join", entry.hostname, f"to {', '.join(entry.queues) or 'nothing'}") for entry in plan.join),
        *(
            _line(
                f"gang: {entry.order}",
                entry.gang or entry.queue,
                f"of {', '.join(entry.hosts)}: {entry.reason}",
            )
            for entry in plan.gangs
        ),
        *(_line("unfence", entry.node, entry.reason) for entry in plan.unfence),
        *(_line("fence", entry.node, entry.reason.value) for entry in plan.fence),
        *(_line("delete", entry.node, entry.reason.value) for entry in plan.delete),
    ]
    shown, note = _most(lines, "decision", important=lambda line: True)
    kept = words.plural(len(plan.keep), "node") if plan.keep else "no node"
    if not lines:
        return _section("Decided", tag("p", f"Nothing to change, {kept} kept.", class_="empty"))
    by = tag("p", f"{kept} kept. Decided by the {plan.decided_by} packer.", class_="note")
    return _section("Decided", tag("ul", *shown, class_="lines"), note, by)


def _done(newest: Report) -> Html:
    if not newest.actions:
        return _section("Done", tag("p", f"Pass {newest.number} did nothing.", class_="empty"))
    shown, note = _most(newest.actions, "action", important=lambda action: not action.ok)
    return _section("Done", tag("ul", *map(_action, shown), class_="lines"), note)


def _action(action: Action) -> Html:
    return _line(action.kind, action.target, action.detail, failed=not action.ok)


def _line(verb: str, target: str, detail: str, *, failed: bool = False) -> Html:
    return tag(
        "li",
        tag("span", f"{verb} failed" if failed else verb, class_=f"pill {'bad' if failed else 'plain'}"),
        " ",
        tag("b", target),
        " ",
        tag("span", detail, class_="detail"),
    )


# -- the passes before


def _passes(passes: Sequence[PassLine], overview: Overview) -> Html:
    columns = (
        Column(name="pass", number=True),
        Column(name="began"),
        Column(name="waiting", number=True),
        Column(name="running", number=True),
        Column(name="nodes", number=True),
        Column(name="took", number=True),
        Column(name="did", wide=True),
    )
    rows = [
        (
            line.number,
            tag(
                "time",
                f"{words.duration(overview.now - line.started)} ago",
                datetime=line.started.isoformat(),
                title=f"{line.started:%Y-%m-%d %H:%M:%S %Z}",
            ),
            _count(line.waiting),
            _count(line.running),
            _count(line.nodes),
            f"{line.seconds:.2f} s",
            _did(line),
        )
        for line in passes
    ]
    title = f"Last {len(rows)} passes" if len(rows) > 1 else "Passes"
    return _section(title, table(columns, rows, id_="passes", empty=""))


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _did(line: PassLine) -> Html:
    done = ", ".join(f"{kind} {count:,}" for kind, count in line.done) or "nothing to do"
    parts = [tag("span", done if line.done or not line.error else "")]
    if line.error:
        parts.insert(0, tag("span", tag("span", "failed", class_="pill bad"), " ", line.error, class_="row"))
    shown = line.failed[:3]
    parts += [
        tag("span", tag("span", "not done", class_="pill warn"), " ", text, class_="row") for text in shown
    ]
    if more := len(line.failed) - len(shown):
        parts.append(tag("span", f"and {more:,} more not done", class_="row"))
    return join(parts)


# -- shared


def _section(title: str, *inner: Html | None) -> Html:
    return tag("section", tag("h2", title), *inner)


def _most(rows: Sequence[R], noun: str, *, important: Callable[[R], bool]) -> tuple[list[R], Html | None]:
    """At most so many rows, in their order, the important ones sooner; and a note on what is left out."""
    if len(rows) <= MOST:
        return list(rows), None
    places = sorted(range(len(rows)), key=lambda place: not important(rows[place]))[:MOST]
    left = words.plural(len(rows) - MOST, noun)
    link = tag("a", "/api/status", href="api/status")
    note = tag(
        "p", f"and {left} more that nothing special is to be said of; all are in ", link, class_="note"
    )
    return [rows[place] for place in sorted(places)], note
