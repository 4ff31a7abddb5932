"""Where what is searched for is told of: a queue, a node by name, host or id, the number of a pass."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler_app.passes.report import Report
from autoscaler_app.web.pages import parts
from autoscaler_app.web.remembered import Remembered
from scalelib.errors import InvalidInput

MOST_ALIKE = 50


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where it is, or what has such a name in it: what it is, how it is called, where it is."""

    address: str = ""
    alike: tuple[tuple[str, str, str], ...] = ()


def found(asked: str, seen: Report | None, remembered: Remembered | None) -> Found:
    """Neither: it is none of these, and may be a task."""
    if not asked:
        return Found()
    saw = seen.saw if seen is not None else None
    queues = [queue.queue for queue in saw.queues] if saw is not None else []
    if asked in queues:
        return Found(address=parts.address("queue", name=asked))
    if remembered is not None:
        try:
            remembered.why(asked)
            return Found(address=parts.address("node", name=asked))
        except InvalidInput:
            pass
    if asked.isascii() and asked.isdecimal() and len(asked) <= 12:
        return Found(address=parts.address("pass", number=asked))
    part = asked.casefold()
    alike = [("queue", name, parts.address("queue", name=name)) for name in queues if part in name.casefold()]
    alike += [
        ("node", node.node, parts.address("node", name=node.node))
        for node in (saw.nodes if saw is not None else ())
        if part in node.node.casefold() or part in node.hostname.casefold()
    ]
    return Found(alike=tuple(alike[:MOST_ALIKE]))
