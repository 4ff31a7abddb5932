"""Carrying out a plan: every touch of the world goes through here and is reported, done or failed.

The order: hosts back into service, queues to hosts, launches, fences, deletes. Growth comes first; a
failure of the cloud ends the pass, a host that does not answer is tried again in the next one.

What gets a node deleted is proven step by step (`docs/drain.md`): chosen, fenced and said so, empty after
that, shut down cleanly, and only then the delete call.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from autoscaler_app.listening.activity import HostView
from autoscaler_app.listening.ask import ask, tell
from autoscaler_app.memory.kinds import PLAIN
from autoscaler_app.passes.act import gang_acts
from autoscaler_app.passes.act.pace import out_of_step
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.decision import decide
from autoscaler_app.passes.hosts import short_name
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.plan import Delete, DeleteReason, Launch, Plan
from autoscaler_app.passes.report import Action, ActionKind
from cyclecloud_api.deadlines import Remedy
from scalelib.errors import CloudRefused
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest

log = logging.getLogger(__name__)

PROVEN = (DeleteReason.IDLE, DeleteReason.SURPLUS)
"""Nodes that go for these reasons need the certificate; the others are clean-up."""

MOST_OFFERINGS = 4
"""How often one pass plans anew when the cloud has nothing where the plan wanted it."""

DEAD_AFTER = 10.0
"""Seconds without a sign of life after which the worker of a node that the cloud has ended is dead."""


class Actor:
    """Does what a plan says and notes each deed."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.actions: list[Action] = []
        self.again = False
        """There is something that a further pass can go on with at once."""

    def note(self, kind: ActionKind, target: str, *, ok: bool = True, detail: str = "") -> None:
        """One deed, for the report."""
        self.actions.append(Action(kind=kind, target=target, ok=ok, detail=detail))

    # -- before the decision

    def settle(self) -> None:
        """Find out what became of launches that a killed pass or a lost answer left open."""
        for settled in self.control.provider.settle():
            self.note(
                "settle", settled.request_id, detail=f"{settled.added} nodes: {settled.message or 'as asked'}"
            )

    def bury_the_dead(self, sight: Sight) -> None:
        """Nodes that the cloud no longer has: give their tasks back to the queues, forget them."""
        control = self.control
        present = {node.id for node in sight.cloud.nodes}
        gone = {i: host for i, host in sight.known.items() if i not in present}
        dead = {i: host for i, host in gone.items() if not self._is_alive(sight.view_of(host.hostname))}
        taken = _tasks_of_others(sight, {host.hostname for host in dead.values()})
        buried = set()
        for node_id, host in sorted(dead.items()):
            if lost := sorted(set(host.tasks) - taken):
                count = control.broker.restore(lost)
                taken.update(lost)
                self.note("restore", host.hostname, detail=f"{count} of {len(lost)} tasks given back")
                self.again = self.again or count > 0
                # At once: should a later one fail, these are not to be taken from whoever has them by then.
                control.state.forget_nodes({node_id})
            control.activity.forget(host.hostname)
            buried.add(node_id)
        if buried:
            control.state.forget_nodes(buried)

    def _is_alive(self, view: HostView | None) -> bool:
        heard = None if view is None else view.heard
        return heard is not None and (self.control.now() - heard).total_seconds() < DEAD_AFTER

    def forget_strangers(self, sight: Sight) -> None:
        """Workers that have been silent for too long, but for those of a node that is silent as a whole.

        One on no node of the cloud that died before it had told anything would otherwise be waited for by
        `give_back` for ever. One that died on a host where another lives would leave that host unknown for
        ever: never told what to consume, and never ended.
        """
        listener, now = self.control.listener, self.control.now()
        if listener is None or (listening := listener.connected_since) is None:
            return
        nodes = {
            short_name(name)
            for node in sight.cloud.nodes
            for name in (node.hostname, node.private_ip)
            if name
        }
        settings = self.control.settings.autoscaler
        for name, view in sight.views.items():
            unheard = now - max(worker.heard for worker in view.workers)
            if name in nodes and unheard.total_seconds() > settings.told_within:
                continue
            for worker in view.workers:
                if (now - max(listening, worker.heard)).total_seconds() > settings.silent_timeout:
                    self.control.activity.forget_worker(worker.nodename, worker.pid)

    def give_back(self, sight: Sight) -> None:
        """Messages that were taken and that nobody has go back to their queues."""
        if sight.strays:
            count = self.control.broker.give_back(sight.strays)
            self.note("restore", "messages that no worker has", detail=f"{count} given back")
            self.again = self.again or count > 0

    def sweep(self) -> None:
        """Nodes of ours that no launch accounts for: into the books, or out of the cluster."""
        for orphan in self.control.provider.sweep():
            self.note("sweep", orphan.name, detail=f"{orphan.kind.value}: launch {orphan.request_id}")

    def remind(self) -> None:
        """Nodes that were told to end and are still there long after are told again."""
        provider = self.control.provider
        late = {late.id: late for late in provider.overdue() if late.remedy is Remedy.END_AGAIN}
        if not late or not provider.breaker.may_delete:
            return
        for outcome in provider.terminate(sorted(late)):
            told = late[outcome.id]
            self.note("delete", told.name, ok=outcome.ok, detail=outcome.error or f"again: {told.detail}")

    # -- after the decision

    def set_the_pace(self, sight: Sight) -> None:
        """Tell workers how often to report, if there have come to be many more or fewer of them."""
        patience = self.control.settings.autoscaler.told_within
        pace, nodenames = out_of_step(
            sight.views.values(),
            heard_since=self.control.now() - timedelta(seconds=patience),
            # Hosts that have said nothing for nearly so long are asked, which costs more.
            slowest=patience / 2,
        )
        if nodenames:
            answers = self._ask("pace", nodenames, {"seconds": pace})
            log.info("pace %g s: %d of %d workers have heard it", pace, len(answers), len(nodenames))

    def carry_out(self, sight: Sight, plan: Plan) -> None:
        """All of a plan, in order. Raises ProviderError where the cloud fails."""
        self._unfence(sight, plan)
        self._join(sight, plan)
        self._gangs(sight, plan)
        self._launch(sight, plan)
        self._fence(sight, plan)
        self._delete(sight, plan)
        self._drop_drains_that_are_over(sight, plan)

    def _unfence(self, sight: Sight, plan: Plan) -> None:
        hosts = [entry.hostname for entry in plan.unfence]
        for hostname, told in self._tell(sight, hosts, "unfence", {}).items():
            self.note("unfence", hostname, ok=told, detail="" if told else _NO_ANSWER)
        for node_id in _node_ids(sight, hosts):
            self.control.state.end_drain(node_id)

    def _join(self, sight: Sight, plan: Plan) -> None:
        by_queues: dict[tuple[str, ...], list[str]] = {}
        for entry in plan.join:
            by_queues.setdefault(entry.queues, []).append(entry.hostname)
        for queues, hosts in by_queues.items():
            needs = {queue: sight.kinds[queue].to_json() for queue in queues}
            for hostname, told in self._tell(sight, hosts, "join", {"queues": needs}).items():
                detail = ", ".join(queues) if told else _NO_ANSWER
                self.note("join", hostname, ok=told, detail=detail)

    def _gangs(self, sight: Sight, plan: Plan) -> None:
        nodenames = {
            host.hostname: names[0]
            for host in sight.host_of.values()
            if (names := _nodenames(sight.view_of(host.hostname)))
        }
        for order in plan.gangs:
            requirement = sight.kinds.get(order.queue, PLAIN)
            wrong = gang_acts.carry_out(order, nodenames, requirement, self._ask)
            target = f"{order.order} {order.gang or order.queue}: {', '.join(order.hosts)}"
            self.note("gang", target, ok=not wrong, detail=wrong or order.reason)

    def _launch(self, sight: Sight, plan: Plan) -> None:
        """Launch; where an offering turns out to have nothing, plan anew without it in the same pass."""
        snapshot, launches = sight.snapshot, plan.launch
        for _ in range(MOST_OFFERINGS):
            added = [self._launch_one(launch) for launch in launches]
            aside = dict(self.control.provider.set_aside())
            if all(added) or aside.keys() <= snapshot.set_aside.keys():
                return
            cluster = dict(self.control.provider.cloud().raw)
            snapshot = msgspec.structs.replace(snapshot, cluster=cluster, set_aside=aside)
            launches = decide(snapshot).plan.launch

    def _launch_one(self, launch: Launch) -> bool:
        """One kind of node. False if fewer came than were asked for."""
        provider = self.control.provider
        request_id = provider.request_id(
            nodearray=launch.nodearray,
            vm_size=launch.vm_size,
            count=launch.count,
            spot=launch.spot,
            placement_group=launch.placement_group,
        )
        request = LaunchRequest(
            request_id=request_id,
            nodearray=launch.nodearray,
            vm_size=launch.vm_size,
            count=launch.count,
            spot=launch.spot,
            placement_group=launch.placement_group,
        )
        target = f"{launch.count} x {launch.nodearray}/{launch.vm_size}"
        try:
            result = provider.launch(request)
        except CloudRefused as refused:
            self.note("launch", target, ok=False, detail=str(refused))
            return False
        detail = f"{result.added} added" + (f": {result.message}" if result.message else "")
        self.note("launch", target, ok=result.added == launch.count, detail=detail)
        return result.added == launch.count

    def _fence(self, sight: Sight, plan: Plan) -> None:
        now, state = self.control.now(), self.control.state
        hosts = {entry.hostname: entry for entry in plan.fence}
        ids = dict(zip(hosts, _node_ids(sight, hosts), strict=True))
        for hostname, entry in hosts.items():
            state.begin_drain(ids[hostname], hostname, entry.reason.value, now)
        for hostname, told in self._tell(sight, hosts, "fence", {"reason": "autoscaler"}).items():
            self.note("fence", hostname, ok=told, detail=hosts[hostname].reason.value if told else _NO_ANSWER)
            if told:
                state.mark_fenced(ids[hostname], self.control.now())
                view = self.control.activity.host(hostname)
                self.again = self.again or (view is not None and not view.running and not view.held)

    def _delete(self, sight: Sight, plan: Plan) -> None:
        ready: list[Delete] = []
        for entry in plan.delete:
            drain = self.control.state.drains().get(entry.node_id)
            if entry.reason not in PROVEN or (drain is not None and drain.has_left):
                ready.append(entry)
            else:
                self._shut_down(sight, entry)
        if not ready:
            return
        outcomes = {o.id: o for o in self.control.provider.terminate([NodeId(e.node_id) for e in ready])}
        for entry in ready:
            outcome = outcomes.get(NodeId(entry.node_id))
            ok = outcome is None or outcome.ok
            detail = entry.reason.value if outcome is None or outcome.ok else outcome.error
            self.note("delete", entry.node, ok=ok, detail=detail)

    def _shut_down(self, sight: Sight, entry: Delete) -> None:
        """The certificate is complete but for the clean exit: ask for it. The proof comes back as a note."""
        control = self.control
        host = sight.host_of[NodeId(entry.node_id)]
        view = sight.view_of(host.hostname)
        if view is None or not view.fenced or view.running or view.held:
            return self.note("shut-down", entry.node, ok=False, detail="not proven empty; looked at again")
        nodenames = sorted(worker.nodename for worker in view.workers)
        now = control.now()
        control.state.begin_drain(entry.node_id, host.hostname, entry.reason.value, now)
        control.state.mark_fenced(entry.node_id, now)
        # Written down before it is sent: a departure that comes back at once must find it.
        control.state.mark_shut_down(entry.node_id, nodenames, now)
        tell(control.app, "shutdown", nodenames, timeout=control.settings.autoscaler.ask_timeout)
        return self.note("shut-down", entry.node, detail=entry.reason.value)

    def _drop_drains_that_are_over(self, sight: Sight, plan: Plan) -> None:
        """A drain whose host serves and is to serve on was called off, or its worker was started anew."""
        going = set(_node_ids(sight, [entry.hostname for entry in plan.fence]))
        serving = {i for i, host in sight.host_of.items() if host.on_its_way == "serving"}
        for node_id in self.control.state.drains():
            if node_id in serving - going:
                self.control.state.end_drain(node_id)

    def _tell(
        self, sight: Sight, hostnames: Iterable[str], command: str, arguments: Mapping[str, Any]
    ) -> dict[str, bool]:
        """Send a command to every worker process of these hosts; which hosts have acknowledged in full."""
        workers = {name: _nodenames(sight.view_of(name)) for name in hostnames}
        asked = [nodename for names in workers.values() for nodename in names]
        if not asked:
            return dict.fromkeys(workers, False)
        answers = self._ask(command, asked, arguments)
        return {
            hostname: bool(names) and all(name in answers for name in names)
            for hostname, names in workers.items()
        }

    def _ask(self, command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command and take what the answers tell; a worker that refused or was silent has none."""
        timeout = self.control.settings.autoscaler.ask_timeout
        answers = ask(self.control.app, command, nodenames, arguments, timeout=timeout)
        told = {name: payload for name, payload in answers.items() if payload is not None}
        for payload in told.values():
            self.control.activity.merge(payload, self.control.now())
        return told


_NO_ANSWER = "not every worker process of the host has acknowledged; tried again in the next pass"


def _nodenames(view: HostView | None) -> Sequence[str]:
    return sorted(worker.nodename for worker in view.workers) if view is not None else ()


def _tasks_of_others(sight: Sight, dead: Collection[str]) -> set[str]:
    """What hosts that are not dead say they have: one that is evicted gives its tasks back before it goes."""
    gone = set(map(short_name, dead))
    views = [view for name, view in sight.views.items() if name not in gone]
    return {task.id for view in views for task in view.running} | {
        task.id for view in views for task in view.held
    }


def _node_ids(sight: Sight, hostnames: Iterable[str]) -> list[NodeId]:
    by_host = {host.hostname: node_id for node_id, host in sight.host_of.items()}
    return [by_host[hostname] for hostname in hostnames]
