"""Forming a gang: every node of it, or none. For the control side, and for whoever goes without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery_resources.gangs.gang import GangRefused, Role, new_gang_id
from celery_resources.need.requirement import Requirement

Ask = Callable[[str, Sequence[str], Mapping[str, Any]], Mapping[str, Any]]
"""(command, node names, arguments) -> accounts by node name; one that refused or did not answer has none."""


def reserve(
    queue: str,
    requirement: Requirement,
    members: Sequence[str],
    ask: Ask,
    why: Callable[[Sequence[str]], str] = "{0[0]} refused or did not answer".format,
) -> str:
    """Reserve these nodes (node names, the head first) for one task of this queue. Returns the gang's id.

    The head waits for what one of them runs still. GangRefused if one of them cannot, or does not answer; it
    says `why`, of those without an account. Then none of them is kept, unless the head answers nothing at
    all: it may have its message, and then the others must not be set free.
    """
    gang, head = new_gang_id(queue), members[0]
    followed = ask("follow", members, {"gang": gang, "members": list(members)})
    refused = [member for member in members if not followed.get(member)]
    if refused:
        ask("disband", members, {"gang": gang})
        raise GangRefused(f"{why(refused)}; none of its nodes is kept")
    leading = {"gang": gang, "queue": queue, "members": list(members), "requirement": requirement.to_json()}
    if busy := [member for member in members if not is_empty(followed[member])]:
        leading["lacks"] = busy
    if ask("lead", [head], leading).get(head):
        return gang
    reason = why([head])
    left = set_free(gang, members, ask)
    if left is Role.RUNS:  # only its answer was late
        return gang
    raise GangRefused(f"{reason}; {f'{left} did not acknowledge' if left else 'none of its nodes is kept'}")


def is_empty(account: Mapping[str, Any]) -> bool:
    """Whether a node that has begun to follow runs and holds nothing: all of its processes."""
    return not (account.get("running") or account.get("held") or account.get("others"))


def set_free(gang: str, members: Sequence[str], ask: Ask) -> Role | str | None:
    """Let these leave the gang, the head first. None if all did.

    `Role.RUNS` if the head has taken its message, and the name of the first that did not answer: then nobody
    after it is set free.
    """
    for member in members:
        account = ask("disband", [member], {"gang": gang}).get(member)
        if not account:
            return member
        told = account.get("gang") or {}
        if told.get("id") == gang and told.get("role") == Role.RUNS.value:
            return Role.RUNS
    return None


def form_gang(
    app: Any, queue: str, requirement: Requirement, members: Sequence[str], *, timeout: float = 5.0
) -> str:
    """As `reserve`, over this app's own remote control; each node has `timeout` seconds to answer.

    Nodes are asked in one and the same order by everybody, so of two gangs that want the same nodes one gets
    them all. A gang whose head answers nothing is left as it is: `celery control disband` ends it.
    """
    if len(set(members)) != len(members) or not members:
        raise GangRefused(f"a gang needs different nodes, not {list(members)}")
    asking = _InTurn(app, timeout)
    return reserve(queue, requirement, members, asking.ask, asking.why)


class _InTurn:
    """Asks one node after the other, up to the first that does not do it."""

    def __init__(self, app: Any, timeout: float) -> None:
        self._app = app
        self._timeout = timeout
        self._said: dict[str, str] = {}

    def why(self, members: Sequence[str]) -> str:
        """What the one of these said that did not do what it was asked; the others were not asked."""
        return next(self._said[member] for member in members if member in self._said)

    def ask(self, command: str, members: Sequence[str], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The accounts of those that did it."""
        accounts: dict[str, Any] = {}
        for member in sorted(members):
            replies = self._app.control.broadcast(
                command,
                arguments=dict(arguments),
                destination=[member],
                reply=True,
                timeout=self._timeout,
                limit=1,
            )
            answer = next((reply[member] for reply in replies or () if member in reply), None)
            if answer is not None and "ok" in answer:
                accounts[member] = answer["ok"]
            elif command != "disband":
                late = f"{member} did not answer {command} within {self._timeout:g} s"
                self._said[member] = late if answer is None else f"{member}: {answer.get('error', answer)}"
                # Those that were not asked come after it in everybody's order.
                return accounts
        return accounts
