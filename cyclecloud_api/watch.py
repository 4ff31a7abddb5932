"""What is remembered from look to look, in one document: failures, clocks, the breaker, identities.

The parts are pure (`failures`, `deadlines`, `breaker`); here they are fed with each look, kept in the state
file, and written onto the cloud that the engine plans with.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from cyclecloud_api import breaker as breakers
from cyclecloud_api import deadlines, failures, news
from cyclecloud_api.breaker import Breaker, BreakerLimits, Health
from cyclecloud_api.deadlines import Deadlines, NodeClock, Remedy, Stage
from cyclecloud_api.failures import Backoff, Memory
from cyclecloud_api.inventory import Inventory
from cyclecloud_api.nodes import WITHOUT_ID
from scalelib.bucket import Bucket
from scalelib.node import Node, NodeId
from scalelib.provider import Cloud, LaunchRequest
from scalelib.sqlitefile import SharedFile

log = logging.getLogger(__name__)

REMEMBER_ENDED = timedelta(hours=2)
"""How long it is kept in mind that we ended a node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The numbers of the memory, from the settings."""

    backoff: Backoff = field(default_factory=Backoff)
    deadlines: Deadlines = field(default_factory=Deadlines)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    spot_fallback: bool = True
    """False: where spot cannot be had, the same size is not bought at the full price either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """All that is remembered."""

    failures: Memory = field(default_factory=Memory)
    clocks: Mapping[NodeId, NodeClock] = field(default_factory=dict)
    breaker: Breaker = field(default_factory=Breaker)
    ended: Mapping[NodeId, datetime] = field(default_factory=dict)
    """Nodes that we have ended, and when."""
    fallen: frozenset[NodeId] = frozenset()
    """Nodes that began to leave before our eyes though we did not end them."""


class MemoryStore(Protocol):
    """Where the document is kept. Losing it costs back-offs and clocks, nothing else."""

    def load(self) -> bytes | None:
        """The document as it was last saved."""

    def save(self, document: bytes) -> None:
        """Keep it."""

    def transaction(self) -> AbstractContextManager[object]:
        """Nobody else saves between what is loaded and what is saved inside."""


class SQLiteMemory:
    """The document in the state file."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def load(self) -> bytes | None:
        """The document as it was last saved."""
        rows = self._file.rows("SELECT document FROM cyclecloud_memory WHERE name = 'watch'")
        return str(rows[0][0]).encode() if rows else None

    def save(self, document: bytes) -> None:
        """Keep it."""
        with self._file.transaction() as run:
            run.execute("INSERT OR REPLACE INTO cyclecloud_memory VALUES ('watch', ?)", (document.decode(),))

    def transaction(self) -> AbstractContextManager[object]:
        """One transaction of the file."""
        return self._file.transaction()


class OnlyLooked:
    """The document for whoever only looks: what it makes of its look is its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def load(self) -> bytes | None:
        """The document as somebody saved it last."""
        return self._store.load()

    def save(self, document: bytes) -> None:
        """Keep nothing."""

    def transaction(self) -> AbstractContextManager[object]:
        """Nothing is saved, so nothing comes between."""
        return nullcontext()


