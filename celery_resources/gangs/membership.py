"""What a node does for the gang that it is in, by word of the control side and by itself."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from celery.utils.log import get_logger

from celery_resources.errors import InvalidSetting
from celery_resources.gangs.gang import Gang, GangRefused, Role
from celery_resources.gangs.releasing import fail_running, release_members, tell_head

logger = get_logger(__name__)


class Membership:
    """Joins, leads and leaves gangs for one gate, and writes each step down before it holds."""

    def __init__(self, gate: Any) -> None:
        self._gate = gate

    def follow(self, gang: Gang) -> None:
        """Keep this node free for a gang."""
        gate = self._gate
        gate.duty.check_free_for(gang.id)
        gate.standing.change(gang=gang)
        gate.duty.follow(gang)
        gate.give_up_unstarted()
        # It is said in the answer, or later.
        gate.books.reap()
        gate.duty.owes = not self._is_empty

    def lead(self, gang: Gang, lacks: Collection[str] = ()) -> None:
        """Take one message for a gang, once this node is empty and those that it `lacks` have said so."""
        gate = self._gate
        gate.duty.check_free_for(gang.id)
        if gang.requirement is not None:
            gate.kinds.learn(gang.queue, gang.requirement)
        need = gate.books.need_of_queue(gang.queue)
        if not gate.ledger.fits_ever(need):
            raise GangRefused(f"this node cannot run {gang.queue}: {gate.ledger.why_never(need)}")
        gate.standing.change(gang=gang)
        gate.duty.lead(gang, lacks)
        gate.give_up_unstarted()

    def ready(self, gang: str, members: Collection[str]) -> None:
        """These members of the gang that this node leads are empty."""
        self._gate.duty.ready(gang, members)
        self._gate.served_anew()

    def disband(self, gang: str) -> None:
        """Be free again. A head that runs the gang's task is free when that ends."""
        if self._gate.duty.disband(gang):
            self._gate.standing.change(gang=None)
            self._gate.served_anew()

    def member_lost(self, gang: str, host: str) -> None:
        """A node of the gang that this node leads is gone: end its task, or go on, as the settings say."""
        duty = self._gate.duty
        if duty.gang is None or duty.gang.id != gang or duty.role is not Role.RUNS:
            raise GangRefused(f"this node runs nothing for gang {gang}")
        if self._gate.settings.gang_member_lost == "fail":
            fail_running(duty.request, self._gate.consumer.pool, f"the gang lost its node {host}")

    def look(self) -> None:
        """Now and then: a member that has become empty says so; a head that waited too long gives up."""
        gate, duty = self._gate, self._gate.duty
        if duty.gang is None:
            return
        if duty.owes and self._is_empty:
            duty.owes = False
            # A head that signs obeys its control side alone, which sees it, too.
            if gate.sealing is None:
                tell_head(gate.consumer.app, duty.gang, gate.consumer.hostname)
        elif duty.is_kept_waiting(time.monotonic()):
            lacks = ", ".join(sorted(duty.lacks))
            logger.warning("gang %s is disbanded: %s did not become empty", duty.gang.id, lacks)
            self.leave(duty.gang)

    def leave(self, gang: Gang) -> None:
        """The end of a gang that this node leads: everybody is told."""
        gate = self._gate
        release_members(gate.consumer.app, gang, gate.settings.control_queue)
        try:
            self.disband(gang.id)
        except InvalidSetting as error:
            # A full disk, say. Nobody asked, so nobody can be told; the worker is not to end for it.
            logger.error("gang %s has ended, which a restart here will not know: %s", gang.id, error)
            gate.served_anew()

    @property
    def _is_empty(self) -> bool:
        return not (self._gate.books.running or self._gate.unstarted.held)
