"""How a story goes on from one pass to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from autoscaler_app.memory.stories.story import (
    BOOTING,
    IDLE,
    MOST_MOMENTS,
    UNHEARD,
    Counted,
    Moment,
    Spent,
    Story,
    What,
)
from scalelib.node import Node, NodeState

COSTS_NOTHING = frozenset({NodeState.OFF, NodeState.ACQUIRING, NodeState.DEALLOCATED, NodeState.TERMINATED})
"""States in which there is no machine, or none that is paid for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """One node, as a pass sees it."""

    node: Node
    is_heard: bool = False
    """What its workers do is known."""
    counted: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """By queue: runs that ended since its workers started, and their seconds."""
    running: Mapping[str, float] = field(default_factory=dict)
    """By queue: how long the tasks that run have been running, added up, in seconds."""
    counted_tasks: Mapping[str, Mapping[str, tuple[int, float]]] = field(default_factory=dict)
    """By queue: `counted`, by name of the task."""
    running_tasks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By queue: `running`, by name of the task."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """What it was bought for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """What a pass did to one node."""

    node_id: str
    what: What
    why: str = ""


def first_seen(now: Now, at: datetime, number: int) -> Story:
    """The story of a node that is there, whoever has created it."""
    node = now.node
    return Story(
        node_id=node.id,
        node=node.name,
        nodearray=node.nodearray,
        vm_size=node.vm_size,
        spot=node.spot,
        state=node.status,
        price_per_hour=node.price_per_hour,
        jobs=dict(now.jobs),
        moments=(Moment(at=at, what="seen", why=for_jobs(now.jobs), number=number),),
        seen=at,
        last_count=dict(now.counted),
        last_running=dict(now.running),
        **_by_name(now),
    )


def _by_name(now: Now) -> dict[str, Any]:
    """What a story keeps of this sight, by name of the task."""
    return {
        "last_tasks": {queue: dict(counts) for queue, counts in now.counted_tasks.items()},
        "last_running_tasks": {queue: dict(seconds) for queue, seconds in now.running_tasks.items()},
    }


def for_jobs(jobs: Mapping[str, int]) -> str:
    """What a node was bought for, in words; empty if that is not known."""
    return f"for {', '.join(f'{count} x {job}' for job, count in jobs.items())}" if jobs else ""


def told_on(story: Story, now: Now, at: datetime, number: int) -> tuple[Story, list[Spent]]:
    """The story with what this pass saw of its node, and on what the time since the last one was spent."""
    node, passed = now.node, max(0.0, (at - story.seen).total_seconds())
    ended = _since(story.last_count, now.counted) if now.is_heard else {}
    worked = _worked(ended, story.last_running, now.running) if now.is_heard else {}
    uses = _uses(node, now, passed, worked)
    free = node.state in COSTS_NOTHING
    cost = 0.0 if free else node.price_per_hour * passed / 3600
    spent = [
        Spent(
            day=at.astimezone(UTC).date().isoformat(),
            nodearray=node.nodearray,
            vm_size=node.vm_size,
            use=use,
            task=task,
            seconds=seconds,
            money=cost * seconds / passed,
        )
        for use, whole in uses.items()
        if not free
        for task, seconds in _tasks(story, now, use, whole, worked.get(use, 0.0))
        if seconds > 0
    ]
    busy = sum(seconds for use, seconds in uses.items() if use not in (IDLE, BOOTING, UNHEARD))
    told = msgspec.structs.replace(
        story,
        hostname=node.hostname or story.hostname,
        state=node.status,
        price_per_hour=node.price_per_hour,
        seen=max(at, story.seen),
        ran={
            queue: (runs + ended.get(queue, (0, 0.0))[0], seconds + ended.get(queue, (0, 0.0))[1])
            for queue, (runs, seconds) in (dict.fromkeys(ended, (0, 0.0)) | story.ran).items()
        },
        booting_seconds=story.booting_seconds + uses.get(BOOTING, 0.0),
        busy_seconds=story.busy_seconds + busy,
        idle_seconds=story.idle_seconds + uses.get(IDLE, 0.0),
        unheard_seconds=story.unheard_seconds + uses.get(UNHEARD, 0.0),
        cost=story.cost + cost,
        last_count=dict(now.counted) if now.is_heard else story.last_count,
        last_running=dict(now.running) if now.is_heard else story.last_running,
        **(_by_name(now) if now.is_heard else {}),
    )
    if node.state is NodeState.READY:
        told = with_moment(told, Moment(at=at, what="ready", number=number), once=True)
    if now.is_heard:
        told = with_moment(told, Moment(at=at, what="joined", why=told.hostname, number=number), once=True)
    return told, spent


