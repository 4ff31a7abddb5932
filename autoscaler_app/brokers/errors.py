"""What can go wrong between us and the message broker.

BrokerError              nothing was learnt: what is waiting is unknown, which is never the same as nothing
├── BrokerUnreachable    no answer, or none in time; try again later
├── BrokerRefused        it answered and said no: wrong password, no permission, no such virtual host
├── BrokerUnsupported    its kind cannot be read by this program
└── CountUnknown         how much is unacknowledged is unknown, and only that: the rest can be read
"""

from __future__ import annotations


class BrokerError(Exception):
    """The broker could not be read. Unknown is never zero."""


class BrokerUnreachable(BrokerError):
    """No answer came within the deadline."""


class BrokerRefused(BrokerError):
    """The broker understood and said no; repeating the same will not help."""


class BrokerUnsupported(BrokerError):
    """The kind of broker is not one that this program can read."""


class CountUnknown(BrokerError):
    """How many messages are unacknowledged could not be learnt; whatever else the broker tells stands."""
