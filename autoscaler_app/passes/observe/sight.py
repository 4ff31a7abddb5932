"""What was asked, put together: the snapshot that is decided from, and what acting needs besides. Pure.

What could not be seen is left out or marked unknown, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from autoscaler_app.brokers import Depth
from autoscaler_app.listening.activity import ComingTask, HeldTask, HostView, RunningTask, at_work
from autoscaler_app.memory.state import KnownHost
from autoscaler_app.passes import way_out
from autoscaler_app.passes.hosts import by_host, match_hosts, short_name
from autoscaler_app.passes.observe.asking import Asked
from autoscaler_app.passes.observe.due import due_by_queue
from autoscaler_app.passes.observe.hearing import without_events
from autoscaler_app.passes.observe.hunger import hungry_since
from autoscaler_app.passes.observe.lately import ran_lately
from autoscaler_app.passes.observe.standing import hosts_seen
from autoscaler_app.passes.observe.untimed import untimed_since
from autoscaler_app.passes.report import Hearing
from autoscaler_app.passes.snapshot import (
    VERSION,
    HostSeen,
    JobSeen,
    QueueSeen,
    Snapshot,
    TimesSeen,
)
from celery_resources import Requirement
from celery_resources.gangs.gang import queue_of_gang
from celery_resources.settings import ONE_CPU
from scalelib.history import seen_booting
from scalelib.meant import Meant, found, waiting_for
from scalelib.node import NodeId
from scalelib.provider import Cloud


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What was seen: the snapshot that is decided from, and what acting on the decision needs besides."""

    asked: Asked
    """What it was put together from."""
    snapshot: Snapshot
    hungry: Mapping[str, float]
    """Since when (seconds since the epoch) hosts take nothing, by name: to be remembered."""
    heard: tuple[KnownHost, ...]
    """Nodes whose host was heard now: to be remembered."""
    host_of: Mapping[NodeId, HostSeen]
    warnings: tuple[str, ...] = ()

    @property
    def cloud(self) -> Cloud:
        """The cloud's answer."""
        return self.asked.cloud

    @property
    def views(self) -> Mapping[str, HostView]:
        """What the workers of each host said, by short host name."""
        return self.asked.views

    @property
    def known(self) -> Mapping[str, KnownHost]:
        """By node id: every node whose host was heard in its life, as it was remembered."""
        return self.asked.known

    @property
    def kinds(self) -> Mapping[str, Requirement]:
        """What the tasks of each queue need."""
        return self.asked.kinds

    @property
    def unaccounted(self) -> int | None:
        """Unacknowledged messages that no worker tells of; None where the broker does not say."""
        return self.asked.unaccounted

    @property
    def hearing(self) -> Hearing | None:
        """How well we hear."""
        return self.asked.hearing

    @property
    def strays(self) -> tuple[str, ...]:
        """Tags of messages that were taken and that nobody has, proven: to be given back."""
        return self.asked.strays.tags

    def view_of(self, hostname: str) -> HostView | None:
        """What the workers of this host said; None if they are not heard."""
        return self.views.get(short_name(hostname))


def put_together(asked: Asked) -> Sight:
    """One picture of everything that was asked."""
    cloud, now, views = asked.cloud, asked.now, asked.views.values()
    present, claims = {node.id for node in cloud.nodes}, by_host(cloud.nodes)
    view_on = match_hosts(views, claims)
    queues = _queues(asked)
    untimed = untimed_since(asked.untimed, queues, now)
    queues = tuple(
        msgspec.structs.replace(queue, untimed_seconds=max(0.0, now.timestamp() - untimed[queue.queue]))
        if queue.queue in untimed
        else queue
        for queue in queues
    )
    meant = found(asked.meant, cloud.nodes, asked.history)
    hungry = hungry_since(
        asked.hungry, views, queues, asked.drains, now, _told_to_consume(asked, meant, view_on)
    )
    hosts = hosts_seen(
        asked,
        [host for node_id, host in asked.known.items() if node_id in present],
        {node_id: drain for node_id, drain in asked.drains.items() if node_id in present},
        {name: max(0.0, now.timestamp() - since) for name, since in hungry.items()},
    )
    snapshot = Snapshot(
        version=VERSION,
        now=now,
        config=asked.settings.public_config,
        cluster=dict(cloud.raw),
        queues=queues,
        jobs=(
            *_running(views, asked.kinds, now),
            *ran_lately(asked.busy, views, {queue.queue: queue.waiting for queue in queues}, asked.kinds),
        ),
        hosts=hosts,
        history=_history(asked),
        meant={str(i): jobs for i, jobs in meant.items()},
        waited={job: each.total_seconds() for job, each in waiting_for(asked.meant, now).items()},
        learnt=asked.learnt,
        listening_since=asked.listening_since or now,
        set_aside=dict(asked.set_aside),
        hold=asked.hold,
        paused=_is_paused(asked),
        orders=asked.orders,
        spent=dict(asked.spent),
    )
    return Sight(
        asked=asked,
        hungry=hungry,
        snapshot=snapshot,
        heard=tuple(_heard(asked, claims)),
        host_of=match_hosts(hosts, claims),
        warnings=(
            *cloud.warnings,
            *_stuck(asked),
            *_doubled(asked),
            *_telling_nothing(asked, hosts),
            *_strangers(asked, view_on),
            *asked.strays.warnings,
            *_eventless(asked),
            *_garbage(asked.views.values()),
            *asked.warnings,
            *asked.periodic.warnings,
        ),
    )


