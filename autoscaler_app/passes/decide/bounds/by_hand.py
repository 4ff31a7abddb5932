"""What people asked for by hand, as one decision meets it: of each node, of growth and of shrinking. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from autoscaler_app.memory.orders import PAUSED, NodeOrder, Orders, Pause, noted, told
from scalelib.bucket import Bucket
from scalelib.node import Node


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """The orders at one moment."""

    orders: Orders
    now: datetime

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """Those that are not over."""
        return tuple(pause for pause in self.orders.pauses if not pause.is_over(self.now))

    @classmethod
    def read(cls, orders: Orders, now: datetime, *, paused: bool) -> ByHand:
        """As a snapshot has it; `paused` is what those of older versions say."""
        if paused and not any(pause.is_whole for pause in orders.pauses):
            orders = msgspec.structs.replace(orders, pauses=(Pause(), *orders.pauses))
        return cls(orders=orders, now=now)

    def of(self, node: Node) -> NodeOrder | None:
        """What is to become of this node; None: nobody asked, it is over, or it is not ours to touch."""
        order = self.orders.nodes.get(node.id)
        if order is None or order.is_over(self.now) or not node.managed or node.keep_alive:
            return None
        return order

    def over(self, node: Node) -> NodeOrder | None:
        """What was to become of it, and is over: it serves again."""
        order = self.orders.nodes.get(node.id)
        return order if order is not None and order.is_over(self.now) and order.what != "delete" else None

    def no_growth(self) -> str:
        """Why nothing is launched at all; empty if it may be."""
        return _first(pause for pause in self.pauses if pause.growth and not (pause.nodearray or pause.queue))

    def no_growth_in(self, nodearray: str) -> str:
        """Why nothing is launched in this nodearray."""
        return _first(p for p in self.pauses if p.growth and p.nodearray.lower() == nodearray.lower())

    def set_aside(self, buckets: Iterable[Bucket]) -> dict[str, str]:
        """By id: buckets in whose nodearray nothing is launched."""
        return {bucket.id: why for bucket in buckets if (why := self.no_growth_in(bucket.nodearray))}

    def no_growth_for(self) -> dict[str, str]:
        """By queue: why nothing is launched for what waits there."""
        return {pause.queue: _first(iter((pause,))) for pause in self.pauses if pause.growth and pause.queue}

    def no_shrinking(self, nodearray: str) -> str:
        """Why no node of this nodearray is fenced or ended."""
        return _first(
            pause
            for pause in self.pauses
            if pause.shrinking and not pause.queue and pause.nodearray.lower() in ("", nodearray.lower())
        )

    def warnings(self) -> Iterator[str]:
        """A sentence for each pause."""
        for pause in self.pauses:
            yield f"{PAUSED}{pause.stops}{noted(pause)}; `autoscaler {pause.ended_by}` ends that"


def _first(pauses: Iterator[Pause]) -> str:
    pause = next(pauses, None)
    return "" if pause is None else f"paused by {told(pause)}"
