"""What is known of each host: as its workers told it, or as it is remembered where they say nothing. Pure.

What could not be seen is marked unknown, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from autoscaler_app.listening.activity import HostView
from autoscaler_app.memory.state import Drain, KnownHost
from autoscaler_app.passes import way_out
from autoscaler_app.passes.hosts import short_name
from autoscaler_app.passes.observe.asking import Asked
from autoscaler_app.passes.snapshot import GangSeen, HostSeen
from celery_resources import EVICTION


def hosts_seen(
    asked: Asked,
    known: Collection[KnownHost],
    drains: Mapping[str, Drain],
    hungry: Mapping[str, float],
) -> tuple[HostSeen, ...]:
    by_host = {short_name(drain.hostname): drain for drain in drains.values()}
    homes = {worker.nodename: view.hostname for view in asked.views.values() for worker in view.workers}
    remembered = {short_name(host.hostname): host.heard for host in known}
    hosts = {}
    unreadable = asked.kinds.keys() - asked.depths.keys()
    for view in asked.views.values():
        name = short_name(view.hostname)
        hosts[name] = HostSeen(
            hostname=view.hostname,
            total=dict(view.total),
            running=len(view.running),
            held=len(view.held),
            fenced=view.fenced,
            heard_seconds_ago=None
            if is_disputed(name, view.told, asked) or not unreadable.isdisjoint(view.queues)
            else _untold_seconds(asked, view),
            untold_seconds=_untold_seconds_of(asked, view, remembered.get(name)),
            queues=tuple(sorted(view.queues)),
            stage=way_out.stage_of(by_host.get(name), fenced=view.fenced, told=view.told),
            gang=_gang(view, homes),
            began=_began(view),
            evicted=any(worker.fenced and worker.fence_reason == EVICTION for worker in view.workers),
            hungry_seconds=hungry.get(view.hostname),
            ran=view.ran,
            worked_seconds_ago=_seconds(asked.now, view.worked),
            why_unknown=_why_unknown(view),
        )
    for host in known:
        name = short_name(host.hostname)
        drain = by_host.get(name)
        if name not in hosts:
            fenced = drain is not None and drain.fenced is not None
            stage = way_out.stage_of(drain, fenced=fenced, told=None)
            hosts[name] = HostSeen(
                hostname=host.hostname,
                running=0 if stage == "left" else len(host.tasks),
                fenced=fenced,
                heard_seconds_ago=None if name in asked.disputed else _unheard_seconds(asked, host.heard),
                untold_seconds=_since_last(asked, host.heard),
                stage=stage,
            )
    return tuple(host for _, host in sorted(hosts.items()))


def _why_unknown(view: HostView) -> str:
    """Why nothing is known of a host that is heard; empty if there is no such reason."""
    names = sorted({worker.nodename for worker in view.workers if worker.is_earlier})
    return f"several processes may be telling under the name {names[0]}" if names else ""


def _untold_seconds(asked: Asked, view: HostView) -> float | None:
    """How long ago a host told all; None while that is too long ago, and yet one of its workers is alive: one
    of two that died, say, leaves what runs with the other.
    """
    now, told, patience = asked.now, view.told, asked.settings.autoscaler.told_within
    untold = _seconds(now, told) if told is not None else _unheard_seconds(asked, view.heard)
    alive = any((now - worker.heard).total_seconds() <= patience for worker in view.workers)
    return None if alive and untold is not None and untold > patience else untold


def _untold_seconds_of(asked: Asked, view: HostView, remembered: datetime | None) -> float:
    """For how long a host has not told what it has, whatever signs of life it gives; one that has just begun
    has its time to.
    """
    began = [
        min(datetime.fromtimestamp(worker.began, UTC), worker.heard)
        for worker in view.workers
        if worker.began
    ]
    return _since_last(asked, view.told, remembered, *began)


def _since_last(asked: Asked, *moments: datetime | None) -> float:
    """Seconds since the last of these, counted from when we listen: nothing while we are deaf."""
    if asked.listening and asked.listening_since is None:
        return 0.0
    known = [moment for moment in (asked.listening_since, *moments) if moment is not None]
    return max(0.0, (asked.now - max(known)).total_seconds()) if known else 0.0


def is_disputed(name: str, told: datetime | None, asked: Asked) -> bool:
    """Somebody speaks in its name who is not believed, and it says nothing: perhaps it has lost its key."""
    patience = asked.settings.autoscaler.told_within
    return name in asked.disputed and (told is None or (asked.now - told).total_seconds() > patience)


def _unheard_seconds(asked: Asked, heard: datetime | None) -> float | None:
    """How long a host that tells nothing could have been heard and was not; None while that proves nothing.

    While we were not listening nobody could be heard: after an hour in which the broker or we were down, a
    host has its time to speak up from now on. One that does not is silent, however healthy it was before. A
    command asks once and never listens.
    """
    listening = asked.listening_since
    if heard is None or listening is None:
        return None
    unheard = (asked.now - max(heard, listening)).total_seconds()
    return unheard if unheard > asked.settings.autoscaler.told_within else None


def _began(view: HostView) -> datetime | None:
    """When the youngest of its worker processes started, as far as all have told."""
    started = [worker.started for worker in view.workers]
    return datetime.fromtimestamp(max(started), UTC) if started and all(started) else None


def _gang(view: HostView, homes: Mapping[str, str]) -> GangSeen | None:
    said = view.gang
    if said is None:
        return None
    hosts, lacks = (
        tuple(homes.get(member, member.rpartition("@")[2]) for member in names)
        for names in (said.members, said.lacks)
    )
    return GangSeen(id=said.id, hosts=hosts, role=said.role, lacks=lacks)


def _seconds(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else max(0.0, (now - then).total_seconds())
