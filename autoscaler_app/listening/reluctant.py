"""Workers that did not answer when they were asked last: a pass waits for them once, not every time. For one
that is on no node it does not wait at all.

They are asked all the same, aside, and what they answer is there for the next pass. One that says anything
of its own accord, or answers, is waited for again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from autoscaler_app.listening.activity import HostView
from autoscaler_app.listening.workers import Workers

MOST = 10_000
"""Names; beyond that they are tried anew."""


class Reluctant:
    """Who is asked aside, since when."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def ask(
        self,
        workers: Workers,
        command: str,
        nodenames: Collection[str],
        arguments: Mapping[str, Any],
        take: Callable[[Mapping[str, Any]], object],
        now: datetime,
        aside: Collection[str] = (),
    ) -> dict[str, Any]:
        """Ask all of these, and wait for those that answered last time and are not to be asked `aside`.
        `take` gets every answer, those of the others when they come; what is returned are those that were
        waited for. Raises BrokerError.
        """

        def take_late(answers: Mapping[str, Any]) -> None:
            for name in answers:
                self._since.pop(name, None)
            take(answers)

        late = (self._since.keys() | set(aside)) & set(nodenames)
        if late:
            workers.ask_aside(command, sorted(late), arguments, take_late)
        prompt = sorted(set(nodenames) - late)
        answers = workers.ask(command, prompt, arguments) if prompt else {}
        take(answers)
        if len(self._since) > MOST:
            self._since.clear()
        self._since |= dict.fromkeys(set(prompt) - answers.keys(), now)
        return answers

    def who(self, nodenames: Iterable[str]) -> frozenset[str]:
        """Those of them that are not waited for."""
        return frozenset(nodenames) & self._since.keys()

    def have_told(self, hosts: Iterable[HostView]) -> None:
        """Whoever has told something since is reluctant no more."""
        for host in hosts:
            for worker in host.workers:
                since = self._since.get(worker.nodename)
                if since is not None and worker.told is not None and worker.told >= since:
                    del self._since[worker.nodename]
