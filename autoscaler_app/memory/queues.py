"""Which queues there are, and what the tasks in each of them need.

Plain queues and queues with declared constraints come from the settings; queues of derived requirements are
announced by their producers, and reported by the hosts that consume them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from autoscaler_app.listening import door
from autoscaler_app.memory.kinds import MAX_KINDS
from autoscaler_app.memory.state import State
from autoscaler_app.settings import Settings
from celery_resources import Requirement, requirement_of
from celery_resources.settings import ONE_CPU


class KnownQueues:
    """The queues that the control side knows."""

    def __init__(self, app: Any, settings: Settings, state: State) -> None:
        self._app, self._settings, self._state = app, settings, state

    def all(self, also: Collection[str] = ()) -> Mapping[str, Requirement]:
        """Requirement by queue; `also` names queues that hosts were seen to consume. As many of those are
        taken as kinds are kept: anybody may say that he consumes a million.
        """
        kinds = dict.fromkeys(self._settings.autoscaler.queues, ONE_CPU)
        for queue, requirement in self._state.kinds.all().items():
            # Written by a version that looked less closely, perhaps: that kind is unknown, and no other.
            with contextlib.suppress(ValueError):
                kinds[door.queue_name(queue)] = door.requirement(requirement)
        for queue, declared in (self._app.conf.get("resource_queues") or {}).items():
            kinds[queue] = Requirement.from_json(declared)
        for queue in sorted(set(also) - kinds.keys())[:MAX_KINDS]:
            kinds[queue] = requirement_of(queue) or ONE_CPU
        return kinds
