"""Nodes: each in a line, or many of a kind in one; and the page of one, its story."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from autoscaler_app.cli.stories import AFTER
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import NodeSaw, Report
from autoscaler_app.web import words
from autoscaler_app.web.fate import fates, reasons
from autoscaler_app.web.markup import Child, Html, columns, join, table, tag
from autoscaler_app.web.pages import parts

FEW = 24
"""Nodes that are each shown in a line; of more, those of a kind are counted in one."""


def overview(nodes: Sequence[NodeSaw], plan: Plan | None) -> Html:
    """A section of all nodes, however many there are."""
    if len(nodes) <= FEW:
        return parts.section(
            "Nodes", table(_COLUMNS, _rows(nodes, plan), id_="nodes", empty="There are no nodes.")
        )
    notable = [node for node in nodes if _is_notable(node)][:FEW]
    special = (
        (tag("h3", "Of note"), table(_COLUMNS, _rows(notable, plan), id_="nodes", empty=""))
        if notable
        else ()
    )
    return parts.section("Nodes", _groups(nodes, plan), *special)


def listed(nodes: Sequence[NodeSaw], plan: Plan | None, wanted: Mapping[str, str]) -> Html:
    """Every node, or those that are `wanted` by nodearray, vm_size and state."""
    found = [node for node in nodes if all(getattr(node, key) == value for key, value in wanted.items())]
    shown, note = parts.most(_in_order(found), "node", important=_is_notable)
    of = f" of {', '.join(wanted.values())}" if wanted else ""
    every = tag("a", "all nodes", href="nodes") if wanted else None
    return parts.section(
        f"{words.plural(len(found), 'node')}{of}",
        table(_COLUMNS, _rows(shown, plan), id_="nodes", empty="There are no nodes."),
        note,
        tag("p", every, class_="note") if every else None,
    )


def _is_notable(node: NodeSaw) -> bool:
    return node.fenced or node.state != "Ready"


def _in_order(nodes: Iterable[NodeSaw]) -> list[NodeSaw]:
    return sorted(nodes, key=lambda node: (node.nodearray, words.natural(node.node)))


_COLUMNS = columns("node", "state", "size", "#running", "#held", "#heard", "#price/h", "*decided")


def _rows(nodes: Iterable[NodeSaw], plan: Plan | None) -> list[tuple[Child, ...]]:
    ordered = _in_order(nodes)
    fate = fates(plan, ordered)
    return [
        (
            tag("b", parts.node(node.node, node.hostname)),
            state(node),
            node.vm_size,
            node.running,
            node.held or None,
            None if node.heard_seconds_ago is None else f"{words.duration(node.heard_seconds_ago)} ago",
            words.money(node.price_per_hour),
            fate.get(node.node_id),
        )
        for node in ordered
    ]


def state(node: NodeSaw) -> Html:
    """In the cloud's word, and whether it takes work."""
    fenced = (" ", parts.pill("fenced", "warn")) if node.fenced else ()
    return join((_pill(node.state), *fenced))


def _pill(in_state: str) -> Html:
    return parts.pill(in_state, {"Ready": "good", "Failed": "bad"}.get(in_state, "plain"))


def _groups(nodes: Sequence[NodeSaw], plan: Plan | None) -> Html:
    """Nodes of one kind, state and reason, in a line."""
    why = reasons(plan, nodes)
    groups: dict[tuple[str, str, str, str], list[NodeSaw]] = defaultdict(list)
    for node in nodes:
        groups[node.nodearray, node.vm_size, node.state, why.get(node.node_id, "")].append(node)
    heads = columns("#nodes", "state", "kind", "#running", "#held", "#price/h", "*decided")
    rows = [
        (
            tag("b", f"{len(group):,}"),
            _pill(in_state),
            tag(
                "a",
                f"{nodearray}/{vm_size}",
                href=parts.address("nodes", nodearray=nodearray, vm_size=vm_size, state=in_state),
            ),
            f"{sum(node.running for node in group):,}",
            f"{sum(node.held for node in group):,}",
            words.money(sum(node.price_per_hour for node in group)),
            reason,
        )
        for (nodearray, vm_size, in_state, reason), group in sorted(
            groups.items(), key=lambda each: (each[0][0], -len(each[1]), each[0])
        )
    ]
    return table(heads, rows, id_="groups", empty="")


# -- one


def of_one(facts: Mapping[str, Any], made: Report | None) -> Html:
    """The page of one node: what became of it, why it is still here, what it cost. `facts`: of `why`."""
    seen = made.saw.nodes if made is not None and made.saw is not None else ()
    stories = facts["stories"]
    there = next((node for node in seen if stories and node.node_id == stories[0]["node_id"]), None)
    inner = [_story(story) for story in stories]
    if facts["stays"]:
        inner.insert(
            0, parts.section("Why it is still here", tag("p", facts["stays"], class_="answer", id="stays"))
        )
    if there is not None and made is not None:
        inner.insert(
            1, parts.section("Now", table(_COLUMNS, _rows([there], made.plan), id_="nodes", empty=""))
        )
    return join(inner)


def _story(story: Mapping[str, Any]) -> Html:
    went = story["moments"][-1] if story["gone"] else None
    numbers = [
        (f"{story['runs']:,}", "tasks run to their end", ""),
        ("?" if story["busy_share"] is None else f"{story['busy_share']:.0%}", "busy", "of its time up"),
        (words.money(story["cost"]), "cost", f"at {words.money(story['price_per_hour'])} per hour"),
        *((words.duration(story[f"{what}_seconds"]), what, "") for what in ("busy", "idle", "booting")),
    ]
    heads = columns("when", "#pass", "what", "*why")
    rows = [
        (when(moment["at"]), parts.a_pass(moment["number"]), AFTER[moment["what"]], moment["why"])
        for moment in story["moments"]
    ]
    ran = [
        (parts.queue(queue), f"{each['runs']:,}", words.duration(each["seconds"]))
        for queue, each in sorted(story["ran"].items(), key=lambda item: -item[1]["seconds"])
    ]
    spot = " spot" if story["spot"] else ""
    host = f", host {story['hostname']}" if story["hostname"] else ""
    gone = f"Gone: {went['why']}" if went is not None else None
    return parts.section(
        f"{story['node']}: {story['nodearray']}/{story['vm_size']}{spot}{host}",
        tag("p", gone, class_="answer") if gone else None,
        parts.figures(numbers),
        table(heads, rows, id_="story", empty=""),
        tag("h3", "What it ran") if ran else None,
        table(
            columns("queue", "#runs", "#in all"),
            ran,
            id_="ran",
            empty="It has run no task to its end.",
        ),
        tag("p", f"Id of the cloud: {story['node_id']}", class_="note"),
    )


def when(at: str | datetime) -> str:
    """An instant for people."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def history(stories: Sequence[Mapping[str, Any]]) -> Html:
    """The table of `history`."""
    heads = columns("node", "size", "began", "gone", "#tasks", "#busy", "#cost", "*why")
    rows = [
        (
            tag("b", parts.node(story["node_id"] if story["gone"] else story["node"])),
            story["vm_size"],
            when(story["moments"][0]["at"]),
            when(story["gone"]) if story["gone"] else story["state"] or "asked for",
            f"{story['runs']:,}",
            None if story["busy_share"] is None else f"{story['busy_share']:.0%}",
            words.money(story["cost"]),
            story["moments"][-1]["why"] if story["gone"] else None,
        )
        for story in stories
    ]
    nothing = "No node is known yet: a pass that has looked writes them down."
    return parts.section(
        "Nodes that are there, and those that went last", table(heads, rows, id_="history", empty=nothing)
    )
