"""Having the lease: for as long as a control worker lives, or for one pass of a command.

Time may pass between two lines of a program (a machine that sleeps, a process that is stopped). So what was
asked for last holds until a moment on the clock, and a pass looks at the clock again before each deed.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from autoscaler_app.brokers.errors import BrokerError
from autoscaler_app.passes.lease import mark
from autoscaler_app.passes.lease.claim import Claim
from autoscaler_app.passes.lease.mark import Mark, Marked
from scalelib.errors import ScalelibError

log = logging.getLogger(__name__)

WAITING = 1.0
"""Seconds between two tries of who does not have it."""


class NotInCharge(ScalelibError):
    """This control side may not act on this broker now."""


class Lease:
    """The lease of this process. Until it is kept, or outside of a pass of a command, it is not ours."""

    def __init__(self, claim: Claim, mark_file: Path) -> None:
        self._claim, self._mark = claim, Mark(mark_file)
        self._marked = Marked(pid=os.getpid(), started=time.time())
        self._until, self._why_not = -math.inf, "nobody has asked for it yet"
        self._asked: Callable[[], None] = lambda: None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    # -- may we?

    def check(self) -> None:
        """Raise NotInCharge, which says who is, unless this control side may act now."""
        why_not = self.why_not()
        if why_not:
            raise NotInCharge(why_not)

    def why_not(self) -> str:
        """Why this control side may not act now; empty if it may."""
        if time.monotonic() < self._until:
            return ""
        if self._thread is not None:
            return self._why_not or "the broker has not answered in time whether the lease is still ours"
        worker = mark.look(self._mark.path)
        if worker is None:
            return self._why_not or "it was given up"
        if worker.holds_the_lease:
            return ""
        return f"{_process(worker)} of this machine does not hold the lease: {worker.why_not or 'unknown'}"

    def who(self) -> str:
        """Who else has the lease, for who only looks; empty if nobody, or a process of this control side.

        Raises BrokerError where the broker does not say.
        """
        worker = mark.look(self._mark.path)
        return "" if worker is not None and worker.holds_the_lease else self._claim.who()

    # -- having it

    @contextmanager
    def for_a_pass(self) -> Iterator[None]:
        """Around a pass. Raises NotInCharge at once if it may not act.

        In a control worker, or beside one of this control side, it is had already; else for this pass only.
        """
        if self._thread is not None or not self._mark.take():
            self.check()
            yield
            return
        self.keep()
        try:
            self.check()
            yield
        finally:
            self.stop()

    def keep(
        self, *, nodename: str = "", can_reload: bool = False, asked: Callable[[], None] = lambda: None
    ) -> None:
        """Ask for it now, and again and again in a thread. `asked` is called, in that, after each time; it
        must be quick."""
        self._marked = Marked(pid=os.getpid(), nodename=nodename, started=time.time(), can_reload=can_reload)
        self._done = threading.Event()
        self._ask()
        self._asked = asked
        self._thread = threading.Thread(target=self._run, name="autoscaler-lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give it up. May be called twice."""
        self._done.set()
        if self._thread is None:
            return
        self._thread.join(2 * self._claim.valid_for)
        self._thread, self._until = None, -math.inf
        with suppress(BrokerError):  # then it ends by itself
            self._claim.let_go(self._owner())
        self._mark.let_go()

    def _run(self) -> None:
        while not self._done.wait(self._pause()):
            try:
                self._ask()
                # Also where nothing is new: it may have run out since it was asked for last, and somebody may
                # have looked just then, whom nothing else would tell that it is ours again.
                self._asked()
            except Exception:
                log.exception("could not ask for the lease; tried again")

    def _pause(self) -> float:
        third = self._claim.valid_for / 3
        # A try that failed has used up its time: after another third there would be time for one more only.
        ours = self._until > time.monotonic() and not self._why_not
        return third if ours else min(WAITING, third)

    def _ask(self) -> None:
        """Once, and write down for the other processes of this machine what came of it."""
        before, until = self._why_not, self._until
        try:
            self._why_not = self._try()
        except BrokerError as error:
            self._why_not = f"the broker does not say who holds the lease: {error}"
        if time.monotonic() >= self._until:
            self._until = -math.inf
            self._why_not = self._why_not or "the broker took too long to say whether the lease is ours"
        self._mark.write(self._as_marked())
        if self._why_not and self._why_not != before:
            log.warning("not in charge of this broker: %s", self._why_not)
        elif not self._why_not and until == -math.inf:
            log.info("in charge of this broker: the lease is ours")

    def _try(self) -> str:
        if not self._mark.take():
            other = mark.look(self._mark.path)
            return f"{_process(other)} on this machine has the same state file" if other else "not yet"
        asked = time.monotonic()
        holder = self._claim.hold(self._owner())
        if holder:
            self._until = -math.inf
            return (
                f"another control side holds the lease of this broker: {holder}. "
                "This one acts on nothing, and takes over when that one ends or falls silent"
            )
        self._until = asked + self._claim.valid_for
        return ""

    def _owner(self) -> str:
        return self._mark.identity()

    def _as_marked(self) -> Marked:
        until = self._until if self._until > -math.inf else 0.0
        return Marked(
            pid=self._marked.pid,
            nodename=self._marked.nodename,
            started=self._marked.started,
            can_reload=self._marked.can_reload,
            until=until,
            why_not=self._why_not,
        )


def name_of_this_process() -> str:
    """What others are told of who has the lease."""
    now = datetime.now(UTC)
    return f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M:%S}Z"


def _process(marked: Marked) -> str:
    what = f"control worker {marked.nodename}" if marked.nodename else "a command that makes a pass"
    return f"{what} (process {marked.pid})"


class Unneeded(Lease):
    """That of who does nothing: whoever has it may keep it."""

    def why_not(self) -> str:
        """Nothing stands against a look."""
        return ""

    @contextmanager
    def for_a_pass(self) -> Iterator[None]:
        """Around a pass that does nothing."""
        yield
