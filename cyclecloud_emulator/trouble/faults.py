"""Answers that go wrong, on demand.

Whether the call was carried out before its answer went wrong is what a client cannot see, and what its
bookkeeping has to survive; each kind below says which it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct, field

from cyclecloud_emulator.message import Answer, Request
from cyclecloud_emulator.trouble import lies
from cyclecloud_emulator.trouble.rules import Rule, Rules


class FaultKind(Enum):
    """What happens to the call."""

    SLOW = "slow"
    """Carried out, answered after `seconds`."""
    STATUS = "status"
    """Not carried out; answered with `status` and, if given, `body`."""
    STATUS_AFTER = "status_after"
    """Carried out, and yet answered with `status`."""
    REFUSE = "refuse"
    """Not carried out; the connection is closed without a byte."""
    LOST = "lost"
    """Carried out; the connection is closed without a byte."""
    HANG = "hang"
    """Not carried out; no answer for `seconds`, then the connection is closed."""
    HANG_AFTER = "hang_after"
    """Carried out; no answer for `seconds`, then the connection is closed."""
    TRUNCATE = "truncate"
    """Carried out; half of the body arrives."""
    GARBAGE = "garbage"
    """Carried out; 200 and a page of HTML instead of the answer."""
    EMPTY = "empty"
    """Carried out; the right status and no body."""
    REDIRECT = "redirect"
    """Not carried out; 302 to a sign-in page."""
    LIE = "lie"
    """Carried out; the answer is well-formed and wrong in the way that `lie` names."""
    FEWER = "fewer"
    """A create adds at most `added` nodes in each set, though more would fit."""


class Fault(Rule):
    """A rule: which calls go wrong, and how."""

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    """Regular expression, searched in the path."""
    seconds: Annotated[float, Meta(ge=0)] = 5.0
    status: Annotated[int, Meta(ge=300, le=599)] = 500
    body: str | None = None
    retry_after: Annotated[int, Meta(ge=0)] | None = None
    lie: lies.LieKind = lies.LieKind.NO_NODES
    added: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        """The expression has to be one."""
        if self.path is not None:
            try:
                re.compile(self.path)
            except re.error as error:
                raise ValueError(f"path: {self.path!r} is not a regular expression: {error}") from error

    def fits(self, request: Request) -> bool:
        """Whether the rule is about this call."""
        return (self.method is None or self.method.upper() == request.method) and (
            self.path is None or re.search(self.path, request.path) is not None
        )


_SCHEDULED = [
    FaultKind.STATUS, FaultKind.STATUS_AFTER, FaultKind.REFUSE, FaultKind.LOST, FaultKind.TRUNCATE,
    FaultKind.GARBAGE, FaultKind.EMPTY,
]  # fmt: skip


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults at random, the same for the same seed."""

    seed: int = 0
    rate: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Share of all calls that go wrong."""
    kinds: Annotated[list[FaultKind], Meta(min_length=1)] = field(default_factory=lambda: list(_SCHEDULED))
    path: str | None = None

    def __post_init__(self) -> None:
        """The expression has to be one."""
        self.rules()

    def rules(self) -> list[Fault]:
        """Rules that let each kind strike so often that `rate` of all calls go wrong, in equal shares."""
        left, share, rules = 1.0, self.rate / len(self.kinds), []
        for kind in self.kinds:
            chance = min(1.0, share / left) if left > 0 else 0.0
            rules.append(Fault(kind=kind, path=self.path, chance=chance))
            left -= share
        return rules


class Faults(Rules[Fault]):
    """The faults in force."""

    def pick(self, request: Request) -> Fault | None:
        """The fault that strikes this call, if one does."""
        return self.first(lambda rule: rule.fits(request))

    def follow(self, schedule: Schedule) -> None:
        """Begin a schedule behind the rules that there are."""
        self.reseed(schedule.seed)
        for rule in schedule.rules():
            self.add(rule)

    def apply(self, fault: Fault, request: Request, carry_out: Callable[[Request], Answer]) -> Answer:
        """Answer the call as the fault has it."""
        match fault.kind:
            case FaultKind.SLOW:
                return replace(carry_out(request), delay=fault.seconds)
            case FaultKind.STATUS:
                return _status_answer(fault)
            case FaultKind.STATUS_AFTER:
                carry_out(request)
                return _status_answer(fault)
            case FaultKind.REFUSE:
                return Answer(status=0, drop=True)
            case FaultKind.LOST:
                carry_out(request)
                return Answer(status=0, drop=True)
            case FaultKind.HANG:
                return Answer(status=0, drop=True, delay=fault.seconds)
            case FaultKind.HANG_AFTER:
                carry_out(request)
                return Answer(status=0, drop=True, delay=fault.seconds)
            case FaultKind.TRUNCATE:
                answer = carry_out(request)
                return replace(answer, cut=len(answer.body) // 2)
            case FaultKind.GARBAGE:
                carry_out(request)
                page = b"<html><body><h1>CycleCloud is being upgraded</h1></body></html>"
                return Answer(status=200, body=page, content_type="text/html")
            case FaultKind.EMPTY:
                return replace(carry_out(request), body=b"")
            case FaultKind.REDIRECT:
                return Answer(status=302, content_type="text/html", headers={"Location": "/login"})
            case FaultKind.LIE:
                answer = carry_out(request)
                return replace(answer, body=lies.tell(fault.lie, answer.body, self.random))
            case FaultKind.FEWER:
                return carry_out(_asking_for_fewer(request, fault.added))


def _status_answer(fault: Fault) -> Answer:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="CycleCloud"'
    if fault.body is not None:
        return Answer(
            status=fault.status, body=fault.body.encode(), content_type="text/html", headers=headers
        )
    body = {"Code": fault.status, "Message": "Injected fault", "Exception": "", "Detail": ""}
    return Answer(status=fault.status, body=json.dumps(body).encode(), headers=headers)


def _asking_for_fewer(request: Request, most: int) -> Request:
    """The same create, cut down: the answer then shows fewer than the client asked."""
    try:
        body = json.loads(request.body)
        for item in body["sets"]:
            item["count"] = min(int(item["count"]), most)
    except (ValueError, KeyError, TypeError):
        # Not a create that anybody could read; the handler says so.
        return request
    return replace(request, body=json.dumps(body).encode())
