"""The stories of the nodes, told on by a pass: what it saw and did, and on what the time since went."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nsmallest
from operator import itemgetter

from autoscaler_app.memory.figures import Figures, largest
from autoscaler_app.memory.stories.book import Known
from autoscaler_app.memory.stories.story import Moment, Spent, Story, What
from autoscaler_app.memory.stories.telling import (
    Deed,
    Now,
    done_to,
    ended,
    first_seen,
    for_jobs,
    sum_of,
    told_on,
)
from autoscaler_app.passes.act.deeds import Launched
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.report import ActionKind, Report, bucket_name
from scalelib.errors import ScalelibError
from scalelib.node import Node, NodeId, NodeState

log = logging.getLogger(__name__)

MOST_BY_TIME = 1_000
"""Stories that a pass brings up to date though nothing happened, those first that were longest not: what time
alone adds to the others is added later."""

_TOLD: dict[ActionKind, What] = {
    "fence": "fenced",
    "unfence": "unfenced",
    "shut-down": "shut-down",
    "delete": "deleted",
}


def tell(
    control: Control, sight: Sight, launched: Iterable[Launched], made: Report
) -> tuple[list[Story], list[Spent]]:
    """Write down how the stories go on. Returns those that have changed, and what was spent.

    What goes wrong with that is logged and stops nothing.
    """
    try:
        before = control.stories.present()
        stories, spent = told(before, sight, launched, made)
        kept = timedelta(seconds=control.settings.autoscaler.stories_kept)
        control.stories.write(stories, spent, sight.asked.now, kept=kept)
    except ScalelibError as error:
        log.error("the stories of the nodes cannot be written: %s", error)
        return [], []
    return stories, spent


def count(control: Control, sight: Sight, made: Report) -> None:
    """Write down what this pass saw in figures. What goes wrong with that is logged and stops nothing."""
    try:
        control.figures.add(figures_of(sight, made), sight.asked.now)
    except ScalelibError as error:
        log.error("the figures of this pass cannot be written: %s", error)


def figures_of(sight: Sight, made: Report) -> Figures:
    """What is drawn over time. Pure."""
    queues = made.saw.queues if made.saw is not None else ()
    waiting, running = largest((q.queue, q.waiting, q.running) for q in queues)
    nodes: dict[str, float] = dict.fromkeys(("up", "booting", "going", "failed"), 0.0)
    cores: dict[str, float] = defaultdict(float)
    for node in sight.cloud.nodes:
        host = sight.host_of.get(node.id)
        if is_now := _stands(node, is_fenced=host is not None and host.on_its_way != "serving"):
            nodes[is_now] += 1
            cores[is_now] += node.vcpu_count
    return Figures(
        waiting=waiting,
        running=running,
        nodes=nodes,
        cores_up=cores["up"],
        cores_booting=cores["booting"],
        unserved=sum(entry.count for entry in made.plan.unserved) if made.plan else 0,
        price_per_hour=made.plan.price_per_hour.before if made.plan else 0.0,
    )


def _stands(node: Node, *, is_fenced: bool) -> str:
    """What a node is in a plot; empty: no machine, or none of which that can be said."""
    if node.is_ready:
        return "going" if is_fenced else "up"
    if node.is_booting:
        return "booting"
    if node.state.is_failed:
        return "failed"
    is_on_its_way = node.state.is_leaving or node.state.is_booting or node.state is NodeState.READY
    return "going" if is_on_its_way else ""


def told(
    before: Mapping[str, Known], sight: Sight, launched: Iterable[Launched], made: Report
) -> tuple[list[Story], list[Spent]]:
    """The stories that have changed, and what was spent. Pure.

    `before`: the stories of the nodes that were there. `launched`: the nodes that this pass has created.
    """
    at, number = sight.asked.now, made.number
    stories: list[Story] = []
    spent: list[Spent] = []
    deeds: dict[str, list[Deed]] = defaultdict(list)
    for deed in deeds_of(made, sight):
        deeds[deed.node_id].append(deed)
    prices = {} if made.saw is None else {each.name: each.price_per_hour for each in made.saw.buckets}
    for node in _to_go_on(before, sight, deeds):
        now, known = now_of(sight, _priced(node, prices)), before.get(node.id)
        story = first_seen(now, at, number) if known is None else known.story()
        story, more = told_on(story, now, at, number)
        for deed in deeds[node.id]:
            story = done_to(story, deed, at, number)
        stories.append(story)
        spent += more
    present = {node.id for node in sight.cloud.nodes}
    stories += [ended(known.story(), at, number) for i, known in before.items() if i not in present]
    stories += [of_launch(each, at, number) for each in launched]
    return stories, sum_of(spent)


def _priced(node: Node, prices: Mapping[str, float]) -> Node:
    """A node of which nobody gives a price costs what that of its bucket is taken to be."""
    if node.price_per_hour:
        return node
    name = bucket_name(node.nodearray, node.vm_size, node.spot)
    return replace(node, price_per_hour=prices.get(name, 0.0))


def _to_go_on(
    before: Mapping[str, Known], sight: Sight, deeds: Mapping[str, Sequence[Deed]]
) -> Iterator[Node]:
    """Every node of which there is news, and of the others those that were not told on for longest."""
    at_rest = []
    for node in sight.cloud.nodes:
        known, host = before.get(node.id), sight.host_of.get(node.id)
        if (
            known is None
            or node.id in deeds
            or (node.is_ready and not known.has_had("ready"))
            or (host is not None and not known.has_had("joined"))
        ):
            yield node
        else:
            at_rest.append((known.seen, node))
    yield from (node for _, node in nsmallest(MOST_BY_TIME, at_rest, key=itemgetter(0)))


def of_launch(launched: Launched, at: datetime, number: int) -> Story:
    """The story of a node that this pass has created, and not seen yet."""
    launch = launched.launch
    return Story(
        node_id=launched.node_id,
        node=launched.node,
        nodearray=launch.nodearray,
        vm_size=launch.vm_size,
        spot=launch.spot,
        price_per_hour=launch.price_per_hour,
        jobs=launch.jobs,
        moments=(
            Moment(
                at=at,
                what="launched",
                why=f"by {launch.detail}" if launch.detail else for_jobs(launch.jobs),
                number=number,
            ),
        ),
        seen=at,
    )


def now_of(sight: Sight, node: Node) -> Now:
    """One node, as this pass sees it."""
    host = sight.host_of.get(node.id)
    view = None if host is None else sight.view_of(host.hostname)
    jobs = sight.snapshot.meant.get(str(node.id), {})
    if view is None or view.told is None:
        return Now(node=node, jobs=jobs)
    running: dict[str, float] = defaultdict(float)
    by_name: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task in view.running:
        seconds = max(0.0, (sight.asked.now - task.started).total_seconds())
        running[task.queue] += seconds
        if task.name:
            by_name[task.queue][task.name] += seconds
    return Now(
        node=node,
        is_heard=True,
        counted=view.ended,
        running=running,
        counted_tasks=view.ended_tasks,
        running_tasks=by_name,
        jobs=jobs,
    )


def deeds_of(made: Report, sight: Sight) -> Iterator[Deed]:
    """What this pass did to nodes, of what succeeded."""
    hosts = {host.hostname: node_id for node_id, host in sight.host_of.items()}
    names = {node.name: node.id for node in sight.cloud.nodes}
    for action in made.actions:
        what = _TOLD.get(action.kind)
        node_id: NodeId | None = hosts.get(action.target) or names.get(action.target)
        if what is not None and action.ok and node_id is not None:
            yield Deed(node_id=node_id, what=what, why=action.detail)
