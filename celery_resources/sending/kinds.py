"""Which queue serves a requirement, which requirement a queue has, and whether it can be met at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from celery_resources.errors import InvalidRequirement, TooBig, UnknownResource
from celery_resources.need.naming import queue_name, requirement_of
from celery_resources.need.requirement import Requirement
from celery_resources.settings import Settings
from scalelib.amounts import MEMORY, NUMERIC, fits, taken, total
from scalelib.constraints import parse, unknown_resources
from scalelib.errors import InvalidInput

logger = logging.getLogger(__name__)

BUILT_IN_TEXTS = frozenset({"nodearray", "ccnodeid"})
"""Resources that every node has by default and that are no amounts."""


class Kinds:
    """The kinds of task that an app has: its settings, and what it has met so far."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._queue_of: dict[tuple[Requirement, str], str] = {}
        for name, requirement in settings.queues.items():
            self._queue_of.setdefault((requirement, ""), name)
        self.by_queue: dict[str, Requirement] = dict(settings.queues)
        """What is declared, learned or spelled, of the queues that were asked for so far."""
        self._plain: set[str] = set()
        """Names that spell nothing: a node asks for every message."""
        self._checked: set[Requirement] = set()

    def queue_of(self, requirement: Requirement, family: str = "") -> str:
        """The declared queue with exactly this requirement, or else the derived one, of this family."""
        found = self._queue_of.get((requirement, family))
        if found is None:
            found = self._queue_of[requirement, family] = queue_name(requirement, family)
            self.by_queue.setdefault(found, requirement)
        return found

    def of_queue(self, queue: str) -> Requirement | None:
        """What its tasks need: declared, learned or spelled by its name; None for a plain queue."""
        found = self.by_queue.get(queue)
        if found is None and queue not in self._plain:
            found = requirement_of(queue)
            if found is None:
                self._plain.add(queue)
            else:
                self.by_queue[queue] = found
        return found

    def met(self) -> dict[str, Requirement]:
        """The queues that this process has sent to, or was told of."""
        return dict(self.by_queue)

    def learn(self, queue: str, requirement: Requirement) -> None:
        """Somebody else's word for what a queue needs. A declaration in the settings comes first."""
        if queue not in self.settings.queues:
            self.by_queue[queue] = requirement

    def check(self, requirement: Requirement, who: str) -> None:
        """Raise what is wrong with it, once per requirement; `who` says in the message whose it is."""
        if requirement in self._checked:
            return
        try:
            constraint = parse(requirement.constraints)
            amounts = taken(requirement.constraints)
        except InvalidInput as error:
            raise InvalidRequirement(f"{who}: {error}") from error
        known = NUMERIC | BUILT_IN_TEXTS | {MEMORY} | self.settings.known_names
        for name, nearest in unknown_resources(constraint, known):
            hint = f"did you mean {nearest!r}?" if nearest else f"known are {', '.join(sorted(known))}."
            raise UnknownResource(
                f"{who}: unknown resource {name!r} in constraints {dict(requirement.constraints)!r}; {hint} "
                "A resource of your own is declared in the setting resource_names."
            )
        self._check_size(requirement, amounts, who)
        self._checked.add(requirement)

    def _check_size(self, requirement: Requirement, amounts: Mapping[str, int], who: str) -> None:
        kinds = self.settings.node_kinds
        if not kinds or any(fits(amounts, total(kind)) for kind in kinds):
            return
        message = (
            f"{who}: no known kind of node has {dict(requirement.constraints)!r}; "
            f"resource_node_kinds lists {[dict(kind) for kind in kinds]!r}"
        )
        if self.settings.too_big_is_error:
            raise TooBig(message)
        logger.warning("%s; the task will wait in its queue", message)
