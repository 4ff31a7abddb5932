"""Celery tasks say what they need; a node runs only what fits.

app = with_resources(Celery("proj"))

@app.task(constraints={"ncpus": 4, "memgb": 8})
def simulate(case): ...

simulate.apply_async(("case-7",), constraints={"ncpus": 8, "memgb": 64})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery_resources.errors import (
        ConflictingQueue,
        InvalidRequirement,
        InvalidSetting,
        ResourceError,
        TooBig,
        UnknownResource,
    )
    from celery_resources.gangs.forming import form_gang
    from celery_resources.gangs.gang import GangRefused
    from celery_resources.install import requirement_for, with_resources
    from celery_resources.need.naming import queue_name, requirement_of
    from celery_resources.need.requirement import Requirement
    from celery_resources.node.eviction import EVICTION
    from celery_resources.task import ResourceTask

__all__ = [
    "EVICTION",
    "ConflictingQueue",
    "GangRefused",
    "InvalidRequirement",
    "InvalidSetting",
    "Requirement",
    "ResourceError",
    "ResourceTask",
    "TooBig",
    "UnknownResource",
    "form_gang",
    "queue_name",
    "requirement_for",
    "requirement_of",
    "with_resources",
]

_HOME = {
    "ConflictingQueue": "celery_resources.errors",
    "EVICTION": "celery_resources.node.eviction",
    "GangRefused": "celery_resources.gangs.gang",
    "InvalidRequirement": "celery_resources.errors",
    "InvalidSetting": "celery_resources.errors",
    "Requirement": "celery_resources.need.requirement",
    "ResourceError": "celery_resources.errors",
    "ResourceTask": "celery_resources.task",
    "TooBig": "celery_resources.errors",
    "UnknownResource": "celery_resources.errors",
    "form_gang": "celery_resources.gangs.forming",
    "queue_name": "celery_resources.need.naming",
    "requirement_for": "celery_resources.install",
    "requirement_of": "celery_resources.need.naming",
    "with_resources": "celery_resources.install",
}


def __getattr__(name: str) -> Any:
    """Imported when it is wanted: every `celery` command imports this package for its command."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
