"""Whoever signs, in tests: a node with a key of its own, or somebody who would be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from celery_resources.trust.keys import KeyPair
from celery_resources.trust.signing import Kind, Said, seal
from scalelib.node import Node, NodeId, NodeState

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
AT = NOW.timestamp()
SETTLING = timedelta(seconds=180)
CONTROL, OURS, ANOTHER, THIEF = (KeyPair(bytes([number]) * 32) for number in (1, 2, 3, 4))


def a_node(node_id: str = "id-1", hostname: str | None = "n1", **more: Any) -> Node:
    return Node(
        id=NodeId(node_id),
        name=node_id,
        nodearray="worker",
        vm_size="small",
        bucket_id="b",
        state=NodeState.READY,
        status="Ready",
        hostname=hostname,
        **more,
    )


@dataclass
class Signer:
    """One worker's life. Times are seconds since the epoch."""

    host: str
    key: KeyPair
    pid: int = 7
    life: float = 1_790_000_000.0
    count: int = 0
    node: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of its account."""

    @property
    def nodename(self) -> str:
        return self.node or f"celery@{self.host}"

    def payload(self) -> dict[str, Any]:
        """What a worker's own account is."""
        return {
            "hostname": self.host,
            "nodename": self.nodename,
            "pid": self.pid,
            "started": self.life,
            "seq": self.count + 1,
            "running": [],
            **self.more,
        }

    def event(self, at: float) -> dict[str, Any]:
        """Its account as an event, as it arrives."""
        told = {k: v for k, v in self.payload().items() if k not in ("hostname", "pid")}
        sealed = self.sealed(Kind.ACCOUNT, told, at)
        return {
            **sealed,
            "type": "worker-resources",
            "hostname": self.nodename,
            "pid": self.pid,
            "timestamp": at,
            "utcoffset": 0,
            "clock": 3,
        }

    def answer(self, at: float, question: str, ok: Any = None) -> dict[str, Any]:
        """What it answers to a question."""
        return self.sealed(Kind.ANSWER, {"ok": self.payload() if ok is None else ok}, at, question)

    def farewell(self, at: float) -> dict[str, Any]:
        """Its last word."""
        note = {"kind": "left", "hostname": self.host, "nodename": self.nodename, "pid": self.pid}
        return self.sealed(Kind.FAREWELL, note, at)

    def sealed(self, kind: Kind, body: Mapping[str, Any], at: float, question: str = "") -> dict[str, Any]:
        """What it signs, whatever it is."""
        self.count += 1
        said = Said(node=self.nodename, pid=self.pid, life=self.life, count=self.count, at=at, re=question)
        sealed: dict[str, Any] = json.loads(json.dumps(seal(self.key, kind, body, said)))
        return sealed


def unsigned(event: Mapping[str, Any]) -> dict[str, Any]:
    """The same without its seal."""
    return {name: value for name, value in event.items() if name != "signed"}
