"""One look at the world: queues, hosts, nodes and clocks, put into a snapshot.

What cannot be seen is left out or marked unknown, never guessed. If the cloud or the broker does not answer,
the look fails as a whole: half a picture would make nodes look idle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoscaler_app.brokers import Depth
from autoscaler_app.listening.activity import HostView
from autoscaler_app.listening.ask import ask
from autoscaler_app.memory.kinds import PLAIN
from autoscaler_app.memory.state import Drain, KnownHost
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.gangs import queue_of
from autoscaler_app.passes.decide.situation import match_hosts, short_name
from autoscaler_app.passes.observe.clocks import read_clock
from autoscaler_app.passes.observe.due import due_by_queue
from autoscaler_app.passes.observe.hearing import hearing_of, without_events
from autoscaler_app.passes.observe.hunger import hunger
from autoscaler_app.passes.observe.reckoning import reckon
from autoscaler_app.passes.observe.strays import find_strays
from autoscaler_app.passes.report import Hearing
from autoscaler_app.passes.snapshot import (
    VERSION,
    GangSeen,
    HostSeen,
    JobSeen,
    QueueSeen,
    Snapshot,
    Stage,
    TimesSeen,
)
from celery_resources import EVICTION, Requirement
from scalelib.node import NodeId
from scalelib.provider import Cloud

SHUT_DOWN_AGAIN = timedelta(seconds=60)
"""A worker that still tells what it has so long after it was told to shut down has not heard it."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What was seen: the snapshot that is decided from, and what acting on the decision needs besides."""

    snapshot: Snapshot
    cloud: Cloud
    views: Mapping[str, HostView]
    """By short host name."""
    kinds: Mapping[str, Requirement]
    known: Mapping[str, KnownHost]
    """By node id: every node whose host was heard in its life."""
    host_of: Mapping[NodeId, HostSeen]
    warnings: tuple[str, ...] = ()
    unaccounted: int | None = None
    """Unacknowledged messages that no worker tells of; None where the broker does not say."""
    hearing: Hearing | None = None
    strays: tuple[str, ...] = ()
    """Tags of messages that were taken and that nobody has, proven: to be given back."""

    def view_of(self, hostname: str) -> HostView | None:
        """What the workers of this host said; None if they are not heard."""
        return self.views.get(short_name(hostname))


def observe(control: Control) -> Sight:
    """Look once. Raises ProviderError or BrokerUnreachable if the cloud or the broker does not answer."""
    _, set_before = read_clock(control)
    cloud = control.provider.cloud()
    control.learn_run_times()
    horizon = control.boot_time() + timedelta(seconds=control.settings.autoscaler.eta_margin)
    # Before the others: now and then it takes a while, and what they say is to be fresh.
    sends = control.activity.take_sends()
    periodic = control.periodic.foreseen(control.now(), horizon, control.runtime_of, sends)
    control.activity.watch(periodic.watched)
    _ask_the_quiet(control, control.state.drains(), cloud)
    now, set_meanwhile = read_clock(control)
    # Not sooner: if the clock was set meanwhile, these instants have been moved with it.
    drains, history = control.state.drains(), _history(control, cloud)
    views = {short_name(view.hostname): view for view in control.activity.hosts()}
    consumed = {queue for view in views.values() for queue in view.queues}
    kinds = {**periodic.kinds, **control.kinds.all(also=consumed - periodic.kinds.keys())}
    depths = control.broker.depths(list(kinds))
    known = _remember_hosts(control, views.values(), cloud)
    present = {node.id for node in cloud.nodes}
    queues = _queues(control, kinds, depths, views.values(), now, horizon, periodic.due)
    hungry = hunger(control, views.values(), queues, drains, now)
    hosts = _hosts(
        control,
        views.values(),
        [host for node_id, host in known.items() if node_id in present],
        {node_id: drain for node_id, drain in drains.items() if node_id in present},
        hungry,
        now,
    )
    left = {node_id for node_id, drain in drains.items() if drain.has_left}
    there = [host for node_id, host in known.items() if node_id in present - left]
    patience = timedelta(seconds=control.settings.autoscaler.told_within)
    eventless = without_events(views.values(), now, patience) if control.listener is not None else ()
    strays = find_strays(control, views.values(), there)
    unaccounted, count_unknown = reckon(control.broker, views.values())
    snapshot = Snapshot(
        version=VERSION,
        now=now,
        config=control.settings.public_config,
        cluster=dict(cloud.raw),
        queues=queues,
        jobs=_running(views.values(), kinds),
        hosts=hosts,
        history=history,
        listening_since=_listening_since(control) or now,
        set_aside=dict(control.provider.set_aside()),
        hold="" if (breaker := control.provider.breaker).may_delete else breaker.reason,
        paused=bool(control.state.fact("paused")),
    )
    return Sight(
        snapshot=snapshot,
        cloud=cloud,
        views=views,
        kinds=kinds,
        known=known,
        host_of=match_hosts(hosts, cloud.nodes),
        warnings=(
            *cloud.warnings,
            *_stuck(control, drains, cloud, now),
            *strays.warnings,
            *eventless,
            *set_before,
            *set_meanwhile,
            *count_unknown,
            *periodic.warnings,
        ),
        unaccounted=unaccounted,
        hearing=hearing_of(control.activity, control.listener),
        strays=strays.tags,
    )


