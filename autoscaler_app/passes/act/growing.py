"""Launching nodes. What is to be done where there are none to be had is not decided here."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler_app.memory import orders
from autoscaler_app.passes.act.deeds import Deeds, Launched
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.plan import Launch, Plan
from scalelib.errors import CloudRefused
from scalelib.provider import LaunchRequest


def launch_all(control: Control, deeds: Deeds, launches: Iterable[Launch]) -> bool:
    """Launch these. False if fewer came than were asked for. Raises ProviderError where the cloud fails."""
    came = [_launch(control, deeds, launch) for launch in launches]
    return all(came)


def create_all(control: Control, deeds: Deeds, plan: Plan) -> None:
    """Launch what people have asked for. It is tried until its fate is known, and happens once."""
    for launch in plan.create:
        _launch(control, deeds, launch)
        orders.created(control.state, launch.id)


def _launch(control: Control, deeds: Deeds, launch: Launch) -> bool:
    control.lease.check()
    provider = control.provider
    request_id = launch.id or provider.request_id(
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
        deeds.note("launch", target, ok=False, detail=str(refused))
        return False
    deeds.launched += [Launched(node_id=i, node=name, launch=launch) for i, name in result.nodes]
    detail = f"{result.added} added" + (f": {result.message}" if result.message else "")
    detail += f", by {launch.detail}" if launch.detail else ""
    deeds.note("launch", target, ok=result.added == launch.count, detail=detail, count=result.added)
    return result.added == launch.count
