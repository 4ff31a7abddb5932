"""What each node was bought for: noted before it is launched, found again when it is seen. Pure.

A plan says for whom every machine is. Without that, each pass would have to find the same packing again, and
where it does not, it would buy more for work whose machines are on their way already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from scalelib.demand import Demand
from scalelib.names import folded
from scalelib.node import Node, NodeId


@runtime_checkable
class PlanMemory(Protocol):
    """Where it is kept from one calculator to the next; a node history may be one."""

    def plan(self) -> Mapping[str, Any] | None:
        """What was noted last; None: nothing."""

    def remember_plan(self, fact: Mapping[str, Any]) -> None:
        """Keep it, in place of what was kept before."""


Meant = dict[str, dict[str, int]]
"""Slots by job, by node id."""


def noted(
    demand: Demand, *, launches: bool, now: datetime, waited: Mapping[str, timedelta]
) -> dict[str, Any]:
    """What is to be remembered of a plan: for whom the nodes are that there are, and those to be launched, if
    they are; and since when jobs wait without a place for any of their slots. `waited`: for how long they had
    done so before.
    """
    nodes: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for verdict in demand.nodes:
        work = {
            name: slots - verdict.running.get(name, 0)
            for name, slots in verdict.jobs.items()
            if slots > verdict.running.get(name, 0)
        }
        if work:
            nodes.setdefault(tuple(sorted(work.items())), []).append(verdict.node.name)
    launched: list[list[Any]] = []
    for launch in demand.launches if launches else ():
        for (_, here), node in zip(launch.planned(), launch.starts, strict=False):
            nodes.setdefault(tuple(sorted(here.items())), []).append(node.name)
        runs, again = [], len(launch.starts)
        for count, here in launch.per_node:
            if count > again:
                runs.append([count - again, dict(here)])
            again = max(again - count, 0)
        launched.append([launch.bucket_id, launch.placement_group, runs])
    served = {name for work in nodes for name, _ in work}
    served.update(name for launch in demand.launches for name in launch.jobs)
    since = {
        each.job: (
            now - (timedelta() if each.job in served else waited.get(each.job, timedelta()))
        ).isoformat()
        for each in demand.unserved
    }
    named = [[dict(work), names] for work, names in nodes.items()]
    return {"nodes": named, "launched": launched, "since": since}


def waiting_for(fact: Mapping[str, Any] | None, now: datetime) -> dict[str, timedelta]:
    """For how long each job waits without a place for any of its slots, as far as that was noted."""
    since = fact.get("since", {}) if fact else {}
    return {job: max(now - datetime.fromisoformat(each), timedelta()) for job, each in since.items()}


def found(fact: Mapping[str, Any] | None, nodes: Collection[Node], seen: Collection[NodeId]) -> Meant:
    """What each node is meant for. `seen`: those that were there at the last pass; it launched the others."""
    if not fact:
        return {}
    by_name = {name: work for work, names in fact["nodes"] for name in names}
    launched: dict[tuple[str, str | None], list[dict[str, int]]] = {}
    for bucket_id, group, runs in fact["launched"]:
        waiting = launched.setdefault((bucket_id, _group(group)), [])
        waiting += [here for count, here in runs for _ in range(count)]
    meant: Meant = {}
    for node in nodes:
        waiting = launched.get((node.bucket_id, _group(node.placement_group)), [])
        if node.name in by_name:
            meant[node.id] = by_name[node.name]
        elif node.id not in seen and node.wanted and waiting:
            meant[node.id] = waiting.pop(0)
    return meant


def _group(name: str | None) -> str | None:
    return None if name is None else folded(name)