def _ask_the_quiet(control: Control, drains: Mapping[str, Drain], cloud: Cloud) -> None:
    """Ask the hosts whose last word is too old to act on; in a command, where nobody listens, all."""
    timeout = control.settings.autoscaler.ask_timeout
    if control.listener is None:
        answers = ask(control.app, "resources", None, timeout=timeout)
    else:
        names = sorted({*_to_ask(control, drains), *_never_heard(control, drains, cloud)})
        if not names:
            return
        answers = ask(control.app, "resources", names, timeout=timeout)
    for name, payload in answers.items():
        if payload is None:
            control.activity.cannot_say(name)
        else:
            control.activity.merge(payload, control.now())


def _never_heard(control: Control, drains: Mapping[str, Drain], cloud: Cloud) -> Iterator[str]:
    """Workers of nodes that are Ready and have said nothing: known from before we were started, or guessed.

    A node whose app sends no events at all is known only if it is asked.
    """
    now, patience = control.now(), timedelta(seconds=control.settings.autoscaler.told_within)
    heard = {short_name(view.hostname) for view in control.activity.hosts()}
    known, times = control.state.known_hosts(), control.history.times()
    for node in cloud.nodes:
        drain = drains.get(node.id)
        if (
            not (node.managed and node.is_ready and node.hostname)
            or short_name(node.hostname) in heard
            or (drain is not None and drain.shut_down is not None)
        ):
            continue
        if node.id in known:
            yield from known[node.id].nodenames
        elif (ready := times[node.id].ready if node.id in times else None) and now - ready > patience:
            yield f"celery@{node.hostname}"


def _to_ask(control: Control, drains: Mapping[str, Drain]) -> list[str]:
    now, patience = control.now(), control.settings.autoscaler.told_within
    going = {short_name(drain.hostname) for drain in drains.values() if drain.shut_down is None}
    leaving = {
        short_name(drain.hostname)
        for drain in drains.values()
        if drain.shut_down is not None and now - drain.shut_down < SHUT_DOWN_AGAIN
    }
    return sorted(
        worker.nodename
        for view in control.activity.hosts()
        if short_name(view.hostname) not in leaving
        for worker in view.workers
        if short_name(view.hostname) in going
        or view.told is None
        or (now - view.told).total_seconds() > patience * 0.8
    )


def _queues(
    control: Control,
    kinds: Mapping[str, Requirement],
    depths: Mapping[str, Depth],
    views: Collection[HostView],
    now: datetime,
    horizon: timedelta,
    periodic: Mapping[str, tuple[float, ...]],
) -> tuple[QueueSeen, ...]:
    running = Counter(queue for view in views for queue in _queues_at_work(view))
    waiting = {queue: depth.waiting for queue, depth in depths.items()}
    due = due_by_queue(waiting, control.activity.coming(), views, now, horizon)
    return tuple(
        QueueSeen(
            queue=queue,
            constraints=dict(requirement.constraints) or {"ncpus": 1},
            node_count=requirement.node_count,
            colocated=requirement.colocated,
            exclusive=requirement.exclusive,
            waiting=due[queue].waiting,
            due=tuple(sorted((*due[queue].soon, *periodic.get(queue, ())))),
            running=running[queue],
            oldest_seconds=None if (oldest := depths[queue].oldest) is None else oldest.total_seconds(),
            runtime_seconds=control.runtime_of(queue),
        )
        for queue, requirement in sorted(kinds.items())
    )


def _queues_at_work(view: HostView) -> list[str]:
    """The queue of each task that runs or is held on a host."""
    return [task.queue for task in view.running] + [task.queue for task in view.held]


def _running(views: Iterable[HostView], kinds: Mapping[str, Requirement]) -> tuple[JobSeen, ...]:
    """Work that runs or is held on a host, as one job a queue and host. Gangs are told of by their hosts."""
    counts = Counter(
        (queue, view.hostname)
        for view in views
        for queue in _queues_at_work(view)
        if view.gang is None or queue != queue_of(view.gang.id)
    )
    jobs = []
    for (queue, hostname), count in sorted(counts.items()):
        need = kinds.get(queue, PLAIN)
        jobs.append(
            JobSeen(
                name=f"{queue} on {hostname}",
                constraints=dict(need.constraints) or {"ncpus": 1},
                iterations=count,
                exclusive=need.exclusive,
                executing_hostnames=(hostname,),
            )
        )
    return tuple(jobs)


