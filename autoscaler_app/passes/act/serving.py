"""Hosts that serve: back into service, told what to consume, reserved for gangs, told how often to speak."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from autoscaler_app.passes.act import gang_acts
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.act.hands import NO_ANSWER, ask_workers, node_ids, nodenames_of, tell_hosts
from autoscaler_app.passes.act.pace import out_of_step
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.plan import Plan
from celery_resources.settings import ONE_CPU

log = logging.getLogger(__name__)


def unfence(control: Control, deeds: Deeds, sight: Sight, plan: Plan) -> None:
    """Hosts whose demand came back: their drain is called off."""
    hosts = {entry.hostname: entry.reason for entry in plan.unfence}
    for hostname, told in tell_hosts(control, sight, hosts, "unfence", {}).items():
        deeds.note("unfence", hostname, ok=told, detail=hosts[hostname] if told else NO_ANSWER)
    for node_id in node_ids(sight, hosts):
        control.state.end_drain(node_id)


def give_queues(control: Control, deeds: Deeds, sight: Sight, plan: Plan) -> None:
    """Hosts are told which queues to consume."""
    by_queues: dict[tuple[str, ...], list[str]] = {}
    for entry in plan.join:
        by_queues.setdefault(entry.queues, []).append(entry.hostname)
    for queues, hosts in by_queues.items():
        needs = {queue: sight.kinds[queue].to_json() for queue in queues}
        for hostname, told in tell_hosts(control, sight, hosts, "join", {"queues": needs}).items():
            detail = ", ".join(queues) if told else NO_ANSWER
            deeds.note("join", hostname, ok=told, detail=detail)


def reserve(control: Control, deeds: Deeds, sight: Sight, plan: Plan) -> None:
    """Gangs are formed and disbanded."""

    def ask(command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
        return ask_workers(control, command, nodenames, arguments)

    nodenames = {
        host.hostname: names[0]
        for host in sight.host_of.values()
        if (names := nodenames_of(sight.view_of(host.hostname)))
    }
    for order in plan.gangs:
        members = control.reluctant.who(nodenames[host] for host in order.hosts if host in nodenames)
        if order.order == "form" and members:
            # It is asked aside by now: all or none can be reserved when it has answered.
            target, detail = (
                f"form {order.queue}: {', '.join(order.hosts)}",
                f"{min(members)} does not answer",
            )
            deeds.note("gang", target, ok=False, detail=detail)
            continue
        requirement = sight.kinds.get(order.queue, ONE_CPU)
        wrong = gang_acts.carry_out(order, nodenames, requirement, ask)
        target = f"{order.order} {order.gang or order.queue}: {', '.join(order.hosts)}"
        deeds.note("gang", target, ok=not wrong, detail=wrong or order.reason)


def set_the_pace(control: Control, sight: Sight) -> None:
    """Tell workers how often to report, if there have come to be many more or fewer of them."""
    patience = control.settings.autoscaler.told_within
    pace, nodenames = out_of_step(
        sight.views.values(),
        heard_since=control.now() - timedelta(seconds=patience),
        # Hosts that have said nothing for nearly so long are asked, which costs more.
        slowest=patience / 2,
    )
    if nodenames:
        answers = ask_workers(control, "pace", nodenames, {"seconds": pace})
        log.info("pace %g s: %d of %d workers have heard it", pace, len(answers), len(nodenames))
