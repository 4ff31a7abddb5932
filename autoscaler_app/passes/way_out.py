"""The way out of a node: every state, what shows it, what is done in it and until when, and what comes next.

Two tables. `STEPS` is the way with a certificate: each step is shown before the next is taken, and written to
the state file when it is. `CLEAN_UP` are the ways of nodes that can give no certificate any more. Whatever
looks at a node on its way asks here; `docs/drain.md` is drawn from here, and a test holds it to that. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from autoscaler_app.listening.activity import HostView
from autoscaler_app.memory.state import Drain
from autoscaler_app.passes.decide.situation import Situation
from autoscaler_app.passes.plan import DeleteReason
from autoscaler_app.passes.report import ActionKind
from autoscaler_app.passes.snapshot import HostSeen, Stage
from scalelib.node import Node
from scalelib.planner import NodeVerdict

TOLD_AGAIN = timedelta(seconds=60)
"""A worker that still tells what it has so long after it was told to shut down has not heard it."""


class State(Enum):
    """Where a node is on its way out, in the order in which it gets there."""

    CHOSEN = "chosen"
    FENCED = "fenced"
    EMPTY = "empty"
    LEFT = "left"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One state with all that belongs to it. The texts are for people: warnings and `docs/drain.md`."""

    state: State
    stage: Stage | None
    """As a snapshot calls it; None: no host is left to call."""
    shown_by: str
    """What has been shown of a node that is in it."""
    deed: ActionKind | None
    """What a pass does to get it further; None: nothing is left to do."""
    ends_when: str
    """What has to be shown before the next state."""
    kept: str
    """Why the node is kept until then."""
    deadline: str
    """Until when, and what then. Not to have been shown is never taken for shown."""
    next: State | None
    is_called_off: bool
    """Demand that comes back brings the node back into service."""
    is_asked: bool
    """Its workers are asked in every pass, however lately they told."""


_WARNED = "`drain_timeout` from the choice: a warning that names what is missing; tried in every pass"

STEPS = (
    Step(
        state=State.CHOSEN,
        stage="serving",
        shown_by=(
            "nothing ran there or was meant for it for `idle_timeout` (`idle`); or the plan could have done "
            "without it for so long, even if tasks touch it now and then (`surplus`); or it has had room and "
            "started nothing of what waits in its queues, or in those that the plan gave it, for "
            "`hunger_timeout` (`not-eating`); or a person has asked for it (`by-hand`). One "
            "that a person holds (`on-hold`) is fenced too, and stays"
        ),
        deed="fence",
        ends_when=(
            "**every** worker process of the host has answered the command `fence` by name: from then on "
            "none starts a message that it had not started. The fence stands beside the worker on disk: a "
            "worker that is started again stays fenced"
        ),
        kept="to be fenced",
        deadline=_WARNED,
        next=State.FENCED,
        is_called_off=True,
        is_asked=True,
    ),
    Step(
        state=State.FENCED,
        stage="fenced",
        shown_by="those answers",
        deed="shut-down",
        ends_when="in an account given **after** its answer, every worker process has and holds nothing",
        kept="fenced; its last tasks are running",
        deadline=_WARNED,
        next=State.EMPTY,
        is_called_off=True,
        is_asked=True,
    ),
    Step(
        state=State.EMPTY,
        stage="leaving",
        shown_by="those accounts; the workers were told to shut down",
        deed="shut-down",
        ends_when=(
            "the very last word of **every** worker process that was told has arrived, as a note, sent "
            "over a connection of its own, with the id and the start of the very process "
            "that gave the last account, and no other process is heard there. Only a clean exit sends it: a "
            "popped message can sit where no counter shows it"
        ),
        kept="its worker is shutting down",
        deadline=(
            f"{TOLD_AGAIN.total_seconds():.0f} s: one that still talks then has not heard it, and is told "
            "again"
        ),
        next=State.LEFT,
        is_called_off=False,
        is_asked=False,
    ),
    Step(
        state=State.LEFT,
        stage="left",
        shown_by="those notes",
        deed="delete",
        ends_when="the cloud does not have the node any more",
        kept="it is to be deleted",
        deadline="`cyclecloud.leave_timeout`: it is ended again, unless the circuit breaker forbids it",
        next=State.DELETED,
        is_called_off=False,
        is_asked=False,
    ),
    Step(
        state=State.DELETED,
        stage=None,
        shown_by="it is in no answer of the cloud",
        deed=None,
        ends_when="what was remembered of it is forgotten",
        kept="",
        deadline="the next pass",
        next=None,
        is_called_off=False,
        is_asked=False,
    ),
)

_BY_STATE = {step.state: step for step in STEPS}
_BY_STAGE = {step.stage: step for step in STEPS}


def state_of(drain: Drain) -> State:
    """Where a node is that was chosen, by what is written down of it."""
    if drain.shut_down is None:
        return State.CHOSEN if drain.fenced is None else State.FENCED
    return State.LEFT if drain.processes and not missing_words(drain) else State.EMPTY


def as_it_stands(drain: Drain, view: HostView | None) -> Drain:
    """A drain as it is to be gone by now. If a process is heard on the host that was not told to shut down,
    the last words of the others prove nothing of it: every step has to be shown anew.
    """
    told = drain.processes
    if drain.shut_down is None or view is None or all(worker.is_one_of(told) for worker in view.workers):
        return drain
    return msgspec.structs.replace(drain, fenced=None, shut_down=None, processes=(), last_words=())


def step_of(drain: Drain) -> Step:
    """The row of a node that was chosen."""
    return _BY_STATE[state_of(drain)]


def step_at(stage: Stage) -> Step:
    """The row of a host that a snapshot has at this stage; one that serves may be chosen."""
    return _BY_STAGE[stage]


