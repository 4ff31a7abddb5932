"""Forming a gang: every node of it, or none. For the control side, and for whoever goes without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_resources.gangs.gang import GangRefused, Role, new_gang_id
from celery_resources.need.requirement import Requirement


def form_gang(
    app: Any, queue: str, requirement: Requirement, members: Sequence[str], *, timeout: float = 5.0
) -> str:
    """Reserve these nodes (node names, the head first) for one task of this queue. Returns the gang's id.

    GangRefused if one of them is in another gang or does not answer; then none of them is kept. Nodes are
    asked in one and the same order by everybody, so of two gangs that want the same nodes one gets them
    all.
    """
    if len(set(members)) != len(members) or not members:
        raise GangRefused(f"a gang needs different nodes, not {list(members)}")
    gang = new_gang_id(queue)
    asked = []
    try:
        for member in sorted(members):
            asked.append(member)
            _ask(app, member, "follow", {"gang": gang, "members": list(members)}, timeout)
        leading = {"queue": queue, "members": list(members), "requirement": requirement.to_json()}
        _ask(app, members[0], "lead", {"gang": gang, **leading}, timeout)
    except GangRefused:
        if len(asked) == len(members) and _runs(app, members[0], gang, timeout):
            return gang
        app.control.broadcast("disband", arguments={"gang": gang}, destination=asked, reply=False)
        raise
    return gang


def _runs(app: Any, head: str, gang: str, timeout: float) -> bool:
    """Tell the head to disband. Does it refuse because it has its message, and only its answer was late?

    Then the gang is formed, and the others must not be set free.
    """
    try:
        told = _ask(app, head, "disband", {"gang": gang}, timeout)["gang"] or {}
    except GangRefused:
        return False
    return bool(told.get("id") == gang and told.get("role") == Role.RUNS.value)


def _ask(app: Any, member: str, command: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    replies = app.control.broadcast(
        command, arguments=arguments, destination=[member], reply=True, timeout=timeout, limit=1
    )
    answer = next((reply[member] for reply in replies or () if member in reply), None)
    if answer is None:
        raise GangRefused(f"{member} did not answer {command} within {timeout:g} s")
    if "ok" not in answer:
        raise GangRefused(f"{member}: {answer.get('error', answer)}")
    account: dict[str, Any] = answer["ok"]
    return account
