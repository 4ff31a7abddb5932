"""What the lease asks of a broker."""

from __future__ import annotations

from typing import Protocol

LEASE = "autoscale.lease"
"""Name of the key (Redis) or of the queue (RabbitMQ) that is the lease."""


class Claim(Protocol):
    """One control side's claim to a broker.

    Every method is done within its deadline and raises `BrokerError` where nothing was learnt: who has the
    lease is then unknown, which is never "nobody".
    """

    @property
    def valid_for(self) -> float:
        """Seconds for which nobody else can get the lease, from the moment before `hold` was asked."""

    def hold(self, owner: str) -> str:
        """Take the lease, or keep it. Empty if it is ours now, else a text that says who has it.

        `owner` is the same for all processes of a control side, and for no other.
        """

    def who(self) -> str:
        """Who has the lease, us included; empty if nobody has."""

    def let_go(self, owner: str) -> None:
        """Give it up, if it is ours."""
