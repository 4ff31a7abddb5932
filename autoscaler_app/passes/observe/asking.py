"""Everything that one look asks: the cloud, the broker, the workers, and our own memory. Writes nothing.

What was asked is put together in `sight`; what is to be remembered of it is written down by the pass
(`remembering`), and by nobody else: a command that looks changes nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from autoscaler_app.brokers import Depth
from autoscaler_app.listening.activity import ComingTask, HostView, Sent
from autoscaler_app.listening.notes import DROPPED
from autoscaler_app.memory import orders
from autoscaler_app.memory.kinds import MAX_KINDS
from autoscaler_app.memory.orders import Orders
from autoscaler_app.memory.state import Drain, KnownHost
from autoscaler_app.memory.stories.budget import SPANS, Span, begins
from autoscaler_app.passes import way_out
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.hosts import homes_of, short_name
from autoscaler_app.passes.observe.clocks import Clock
from autoscaler_app.passes.observe.hearing import hearing_of
from autoscaler_app.passes.observe.learnt import recall
from autoscaler_app.passes.observe.reckoning import reckon
from autoscaler_app.passes.observe.strays import Claims, Strays, claims_of
from autoscaler_app.passes.report import Hearing
from autoscaler_app.passes.snapshot import Learnt
from autoscaler_app.passes.way_out import State
from autoscaler_app.periodic import Foreseen
from autoscaler_app.settings import Settings
from celery_resources import Requirement
from scalelib.history import NodeTimes
from scalelib.node import Node, NodeId
from scalelib.provider import Cloud

MOST_NAMED = 20
"""Queues named in warnings, one each."""

A_LINE = 100
"""Messages in the control queue that are worth a warning."""

NAMED = "named"
"""Name of the fact that lists the workers whose connections bear their names."""
RECONNECTS_WITHIN = timedelta(seconds=45)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What everybody answered, and what was remembered then."""

    now: datetime
    settings: Settings
    cloud: Cloud
    views: Mapping[str, HostView]
    """What the workers of each host said, by short host name."""
    listening: bool
    """Somebody listens all the time; a command only asks."""
    listening_since: datetime | None
    """Since when everything is heard; None: not now, or nobody listens."""
    kinds: Mapping[str, Requirement]
    depths: Mapping[str, Depth]
    """What waits; a queue that could not be read is missing."""
    coming: tuple[ComingTask, ...]
    periodic: Foreseen
    horizon: timedelta
    """How far ahead what is for later is demand."""
    runtimes: Mapping[str, float | None]
    """Mean seconds, by queue."""
    last_runs: Mapping[str, datetime | None]
    """When the last run ended, by queue."""
    drains: Mapping[str, Drain]
    """By node id, as are the others that are remembered."""
    known: Mapping[str, KnownHost]
    history: Mapping[NodeId, NodeTimes]
    hungry: Mapping[str, float]
    """Since when (seconds since the epoch) hosts were seen to take nothing, at the last pass."""
    busy: Mapping[str, float]
    """By queue: how many tasks that have ended since the last pass ran at once, on average."""
    untimed: Mapping[str, float]
    """The same of queues where something waits and no run time is known."""
    meant: Mapping[str, Any] | None
    """What the last pass noted of whom its nodes are for."""
    learnt: Learnt
    orders: Orders
    spent: Mapping[Span, float]
    """Money, in this day and this month."""
    set_aside: Mapping[str, str]
    hold: str
    strays: Strays
    unaccounted: int | None
    hearing: Hearing | None
    dropped: Mapping[str, int]
    """Notes that were dropped since the last pass, by why."""
    disputed: frozenset[str] = frozenset()
    """Hosts (short) in whose name somebody speaks who is not believed."""
    warnings: tuple[str, ...] = ()
    """What went wrong in asking, a sentence each."""


