"""What can go wrong when a task says what it needs, in one tree.

ResourceError
├── InvalidRequirement     a requirement that cannot be read: wrong type, negative amount, not JSON
│   └── UnknownResource    a resource name that nobody declared; names the nearest known one
├── TooBig                 more than any known kind of node has (only where the settings make it an error)
├── ConflictingQueue       a call names a declared queue and a requirement that differs from the queue's
└── InvalidSetting         a setting or a worker option that cannot be read
"""

from __future__ import annotations


class ResourceError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequirement(ResourceError, ValueError):
    """A requirement cannot be read; the message names the value, the place and what would be right."""


class UnknownResource(InvalidRequirement):
    """A constraint names a resource that nobody declared."""


class TooBig(ResourceError, ValueError):
    """No known kind of node has as much as the task asks for."""


class ConflictingQueue(ResourceError, ValueError):
    """A call names a declared queue and a requirement that is not the queue's."""


class InvalidSetting(ResourceError, ValueError):
    """A setting or a worker option cannot be read."""
