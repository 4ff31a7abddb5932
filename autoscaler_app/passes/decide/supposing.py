"""What would be planned if something were otherwise: the same decision, from another snapshot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.decide.situation import read
from autoscaler_app.passes.plan import Launch, Places, Plan, Unserved
from autoscaler_app.passes.report import bucket_name
from autoscaler_app.passes.snapshot import QueueSeen, Snapshot
from celery_resources.need.naming import requirement_of
from celery_resources.need.requirement import Requirement
from scalelib.errors import InvalidInput
from scalelib.policy import Policy
from scalelib.prices import estimated
from scalelib.spelling import meant


class QueueThen(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one queue."""

    queue: str
    waiting: int
    slots: int
    """Of it, on machines that are there or come."""
    unserved: int
    run_seconds: float | None
    """Mean run time of its tasks; None: unknown."""
    done_seconds: float | None
    """From now until the last has ended, as `Places` reckons it; None if that cannot be told."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What would be, beside what is."""

    launch: tuple[Launch, ...]
    nodes_now: int
    nodes_then: int
    price_now: float
    """Per hour."""
    price_then: float
    estimated: tuple[str, ...]
    """Kinds of machine, of those that would be bought, whose price nobody gives (`bucket_name`)."""
    is_estimated: bool
    """Whether one of these, or of the nodes that are there, is in the prices."""
    going: tuple[str, ...]
    """Nodes that would be fenced or ended at once."""
    queues: tuple[QueueThen, ...]
    unserved: tuple[Unserved, ...]
    warnings: tuple[str, ...]


def supposed(
    snapshot: Snapshot, waiting: Mapping[Requirement | str, int], idle_timeout: float | None = None
) -> Snapshot:
    """The snapshot in which so many tasks wait, by queue or by what they need; and with another timeout.

    Raises InvalidInput for a queue that nobody has announced and whose name spells no requirement.
    """
    queues = {queue.queue: queue for queue in snapshot.queues}
    for wanted, count in waiting.items():
        queue = _queue(wanted, queues)
        queues[queue.queue] = msgspec.structs.replace(queue, waiting=count)
    changed = msgspec.structs.replace(snapshot, queues=tuple(queues.values()))
    if idle_timeout is not None:
        config = {**snapshot.config, "idle_timeout": idle_timeout}
        changed = msgspec.structs.replace(changed, config=config)
    return changed


def _queue(wanted: Requirement | str, known: Mapping[str, QueueSeen]) -> QueueSeen:
    if isinstance(wanted, str):
        if wanted in known:
            return known[wanted]
        requirement = requirement_of(wanted)
        if requirement is None:
            there = meant(wanted, known, f"known are: {', '.join(known) or 'none'}")
            raise InvalidInput(f"no queue {wanted!r} is known; {there}")
        return _of(wanted, requirement)
    same = [queue for queue in known.values() if requirement_of(queue.queue) == wanted]
    return same[0] if same else _of(wanted.canonical, wanted)


def _of(name: str, requirement: Requirement) -> QueueSeen:
    return QueueSeen(
        queue=name,
        constraints=dict(requirement.constraints),
        node_count=requirement.node_count,
        colocated=requirement.colocated,
        exclusive=requirement.exclusive,
    )


def outcome(snapshot: Snapshot) -> Outcome:
    """What a pass would plan from this."""
    situation, plan = read(snapshot), decide(snapshot).plan
    cloud = situation.cloud
    guessed = estimated(cloud.buckets, Policy.from_config(snapshot.config).prices)
    unpriced = {bucket_name(b.nodearray, b.vm_size, b.spot) for b in cloud.buckets if b.id in guessed}
    bought = {bucket_name(each.nodearray, each.vm_size, each.spot) for each in plan.launch}
    there = {bucket_name(node.nodearray, node.vm_size, node.spot) for node in cloud.nodes if node.wanted}
    nodes = sum(node.wanted for node in situation.cloud.nodes)
    price = plan.price_per_hour
    boot = situation.boot_time
    return Outcome(
        launch=plan.launch,
        nodes_now=nodes,
        nodes_then=nodes + sum(launch.count for launch in plan.launch),
        price_now=price.before,
        price_then=price.before + price.added,
        estimated=tuple(sorted(bought & unpriced)),
        is_estimated=not unpriced.isdisjoint(bought | there),
        going=(*(entry.node for entry in plan.fence), *(entry.node for entry in plan.delete)),
        queues=tuple(_then(queue, plan, boot) for queue in snapshot.queues if queue.waiting),
        unserved=plan.unserved,
        warnings=plan.warnings,
    )


def _then(queue: QueueSeen, plan: Plan, boot: timedelta) -> QueueThen:
    places, run = Places(plan, queue.queue), queue.runtime_seconds
    return QueueThen(
        queue=queue.queue,
        waiting=queue.waiting,
        slots=places.count,
        unserved=sum(entry.count for entry in places.unserved),
        run_seconds=run,
        done_seconds=places.done_seconds(queue.waiting, run, boot.total_seconds()),
    )
