"""What can go wrong with a node while it starts."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from cyclecloud_emulator.trouble.rules import Rule, Rules


class MishapKind(Enum):
    """The kinds, in the order in which a starting node meets them."""

    CAPACITY = "capacity"
    """The cloud has no machine of that size."""
    ACQUIRING_FOREVER = "acquiring_forever"
    """The request for a machine is never answered."""
    BOOT_FOREVER = "boot_forever"
    """The machine is there and never reports in; Failed after `boot_timeout_seconds`."""
    VANISH = "vanish"
    """Machine and record disappear just before the node is ready."""
    CONFIGURATION = "configuration"
    """The configuration script fails; the node stays Failed and costs money."""
    NO_WORKER = "no_worker"
    """Ready, but no worker was started."""


class Starting(Protocol):
    """What a rule looks at of a node that starts."""

    @property
    def nodearray(self) -> str: ...
    @property
    def vm_size(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def spot(self) -> bool: ...


class Mishap(Rule):
    """A rule: which nodes meet which mishap. A field left out matches every node."""

    kind: MishapKind
    nodearray: str | None = None
    vm_size: str | None = None
    zone: str | None = None
    spot: bool | None = None

    def fits(self, node: Starting) -> bool:
        """Whether the rule is about this node."""
        return (
            self.nodearray in (None, node.nodearray)
            and self.vm_size in (None, node.vm_size)
            and self.zone in (None, node.zone)
            and self.spot in (None, node.spot)
        )


class Mishaps(Rules[Mishap]):
    """The mishaps in force."""

    def strikes(self, kind: MishapKind, node: Starting) -> bool:
        """Whether this node meets this mishap now."""
        return self.first(lambda rule: rule.kind is kind and rule.fits(node)) is not None