def done_to(story: Story, deed: Deed, at: datetime, number: int) -> Story:
    """The story with what the pass did. That it was told to end is told once, however often it is told."""
    moment = Moment(at=at, what=deed.what, why=deed.why, number=number)
    return with_moment(story, moment, once=deed.what == "deleted")


def ended(story: Story, at: datetime, number: int) -> Story:
    """Its node is no longer there."""
    told = story.moment("deleted")
    why = told.why if told is not None else f"not by us: it was {story.state} when it was seen last"
    told_no_more = msgspec.structs.replace(
        story, last_count={}, last_running={}, last_tasks={}, last_running_tasks={}
    )
    return with_moment(told_no_more, Moment(at=at, what="gone", why=why, number=number), once=True)


def with_moment(story: Story, moment: Moment, *, once: bool = False) -> Story:
    """The story with a moment more. `once`: unless there is one of its kind."""
    if once and story.moment(moment.what) is not None:
        return story
    moments = (*story.moments, moment)
    if len(moments) > MOST_MOMENTS:
        half = MOST_MOMENTS // 2
        moments = (*moments[:half], *moments[-half:])
    return msgspec.structs.replace(story, moments=moments)


def _since(before: Mapping[str, tuple[int, float]], now: Mapping[str, tuple[int, float]]) -> Counted:
    """What was added to counters, each of which begins anew, from nothing, when its worker does; and when it
    comes back after others had taken its place: workers tell of the latest only.
    """
    added = {}
    for name, (runs, seconds) in now.items():
        runs_before, seconds_before = before.get(name, (0, 0.0))
        if runs < runs_before:
            runs_before, seconds_before = 0, 0.0
        if runs > runs_before:
            added[name] = (runs - runs_before, max(0.0, seconds - seconds_before))
    return added


def _worked(
    ended: Mapping[str, tuple[int, float]], before: Mapping[str, float], now: Mapping[str, float]
) -> dict[str, float]:
    """By queue: seconds of run time that were added since."""
    queues = {*ended, *before, *now}
    added = {
        queue: ended.get(queue, (0, 0.0))[1] + now.get(queue, 0.0) - before.get(queue, 0.0)
        for queue in queues
    }
    return {queue: seconds for queue, seconds in sorted(added.items()) if seconds > 0}


def _uses(node: Node, now: Now, passed: float, worked: Mapping[str, float]) -> dict[str, float]:
    """What these seconds were used for; they add up to them."""
    if passed <= 0:
        return {}
    if node.state.is_booting:
        return {BOOTING: passed}
    if not now.is_heard:
        return {UNHEARD: passed}
    total = sum(worked.values())
    busy = min(passed, total)
    return {
        **{queue: busy * seconds / total for queue, seconds in worked.items()},
        **({IDLE: passed - busy} if passed > busy else {}),
    }


def _tasks(story: Story, now: Now, queue: str, seconds: float, worked: float) -> Iterator[tuple[str, float]]:
    """These seconds of a queue by the names of its tasks; without one what no name is told for."""
    before = story.last_running_tasks.get(queue, {})
    added = _since(story.last_tasks.get(queue, {}), now.counted_tasks.get(queue, {}))
    named = _worked(added, before, now.running_tasks.get(queue, {})) if worked > 0 else {}
    total = max(worked, sum(named.values()))
    left = seconds
    for name, each in named.items():
        share = seconds * each / total
        left -= share
        yield name, share
    if left > seconds * 1e-6:
        yield "", left


def sum_of(spent: Iterable[Spent]) -> list[Spent]:
    """One of each day, nodearray, size, use and task."""
    sums: dict[tuple[str, str, str, str, str], tuple[float, float]] = {}
    for each in spent:
        key = (each.day, each.nodearray, each.vm_size, each.use, each.task)
        seconds, money = sums.get(key, (0.0, 0.0))
        sums[key] = (seconds + each.seconds, money + each.money)
    return [
        Spent(day=day, nodearray=array, vm_size=size, use=use, task=task, seconds=seconds, money=money)
        for (day, array, size, use, task), (seconds, money) in sums.items()
    ]
