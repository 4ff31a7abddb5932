"""Telling hosts about gangs: all of a gang's nodes are reserved, or none is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from autoscaler_app.passes.decide.gangs import RUNS
from autoscaler_app.passes.plan import GangOrder
from celery_resources import Requirement
from celery_resources.gangs.gang import new_gang_id

Ask = Callable[[str, Sequence[str], Mapping[str, Any]], dict[str, Any]]
"""(command, nodenames, arguments) -> answers by nodename; a node that refused or did not answer has none."""


def carry_out(order: GangOrder, nodenames: Mapping[str, str], requirement: Requirement, ask: Ask) -> str:
    """Do what the order says; returns what went wrong, empty if nothing did. `nodenames`: by host name."""
    missing = [host for host in order.hosts if host not in nodenames and order.order == "form"]
    if missing:
        return f"no worker process is known on {missing[0]}"
    if order.order == "form":
        return _form(order, [nodenames[host] for host in order.hosts], requirement, ask)
    if order.order == "disband":
        return _disband(order, [nodenames[host] for host in order.hosts if host in nodenames], ask)
    head, gone = order.hosts
    answers = ask("member_lost", [nodenames[head]], {"gang": order.gang, "host": gone})
    return "" if answers.get(nodenames[head]) else f"{head} did not acknowledge"


def _form(order: GangOrder, members: Sequence[str], requirement: Requirement, ask: Ask) -> str:
    gang = new_gang_id(order.queue)
    answers = ask("follow", members, {"gang": gang, "members": list(members)})
    refused = [member for member in members if not answers.get(member)]
    if not refused:
        leading = {"gang": gang, "queue": order.queue, "members": list(members)}
        head = members[0]
        if ask("lead", [head], {**leading, "requirement": requirement.to_json()}).get(head):
            return ""
        # Its answer may only be late: while it runs the task, nobody is to be set free.
        left = _disband(msgspec.structs.replace(order, gang=gang), members, ask)
        return f"{head} refused or did not answer; {left or 'none of its nodes is kept'}"
    ask("disband", members, {"gang": gang})
    return f"{refused[0]} refused or did not answer; none of its nodes is kept"


def _disband(order: GangOrder, members: Sequence[str], ask: Ask) -> str:
    """The head first: it refuses if it has taken its message meanwhile, and then nobody is set free."""
    for member in members:
        answer = ask("disband", [member], {"gang": order.gang}).get(member)
        if not answer:
            return f"{member} did not acknowledge"
        gang = answer.get("gang") or {}
        if gang.get("id") == order.gang and gang.get("role") == RUNS:
            return f"{member} has started the task meanwhile; it goes on"
    return ""
