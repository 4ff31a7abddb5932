"""Telling hosts about gangs: all of a gang's nodes are reserved, or none is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler_app.passes.plan import GangOrder
from celery_resources import GangRefused, Requirement
from celery_resources.gangs.forming import Ask, reserve, set_free
from celery_resources.gangs.gang import Role


def carry_out(order: GangOrder, nodenames: Mapping[str, str], requirement: Requirement, ask: Ask) -> str:
    """Do what the order says; returns what went wrong, empty if nothing did. `nodenames`: by host name."""
    missing = [host for host in order.hosts if host not in nodenames and order.order == "form"]
    if missing:
        return f"no worker process is known on {missing[0]}"
    if order.order == "form":
        return _form(order, [nodenames[host] for host in order.hosts], requirement, ask)
    if order.order == "disband":
        return _disband(order, [nodenames[host] for host in order.hosts if host in nodenames], ask)
    if order.order == "ready":
        head, *empty = order.hosts
        members = [nodenames[host] for host in empty if host in nodenames]
        answers = ask("ready", [nodenames[head]], {"gang": order.gang, "members": members})
        return "" if answers.get(nodenames[head]) else f"{head} did not acknowledge"
    head, gone = order.hosts
    answers = ask("member_lost", [nodenames[head]], {"gang": order.gang, "host": gone})
    return "" if answers.get(nodenames[head]) else f"{head} did not acknowledge"


def _form(order: GangOrder, members: Sequence[str], requirement: Requirement, ask: Ask) -> str:
    try:
        reserve(order.queue, requirement, members, ask)
    except GangRefused as refused:
        return str(refused)
    return ""


def _disband(order: GangOrder, members: Sequence[str], ask: Ask) -> str:
    left = set_free(order.gang, members, ask)
    if left is Role.RUNS:
        return f"{members[0]} has started the task meanwhile; it goes on"
    return f"{left} did not acknowledge" if left else ""
