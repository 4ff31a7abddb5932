"""What people asked for by hand: a node held, drained or ended, passes paused; who, why, and until when.

It is written down by commands and carried out by passes, which say whose wish it is. It stands in the state
file, and so outlives any process; an order that is over stays until a pass has done what its end asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from autoscaler_app.memory.state import State

NODES, PAUSES, CREATE = "orders", "paused", "create"
"""Names of the facts that hold them."""

PAUSED = "paused: "
"""How every sentence about a pause begins."""

What = Literal["hold", "drain", "delete"]


class NodeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of one node."""

    what: What
    """`hold`: kept, and takes no new work. `drain`: goes, with a certificate. `delete`: goes at once."""
    node: str
    """Its name."""
    who: str
    why: str = ""
    at: datetime
    until: datetime | None = None
    """From then on it is over; None: a person ends it."""

    def is_over(self, now: datetime) -> bool:
        """It holds no longer."""
        return self.until is not None and self.until <= now


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What passes are not to do."""

    growth: bool = True
    """Nothing is launched."""
    shrinking: bool = True
    """Nothing is fenced or ended."""
    nodearray: str = ""
    """Only there; empty: everywhere."""
    queue: str = ""
    """Only for what waits in this queue."""
    who: str = ""
    """Empty: written by a version that did not note it."""
    why: str = ""
    at: datetime | None = None
    until: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Nothing is done at all."""
        return self.growth and self.shrinking and not self.nodearray and not self.queue

    @property
    def stops(self) -> str:
        """What is not done, for people."""
        what = {
            (True, True): "nothing is launched, fenced or ended",
            (True, False): "nothing is launched",
            (False, True): "nothing is fenced or ended",
        }[self.growth, self.shrinking]
        return (
            what
            + (f" in {self.nodearray}" if self.nodearray else "")
            + (f" for {self.queue}" * bool(self.queue))
        )

    def is_over(self, now: datetime) -> bool:
        """It holds no longer."""
        return self.until is not None and self.until <= now

    @property
    def ended_by(self) -> str:
        """The command that ends it."""
        scope = f" --nodearray {self.nodearray}" * bool(self.nodearray)
        return "resume" + scope + f" --queue {self.queue}" * bool(self.queue)

    def same_place(self, other: Pause) -> bool:
        """Both are about the same nodearray or queue."""
        return (self.nodearray, self.queue) == (other.nodearray, other.queue)


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes that are to be launched."""

    id: str
    """Of the launch: however often it is tried, it happens once."""
    nodearray: str
    vm_size: str
    count: int
    spot: bool = False
    placement_group: str | None = None
    who: str
    why: str = ""
    at: datetime


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is in force, and of nodes also what is over."""

    nodes: dict[str, NodeOrder] = {}
    """By node id."""
    pauses: tuple[Pause, ...] = ()
    create: tuple[Create, ...] = ()


def told(order: NodeOrder | Pause | Create) -> str:
    """Who asked for it, why, and until when, for people: `ann until 14:00Z: the disk is looked at`."""
    end = None if isinstance(order, Create) else order.until
    until = "" if end is None else f" until {end:%Y-%m-%d %H:%M:%S}Z"
    return f"{order.who or 'somebody'}{until}" + (f": {order.why}" if order.why else "")


def noted(order: NodeOrder | Pause) -> str:
    """The same in brackets, after what it is about; empty where nothing was noted."""
    return f" ({told(order)})" if order.who else ""


def recall(state: State, now: datetime) -> Orders:
    """What was asked for, pauses that are over left out."""
    create = msgspec.convert(state.fact(CREATE) or (), tuple[Create, ...], strict=False)
    return Orders(
        nodes=nodes_from(state.fact(NODES)), pauses=in_force(state.fact(PAUSES), now), create=create
    )


def nodes_from(value: Any) -> dict[str, NodeOrder]:
    """The fact, read."""
    return msgspec.convert(value or {}, dict[str, NodeOrder], strict=False)


def pauses_from(value: Any) -> tuple[Pause, ...]:
    """The fact, read; older versions wrote True for a pause of everything."""
    if value is True:
        return (Pause(),)
    return msgspec.convert(value or (), tuple[Pause, ...], strict=False)


def in_force(value: Any, now: datetime) -> tuple[Pause, ...]:
    """The pauses of the fact that are not over."""
    return tuple(pause for pause in pauses_from(value) if not pause.is_over(now))


def is_paused(state: State, now: datetime) -> bool:
    """Passes look and tell, and do nothing."""
    return any(pause.is_whole for pause in in_force(state.fact(PAUSES), now))


def change_nodes(state: State, change: Callable[[dict[str, NodeOrder]], Mapping[str, NodeOrder]]) -> None:
    """Read the orders about nodes, compute the next ones and write them, in one transaction."""
    state.change(NODES, lambda value: msgspec.to_builtins(dict(change(nodes_from(value)))))


def add_create(state: State, create: Create) -> None:
    """To be launched by the next pass."""
    state.change(CREATE, lambda value: [*(value or ()), msgspec.to_builtins(create)])


def created(state: State, id_: str) -> None:
    """What became of it is known."""
    state.change(CREATE, lambda value: [each for each in value or () if each["id"] != id_])


def change_pauses(state: State, change: Callable[[tuple[Pause, ...]], Iterable[Pause]]) -> None:
    """The same of pauses."""
    state.change(PAUSES, lambda value: msgspec.to_builtins(list(change(pauses_from(value)))))
