"""What becomes of each node, and why: the lists of a plan, filled node by node. Pure.

The questions are asked in the order of their importance and the first answer decides; whatever is not known
keeps the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from autoscaler_app.memory.orders import NodeOrder, told
from autoscaler_app.passes import way_out
from autoscaler_app.passes.decide import gangs
from autoscaler_app.passes.decide.bounds.budget import Budget
from autoscaler_app.passes.decide.holds import Holds
from autoscaler_app.passes.decide.known import is_ended_by_the_cloud
from autoscaler_app.passes.decide.situation import Situation
from autoscaler_app.passes.plan import (
    Delete,
    DeleteReason,
    Fence,
    FenceReason,
    GangOrder,
    GivenQueues,
    Keep,
    KeepReason,
    Unfence,
)
from autoscaler_app.passes.snapshot import HostSeen
from autoscaler_app.passes.way_out import State, Step
from scalelib.node import Node, NodeId
from scalelib.planner import NodeVerdict


class Fates:
    """The lists of a plan, filled node by node."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.holds = Holds(situation)
        self.budget = Budget(situation)
        self.let_go_on: set[NodeId] = set()
        """Nodes that a person has let go on: their clocks begin anew."""
        self.join: list[GivenQueues] = []
        self.fence: list[Fence] = []
        self.unfence: list[Unfence] = []
        self.delete: list[Delete] = []
        self.keep: list[Keep] = []
        self._candidates: dict[str, list[gangs.Candidate]] = {}

    def add(self, verdict: NodeVerdict) -> None:
        """Decide about one node."""
        situation, node = self.situation, self.situation.node(verdict.node.id)
        host = situation.host_of.get(node.id)
        order = situation.by_hand.of(node)
        if order is not None and not is_ended_by_the_cloud(node):
            return self._as_asked(verdict, host, order)
        over = situation.by_hand.over(node)
        if over is not None and host is not None and self._goes_on(verdict, host, over):
            return self._keep(verdict, KeepReason.IDLE, f"the {over.what} by {over.who} is over")
        if situation.snapshot.paused:
            return self._keep(verdict, KeepReason.PAUSED)
        if not node.managed:
            return self._keep(verdict, KeepReason.UNMANAGED)
        if node.keep_alive:
            self._serve(verdict, host)
            return self._keep(verdict, KeepReason.KEEP_ALIVE)
        if is_ended_by_the_cloud(node):
            return self._keep(verdict, KeepReason.LEAVING)
        if (reason := way_out.clean_up(situation, verdict, node, host)) is not None:
            return self._end(verdict, reason)
        if not node.is_ready:
            return self._keep(verdict, KeepReason.BOOTING)
        if host is None:
            return self._keep(verdict, KeepReason.JOINING, "no worker has been heard on it yet")
        step = way_out.step_at(host.on_its_way)
        if step.state is State.LEFT:  # nobody is left there to be heard
            return self._end(verdict, self._why_it_goes(verdict))
        if not situation.is_heard(host):
            detail = host.why_unknown or "its worker has not told anything lately"
            return self._keep(verdict, KeepReason.UNKNOWN, detail)
        if host.evicted and not self.situation.is_idle(node):
            # One that was told so and is still there, idle, goes like any other.
            return self._keep(verdict, KeepReason.LEAVING, "the cloud is taking the machine back")
        if step.state is State.CHOSEN:
            return self._serving(verdict, host)
        return self._on_its_way(verdict, host, step)

    def _as_asked(self, verdict: NodeVerdict, host: HostSeen | None, order: NodeOrder) -> None:
        """A node about which a person has given an order: that goes before all that is decided here."""
        situation, node, why = self.situation, self.situation.node(verdict.node.id), told(order)
        is_serving = host is not None and situation.is_heard(host) and host.on_its_way == "serving"
        if order.what == "hold":
            if host is not None and is_serving:
                self._fence(node, host, FenceReason.ON_HOLD, why)
            return self._keep(verdict, KeepReason.ON_HOLD, f"held by {why}")
        if (reason := way_out.clean_up(situation, verdict, node, host)) is not None:
            return self._end(verdict, reason, why)
        if host is None or not node.is_ready:
            return self._keep(
                verdict, KeepReason.BOOTING, f"to be drained once its worker is heard, by {why}"
            )
        step = way_out.step_at(host.on_its_way)
        if step.state is not State.LEFT and not situation.is_heard(host):
            detail = host.why_unknown or "its worker has not told anything lately"
            return self._keep(verdict, KeepReason.UNKNOWN, detail)
        if is_serving:
            self._fence(node, host, FenceReason.BY_HAND, why)
        elif way_out.goes_on(step, host):
            return self._end(verdict, DeleteReason.BY_HAND, why)
        return self._keep(verdict, KeepReason.DRAINING, f"{step.kept}; by {why}")

    def _goes_on(self, verdict: NodeVerdict, host: HostSeen, over: NodeOrder) -> bool:
        """Let a host serve again that took none because a person wanted it so. False: it serves, or goes."""
        step = way_out.step_at(host.on_its_way)
        if step.state is not State.FENCED or not self.situation.is_heard(host):
            return False
        why = f"the {over.what} by {over.who} is over"
        self.unfence.append(Unfence(node=verdict.node.name, hostname=host.hostname, reason=why))
        self.let_go_on.add(verdict.node.id)
        self._serve(verdict, host)
        return True

    def _fence(self, node: Node, host: HostSeen, reason: FenceReason, why: str = "") -> None:
        self.fence.append(Fence(node=node.name, hostname=host.hostname, reason=reason, detail=why))

    def gang_orders(self) -> Iterator[GangOrder]:
        """What becomes of gangs, once every node has been decided about."""
        situation = self.situation
        heard = {host.hostname for host in situation.host_of.values() if not situation.is_silent(host)}
        in_gangs = {name for gang in situation.gangs for name in gang.hosts}
        return gangs.orders(
            situation.gangs,
            queues={queue.queue: queue for queue in situation.snapshot.queues},
            dead=in_gangs - heard,
            candidates=self._candidates,
        )

    def _free_for_a_gang(self, verdict: NodeVerdict, host: HostSeen) -> None:
        """Note a serving host that the plan gave work of a gang."""
        for name in self.situation.new_work(verdict):
            if host.gang is None and name in self.situation.gang_queues:
                candidate = gangs.Candidate(
                    hostname=host.hostname,
                    placement_group=verdict.node.placement_group,
                    is_busy=bool(host.running or host.held),
                )
                self._candidates.setdefault(name, []).append(candidate)
                return

    def _end(self, verdict: NodeVerdict, reason: DeleteReason, asked: str = "") -> None:
        paused = self.situation.by_hand.no_shrinking(verdict.node.nodearray)
        if paused and not asked:
            return self._keep(verdict, KeepReason.PAUSED, f"would go as {reason.value}, but {paused}")
        if why := self.holds.why(verdict.node, reason):
            return self._keep(verdict, KeepReason.HELD_BACK, f"would go as {reason.value}, but {why}")
        node = verdict.node
        self.delete.append(Delete(node=node.name, node_id=node.id, reason=reason, detail=asked))
        return None

    def _on_its_way(self, verdict: NodeVerdict, host: HostSeen, step: Step) -> None:
        """A node that takes no work: back into service, kept until more is shown, or got a step further."""
        work = self.situation.new_work(verdict)
        if step.is_called_off and (work or verdict.warm):
            why = "demand came back" if work else "it is to be kept warm"
            self.unfence.append(Unfence(node=verdict.node.name, hostname=host.hostname, reason=why))
            self._serve(verdict, host)
            return self._keep(verdict, KeepReason.MATCHED if work else KeepReason.WARM)
        if not way_out.goes_on(step, host):
            return self._keep(verdict, KeepReason.DRAINING, step.kept)
        return self._end(verdict, self._why_it_goes(verdict))

    def _serving(self, verdict: NodeVerdict, host: HostSeen) -> None:
        """A node whose worker takes work: surplus, idle for too long, or fine."""
        node = verdict.node
        reason = self._surplus(verdict, host)
        stays = None if reason is None else self.budget.stays(node)
        if reason is not None and stays is None:
            self._fence(node, host, reason)
            return self._keep(verdict, KeepReason.DRAINING, way_out.step_at("serving").kept)
        self._serve(verdict, host)
        self._free_for_a_gang(verdict, host)
        if stays is not None:
            return self._keep(verdict, *stays)
        if self.situation.new_work(verdict):
            return self._keep(verdict, KeepReason.MATCHED)
        if verdict.warm:
            return self._keep(verdict, KeepReason.WARM)
        if verdict.jobs or host.running or host.held:
            return self._keep(verdict, KeepReason.RUNNING)
        if verdict.held_for:
            return self._keep(verdict, KeepReason.HELD, verdict.detail)
        timeout = self.situation.policy.idle_timeout(verdict.node.nodearray).total_seconds()
        idle = (verdict.idle_for or timedelta()).total_seconds()
        return self._keep(verdict, KeepReason.IDLE, f"idle for {idle:.0f} s; goes after {timeout:.0f} s")

    def _surplus(self, verdict: NodeVerdict, host: HostSeen) -> FenceReason | None:
        """Why a serving node is to take no more, if it is not to."""
        if self.situation.is_hungry(host):
            return FenceReason.HUNGRY
        if verdict.warm or verdict.needed:
            return None
        if verdict.idle_timed_out:
            return FenceReason.IDLE
        timeout = self.situation.policy.idle_timeout(verdict.node.nodearray)
        if verdict.surplus_for is not None and verdict.surplus_for >= timeout:
            return FenceReason.SURPLUS
        return None

    def _why_it_goes(self, verdict: NodeVerdict) -> DeleteReason:
        return DeleteReason.IDLE if self.situation.is_idle(verdict.node) else DeleteReason.SURPLUS

    def _serve(self, verdict: NodeVerdict, host: HostSeen | None) -> None:
        """Tell a host what to consume, where that is not what it consumes already."""
        if host is None or host.gang is not None or not self.situation.is_heard(host):
            return
        queues = self.situation.queues_for(verdict)
        if host.queues is None or set(host.queues) != set(queues):
            self.join.append(GivenQueues(hostname=host.hostname, queues=queues))

    def _keep(self, verdict: NodeVerdict, reason: KeepReason, detail: str = "") -> None:
        self.keep.append(
            Keep(
                node=verdict.node.name,
                node_id=verdict.node.id,
                reason=reason,
                jobs=dict(sorted(verdict.jobs.items())),
                detail=detail,
            )
        )
