"""The message header that says what a task needs, and the attributes of `task.request` that a node adds.

Their names on the wire are ours alone: `resources`, `hosts` or `gpus` may be headers of the user's own, who
finds them in `task.request` as in plain Celery. Where there is none of that name, the task finds ours there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_resources.need.requirement import FIELDS, Requirement

HEADER = "autoscale_requirement"
"""Carries the requirement as JSON."""

RESOURCES = "resources"
"""Where the task finds it; and the header's name in messages of versions before."""

GPUS, HOSTS, HOSTFILE = "gpus", "hosts", "hostfile"
"""What holds on one node only."""

_OURS = "autoscale_"
_TOLD = (GPUS, HOSTS, HOSTFILE)


def carried(headers: Mapping[str, Any]) -> Any:
    """What a message says that it needs, as JSON that nobody has looked at; None if it says nothing."""
    found = headers.get(HEADER)
    if found is None and (before := headers.get(RESOURCES)) is not None and _is_of_before(before):
        return before
    return found


def read_header(headers: Mapping[str, Any]) -> Requirement | None:
    """The requirement that a message carries; None if it carries none."""
    value = carried(headers)
    return None if value is None else Requirement.from_json(value)


def tell(request: dict[str, Any], **told: Any) -> None:
    """Let the task find this in its request: `gpus`, `hosts`, `hostfile`."""
    for name, value in told.items():
        request[f"{_OURS}{name}"] = value
        request.setdefault(name, value)


def tell_needs(request: dict[str, Any]) -> None:
    """Let the task find what its message says that it needs."""
    if (needs := request.get(HEADER)) is not None:
        request.setdefault(RESOURCES, needs)


def told(request: object, name: str) -> Any:
    """What `tell` said, in a `task.request`; None if it said nothing."""
    return getattr(request, f"{_OURS}{name}", None)


def to_send(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Of the headers of a call those that may travel. A retry comes with all that the task found."""
    found = dict(headers)
    for name in _TOLD:
        ours = found.pop(f"{_OURS}{name}", None)
        if ours is not None and found.get(name) == ours:
            del found[name]
    if HEADER in found and found.get(RESOURCES) == found[HEADER]:
        del found[RESOURCES]
    return found


def _is_of_before(value: object) -> bool:
    return isinstance(value, Mapping) and "constraints" in value and set(value) <= set(FIELDS)