def _stuck(control: Control, drains: Mapping[str, Drain], cloud: Cloud, now: datetime) -> Iterator[str]:
    """Drains that take longer than they should, each with the step that has not been shown."""
    timeout = timedelta(seconds=control.settings.autoscaler.drain_timeout)
    names = {node.id: node.name for node in cloud.nodes if node.wanted}
    for node_id, name in sorted(names.items(), key=lambda item: item[1]):
        drain = drains.get(node_id)
        if drain is not None and now - drain.chosen > timeout:
            minutes = (now - drain.chosen).total_seconds() / 60
            yield f"{name} has been draining for {minutes:.0f} min: {drain.waits_for}"


def _hosts(
    control: Control,
    views: Iterable[HostView],
    known: Iterable[KnownHost],
    drains: Mapping[str, Drain],
    hungry: Mapping[str, float],
    now: datetime,
) -> tuple[HostSeen, ...]:
    by_host = {short_name(drain.hostname): drain for drain in drains.values()}
    hosts = {}
    for view in views:
        name = short_name(view.hostname)
        hosts[name] = HostSeen(
            hostname=view.hostname,
            total=dict(view.total),
            running=len(view.running),
            held=len(view.held),
            fenced=view.fenced,
            heard_seconds_ago=_untold_seconds(control, view, now),
            queues=tuple(sorted(view.queues)),
            stage=_stage(by_host.get(name), view.fenced, view.told),
            gang=_gang(view),
            evicted=any(worker.fenced and worker.fence_reason == EVICTION for worker in view.workers),
            hungry_seconds=hungry.get(view.hostname),
        )
    for host in known:
        name = short_name(host.hostname)
        drain = by_host.get(name)
        if name not in hosts:
            left = drain is not None and drain.has_left
            hosts[name] = HostSeen(
                hostname=host.hostname,
                running=0 if left else len(host.tasks),
                fenced=drain is not None and drain.fenced is not None,
                heard_seconds_ago=_unheard_seconds(control, host.heard, now),
                stage=_stage(drain, drain is not None and drain.fenced is not None, None),
            )
    return tuple(host for _, host in sorted(hosts.items()))


def _untold_seconds(control: Control, view: HostView, now: datetime) -> float | None:
    """How long ago a host told all; None while that is too long ago, and yet one of its workers is alive: one
    of two that died, say, leaves what runs with the other.
    """
    told, patience = view.told, control.settings.autoscaler.told_within
    untold = _seconds(now, told) if told is not None else _unheard_seconds(control, view.heard, now)
    alive = any((now - worker.heard).total_seconds() <= patience for worker in view.workers)
    return None if alive and untold is not None and untold > patience else untold


def _unheard_seconds(control: Control, heard: datetime | None, now: datetime) -> float | None:
    """How long a host that tells nothing could have been heard and was not; None while that proves nothing.

    While we were not listening nobody could be heard: after an hour in which the broker or we were down, a
    host has its time to speak up from now on. One that does not is silent, however healthy it was before. A
    command asks once and never listens.
    """
    listening = _listening_since(control)
    if heard is None or listening is None:
        return None
    unheard = (now - max(heard, listening)).total_seconds()
    return unheard if unheard > control.settings.autoscaler.told_within else None


def _listening_since(control: Control) -> datetime | None:
    return None if control.listener is None else control.listener.connected_since


def _gang(view: HostView) -> GangSeen | None:
    said = view.gang
    if said is None:
        return None
    hosts = tuple(member.rpartition("@")[2] for member in said.members)
    return GangSeen(id=said.id, hosts=hosts, role=said.role)


def _stage(drain: Drain | None, fenced: bool, told: datetime | None) -> Stage:
    """Where a host is. One that still talks long after it was told to shut down did not hear: told again."""
    if drain is None or drain.shut_down is None:
        return "fenced" if fenced else "serving"
    if drain.has_left:
        return "left"
    deaf = told is not None and told - drain.shut_down > SHUT_DOWN_AGAIN
    return "fenced" if deaf and fenced else "leaving"


def _seconds(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else max(0.0, (now - then).total_seconds())


def _remember_hosts(control: Control, views: Collection[HostView], cloud: Cloud) -> dict[str, KnownHost]:
    """Write down who was heard and what ran there, so that a restart of ours forgets nobody."""
    told = [HostSeen(hostname=view.hostname) for view in views if view.told is not None]
    by_name = {view.hostname: view for view in views}
    fresh = []
    for node_id, host in match_hosts(told, cloud.nodes).items():
        view = by_name[host.hostname]
        assert view.told is not None
        fresh.append(
            KnownHost(
                hostname=view.hostname,
                node_id=node_id,
                nodenames=tuple(sorted(worker.nodename for worker in view.workers)),
                heard=view.told,
                tasks=tuple(sorted({task.id for task in view.running} | {task.id for task in view.held})),
            )
        )
    control.state.heard(fresh)
    return control.state.known_hosts()


def _history(control: Control, cloud: Cloud) -> dict[str, TimesSeen]:
    present: set[str] = {node.id for node in cloud.nodes}
    return {
        str(node_id): TimesSeen(
            created=times.created,
            ready=times.ready,
            last_active=times.last_active,
            last_needed=times.last_needed,
        )
        for node_id, times in control.history.times().items()
        if node_id in present
    }
