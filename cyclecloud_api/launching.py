"""Creating nodes, once per launch, whatever happens on the way. See `intents` for the life of a launch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cyclecloud_api import errors, models
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.intents import Fate, Intent, IntentStore
from cyclecloud_api.watch import Watch
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest, LaunchResult

log = logging.getLogger(__name__)

SENT_AGAIN_WITHIN = timedelta(minutes=5)
"""An open launch that is older is given up: what was wanted then says little about what is wanted now."""

MOST_SENDS = 3
"""Of one launch. After that the server has had its chance."""

_GATEWAY = (502, 504)
"""Said by something in between: behind it the request may still be on its way."""

KEPT = timedelta(days=7)
"""How long settled launches are kept, for the books and for finding orphans."""


class Launcher:
    """Sends launches and keeps the books about them."""

    def __init__(
        self, client: CycleCloudClient, intents: IntentStore, watch: Watch, now: Callable[[], datetime]
    ) -> None:
        self._client, self._intents, self._watch, self._now = client, intents, watch, now

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nodes, one set in one call; fewer, or none, where the memory says so."""
        known = self._intents.find(request.request_id)
        if known is not None and known.fate is Fate.DONE:
            return _result(known)
        why = ""
        if known is None or known.fate is not Fate.OPEN:
            allowed, why = self._watch.allowance(request, self._now())
            if allowed == 0:
                return LaunchResult(request_id=request.request_id, added=0, message=why)
            known = Intent(request=replace(request, count=allowed), written=self._now())
        result = self._send(known)
        return replace(result, message="; ".join(m for m in (why, result.message) if m))

    def settle(self) -> list[LaunchResult]:
        """What became of every launch whose fate is not known. Raises if the server cannot be asked.

        One that may still be on its way is sent again with its own id, so that it cannot happen twice. One
        that the server has answered, or that is old, is given up.
        """
        settled = []
        for intent in self._intents.open():
            found = self.find(intent.request.request_id)
            if found is None and self._is_worth_sending(intent):
                # While growth is stopped it waits: nothing else is launched then that it could double.
                if not self._watch.document.breaker.may_grow:
                    continue
                found = self._listed(intent.request.request_id)
                if found is None:
                    settled.append(self._sent_again(intent))
                    continue
            if found is not None:
                self._close(intent.done(found, self._now()))
                if found.added:
                    self._watch.arrived(intent.request, intent.written)
                settled.append(found)
            else:
                message = "it never reached the server, and is not sent again"
                self._close(intent.ended(Fate.LOST, message, self._now()))
                settled.append(_nothing(intent, message))
        self._intents.forget_before(self._now() - KEPT)
        return settled

    def _is_worth_sending(self, intent: Intent) -> bool:
        return (
            intent.in_flight
            and intent.sends < MOST_SENDS
            and self._now() - intent.written <= SENT_AGAIN_WITHIN
        )

    def find(self, request_id: str) -> LaunchResult | None:
        """What became of a launch; None if the server has never heard of it."""
        try:
            found = self._client.nodes(request_id=request_id)
        except errors.NotFound as missing:
            if "request id" not in missing.message.lower():
                # Perhaps the cluster is not found, or the address is wrong: then nothing is known at all.
                self._client.status()
            return None
        return LaunchResult(request_id=request_id, added=len(found.nodes), nodes=ids_and_names(found.nodes))

    def _listed(self, request_id: str) -> LaunchResult | None:
        """What became of a launch by the nodes that carry its id: a server that has forgotten the id, after a
        restart say, would carry it out once more.
        """
        mine = [
            raw
            for raw in self._client.nodes().nodes
            if isinstance(raw, Mapping) and models.get(raw, "RequestId") == request_id
        ]
        found = LaunchResult(request_id=request_id, added=len(mine), nodes=ids_and_names(mine))
        return found if mine else None

    def _sent_again(self, intent: Intent) -> LaunchResult:
        log.info("cyclecloud.send_again %s", intent.request.request_id)
        try:
            return self._send(intent)
        except errors.Rejected as refused:
            return _nothing(intent, refused.message)

    def _send(self, intent: Intent) -> LaunchResult:
        """One create call. Every way out settles the intent, or leaves it open because it is unknown."""
        request, intent = intent.request, intent.sending()
        self._intents.write(intent)
        try:
            result = self._create(request)
        except errors.RepeatedRequestId as repeated:
            log.info("cyclecloud.adopt %s: %s", request.request_id, repeated.message)
            result = self.find(request.request_id) or _nothing(intent, repeated.message)
        except (errors.Rejected, errors.Unauthorised, errors.NotFound) as refused:
            self._close(intent.ended(Fate.REFUSED, refused.message, self._now()))
            if refused.status != 401:  # a wrong password says nothing about what was asked for
                self._watch.create_failed(request, refused.message, self._now())
            raise
        except errors.Unreachable as lost:
            self._watch.create_failed(request, lost.message, self._now())
            # Sent before, it may still be on its way from then, whatever became of this repeat.
            if not lost.sent and intent.sends == 1:
                self._close(intent.ended(Fate.REFUSED, lost.message, self._now()))
            raise
        except (errors.ServerTrouble, errors.Garbled) as trouble:
            self._watch.create_failed(request, trouble.message, self._now())
            self._intents.write(replace(intent, in_flight=trouble.status in _GATEWAY))
            raise
        self._close(intent.done(result, self._now()))
        return result

    def _create(self, request: LaunchRequest) -> LaunchResult:
        asked = models.NodeSet(
            nodearray=request.nodearray,
            count=request.count,
            definition=models.BucketDefinition(machine_type=request.vm_size),
            placement_group_id=request.placement_group,
        )
        answer = self._client.create([asked], request_id=request.request_id)
        done = answer.sets[0]
        nodes = self._created(answer.operation_id) if done.added else ()
        if done.added:
            self._watch.created(request, [node_id for node_id, _ in nodes], self._now())
        else:
            reason = done.message or "the server added none and does not say why"
            self._watch.create_failed(request, reason, self._now())
        return LaunchResult(
            request_id=request.request_id, added=done.added, message=done.message, nodes=nodes
        )

    def _created(self, operation_id: str) -> tuple[tuple[NodeId, str], ...]:
        """Ids and names of what an operation created. The nodes exist: failing to list them is no error."""
        try:
            return ids_and_names(self._client.nodes(operation=operation_id).nodes)
        except errors.CycleCloudError as error:
            log.warning("cyclecloud.unlisted operation %s: %s", operation_id, error)
            return ()

    def _close(self, intent: Intent) -> None:
        self._intents.write(intent)


def ids_and_names(records: Sequence[object]) -> tuple[tuple[NodeId, str], ...]:
    """As far as they can be read; a fresh record may lack its id for a moment."""
    nodes = []
    for raw in records:
        try:
            record = models.read(models.NodeRecord, raw)
        except models.ShapeError as wrong:
            log.warning("cyclecloud.left_out a created node: %s", wrong)
            continue
        if record.node_id:
            nodes.append((NodeId(record.node_id), record.name))
    return tuple(nodes)


def _result(intent: Intent) -> LaunchResult:
    return LaunchResult(
        request_id=intent.request.request_id,
        added=intent.added or 0,
        message=intent.message,
        nodes=intent.nodes,
    )


def _nothing(intent: Intent, message: str) -> LaunchResult:
    return LaunchResult(request_id=intent.request.request_id, added=0, message=message)