def ask_all(control: Control, clock: Clock) -> Asked:
    """Ask everybody once. Raises ProviderError or BrokerError if the cloud or the broker does not answer."""
    _, set_before = clock()
    cloud = control.provider.cloud()
    control.activity.know_machines(homes_of(cloud.nodes))
    believe_of(control, cloud)
    horizon = control.boot_time() + timedelta(seconds=control.settings.autoscaler.eta_margin)
    # Before the others: now and then it takes a while, and what they say is to be fresh.
    periodic = _periodic(control, horizon, control.activity.take_sends())
    known, history = control.state.known_hosts(), control.history.times()
    _ask_the_quiet(control, known, history, cloud)
    now, set_meanwhile = clock()
    if set_meanwhile:
        # These instants have been moved with the clock.
        known, history = control.state.known_hosts(), control.history.times()
    drains = control.state.drains()  # a last word may have come meanwhile
    views = {short_name(view.hostname): view for view in control.activity.hosts()}
    drains = {i: way_out.as_it_stands(d, views.get(short_name(d.hostname))) for i, d in drains.items()}
    consumed = {queue for view in views.values() for queue in view.queues}
    kinds = {**periodic.kinds, **control.queues.all(also=consumed - periodic.kinds.keys())}
    depths = control.broker.depths(list(kinds))
    control.activity.are_empty((queue for queue, depth in depths.items() if not depth.waiting), now)
    dropped = control.state.fact(DROPPED) or {}
    on_nodes = {*_still_there(known, drains, cloud), *_not_joined(known, drains, cloud)}
    strays = find_strays(control, views.values(), on_nodes)
    unaccounted, count_unknown = reckon(control.broker, views.values())
    return Asked(
        now=now,
        settings=control.settings,
        cloud=cloud,
        views=views,
        listening=control.listener is not None,
        listening_since=None if control.listener is None else control.listener.connected_since,
        kinds=kinds,
        depths=depths,
        coming=control.activity.coming(),
        periodic=periodic,
        horizon=horizon,
        runtimes={queue: control.runtime_of(queue) for queue in kinds},
        last_runs={queue: control.runtimes.last(queue) for queue in kinds},
        drains=drains,
        known=known,
        history=history,
        hungry=control.state.fact("hungry") or {},
        busy=control.busy,
        untimed=control.state.fact("untimed") or {},
        meant=control.state.fact("meant"),
        learnt=recall(control.state),
        orders=orders.recall(control.state, now),
        spent={span: control.stories.money_since(begins(span, now)) for span in SPANS},
        set_aside=dict(control.provider.set_aside()),
        hold=control.provider.no_ending,
        strays=strays,
        unaccounted=unaccounted,
        hearing=hearing_of(control.activity, control.listener),
        disputed=frozenset() if control.trust is None else control.trust.disputed(now),
        dropped=dropped,
        warnings=(
            *set_before,
            *set_meanwhile,
            *count_unknown,
            *(() if control.trust is None else control.trust.warnings(now)),
            *_unreadable(kinds, depths),
            *_too_many(consumed - kinds.keys()),
            *_dropped(dropped),
            *_in_line(control.in_line),
        ),
    )


def believe_of(control: Control, cloud: Cloud) -> None:
    """From here on, what is said in these nodes' names is judged by their keys."""
    if control.trust is None:
        return
    doubtful = control.trust.know(cloud.nodes, control.now())
    hosts = control.activity.hosts() if doubtful else ()
    control.activity.forget(*(view.hostname for view in hosts if short_name(view.hostname) in doubtful))


def _unreadable(kinds: Iterable[str], depths: Mapping[str, Depth]) -> Iterator[str]:
    unread = sorted(queue for queue in kinds if queue not in depths)
    for queue in unread[:MOST_NAMED]:
        yield (
            f"queue {queue!r} cannot be read (no list, no right to it, or one of too many new ones): what "
            "waits there is unknown, and its hosts are kept"
        )
    if len(unread) > MOST_NAMED:
        yield f"{len(unread) - MOST_NAMED} more queues cannot be read"


def _too_many(left_out: Collection[str]) -> Iterator[str]:
    if left_out:
        yield (
            f"{len(left_out)} queues that workers say they consume are not looked at, such as "
            f"{min(left_out)!r}: more than {MAX_KINDS} that nobody announced are too many"
        )


