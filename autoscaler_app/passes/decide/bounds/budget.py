"""How many nodes may be on their way out at once, and when none is chosen at all. Pure.

It bounds what the autoscaler chooses: nodes that are idle, surplus or take nothing. Nodes that failed, and
those that a person has drained, go all the same; they count among those that are on their way.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from autoscaler_app.passes.decide.bounds.quiet import quiet_until
from autoscaler_app.passes.decide.situation import Situation
from autoscaler_app.passes.plan import KeepReason
from scalelib.node import Node, NodeState

GOING = ("fenced", "leaving", "left")


class Budget:
    """The bounds of one decision, used up as it goes on."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._chosen = 0
        self._kept = 0

    def stays(self, node: Node) -> tuple[KeepReason, str] | None:
        """Why a node that might be chosen to go stays for now; None: it may go, and is counted."""
        if why := self._situation.by_hand.no_shrinking(node.nodearray):
            return KeepReason.PAUSED, why
        if self._quiet:
            return KeepReason.QUIET, self._quiet
        going = self._going + self._chosen
        if self.most is not None and going >= self.most:
            self._kept += 1
            return KeepReason.BUDGET, f"{going} nodes are on their way out, and {self.most} may be at once"
        self._chosen += 1
        return None

    def warnings(self) -> Iterator[str]:
        """A sentence while the budget keeps nodes. Quiet hours are no reason to warn: they are as wanted."""
        if self._kept:
            yield (
                f"{self._kept} nodes would go, but no more than {self.most} may be on their way out at once "
                "(`most_leaving`, `most_leaving_share`); they go when others have gone"
            )

    @cached_property
    def most(self) -> int | None:
        """How many may be on their way out; None: any number. Never none at all, or nothing would ever go."""
        settings, bounds = self._situation.autoscaler, []
        if settings.most_leaving:
            bounds.append(settings.most_leaving)
        if settings.most_leaving_share < 1:
            nodes = sum(node.managed and node.wanted for node in self._situation.cloud.nodes)
            bounds.append(max(1, int(settings.most_leaving_share * nodes)))
        return min(bounds, default=None)

    @cached_property
    def _going(self) -> int:
        """How many are on their way out already. One that a person holds is not, fenced though it is."""
        orders, hosts = self._situation.snapshot.orders.nodes, self._situation.host_of
        gone = (NodeState.OFF, NodeState.TERMINATED)
        return sum(
            node.state.is_leaving
            or (not node.wanted and node.state not in gone)
            or (
                (host := hosts.get(node.id)) is not None
                and host.on_its_way in GOING
                and not ((order := orders.get(node.id)) is not None and order.what == "hold")
            )
            for node in self._situation.cloud.nodes
            if node.managed
        )

    @cached_property
    def _quiet(self) -> str:
        settings = self._situation.autoscaler
        until = quiet_until(settings.quiet_hours, settings.quiet_zone, self._situation.snapshot.now)
        return "" if until is None else f"until {until:%H:%M} ({settings.quiet_zone}) no node is chosen to go"
