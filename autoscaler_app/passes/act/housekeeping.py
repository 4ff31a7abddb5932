"""What a pass puts in order before it decides: open launches, the dead, strangers, messages nobody has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from autoscaler_app.listening.activity import HostView, at_work
from autoscaler_app.memory import orders
from autoscaler_app.memory.orders import NodeOrder
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.hosts import short_name
from autoscaler_app.passes.observe.sight import Sight

DEAD_AFTER = 10.0
"""Seconds without a sign of life after which the worker of a node that the cloud has ended is dead."""


def settle(control: Control, deeds: Deeds) -> None:
    """Find out what became of launches that a killed pass or a lost answer left open."""
    for settled in control.provider.settle():
        detail = f"{settled.added} nodes: {settled.message or 'as asked'}"
        deeds.note("settle", settled.request_id, detail=detail)


def bury_the_dead(control: Control, deeds: Deeds, sight: Sight) -> None:
    """Nodes that the cloud no longer has: give their tasks back to the queues, forget them."""
    present = {node.id for node in sight.cloud.nodes}
    gone = {i: host for i, host in sight.known.items() if i not in present}
    dead = {i: host for i, host in gone.items() if not _is_alive(control, sight.view_of(host.hostname))}
    taken = _tasks_of_others(sight, {host.hostname for host in dead.values()})
    buried: dict[str, str] = {}
    try:
        for node_id, host in sorted(dead.items()):
            lost = sorted(task for task in host.tasks if _is_lost(task, host.queues.get(task, ()), taken))
            if lost:
                count = control.broker.give_back_tasks(lost, host.queues)
                for task in lost:
                    taken.setdefault(task, set()).update(host.queues.get(task, ("",)))
                deeds.note(
                    "restore", host.hostname, detail=f"{count} of {len(lost)} tasks given back", count=count
                )
                # Also where the broker gave them back itself: this look still counts on it to serve them.
                deeds.again = True
                # At once: should a later one fail, these are not to be taken from whoever has them by then.
                control.state.forget_nodes({node_id})
            buried[node_id] = host.hostname
    finally:
        control.activity.forget(*buried.values())
    if buried:
        control.state.forget_nodes(set(buried))


def _is_alive(control: Control, view: HostView | None) -> bool:
    heard = None if view is None else view.heard
    return heard is not None and (control.now() - heard).total_seconds() < DEAD_AFTER


def _is_lost(task: str, queues: Collection[str], taken: Mapping[str, Collection[str]]) -> bool:
    """Nobody else has it. What others have of a task from another queue is another message: an exchange with
    two queues gives each one of its own.
    """
    others = taken.get(task, ())
    return not others or ("" not in others and bool(queues) and set(queues).isdisjoint(others))


def _tasks_of_others(sight: Sight, dead: Collection[str]) -> dict[str, set[str]]:
    """What hosts that are not dead say they have, also for later, each with the queue that it came from: one
    that is evicted gives its tasks back before it goes.
    """
    gone, found = set(map(short_name, dead)), dict[str, set[str]]()
    alive = set[str]()
    for name, view in sight.views.items():
        if name not in gone:
            alive |= {worker.nodename for worker in view.workers}
            for task in at_work(view):
                found.setdefault(task.id, set()).add(task.queue)
    for later in sight.asked.coming:
        if later.held_by in alive:
            found.setdefault(later.id, set()).add(later.queue)
    return found


def forget_strangers(control: Control, sight: Sight) -> None:
    """Workers that have been silent for too long, but for those of a node that is silent as a whole.

    One on no node of the cloud that died before it had told anything would otherwise be waited for by
    `give_back` for ever. One that died on a host where another lives would leave that host unknown for ever:
    never told what to consume, and never ended. And so would one whose name a younger process has taken.
    """
    listener, now = control.listener, control.now()
    if listener is None or (listening := listener.connected_since) is None:
        return
    nodes = {
        short_name(name) for node in sight.cloud.nodes for name in (node.hostname, node.private_ip) if name
    }
    settings = control.settings.autoscaler
    for name, view in sight.views.items():
        unheard = now - max(worker.heard for worker in view.workers)
        if name in nodes and unheard.total_seconds() > settings.told_within:
            continue
        for worker in view.workers:
            # Its next life has taken its name, and was not there at the same time.
            is_over = worker.is_earlier and not worker.at_once
            timeout = settings.told_within if is_over else settings.silent_timeout
            if (now - max(listening, worker.heard)).total_seconds() > timeout:
                control.activity.forget_worker(worker.nodename, worker.pid, worker.started)


def forget_orders(control: Control, sight: Sight) -> None:
    """Orders that are over, where nothing is left to be undone, and those about nodes that are gone."""
    now, present = control.now(), {node.id for node in sight.cloud.nodes}
    fenced = {i for i, host in sight.host_of.items() if host.on_its_way == "fenced"}

    def is_due(node_id: str, order: NodeOrder) -> bool:
        return node_id in present and (not order.is_over(now) or node_id in fenced)

    orders.change_nodes(
        control.state, lambda all_: {i: order for i, order in all_.items() if is_due(i, order)}
    )
    orders.change_pauses(control.state, lambda all_: [pause for pause in all_ if not pause.is_over(now)])


def give_back(control: Control, deeds: Deeds, sight: Sight) -> None:
    """Messages that were taken and that nobody has go back to their queues."""
    if sight.strays:
        count = control.broker.give_back(sight.strays, sight.asked.strays.queues)
        deeds.note("restore", "messages that no worker has", detail=f"{count} given back", count=count)
        deeds.again = deeds.again or count > 0


def sweep(control: Control, deeds: Deeds) -> None:
    """Nodes of ours that no launch accounts for: into the books, or out of the cluster."""
    for swept in control.provider.sweep():
        deeds.note("sweep", swept.name, detail=f"{swept.done}: launch {swept.request_id}")