def _dropped(dropped: Mapping[str, int]) -> Iterator[str]:
    for why, count in sorted(dropped.items()):
        yield f"{count} note{'s' * (count != 1)} of producers or nodes dropped since the last pass: {why}"


def _in_line(waiting: int) -> Iterator[str]:
    if waiting >= A_LINE:
        yield (
            f"{waiting} messages stood in the control queue: passes are made before these are read; nobody "
            "but beat and operators should write there"
        )


def _periodic(control: Control, horizon: timedelta, sends: Iterable[Sent]) -> Foreseen:
    periodic = control.periodic.foreseen(control.now(), horizon, control.runtime_of, sends)
    control.activity.watch(periodic.watched)
    return periodic


def _ask_the_quiet(
    control: Control, known: Mapping[str, KnownHost], history: Mapping[NodeId, NodeTimes], cloud: Cloud
) -> None:
    """Ask the hosts whose last word is too old to act on; in a command, where nobody listens, all."""
    hosts, drains = control.activity.hosts(), control.state.drains()
    asked = {"pids": _pids_in_doubt(hosts)}
    if control.listener is None:
        _take_answers(control, control.workers.ask("resources", None, asked))
        control.reluctant.have_told(control.activity.hosts())
        return
    # A worker that is gone costs one pass its patience and not every pass; one that is on no node, none. If
    # it lives it tells of itself, or its answer is there for the next pass.
    control.reluctant.have_told(hosts)
    heard = {short_name(view.hostname) for view in hosts}
    unheard = [node for node in cloud.nodes if node.hostname and short_name(node.hostname) not in heard]
    not_listed = list(_not_listed(known, cloud))
    quiet = _to_ask(control, hosts, drains)
    names = {*quiet, *_never_heard(control, unheard, known, history, drains), *not_listed}
    # Before anything is given back, whoever may have taken it up has a say.
    aside = set() if not_listed else _on_no_node(hosts, known, drains, cloud).intersection(quiet)
    control.reluctant.ask(
        control.workers, "resources", names, asked, partial(_take_answers, control), control.now(), aside
    )


def _not_listed(known: Mapping[str, KnownHost], cloud: Cloud) -> Iterator[str]:
    """Workers of nodes that had tasks and that the cloud does not list: of one record that cannot be read a
    list is not wrong as a whole, and who answers is alive. Else what it runs would be given back to others.
    """
    present = {node.id for node in cloud.nodes}
    for node_id, host in known.items():
        if node_id not in present and host.tasks:
            yield from host.nodenames


def _on_no_node(
    hosts: Collection[HostView], known: Mapping[str, KnownHost], drains: Mapping[str, Drain], cloud: Cloud
) -> set[str]:
    """Workers of hosts that are no node's and were never seen to be: nothing is done to them in this pass, so
    none has to wait for what they say.
    """
    nodes = {
        *homes_of(cloud.nodes),
        *(short_name(host.hostname) for host in known.values()),
        *(short_name(drain.hostname) for drain in drains.values()),
    }
    there, elsewhere = set[str](), set[str]()
    for view in hosts:
        of = there if short_name(view.hostname) in nodes else elsewhere
        of |= {worker.nodename for worker in view.workers}
    return elsewhere - there


def _take_answers(control: Control, answers: Mapping[str, Any]) -> None:
    for name, payload in answers.items():
        if payload is None:
            control.activity.cannot_say(name)
        else:
            control.activity.merge(payload, control.now())


def _pids_in_doubt(hosts: Iterable[HostView]) -> list[int]:
    """Processes that may or may not be there beside a younger one of the same name: it can look."""
    workers = [worker for view in hosts for worker in view.workers]
    doubled = {worker.nodename for worker in workers if worker.is_earlier}
    return sorted({worker.pid for worker in workers if worker.nodename in doubled and worker.pid is not None})


