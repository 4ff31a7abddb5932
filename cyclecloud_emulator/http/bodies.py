"""What a request to `/emulator/…` may carry, where it is nothing that the emulator knows by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class NodeAction(Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that befalls a node."""

    node: str
    """NodeId, name or host name."""
    action: Literal["kill-worker", "evict", "fail", "vanish", "keep-alive", "no-keep-alive"]
    notice: Annotated[float, Meta(ge=0)] | None = None
    """Seconds between the notice and the eviction; None: as in the settings, 0: without notice."""
    message: str = "Failed by hand"


class Restart(Struct, kw_only=True, forbid_unknown_fields=True):
    """The server goes down and comes back."""

    memory: Literal["all", "nodes", "nothing"] = "all"
    """What it still knows: all; nodes but neither operations nor request ids; nothing, not even nodes."""
    down_seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0


class ClusterAction(Struct, kw_only=True, forbid_unknown_fields=True):
    """Start or stop a cluster."""

    started: bool


class Skew(Struct, kw_only=True, forbid_unknown_fields=True):
    """How wrong the server's clock is."""

    seconds: Annotated[float, Meta(ge=-1e8, le=1e8)]
