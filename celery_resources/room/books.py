"""Which requests run on this node, by Celery's own books.

What runs is never counted by listening for ends: it is looked up in Celery's books on every turn of the
event loop. Every way a task can end goes through those, so nothing leaks.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery_resources.errors import InvalidRequirement
from celery_resources.insides.consuming import QUEUE
from celery_resources.insides.requests import has_ended, not_known, was_cancelled
from celery_resources.need.header import HEADER, RESOURCES, carried, tell, tell_needs
from celery_resources.need.requirement import Requirement
from celery_resources.room.gpus import NGPUS
from celery_resources.room.ledger import Ledger, Need
from celery_resources.room.node import NodeFacts
from celery_resources.room.surroundings import VISIBLE, gpu_names, write_hostfile
from celery_resources.room.tally import Tally
from celery_resources.sending.kinds import Kinds
from celery_resources.settings import ONE_CPU
from scalelib.amounts import MILLION


class Books:
    """The requests that run here, each with what it takes from the node."""

    def __init__(self, facts: NodeFacts, slots: int, kinds: Kinds) -> None:
        alone = kinds.settings.control_queue is None
        self.ledger = Ledger(facts.resources, slots, facts.properties, alone=alone)
        self.running: dict[Any, tuple[float, str]] = {}
        """Request -> when it was given to the pool, in seconds since the epoch, and the queue it is from."""
        self.ids: dict[str, int] = {}
        """Ids of these, with how many have it: a message may come a second time while it runs."""
        self.is_doubtful = False
        """Celery knows another request of one of these ids: then an end is not to be seen by the ids."""
        self.ended = 0
        """How many ever."""
        self.tally = Tally()
        self._kinds = kinds
        self._last_need: dict[str, tuple[Any, Need]] = {}
        self._need_of_queue: dict[str, tuple[Requirement | None, Need]] = {}
        self._hostfiles: dict[Any, Path] = {}
        count = self.ledger.total.get(NGPUS, 0) // MILLION
        self._gpu_names = gpu_names(count, os.environ.get(VISIBLE))

    def need_of(self, request: Any, queue: str) -> Need:
        """What the message says that it needs, else what its queue says, else one cpu."""
        said = request.request_dict
        header = carried(said) if HEADER in said or RESOURCES in said else None
        if header is None:
            of_queue = self._need_of_queue.get(queue)
            if of_queue is not None and of_queue[0] is self._kinds.by_queue.get(queue):
                return of_queue[1]
            return self.need_of_queue(queue)
        # Nearly always the same as in the last message from that queue: comparing is cheaper than reading.
        known = self._last_need.get(queue)
        if known is None or known[0] != header:
            known = self._last_need[queue] = (header, self._need_of_header(header))
        return known[1]

    def _need_of_header(self, header: Any) -> Need:
        try:
            return self.ledger.need(Requirement.from_json(header))
        except InvalidRequirement as error:
            # Somebody published what cannot be read. That message is not to end the node's worker.
            unfit = f"what it needs cannot be read ({error})"
            return Need(requirement=Requirement(), amounts={}, gpus=0, exclusive=False, unfit=unfit)

    def need_of_queue(self, queue: str) -> Need:
        """What one task of this queue is expected to need."""
        known = self._need_of_queue.get(queue)
        if known is None or known[0] is not self._kinds.by_queue.get(queue):
            requirement = self._kinds.of_queue(queue)
            known = self._need_of_queue[queue] = (requirement, self.ledger.need(requirement or ONE_CPU))
        return known[1]

    def begin(self, request: Any, need: Need, queue: str, hosts: tuple[str, ...] = ()) -> None:
        """Enter a request that is about to be given to the pool, and tell the task what it was given."""
        self.ledger.start(request, need)
        self.running[request] = (time.time(), queue)
        self.ids[request.id] = self.ids.get(request.id, 0) + 1
        if HEADER in request.request_dict:
            tell_needs(request.request_dict)
        if self._gpu_names:
            indexes = self.ledger.gpus.of(request)
            tell(request.request_dict, gpus=[self._gpu_names[index] for index in indexes])
        if hosts:
            hostfile = self._hostfiles[request] = write_hostfile(hosts)
            tell(request.request_dict, hosts=list(hosts), hostfile=str(hostfile))

    def met(self, request: Any) -> None:
        """Celery knows this one now."""
        if request.id in self.ids:
            self.is_doubtful = True

    def reap(self) -> list[Any]:
        """Strike off what has ended; which requests those were."""
        gone, ended = not_known(self.running), []
        for request in gone:
            if not has_ended(request):
                continue
            ended.append(request)
            self.ledger.end(request)
            _, queue = self.running.pop(request)
            self.ids[request.id] -= 1
            if not self.ids[request.id]:
                del self.ids[request.id]
            if request.time_start is not None:
                # Else it never ran: revoked or expired before the pool had it, or lost with a connection.
                self.tally.add(queue, time.time() - request.time_start, request.name)
            if request in self._hostfiles:
                self._hostfiles.pop(request).unlink(missing_ok=True)
        self.is_doubtful = len(ended) < len(gone)
        self.ended += len(ended)
        return ended

    def unacknowledged(self) -> int:
        """Running requests that the broker still counts as ours."""
        return sum(not request.acknowledged for request in self.running)

    def tags(self) -> set[str]:
        """Of the messages that run, or were settled as they ended."""
        return {
            request.message.delivery_tag
            for request in self.running
            if request.acknowledged or not (has_ended(request) or was_cancelled(request))
        }

    def told(self) -> list[dict[str, Any]]:
        """What runs, as a node tells it."""
        return [
            {
                "id": request.id,
                "name": request.name,
                "queue": queue,
                "requirement": self.ledger.running[request].requirement.to_json(),
                "started": request.time_start or since,
            }
            for request, (since, queue) in self.running.items()
        ]


def queue_of(request: Any) -> str:
    """The queue that the message came from, whatever exchange it came through."""
    try:
        queue: str = request.message.delivery_info[QUEUE]
    except (AttributeError, KeyError, TypeError):
        # It did not come by a consumer of ours.
        return str(request.delivery_info.get("routing_key") or "")
    return queue