class Watch:
    """Feeds each look to the memory, and answers from it."""

    def __init__(self, rules: Rules = Rules(), store: MemoryStore | None = None) -> None:
        self._rules = rules
        self._store = store
        self._saved = store.load() if store is not None else None
        self.document = _read(self._saved)

    # -- remembering ------------------------------------------------------------------------------------

    def look(self, seen: Inventory, now: datetime) -> Cloud:
        """Take in a look; the cloud as the engine is to see it."""
        with self._changing():
            cloud = seen.cloud
            seen = _with_ids_only(seen)
            before, nodes = _moved(self.document, timedelta(0), now), seen.cloud.nodes
            ended = {i: at for i, at in before.ended.items() if now - at < REMEMBER_ENDED}
            new = {node.id for node in nodes if node.id not in before.clocks}
            memory = news.observe(
                before.failures, seen, now, ended=ended, new=new, backoff=self._rules.backoff
            )
            clocks = deadlines.tick(before.clocks, nodes, now, ended=ended)
            fallen = _fallen(before, nodes, ended)
            late = deadlines.overdue(clocks, nodes, now, limits=self._rules.deadlines, ended=ended)
            taken = failures.taken_away(before.failures) | failures.taken_away(memory)
            health = _health(nodes, clocks, {one.id for one in late}, fallen, taken, memory)
            breaker = breakers.judge(before.breaker, health, now, self._rules.breaker)
            if breaker.state is not before.breaker.state:
                log.warning("cyclecloud.breaker %s: %s", breaker.state.value, breaker.reason or "all is well")
            self._keep(Document(failures=memory, clocks=clocks, breaker=breaker, ended=ended, fallen=fallen))
            reports = [f"node {one.name} is {one.detail}" for one in late if one.remedy is Remedy.REPORT]
            return self.written_on(replace(cloud, warnings=(*cloud.warnings, *reports)), now)

    def create_failed(self, request: LaunchRequest, reason: str, now: datetime) -> None:
        """A create failed, was refused, or added nothing."""
        with self._changing():
            memory = failures.create_failed(
                self.document.failures, _offering(request), reason, now, self._rules.backoff
            )
            self._keep(replace(self.document, failures=memory))

    def created(self, request: LaunchRequest, nodes: Collection[NodeId], now: datetime) -> None:
        """A create added nodes; `nodes` as far as their ids are known."""
        with self._changing():
            memory = failures.created(self.document.failures, _offering(request), nodes, now)
            self._keep(replace(self.document, failures=memory))

    def arrived(self, request: LaunchRequest, since: datetime) -> None:
        """A create whose answer was lost did add nodes after all."""
        with self._changing():
            memory = failures.arrived(self.document.failures, _offering(request), since)
            self._keep(replace(self.document, failures=memory))

    def try_again(self, now: datetime) -> list[str]:
        """A person says that what failed is mended."""
        with self._changing():
            memory, which = failures.forgiven(self.document.failures, now)
            self._keep(replace(self.document, failures=memory))
        return which

    def ending(self, nodes: Collection[NodeId], now: datetime) -> None:
        """We are about to end these nodes. Said before the call: it must not look like an eviction."""
        with self._changing():
            self._keep(replace(self.document, ended={**self.document.ended, **dict.fromkeys(nodes, now)}))

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        """The clock that gives `now` was set: all that is remembered is as long ago as it was."""
        with self._changing():
            self._keep(_moved(self.document, by, now))

    # -- answering --------------------------------------------------------------------------------------

    def allowance(self, request: LaunchRequest, now: datetime) -> tuple[int, str]:
        """How many nodes of a launch may be asked for, and why not all of them."""
        breaker = self.document.breaker
        if not breaker.may_grow:
            return 0, f"growth is stopped: {breaker.reason}"
        reason = self._blocked(request, now)
        if reason:
            return 0, f"set aside: {reason}"
        if breaker.gently and self._is_one_coming(now):
            return 0, f"one node at a time, and one is on its way: {breaker.reason}"
        if breaker.gently:
            return min(1, request.count), f"one node at a time: {breaker.reason}"
        memory = self.document.failures
        if failures.is_one_missing(memory, _offerings(request)):
            return 0, "one that was created there was not listed at the last look; the next one tells"
        if any(failures.must_probe(memory, which) for which in _offerings(request)):
            return min(1, request.count), "one node first, to see whether there is capacity again"
        return request.count, ""

    def _is_one_coming(self, now: datetime) -> bool:
        """Whether a node boots, or was created since the last look, and its fate is worth waiting for."""
        clocks = self.document.clocks
        boots = (clock.since for clock in clocks.values() if clock.stage is Stage.BOOTING)
        return any(now - since < failures.PROBE_PATIENCE for since in boots) or any(
            node not in clocks for node in self.document.failures.booting
        )

    def overdue(self, nodes: Iterable[Node], now: datetime) -> tuple[deadlines.Late, ...]:
        """Nodes past a deadline, as of the last look."""
        document = self.document
        return deadlines.overdue(
            document.clocks, nodes, now, limits=self._rules.deadlines, ended=document.ended
        )

    def set_aside(self, cloud: Cloud, now: datetime) -> Mapping[str, str]:
        """What nothing is to be launched in now, each with why: `<bucket id>`, or `<bucket id>@<group>`."""
        found = self._buckets_aside(cloud.buckets, now)
        for bucket in cloud.buckets:
            for group, reason in self._failing_groups(bucket, now).items():
                found[f"{bucket.id}@{group}"] = reason
        return found

    def written_on(self, cloud: Cloud, now: datetime) -> Cloud:
        """The cloud with what is set aside, failing placement groups too, and the breaker's word."""
        aside = self._buckets_aside(cloud.buckets, now)
        warnings = cloud.warnings
        if self.document.breaker.state is not breakers.BreakerState.CLOSED:
            word = self.document.breaker.state.value
            warnings = (f"circuit breaker {word}: {self.document.breaker.reason}", *warnings)
        return replace(
            cloud,
            buckets=tuple(
                replace(b, set_aside=aside.get(b.id, ""), failing_groups=self._failing_groups(b, now))
                for b in cloud.buckets
            ),
            warnings=warnings,
        )

    def _buckets_aside(self, buckets: Sequence[Bucket], now: datetime) -> dict[str, str]:
        found = {b.id: reason for b in buckets if (reason := self._why_aside(b, now))}
        if not self._rules.spot_fallback:
            found |= _waiting_for_spot(buckets, found)
        return found

    def _why_aside(self, bucket: Bucket, now: datetime) -> str:
        if not self.document.breaker.may_grow:
            return f"growth is stopped: {self.document.breaker.reason}"
        which = failures.offering(bucket.nodearray, bucket.vm_size, spot=bucket.spot)
        return failures.blocked(self.document.failures, which, now)

    def _blocked(self, request: LaunchRequest, now: datetime) -> str:
        reasons = (failures.blocked(self.document.failures, w, now) for w in _offerings(request))
        return next((reason for reason in reasons if reason), "")

    def _failing_groups(self, bucket: Bucket, now: datetime) -> dict[str, str]:
        """Placement groups of the bucket that get no machines, each with why."""
        prefix = f"{failures.offering(bucket.nodearray, bucket.vm_size, spot=bucket.spot)}@"
        memory = self.document.failures
        mine = [w for w in {*memory.episodes, *memory.failed_creates} if w.startswith(prefix)]
        reasons = {w.removeprefix(prefix): failures.blocked(memory, w, now) for w in sorted(mine)}
        return {group: reason for group, reason in reasons.items() if reason}

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What is kept inside is made of what is remembered by then, and nobody comes between: a mark that
        another process sets meanwhile, such as of nodes that it ends, would be lost.
        """
        with nullcontext() if self._store is None else self._store.transaction():
            self._refresh()
            yield

    def _refresh(self) -> None:
        """Take over what another process has written: a command may make a pass beside the control worker."""
        stored = None if self._store is None else self._store.load()
        if stored is not None and stored != self._saved:
            self._saved = stored
            self.document = _read(stored)

    def _keep(self, document: Document) -> None:
        self.document = document
        if self._store is None:
            return
        encoded = msgspec.json.encode(document, order="sorted")
        if encoded != self._saved:
            self._store.save(encoded)
            self._saved = encoded


def _read(saved: bytes | None) -> Document:
    """What was saved; a new start if it is of another version."""
    if saved is None:
        return Document()
    try:
        return msgspec.json.decode(saved, type=Document)
    except msgspec.DecodeError as error:
        log.warning("cyclecloud.memory what was remembered cannot be read and starts anew: %s", error)
        return Document()


def _moved(document: Document, by: timedelta, now: datetime) -> Document:
    """The same by a clock that was set. Nothing is in the future: it would be waited for until then."""

    def at(instant: datetime) -> datetime:
        return min(instant + by, now)

    memory, breaker = document.failures, document.breaker
    episodes = {
        which: replace(
            episode,
            began=at(episode.began),
            until=at(episode.began) + (episode.until - episode.began),
            probed=None if episode.probed is None else at(episode.probed),
        )
        for which, episode in memory.episodes.items()
    }
    return replace(
        document,
        failures=replace(
            memory,
            episodes=episodes,
            failed_creates={w: tuple(at(each) for each in all_) for w, all_ in memory.failed_creates.items()},
            server_said={which: at(said) for which, said in memory.server_said.items()},
        ),
        clocks={i: replace(clock, since=at(clock.since)) for i, clock in document.clocks.items()},
        breaker=replace(breaker, since=None if breaker.since is None else at(breaker.since)),
        ended={i: at(ended) for i, ended in document.ended.items()},
    )


def _with_ids_only(seen: Inventory) -> Inventory:
    """Without nodes that have no NodeId yet: under their next id they would look like others."""
    nodes = tuple(n for n in seen.cloud.nodes if not n.id.startswith(WITHOUT_ID))
    return replace(seen, cloud=replace(seen.cloud, nodes=nodes))


def _offering(request: LaunchRequest) -> failures.Offering:
    return failures.offering(
        request.nodearray, request.vm_size, spot=request.spot, placement_group=request.placement_group
    )


def _offerings(request: LaunchRequest) -> tuple[failures.Offering, ...]:
    """The offering itself, and the size as a whole if it is about a placement group."""
    whole = failures.offering(request.nodearray, request.vm_size, spot=request.spot)
    return (whole,) if request.placement_group is None else (whole, _offering(request))


def _waiting_for_spot(buckets: Sequence[Bucket], aside: Mapping[str, str]) -> dict[str, str]:
    """Regular buckets whose spot twin is set aside."""
    missing = {(b.vm_size, b.location) for b in buckets if b.spot and b.id in aside}
    return {
        b.id: "its spot twin cannot be had now, and spot_fallback is off"
        for b in buckets
        if not b.spot and (b.vm_size, b.location) in missing
    }


def _fallen(before: Document, nodes: Iterable[Node], ended: Collection[NodeId]) -> frozenset[NodeId]:
    """Spot is left out: being taken away is what it does."""
    there = (Stage.BOOTING, Stage.UP, Stage.UNKNOWN)
    return frozenset(
        node.id
        for node in nodes
        if deadlines.stage_of(node) is Stage.LEAVING
        and not node.spot
        and node.id not in ended
        and (node.id in before.fallen or (node.id in before.clocks and before.clocks[node.id].stage in there))
    )


def _health(
    nodes: Collection[Node],
    clocks: Mapping[NodeId, NodeClock],
    late: Collection[NodeId],
    fallen: Collection[NodeId],
    taken: Collection[NodeId],
    memory: Memory,
) -> Health:
    """Shortage is no illness: what it takes away is set aside by offering, and the others stay open."""
    ill = (Stage.FAILED, Stage.UNKNOWN, Stage.MISSING)
    short = {n.id for n in nodes if n.state.is_failed and news.lacked_a_machine(n)} | set(taken)
    meant = {node.id for node in nodes if node.wanted} | set(fallen)
    meant = {i for i in meant | {i for i, clock in clocks.items() if clock.stage in ill} if i not in short}
    unhealthy = {i for i in meant if i in late or i in fallen or (i in clocks and clocks[i].stage in ill)}
    creates = [at for instants in memory.failed_creates.values() for at in instants]
    up = sum(node.is_ready for node in nodes)
    return Health(nodes=len(meant), unhealthy=len(unhealthy), up=up, failed_creates=creates)
