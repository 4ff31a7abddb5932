"""Launching nodes. What is to be done where there are none to be had is not decided here."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler_app.passes.act.deeds import Deeds, Launched
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.plan import Launch
from scalelib.errors import CloudRefused
from scalelib.provider import LaunchRequest


def launch_all(control: Control, deeds: Deeds, launches: Iterable[Launch]) -> bool:
    """Launch these. False if fewer came than were asked for. Raises ProviderError where the cloud fails."""
    came = [_launch(control, deeds, launch) for launch in launches]
    return all(came)


def _launch(control: Control, deeds: Deeds, launch: Launch) -> bool:
    control.lease.check()
    provider = control.provider
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
        deeds.note("launch", target, ok=False, detail=str(refused))
        return False
    deeds.launched += [Launched(node_id=i, node=name, launch=launch) for i, name in result.nodes]
    detail = f"{result.added} added" + (f": {result.message}" if result.message else "")
    deeds.note("launch", target, ok=result.added == launch.count, detail=detail, count=result.added)
    return result.added == launch.count