def goes_on(step: Step, host: HostSeen) -> bool:
    """Whether a node is to be got a step further, as far as a snapshot shows it."""
    if step.state is State.FENCED:
        return not (host.running or host.held)
    return step.state is State.LEFT


def missing_words(drain: Drain) -> frozenset[str]:
    """The worker processes that were told to shut down and have not said their last word."""
    return frozenset(drain.processes) - frozenset(drain.last_words)


def stage_of(drain: Drain | None, *, fenced: bool, told: datetime | None) -> Stage:
    """Where a host is, as a snapshot has it. `fenced`: every worker process says so; `told`: when they told
    last. One that still talks long after it was told to shut down did not hear: it is told again.
    """
    if drain is None or state_of(drain) in (State.CHOSEN, State.FENCED):
        return "fenced" if fenced else "serving"
    if state_of(drain) is State.LEFT:
        return "left"
    return "fenced" if fenced and has_not_heard(drain, told) else "leaving"


def has_not_heard(drain: Drain, told: datetime | None) -> bool:
    """It talks, long after it was told to shut down."""
    return drain.shut_down is not None and told is not None and told - drain.shut_down > TOLD_AGAIN


def is_asked(drain: Drain, now: datetime) -> bool | None:
    """Whether its workers are to be asked now: True in every pass, False not at all, None as any others."""
    if step_of(drain).is_asked:
        return True
    return None if has_not_heard(drain, now) else False


def is_empty(view: HostView | None) -> bool:
    """Whether every worker process of a host says that it is fenced and has nothing; an account says both."""
    return view is not None and view.fenced and not (view.running or view.held)


def deed_for(drain: Drain | None, view: HostView | None) -> ActionKind | None:
    """What is to be done next with a node that goes with a certificate; None: what is wanted is not shown."""
    if drain is not None and state_of(drain) is State.LEFT:
        return _BY_STATE[State.LEFT].deed
    return _BY_STATE[State.FENCED].deed if is_empty(view) else None


def waits_for(drain: Drain) -> str:
    """What has not been shown yet, for people."""
    state = state_of(drain)
    if state is State.CHOSEN:
        return "not every worker process of the host has said that it takes no more"
    if state is State.FENCED:
        return "its last tasks are still running, or held"
    if state is State.EMPTY:
        return f"told to shut down, no clean exit shown of {', '.join(sorted(missing_words(drain)))}"
    return "it is to be deleted"


# -- the other ways out


@dataclass(frozen=True, kw_only=True)
class CleanUp:
    """The way of a node that can give no certificate: nothing is left on it that could."""

    reason: DeleteReason
    shown_by: str
    """What shows that nothing is left."""
    deadline: str
    """The setting that says how long it must have been so; empty: at once."""
    is_shown: Callable[[Situation, NodeVerdict, Node, HostSeen | None], bool]
    may_be_our_ears: bool
    """It is told by silence: if too many nodes are silent at once, none of them goes."""


def _now(situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None) -> bool:
    order = situation.by_hand.of(node)
    return order is not None and order.what == "delete"


def _failed(situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None) -> bool:
    works = host is not None and situation.is_heard(host) and host.running + host.held > 0
    return node.state.is_failed and not works


def _boot_timeout(situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None) -> bool:
    return verdict.boot_timed_out and host is None


def _never_joined(situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None) -> bool:
    return situation.joins_late(node)


def _silent(situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None) -> bool:
    return host is not None and situation.is_silent(host)


CLEAN_UP = (
    CleanUp(
        reason=DeleteReason.NOW,
        shown_by=(
            "a person has asked for it (`delete NODE --now`) and was told which tasks that kills; those that "
            "are acknowledged late go back to their queues when the node is gone"
        ),
        deadline="",
        is_shown=_now,
        may_be_our_ears=False,
    ),
    CleanUp(
        reason=DeleteReason.FAILED,
        shown_by=(
            "the cloud says that the node failed or lost its machine, and no worker is heard at work there"
        ),
        deadline="",
        is_shown=_failed,
        may_be_our_ears=False,
    ),
    CleanUp(
        reason=DeleteReason.BOOT_TIMEOUT,
        shown_by="booting for longer than that, this time, never heard",
        deadline="boot_timeout",
        is_shown=_boot_timeout,
        may_be_our_ears=False,
    ),
    CleanUp(
        reason=DeleteReason.NEVER_JOINED,
        shown_by=(
            "Ready for longer than that, and no worker was ever heard on it, nor on a host whose name it "
            "shares with another node. Held back while a worker is heard that is on no node and began since "
            "the node was asked for: it may be on this one (one that runs nothing holds it back for four "
            "times that, no longer)"
        ),
        deadline="join_timeout",
        is_shown=_never_joined,
        may_be_our_ears=True,
    ),
    CleanUp(
        reason=DeleteReason.SILENT,
        shown_by="its worker was heard once, and then not for so long, nor any other of its worker processes",
        deadline="silent_timeout",
        is_shown=_silent,
        may_be_our_ears=True,
    ),
)
"""In this order: the first that is shown is the reason."""


def clean_up(
    situation: Situation, verdict: NodeVerdict, node: Node, host: HostSeen | None
) -> DeleteReason | None:
    """The way by which a node goes that has no certificate; None: it does not."""
    return next((way.reason for way in CLEAN_UP if way.is_shown(situation, verdict, node, host)), None)


WITHOUT_CERTIFICATE = frozenset(way.reason for way in CLEAN_UP)
"""Every other reason needs one."""

TOLD_BY_SILENCE = frozenset(way.reason for way in CLEAN_UP if way.may_be_our_ears)
