"""Celery tasks say what they need; a node runs only what fits.

app = with_resources(Celery("proj"))

@app.task(constraints={"ncpus": 4, "memgb": 8})
def simulate(case): ...

simulate.apply_async(("case-7",), constraints={"ncpus": 8, "memgb": 64})
"""

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