def _told_to_consume(
    asked: Asked, meant: Meant, view_on: Mapping[NodeId, HostView]
) -> dict[str, tuple[str, ...]]:
    """By host name: what the last plan gave it, unless nothing is carried out."""
    if _is_paused(asked):
        return {}
    return {view.hostname: tuple(meant[node_id]) for node_id, view in view_on.items() if node_id in meant}


def _is_paused(asked: Asked) -> bool:
    """Nothing is carried out at all."""
    return any(pause.is_whole for pause in asked.orders.pauses)


def _eventless(asked: Asked) -> tuple[str, ...]:
    patience = timedelta(seconds=asked.settings.autoscaler.told_within)
    return without_events(asked.views.values(), asked.now, patience) if asked.listening else ()


def _garbage(views: Iterable[HostView]) -> Iterator[str]:
    for view in views:
        count = sum(worker.garbage for worker in view.workers)
        if count:
            yield (
                f"{view.hostname} has met {count} element{'s' * (count != 1)} of its queues that were no "
                "messages; its log has them"
            )


def _doubled(asked: Asked) -> Iterator[str]:
    """Node names under which two processes tell at once."""
    for view in asked.views.values():
        for nodename in sorted({worker.nodename for worker in view.workers if worker.at_once}):
            pids = ", ".join(str(worker.pid) for worker in view.workers if worker.nodename == nodename)
            yield (
                f"{nodename} is several worker processes at once ({pids}): what they do is unknown, and the "
                "node is kept until all but one have ended, or are silent; give each its own name (-n)"
            )


def _telling_nothing(asked: Asked, hosts: Iterable[HostSeen]) -> Iterator[str]:
    """Hosts that are alive, are not known for another reason, and have told nothing for long."""
    for host in hosts:
        long = (host.untold_seconds or 0.0) > asked.settings.autoscaler.silent_timeout
        explained = host.why_unknown or short_name(host.hostname) in asked.disputed
        if long and host.heard_seconds_ago is None and not explained:
            yield (
                f"{host.hostname} gives signs of life and has not told what it has for "
                f"{(host.untold_seconds or 0.0) / 60:.0f} min: its node is kept, what waits gets another"
            )


def _strangers(asked: Asked, view_on: Mapping[NodeId, HostView]) -> Iterator[str]:
    """Hosts that are heard and are on no node, while there are nodes on which nobody is heard."""
    patience = timedelta(seconds=asked.settings.autoscaler.join_timeout)
    unheard = [
        node.name
        for node in asked.cloud.nodes
        if node.managed
        and node.is_ready
        and node.id not in view_on
        and (times := asked.history.get(node.id)) is not None
        and times.ready is not None
        and asked.now - times.ready > patience
    ]
    if not unheard:
        return
    known = {short_name(view.hostname) for view in view_on.values()}
    for name, view in sorted(asked.views.items()):
        if name not in known and view.told is not None and view.workers:
            yield (
                f"{view.workers[0].nodename} is heard and on no node of the cloud, and nobody is heard on "
                f"{', '.join(sorted(unheard)[:3])}: if it is on one of them, start it with -n NAME@%h"
            )


