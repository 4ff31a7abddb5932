"""The cloud that the engine grows and shrinks: CycleCloud behind `scalelib.provider.Provider`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cyclecloud_api import ending, intents
from cyclecloud_api.breaker import Breaker
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.deadlines import Late, Remedy, Stage
from cyclecloud_api.intents import Fate, IntentStore, MemoryIntents, SQLiteIntents
from cyclecloud_api.inventory import Inventory, check_whole, cloud_from_status, inventory
from cyclecloud_api.launching import KEPT, Launcher
from cyclecloud_api.orphans import Orphan, OrphanKind, orphans
from cyclecloud_api.settings import connection_settings, rules
from cyclecloud_api.store import StateFile
from cyclecloud_api.store import look as open_to_look
from cyclecloud_api.watch import OnlyLooked, Rules, SQLiteMemory, Watch
from scalelib.node import NodeId
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, StillThere, Swept

__all__ = ["CycleCloudProvider", "from_config", "read_cloud"]
log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class CycleCloudProvider:
    """One cluster. Keep one for as long as the process lives: it remembers what must not be touched."""

    def __init__(
        self,
        client: CycleCloudClient,
        *,
        prices: Mapping[str, float] | None = None,
        config: Mapping[str, Any] | None = None,
        intents: IntentStore | None = None,
        watch: Watch | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._prices = prices or {}
        self._config = config or {}
        self._intents = intents or MemoryIntents()
        self._watch = watch or Watch()
        self._now = now
        self._launcher = Launcher(client, self._intents, self._watch, now)
        self._identities = ending.Identities()
        self._seen: Inventory | None = None
        self._looked = now()

    def close(self) -> None:
        """Close the connections and the state file."""
        self._client.close()
        self._intents.close()

    # -- looking ----------------------------------------------------------------------------------------

    def cloud(self) -> Cloud:
        """Look once: one status call. Offerings in trouble are set aside in it; `warnings` has the rest."""
        raw = self._client.status(nodes=True).raw
        seen = inventory(raw, cluster=self._client.cluster, prices=self._prices, config=self._config)
        check_whole(seen)
        self._identities.look(seen.cloud.nodes)
        for warning in seen.cloud.warnings:
            log.warning("cyclecloud.left_out %s", warning)
        self._looked = self._now()
        cloud = self._watch.look(seen, self._looked)
        self._seen = replace(seen, cloud=cloud)
        return cloud

    def set_aside(self) -> Mapping[str, str]:
        """What nothing is to be launched in now, each with why; no call is made. The keys are bucket ids,
        and `<bucket id>@<placement group>` where it is but a group that fails.

        Changes within a pass when a launch fails, so that the rest of the plan can go elsewhere.
        """
        return {} if self._seen is None else self._watch.set_aside(self._seen.cloud, self._now())

    def try_again(self) -> list[str]:
        """One node may be tried at once wherever something is set aside; where that is."""
        return self._watch.try_again(self._now())

    # -- growing ----------------------------------------------------------------------------------------

    def request_id(
        self, *, nodearray: str, vm_size: str, count: int, spot: bool, placement_group: str | None
    ) -> str:
        """An id for a launch that is decided from the last look; the same decision gets the same id."""
        wish = LaunchRequest(
            request_id="",
            nodearray=nodearray,
            vm_size=vm_size,
            count=count,
            spot=spot,
            placement_group=placement_group,
        )
        seen = () if self._seen is None else (n.id for n in self._seen.cloud.nodes)
        generation = self._intents.generation()
        return intents.request_id(wish, cluster=self._client.cluster, seen=seen, generation=generation)

    def launch(self, request: LaunchRequest) -> LaunchResult:
        """Create nodes, one set in one call. The same `request_id` again returns what became of the first.

        Where the memory says that nothing can be had, or only one node is to be tried, fewer are asked for
        and `message` says why. After CloudUnreachable, CloudTrouble or CloudGarbled it is unknown whether
        nodes were created: `settle`, or `find_launch`, finds out. CloudRefused: nothing was created.
        """
        result = self._launcher.launch(request)
        self._identities.created(result.nodes)
        return result

    def find_launch(self, request_id: str) -> LaunchResult | None:
        """What became of a launch; None if the server has never heard of it, so that it may be sent again."""
        return self._launcher.find(request_id)

    def settle(self) -> list[LaunchResult]:
        """Find out what became of launches that a crash or a lost answer left open. First thing in a pass."""
        return self._launcher.settle()

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """Start deallocated nodes again, by id; one outcome for each, in order."""
        if not nodes:
            return ()
        told = {each.id: each for each in self._client.start(ids=list(nodes)).nodes}
        return tuple(
            NodeOutcome(id=node, ok=told[node].ok, error=told[node].error)
            if node in told
            else NodeOutcome(id=node, ok=False, error="the server knows no such node")
            for node in nodes
        )

    # -- shrinking --------------------------------------------------------------------------------------

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        """End these nodes, by id. Ids that the server does not list any more count as ended.

        Nodes with KeepAlive are never sent, nor are nodes that two looks do not agree on.
        """
        if not nodes:
            return ()
        before = self._watch.document.ended
        outcomes = ending.terminate(
            self._client,
            nodes,
            verb=self._config.get("terminate_verb", "terminate"),
            identities=self._identities,
            look=self.cloud,
            announce=lambda ids: self._watch.ending(ids, self._now()),
        )
        return tuple(replace(outcome, is_repeat=outcome.id in before) for outcome in outcomes)

    # -- watching ---------------------------------------------------------------------------------------

    @property
    def breaker(self) -> Breaker:
        """Whether things may be changed, as of the last look. Where it says no, delete nothing."""
        return self._watch.document.breaker

    @property
    def no_ending(self) -> str:
        """Why no node is to be ended now, as of the last look: the breaker's reason."""
        return "" if self.breaker.may_delete else self.breaker.reason

    def still_there(self) -> tuple[StillThere, ...]:
        """Nodes that were told to end and are there so long after that they are to be told again."""
        return tuple(
            StillThere(id=late.id, name=late.name, detail=late.detail)
            for late in self.overdue()
            if late.remedy is Remedy.END_AGAIN
        )

    def overdue(self) -> tuple[Late, ...]:
        """Nodes past a deadline as of the last look, each with what is done: those that are reported are in
        the warnings of the look, the others in `still_there`.
        """
        nodes = () if self._seen is None else self._seen.cloud.nodes
        return self._watch.overdue(nodes, self._now())

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock that gives `now` was set, and not so much time has passed."""
        self._watch.clock_was_set(by, now)

    def orphans(self) -> tuple[Orphan, ...]:
        """Nodes of the last look that we created and that no launch accounts for."""
        if self._seen is None or not self._seen.request_ids:
            return ()
        since = self._now() - KEPT
        known = {i.request.request_id: i for i in self._intents.since(since)}
        return orphans(self._seen, known)

    def sweep(self) -> tuple[Swept, ...]:
        """Put the books right about orphans, and remove records of ours that were left without a machine."""
        found = tuple(o for o in self.orphans() if o.kind is OrphanKind.ADOPT or self._may_remove(o.id))
        for request_id in {o.request_id for o in found if o.kind is OrphanKind.ADOPT}:
            intent = self._intents.find(request_id)
            nodes = tuple((o.id, o.name) for o in found if o.request_id == request_id)
            if intent is not None:
                late = LaunchResult(
                    request_id=request_id, added=len(nodes), message="it arrived late", nodes=nodes
                )
                self._intents.write(replace(intent.done(late, self._now()), fate=Fate.DONE))
        self.terminate([o.id for o in found if o.kind is OrphanKind.REMOVE])
        return tuple(Swept(id=o.id, name=o.name, request_id=o.request_id, done=o.kind.value) for o in found)

    def _may_remove(self, node: NodeId) -> bool:
        """Not on the word of one look, which may be wrong and end a machine at work, and not while nothing is
        to be deleted.
        """
        clock = self._watch.document.clocks.get(node)
        rests = clock is not None and clock.stage is Stage.RESTING and clock.since < self._looked
        return rests and self.breaker.may_delete


def from_config(
    config: Mapping[str, Any], *, state_file: str | Path | None = None, look: bool = False
) -> CycleCloudProvider:
    """A provider from the keys of autoscale.json; InvalidConfig names what is wrong with them.

    With a `state_file`, launches and failures are remembered across restarts. To `look` only: what is
    remembered is read, and nothing is written there.
    """
    settings = connection_settings(config)
    limits: Rules = rules(config)
    file = None if state_file is None else open_to_look(state_file) if look else StateFile(state_file)
    memory = None if file is None else SQLiteMemory(file)
    client = CycleCloudClient(
        settings.url,
        settings.username,
        settings.password,
        settings.cluster,
        verify=settings.verify,
        timeout=settings.timeout,
    )
    return CycleCloudProvider(
        client,
        prices=settings.prices,
        config={**config, "terminate_verb": settings.terminate_verb},
        intents=None if file is None else SQLiteIntents(file),
        watch=Watch(limits, OnlyLooked(memory) if look and memory is not None else memory),
    )


def read_cloud(raw: Mapping[str, Any], config: Mapping[str, Any]) -> Cloud:
    """The cloud in an answer that the server gave once. Pure; CloudGarbled if it cannot be read."""
    cluster, prices = str(config.get("cluster_name", "")), config.get("prices", {})
    return cloud_from_status(raw, cluster=cluster, prices=prices, config=config)
