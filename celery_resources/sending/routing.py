"""Publishing: constraints choose the queue and travel in a header.

Celery asks its router on every way a task can be sent (`apply_async`, `send_task`, signatures, chains,
groups, chords, callbacks, retries, beat), so this is the one place where constraints are read.
"""

from __future__ import annotations

import copy
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from celery import current_task
from celery.app.routes import Router
from celery.utils.collections import lpmerge
from kombu import Queue

from celery_resources.errors import ConflictingQueue, InvalidRequirement, ResourceError
from celery_resources.insides.messages import task_of
from celery_resources.need.header import HEADER, read_header, to_send
from celery_resources.need.naming import family_of, family_of_destination, is_derived
from celery_resources.need.requirement import Requirement
from celery_resources.sending.announcing import Announces
from celery_resources.sending.kinds import Kinds

logger = logging.getLogger(__name__)

SENT_AT = "autoscale_sent_at"
"""Header for the control side: when the message was sent, in seconds since the epoch; a retry anew."""

OPTIONS = ("constraints", "node_count", "colocated", "exclusive")
"""What a task or a call may say."""

_DELAY = re.compile(r"^([01]\.)+")
"""What Celery puts before a routing key for as long as the message waits in the broker: a number in bits."""

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
        said = _said(options)
        options = {key: value for key, value in options.items() if key not in OPTIONS}
        if options.get("headers"):
            options["headers"] = to_send(options["headers"])
        if self.kinds.settings.control_queue is not None:
            options["headers"] = {**(options.get("headers") or {}), SENT_AT: time.time()}
        routed = self._routed(options, name, args, kwargs, task_type)
        requirement = self._requirement(said, options, name, task_type, _said(routed or {}))
        if routed is not None:
            routed = {key: value for key, value in routed.items() if key not in OPTIONS}
        if requirement is None:
            return self._as_declared(self._sent(options, routed))
        options = self._destined(options, routed or {}, requirement, is_new=bool(said))
        queue = _given_queue(options)
        if queue is not None and self._declared(queue, requirement, name) is not None:
            self._announcer.announce(queue, requirement)
        options["headers"] = {**(options.get("headers") or {}), HEADER: requirement.to_json()}
        return self._sent(options, routed)

    def needs(
        self, options: Mapping[str, Any], name: str, args: Any, kwargs: Any, task_type: Any
    ) -> Requirement | None:
        """What a task needs that runs where it is called. Raises what sending it would raise of ours."""
        routed = self.lookup_route(name, args, kwargs, dict(options), task_type) if self.routes else None
        routed = {"queue": routed} if isinstance(routed, str) else dict(routed or {})
        queue = _given_queue(options) or _given_queue(routed)
        requirement = self._requirement(_said(options), options, name, task_type, _said(routed))
        if requirement is None:
            return None if queue is None else self.kinds.settings.queues.get(queue)
        if queue is not None and not is_derived(queue):
            self._declared(queue, requirement, name)
        return requirement

    def _declared(self, queue: str, requirement: Requirement, name: str) -> Requirement | None:
        """What the tasks of this queue need, which is this; None if that is not known."""
        declared = self.kinds.of_queue(queue)
        if declared is not None and declared != requirement:
            raise ConflictingQueue(
                f"task {name}: needs {requirement.canonical} and is sent to queue {queue!r}, whose tasks "
                f"need {declared.canonical}; leave out one of the two"
            )
        return declared

    def _routed(
        self, options: dict[str, Any], name: str, args: Any, kwargs: Any, task_type: Any
    ) -> dict[str, Any] | None:
        """What `task_routes` say of this task; None if they say nothing. Asked once: it may be a function."""
        if not self.routes:
            return None
        # As Celery hands them over: with the queue itself. They may change what they are given.
        found = self.lookup_route(name, args, kwargs or {}, self.expand_destination(dict(options)), task_type)
        if not found:
            return None
        return {"queue": found} if isinstance(found, str) else dict(found)

    def _sent(self, options: dict[str, Any], routed: dict[str, Any] | None) -> dict[str, Any]:
        """As Celery's own `route` puts together what the call, the routes and the default say."""
        options = self.expand_destination(options)
        if routed is not None:
            return dict(lpmerge(self.expand_destination(dict(routed)), options))
        if "queue" in options:
            return options
        return dict(lpmerge(self.expand_destination(self.app.conf.task_default_queue), options))

    def _destined(
        self, options: dict[str, Any], routed: dict[str, Any], requirement: Requirement, *, is_new: bool
    ) -> dict[str, Any]:
        """The options with the destination of a task that needs this, which may be `is_new` in this call.

        A destination that the call names is kept, and so is an exchange or a routing key that a route names.
        A queue that a route names stands for the family of queues that its workers consume.
        """
        came_from = _given_queue(options) or _DELAY.sub("", options.get("routing_key") or "")
        family = ""
        if is_derived(came_from):
            # A retry comes with the queue that the task came from, or, where it waited in the broker for its
            # time, with the exchange of that. A new requirement leaves it.
            if not is_new:
                return _to(options, self._made(came_from))
            family = family_of(came_from)
        elif _names_destination(options) or routed.get("exchange") or routed.get("routing_key"):
            return options
        elif (queue := _given_queue(routed)) is not None:
            if queue in self.kinds.settings.queues or is_derived(queue):
                return {**options, "queue": queue}
            family = "" if queue == self.app.conf.task_default_queue else family_of_destination(queue)
        return _to(options, self._made(self.kinds.queue_of(requirement, family)))

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

    def queue_of_task(self, task: Any) -> str | None:
        """Where a task goes that says what it needs where it is defined; None if it says nothing or names its
        queue."""
        if any(getattr(task, name, None) is not None for name in ("queue", "exchange", "routing_key")):
            return None
        try:
            options = self.telling_nobody().route({}, task.name, task_type=task)
        except ResourceError:
            raise
        except Exception as error:  # noqa: BLE001 - a function of the user's, asked without the arguments of a call
            logger.debug("task %s: where it goes is known when it is sent: %s", task.name, error)
            return None
        queue = _given_queue(options)
        return queue if HEADER in (options.get("headers") or {}) else None

    def _requirement(
        self,
        said: Mapping[str, Any],
        options: Mapping[str, Any],
        name: str,
        task_type: Any,
        of_route: Mapping[str, Any],
    ) -> Requirement | None:
        """What the call says, else what the message said before (a retry), else the task, else its route."""
        before = self._before(options.get("headers") or {}, name)
        if not said and before is not None:
            return before
        if before is not None:
            of_task = {key: getattr(before, key) for key in OPTIONS}
        else:
            of_task = {**of_route, **_said({key: getattr(task_type, key, None) for key in OPTIONS})}
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

    def _before(self, headers: Mapping[str, Any], name: str) -> Requirement | None:
        try:
            before = read_header(headers)
        except InvalidRequirement as error:
            raise InvalidRequirement(f"task {name}: header {HEADER}: {error}") from error
        if before is not None and not _is_retried(before):
            # Somebody wrote it by hand: it is checked as if the call had said it.
            self.kinds.check(before, f"task {name}: header {HEADER}")
        return before

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


def _to(options: Mapping[str, Any], queue: Queue) -> dict[str, Any]:
    return {**{key: value for key, value in options.items() if key not in _DESTINATION}, "queue": queue}


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in OPTIONS if options.get(key) is not None}


def _is_retried(requirement: Requirement) -> bool:
    """The task that runs here has this header, and sends itself again."""
    return bool(current_task) and read_header(current_task.request.__dict__) == requirement


def _names_destination(options: Mapping[str, Any]) -> bool:
    return any(options.get(key) for key in ("queue", "exchange", "routing_key"))


def _given_queue(options: Mapping[str, Any]) -> str | None:
    queue = options.get("queue")
    return queue.name if isinstance(queue, Queue) else queue
