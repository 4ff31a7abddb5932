"""What can go wrong, in one tree.

ScalelibError
├── InvalidInput          a value that no retry will mend: a job, a constraint, a setting
│   ├── InvalidJob
│   ├── InvalidConstraint
│   └── InvalidConfig
└── ProviderError         the cloud did not do what was asked
    ├── CloudUnreachable  no answer; whether it acted is unknown
    ├── CloudUnauthorised the credentials were refused; do not repeat
    ├── CloudTrouble      the server says that it is in trouble; try again later
    ├── CloudRefused      understood and refused; repeating the same will not help
    ├── CloudNotFound     no such cluster, node, operation or request
    └── CloudGarbled      an answer came that cannot be understood; whether it acted is unknown
"""

from __future__ import annotations


class ScalelibError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidInput(ScalelibError, ValueError):
    """A value is wrong; the message names the value, the place and what would be right."""


class InvalidJob(InvalidInput):
    """A job cannot be read."""


class InvalidConstraint(InvalidInput):
    """A constraint cannot be read."""


class InvalidConfig(InvalidInput):
    """A setting cannot be read."""


class ProviderError(ScalelibError):
    """The cloud did not do what was asked. Unknown is never idle: nothing is deleted because of one."""


class CloudUnreachable(ProviderError):
    """No answer came. Whether the request was carried out is unknown."""


class CloudUnauthorised(ProviderError):
    """The credentials were refused. Repeating locks the account."""


class CloudTrouble(ProviderError):
    """The server says that it is in trouble. Try again later."""


class CloudRefused(ProviderError):
    """The request was understood and refused."""


class CloudNotFound(ProviderError):
    """No such cluster, node, operation or request."""


class CloudGarbled(ProviderError):
    """An answer came that cannot be understood. Whether the request was carried out is unknown."""
