"""Getting nodes a step further on their way out, as the table in `passes/way_out.py` has it."""

from __future__ import annotations

from autoscaler_app.memory.state import Drain
from autoscaler_app.passes import way_out
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.act.hands import NO_ANSWER, node_ids, nodenames_of, tell_hosts
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.plan import Delete, DeleteReason, Fence, Plan
from scalelib.node import NodeId


def fence(control: Control, deeds: Deeds, sight: Sight, plan: Plan) -> None:
    """Hosts that are chosen take nothing more, from when every worker process of them has said so."""
    state, now = control.state, control.now()
    hosts = {entry.hostname: entry for entry in plan.fence}
    ids = dict(zip(hosts, node_ids(sight, hosts), strict=True))
    for hostname, entry in hosts.items():
        if entry.reason.is_way_out:
            state.begin_drain(ids[hostname], hostname, entry.reason.value, now)
        else:
            state.end_drain(ids[hostname])
    acknowledged = tell_hosts(control, sight, hosts, "fence", {"reason": "autoscaler"})
    views = {view.hostname: view for view in control.activity.hosts()} if acknowledged else {}
    for hostname, told in acknowledged.items():
        entry = hosts[hostname]
        deeds.note("fence", hostname, ok=told, detail=_why(entry) if told else NO_ANSWER)
        if told and entry.reason.is_way_out:
            state.mark_fenced(ids[hostname], control.now())
            deeds.again = deeds.again or way_out.is_empty(views.get(hostname))


def end(control: Control, deeds: Deeds, sight: Sight, plan: Plan) -> None:
    """Nodes that the plan lets go: shut down if they need a certificate and it is not whole, else deleted."""
    _note_fences(control, sight)
    drains = _as_they_stand(control, sight)
    ready: list[Delete] = []
    for entry in plan.delete:
        if entry.reason in way_out.WITHOUT_CERTIFICATE:
            ready.append(entry)
            continue
        host = sight.host_of[NodeId(entry.node_id)]
        deed = way_out.deed_for(drains.get(entry.node_id), sight.view_of(host.hostname))
        if deed == "delete":
            ready.append(entry)
        elif deed == "shut-down":
            _shut_down(control, deeds, sight, entry)
        else:
            deeds.note("shut-down", entry.node, ok=False, detail="not proven empty; looked at again")
    _delete(control, deeds, ready)


def _why(entry: Fence | Delete) -> str:
    """The reason, and who asked for it where somebody did."""
    return entry.reason.value + (f": {entry.detail}" if entry.detail else "")


def _note_fences(control: Control, sight: Sight) -> None:
    """A host whose answer came after the pass that fenced it says in its account that it is fenced."""
    for node_id, drain in control.state.drains().items():
        host = sight.host_of.get(NodeId(node_id))
        if drain.fenced is None and host is not None and host.on_its_way == "fenced":
            control.state.mark_fenced(node_id, control.now())


def _as_they_stand(control: Control, sight: Sight) -> dict[str, Drain]:
    drains = control.state.drains().items()
    return {i: way_out.as_it_stands(drain, sight.view_of(drain.hostname)) for i, drain in drains}


def _shut_down(control: Control, deeds: Deeds, sight: Sight, entry: Delete) -> None:
    """The certificate is complete but for the clean exit: ask for it. The proof comes back as a note."""
    host = sight.host_of[NodeId(entry.node_id)]
    view, now = sight.view_of(host.hostname), control.now()
    nodenames = nodenames_of(view)
    control.state.begin_drain(entry.node_id, host.hostname, entry.reason.value, now)
    control.state.mark_fenced(entry.node_id, now)
    # Written down before it is sent: a departure that comes back at once must find it.
    processes = [] if view is None else [worker.process for worker in view.workers]
    control.state.mark_shut_down(entry.node_id, processes, now)
    control.workers.tell("shutdown", nodenames)
    deeds.note("shut-down", entry.node, detail=_why(entry))


def _delete(control: Control, deeds: Deeds, ready: list[Delete]) -> None:
    if not ready:
        return
    control.lease.check()
    outcomes = {o.id: o for o in control.provider.terminate([NodeId(e.node_id) for e in ready])}
    for entry in ready:
        outcome = outcomes.get(NodeId(entry.node_id))
        ok = outcome is None or outcome.ok
        detail = _why(entry) if outcome is None or outcome.ok else outcome.error
        deeds.note("delete", entry.node, ok=ok, detail=detail)
        # Until now it was counted on: what the plan put there has no place. But one that was told before and
        # is listed still would be so at once again.
        is_news = ok and entry.reason is DeleteReason.NEVER_JOINED and not (outcome and outcome.is_repeat)
        deeds.again = deeds.again or is_news


def call_off(control: Control, sight: Sight, plan: Plan) -> None:
    """A drain whose host serves and is to serve on was called off, or its worker was started anew."""
    going = set(node_ids(sight, [entry.hostname for entry in plan.fence]))
    serving = {i for i, host in sight.host_of.items() if host.on_its_way == "serving"}
    for node_id in control.state.drains():
        if node_id in serving - going:
            control.state.end_drain(node_id)


def remind(control: Control, deeds: Deeds) -> None:
    """Nodes that were told to end and are still there long after are told again."""
    provider = control.provider
    late = {node.id: node for node in provider.still_there()}
    if not late or provider.no_ending:
        return
    for outcome in provider.terminate(sorted(late)):
        told = late[outcome.id]
        deeds.note("delete", told.name, ok=outcome.ok, detail=outcome.error or f"again: {told.detail}")