def _never_heard(
    control: Control,
    unheard: Iterable[Node],
    known: Mapping[str, KnownHost],
    history: Mapping[NodeId, NodeTimes],
    drains: Mapping[str, Drain],
) -> Iterator[str]:
    """Workers of nodes that are Ready and have said nothing: known from before we were started, or guessed.

    A node whose app sends no events at all is known only if it is asked.
    """
    now, patience = control.now(), timedelta(seconds=control.settings.autoscaler.told_within)
    for node in unheard:
        drain, times = drains.get(node.id), history.get(node.id)
        has_left = drain is not None and way_out.state_of(drain) in (State.EMPTY, State.LEFT)
        if has_left or not (node.managed and node.is_ready):
            continue
        if node.id in known:
            yield from known[node.id].nodenames
        elif times is not None and times.ready is not None and now - times.ready > patience:
            yield f"celery@{node.hostname}"


def _to_ask(control: Control, hosts: Iterable[HostView], drains: Mapping[str, Drain]) -> list[str]:
    now, patience = control.now(), control.settings.autoscaler.told_within
    asked = {short_name(drain.hostname): way_out.is_asked(drain, now) for drain in drains.values()}
    return sorted(
        worker.nodename
        for view in hosts
        if asked.get(short_name(view.hostname)) is not False
        for worker in view.workers
        if asked.get(short_name(view.hostname))
        or view.told is None
        or (now - view.told).total_seconds() > patience * 0.8
    )


def _still_there(known: Mapping[str, KnownHost], drains: Mapping[str, Drain], cloud: Cloud) -> Iterator[str]:
    """Workers of nodes that are there and have not shut down."""
    present = {node.id for node in cloud.nodes}
    left = {node_id for node_id, drain in drains.items() if way_out.state_of(drain) is State.LEFT}
    there = present - left
    return (name for node_id, host in known.items() if node_id in there for name in host.nodenames)


def _not_joined(known: Mapping[str, KnownHost], drains: Mapping[str, Drain], cloud: Cloud) -> Iterator[str]:
    """Workers, as far as can be guessed, of nodes that are up and were never heard: one may have begun to
    work while nobody listened. They join, or are ended as never joined.
    """
    for node in cloud.nodes:
        if node.managed and node.is_ready and node.id not in known and node.id not in drains:
            yield f"celery@{node.hostname}"


def find_strays(control: Control, hosts: Iterable[HostView], on_nodes: Collection[str]) -> Strays:
    """Look for messages that nobody has; only while we listen, and so know who is there.

    `on_nodes` are the workers of nodes that are there and have not shut down, heard in this life of ours,
    before it, or never. Raises BrokerError.
    """
    if control.listener is None or control.listener.connected_since is None:
        return Strays()
    own = frozenset(control.own_tasks())
    hosts = list(hosts)
    later = [task.id for task in control.activity.coming() if task.held_by]

    def ask_everybody() -> Claims:
        return claims_of(
            control.workers.ask("claims", None),
            expected=control.activity.nodenames().union(on_nodes),
            me=control.nodename,
            own=own,
            consumers=control.broker.consumers(),
            unheard=_unheard(control, hosts, on_nodes),
        )

    return control.strays.look(control.broker, hosts, own, ask_everybody, later)


def _unheard(control: Control, hosts: Collection[HostView], on_nodes: Collection[str]) -> frozenset[str]:
    """Workers that name their connections and were not heard for a while, though somebody listened. For long
    enough for one to connect again that has lost its connection: Celery's pauses grow to half a minute.

    Not those of nodes that are there, of whom no account was heard in this life of ours: one that is cut off
    may run what nobody has told us of. What it has comes back when its machine is gone.
    """
    assert control.listener is not None
    since, now = control.listener.connected_since, control.now()
    if since is None or now - since < RECONNECTS_WITHIN:
        return frozenset()
    workers = [worker for host in hosts for worker in host.workers]
    # A process that was heard, or whose connection has no name, speaks for all that have its name.
    there = {w.nodename for w in workers if not w.is_named or now - w.heard <= RECONNECTS_WITHIN}
    named = frozenset(control.state.fact(NAMED) or ()) | {worker.nodename for worker in workers}
    untold = set(on_nodes) - {worker.nodename for worker in workers if worker.told is not None}
    return named - there - untold
