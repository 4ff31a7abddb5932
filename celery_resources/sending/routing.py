"""Publishing: constraints choose the queue and travel in a header.

Celery asks its router on every way a task can be sent (`apply_async`, `send_task`, signatures, chains,
groups, chords, callbacks, retries, beat), so this is the one place where constraints are read.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

from celery.app.routes import Router
from kombu import Queue

from celery_resources.errors import ConflictingQueue
from celery_resources.insides.messages import task_of
from celery_resources.need.naming import is_derived
from celery_resources.need.requirement import Requirement
from celery_resources.room.surroundings import LOCAL
from celery_resources.sending.announcing import Announces
from celery_resources.sending.kinds import HEADER, Kinds, read_header

SENT_AT = "autoscale_sent_at"
"""Header for the control side: when the message was sent, in seconds since the epoch; a retry anew."""

OPTIONS = ("constraints", "node_count", "colocated", "exclusive")
"""What a task or a call may say."""

_DESTINATION = ("queue", "exchange", "routing_key", "exchange_type")


class ResourceRouter(Router):
    """Celery's router, which sends a task that says what it needs to the queue of that requirement."""

    def __init__(self, *args: Any, kinds: Kinds, announcer: Announces, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = kinds
        self._announcer = announcer

    def route(
        self,
        options: dict[str, Any],
        name: str,
        args: Any = (),
        kwargs: Any = None,
        task_type: Any = None,
    ) -> dict[str, Any]:
        """The options of the message: where it goes, and the header that says what it needs."""
        if task_type is None:
            # Older versions of Celery do not look up a task that is sent by its name.
            task_type = task_of(self.app, name)
        said = {key: options[key] for key in OPTIONS if options.get(key) is not None}
        options = {key: value for key, value in options.items() if key not in OPTIONS}
        if options.get("headers"):
            options["headers"] = {k: v for k, v in options["headers"].items() if k not in LOCAL}
        if self.kinds.settings.control_queue is not None:
            options["headers"] = {**(options.get("headers") or {}), SENT_AT: time.time()}
        requirement = self._requirement(said, options, name, task_type)
        if requirement is None:
            return self._as_declared(super().route(options, name, args, kwargs, task_type))
        queue = _given_queue(options)
        if queue is None or (said and is_derived(queue)):
            # A retry comes with the queue that the task came from: a new requirement leaves it.
            options = {key: value for key, value in options.items() if key not in _DESTINATION}
            queue = self.kinds.queue_of(requirement)
            options["queue"] = self._made(queue)
        declared = self.kinds.of_queue(queue)
        if declared is not None and declared != requirement:
            raise ConflictingQueue(
                f"task {name}: needs {requirement.canonical} and is sent to queue {queue!r}, whose tasks "
                f"need {declared.canonical}; leave out one of the two"
            )
        if declared is not None:
            self._announcer.announce(queue, requirement)
        options["headers"] = {**(options.get("headers") or {}), HEADER: requirement.to_json()}
        return super().route(options, name, args, kwargs, task_type)

    def _made(self, queue: str) -> Queue:
        """A derived queue: there also where the app lets nobody make a queue by its name."""
        if queue not in self.queues:
            self.queues.add(self.queues.new_missing(queue))
        return self.queues[queue]

    def telling_nobody(self) -> ResourceRouter:
        """This router for somebody who wants to know where a task would go, and sends none."""
        quiet = copy.copy(self)
        quiet._announcer = _Silent()
        return quiet

    def kind_of_task(self, task: Any) -> Requirement | None:
        """What a task says that it needs, where it is defined; None if it says nothing or names its queue."""
        if any(getattr(task, name, None) is not None for name in ("queue", "exchange", "routing_key")):
            return None
        return self._requirement({}, {}, task.name, task)

    def _requirement(
        self, said: Mapping[str, Any], options: Mapping[str, Any], name: str, task_type: Any
    ) -> Requirement | None:
        """What the call says, else what the message said before (a retry), else what the task says."""
        before = (
            read_header(options.get("headers") or {}) if HEADER in (options.get("headers") or {}) else None
        )
        if not said and before is not None:
            return before
        if before is not None:
            of_task = {key: getattr(before, key) for key in OPTIONS}
        else:
            of_task = {key: getattr(task_type, key, None) for key in OPTIONS}
        parts = {key: value for key, value in {**of_task, **said}.items() if value is not None}
        if not any(parts.values()):
            return None
        requirement = Requirement(
            parts.get("constraints", {}),
            node_count=parts.get("node_count", 0),
            colocated=parts.get("colocated", False),
            exclusive=parts.get("exclusive", False),
        )
        self.kinds.check(requirement, f"task {name}")
        return requirement

    def _as_declared(self, options: dict[str, Any]) -> dict[str, Any]:
        """A plain task that goes to a declared queue needs what the queue says."""
        queue = _given_queue(options)
        if queue is None or queue not in self.kinds.settings.queues:
            return options
        requirement = self.kinds.settings.queues[queue]
        self.kinds.check(requirement, f"resource_queues[{queue!r}]")
        self._announcer.announce(queue, requirement)
        options["headers"] = {**(options.get("headers") or {}), HEADER: requirement.to_json()}
        return options


class _Silent:
    """Announces nothing."""

    def announce(self, queue: str, requirement: Requirement) -> None:
        """Say nothing."""


def _given_queue(options: Mapping[str, Any]) -> str | None:
    queue = options.get("queue")
    return queue.name if isinstance(queue, Queue) else queue