def _heard(asked: Asked, claims: Mapping[str, NodeId]) -> Iterator[KnownHost]:
    """Nodes whose host told what it has: to be remembered, so that a restart of ours forgets nobody."""
    told = match_hosts((view for view in asked.views.values() if view.told is not None), claims)
    later: dict[str, list[ComingTask]] = {}
    for task in asked.coming:
        if task.held_by:
            later.setdefault(task.held_by, []).append(task)
    for node_id, view in told.items():
        assert view.told is not None
        nodenames = sorted({worker.nodename for worker in view.workers})
        has = [*at_work(view), *(task for name in nodenames for task in later.get(name, ()))]
        yield KnownHost(
            hostname=view.hostname,
            node_id=node_id,
            nodenames=tuple(nodenames),
            heard=view.told,
            tasks=tuple(sorted({task.id for task in has})),
            queues=_queues_of_tasks(has),
        )


def _queues_of_tasks(
    tasks: Iterable[RunningTask | HeldTask | ComingTask],
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        if task.queue:
            found[task.id] = (*found.get(task.id, ()), task.queue)
    return found


def _history(asked: Asked) -> dict[str, TimesSeen]:
    present = {node.id for node in asked.cloud.nodes}
    return {
        str(node_id): TimesSeen(
            created=times.created,
            ready=times.ready,
            last_active=times.last_active,
            last_needed=times.last_needed,
            booting=times.booting,
        )
        for node_id, times in seen_booting(asked.history, asked.cloud.nodes, asked.now).items()
        if node_id in present
    }


def _queues(asked: Asked) -> tuple[QueueSeen, ...]:
    views, depths = asked.views.values(), asked.depths
    running = Counter(queue for view in views for queue in _queues_at_work(view))
    waiting = {queue: depths[queue].waiting if queue in depths else 0 for queue in asked.kinds}
    due = due_by_queue(waiting, asked.coming, views, asked.now, asked.horizon)
    return tuple(
        QueueSeen(
            queue=queue,
            constraints=dict(requirement.constraints or ONE_CPU.constraints),
            node_count=requirement.node_count,
            colocated=requirement.colocated,
            exclusive=requirement.exclusive,
            waiting=due[queue].waiting,
            due=tuple(sorted((*due[queue].soon, *asked.periodic.due.get(queue, ())))),
            running=running[queue],
            oldest_seconds=_oldest(depths.get(queue)),
            runtime_seconds=asked.runtimes.get(queue),
            ran_seconds_ago=_ago(asked.now, asked.last_runs.get(queue)),
        )
        for queue, requirement in sorted(asked.kinds.items())
    )


def _ago(now: datetime, at: datetime | None) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())


def _oldest(depth: Depth | None) -> float | None:
    """Seconds that the next in line has waited; None where that is unknown."""
    return None if depth is None or depth.oldest is None else depth.oldest.total_seconds()


def _queues_at_work(view: HostView) -> list[str]:
    """The queue of each task that runs or is held on a host."""
    return [task.queue for task in view.running] + [task.queue for task in view.held]


def _running(
    views: Iterable[HostView], kinds: Mapping[str, Requirement], now: datetime
) -> tuple[JobSeen, ...]:
    """Work that runs or is held on a host, as one job a queue and host. Gangs are told of by their hosts."""
    views = tuple(views)
    counts = Counter(
        (queue, view.hostname)
        for view in views
        for queue in _queues_at_work(view)
        if view.gang is None or queue != queue_of_gang(view.gang.id)
    )
    so_far: dict[tuple[str, str], list[float]] = {}
    for view in views:
        for task in view.running:
            so_far.setdefault((task.queue, view.hostname), []).append(
                round(max(0.0, (now - task.started).total_seconds()), 1)
            )
    jobs = []
    for (queue, hostname), count in sorted(counts.items()):
        need = kinds.get(queue, ONE_CPU)
        jobs.append(
            JobSeen(
                name=f"{queue} on {hostname}",
                constraints=dict(need.constraints or ONE_CPU.constraints),
                iterations=count,
                exclusive=need.exclusive,
                executing_hostnames=(hostname,),
                queue=queue,
                so_far=tuple(sorted(so_far.get((queue, hostname), ()))),
            )
        )
    return tuple(jobs)


def _stuck(asked: Asked) -> Iterator[str]:
    """Drains that take longer than they should, each with the step that has not been shown."""
    timeout = timedelta(seconds=asked.settings.autoscaler.drain_timeout)
    names = {node.id: node.name for node in asked.cloud.nodes if node.wanted}
    for node_id, name in sorted(names.items(), key=lambda item: item[1]):
        drain = asked.drains.get(node_id)
        if drain is not None and asked.now - drain.chosen > timeout:
            minutes = (asked.now - drain.chosen).total_seconds() / 60
            yield f"{name} has been draining for {minutes:.0f} min: {way_out.waits_for(drain)}"
