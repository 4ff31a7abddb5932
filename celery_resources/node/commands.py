"""Remote-control commands of a node. Each answers with the account that the node gives of itself.

Registered for the whole process when imported; a worker that was given no resources answers with an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from celery.worker.control import control_command, inspect_command

from celery_resources.errors import InvalidRequirement, InvalidSetting
from celery_resources.gangs.gang import Gang, GangRefused
from celery_resources.need.requirement import Requirement
from celery_resources.room.machine import gone

if TYPE_CHECKING:
    from celery_resources.node.gate import ResourceGate

Reply = dict[str, Any]


def _from_json(text: str) -> Any:
    """An argument as it is written on the command line."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no JSON: {error}") from error


def _on_gate(state: Any, act: Callable[[ResourceGate], None]) -> Reply:
    gate: ResourceGate | None = getattr(state.consumer, "resource_gate", None)
    if gate is None:
        return {"error": "this worker was given no resources (--resources, or CELERY_RESOURCES)"}
    try:
        act(gate)
    except (InvalidRequirement, InvalidSetting, GangRefused) as error:
        return {"error": str(error)}
    return {"ok": gate.telling.payload()}


@control_command(args=[("queues", _from_json)], signature="<queues as JSON>")
def join(state: Any, queues: Any, **kwargs: Any) -> Reply:
    """Serve exactly these queues: {queue: requirement}."""

    def act(gate: ResourceGate) -> None:
        if not isinstance(queues, dict):
            raise InvalidRequirement(f"join: queues must be {{queue: requirement}}, not {queues!r}")
        gate.join({queue: Requirement.from_json(value) for queue, value in queues.items()})

    return _on_gate(state, act)


@control_command(
    args=[("queue", str), ("requirement", _from_json)], signature="<queue> <requirement as JSON>"
)
def notice(state: Any, queue: str, requirement: Any, **kwargs: Any) -> Reply:
    """There is such a kind of task: serve it too, if nobody says which queues to join."""
    return _on_gate(state, lambda gate: gate.notice(queue, Requirement.from_json(requirement)))


@control_command(args=[("seconds", float)], signature="<seconds>")
def pace(state: Any, seconds: Any, **kwargs: Any) -> Reply:
    """Tell what changes no oftener than every so many seconds: there are many nodes."""

    def act(gate: ResourceGate) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 86_400:
            raise InvalidSetting(f"pace must be a number of seconds from 0 up, not {seconds!r}")
        gate.telling.slow_down(float(seconds))

    return _on_gate(state, act)


@control_command(args=[("reason", str)], signature="[reason]")
def fence(state: Any, reason: str = "", **kwargs: Any) -> Reply:
    """Take nothing more; give back what has not started; stay so over a restart."""
    return _on_gate(state, lambda gate: gate.fence(reason))


@control_command()
def unfence(state: Any, **kwargs: Any) -> Reply:
    """Take work again."""
    return _on_gate(state, lambda gate: gate.unfence())


@control_command(args=[("gang", str), ("members", _from_json)], signature="<gang> <members as JSON>")
def follow(state: Any, gang: str, members: Any, **kwargs: Any) -> Reply:
    """Keep this node free for a gang; refused by a node that is in another one."""
    return _on_gate(state, lambda gate: gate.membership.follow(Gang(id=gang, members=tuple(members))))


@control_command(args=[("gang", str), ("queue", str), ("members", _from_json), ("requirement", _from_json)])
def lead(
    state: Any, gang: str, queue: str, members: Any, requirement: Any, lacks: Any = (), **kwargs: Any
) -> Reply:
    """Run exactly one task of this queue, on this node and the other members, when none is lacking."""

    def act(gate: ResourceGate) -> None:
        need = Requirement.from_json(requirement)
        gate.membership.lead(Gang(id=gang, members=tuple(members), queue=queue, requirement=need), lacks)

    return _on_gate(state, act)


@control_command(args=[("gang", str), ("members", _from_json)], signature="<gang> <members as JSON>")
def ready(state: Any, gang: str, members: Any, **kwargs: Any) -> Reply:
    """These members of the gang that this node leads are empty."""
    return _on_gate(state, lambda gate: gate.membership.ready(gang, members))


@control_command(args=[("gang", str)], signature="<gang>")
def disband(state: Any, gang: str, **kwargs: Any) -> Reply:
    """Leave this gang."""
    return _on_gate(state, lambda gate: gate.membership.disband(gang))


@control_command(args=[("gang", str), ("host", str)], signature="<gang> <host>")
def member_lost(state: Any, gang: str, host: str, **kwargs: Any) -> Reply:
    """A node of the gang that this node leads is gone."""
    return _on_gate(state, lambda gate: gate.membership.member_lost(gang, host))


@inspect_command()
def joined(state: Any, **kwargs: Any) -> Reply:
    """The queues that this node was told to serve; what `join` answers."""
    return _on_gate(state, lambda gate: None)


@inspect_command()
def fenced(state: Any, **kwargs: Any) -> Reply:
    """Whether this node is fenced, and why; what `fence` and `unfence` answer."""
    return _on_gate(state, lambda gate: None)


@inspect_command()
def resources(state: Any, pids: Any = (), **kwargs: Any) -> Reply:
    """What this node has, what is free, what runs, whether it is fenced; which `pids` are nobody's."""
    reply = _on_gate(state, lambda gate: None)
    if isinstance(pids, list) and pids and "ok" in reply:
        reply["ok"]["gone"] = gone(pids)
    return reply
