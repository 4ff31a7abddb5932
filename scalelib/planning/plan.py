"""One plan in the making: the machines are set up, work is put on them, priority by priority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

from scalelib.constraints.alternatives import Sharing
from scalelib.job import Job
from scalelib.node import NodeId
from scalelib.planning.fleet import Fleet, Tier
from scalelib.planning.gathering import Place
from scalelib.planning.groups import Groups
from scalelib.planning.holding import chosen_for
from scalelib.planning.jointly import Jointly, can_be_joined
from scalelib.planning.keeping import keep
from scalelib.planning.kinds import Kind, kinds_of
from scalelib.planning.needed import Peers, needed
from scalelib.planning.plain import Packer, Purchases
from scalelib.planning.scene import Scene
from scalelib.planning.together import Together


class Planning:
    """Where everything goes. `place` does the work; the rest is asked for afterwards."""

    def __init__(
        self,
        scene: Scene,
        *,
        keep: bool = False,
        solver: bool = True,
        joint: Mapping[Kind, int] | None = None,
        known: Mapping[int, Mapping[Place, int]] | None = None,
        careful: bool = True,
        all_priorities: bool = False,
    ) -> None:
        """`keep`: first of all as it was meant. `solver`: it may have a say.

        `joint`: so many slots of each kind, and all of a priority at once, or even `all_priorities`; `known`:
        gangs by placement group and number of kind, as another plan has them. `careful`: not only whether
        they fit, but for how little money.
        """
        self.scene = scene
        self.problem = problem = scene.problem
        self.keep = keep
        self.joint = joint
        self.known = known or {}
        self.careful = careful
        self.all_priorities = all_priorities
        self.failed = False
        """The slots that were to be placed at once do not all fit."""
        self.policy = problem.policy if solver else replace(problem.policy, solver=False)
        self.kinds = scene.kinds
        self.kept: dict[Kind, int] = {}
        """Slots that had a place before the planning began."""
        self.left: dict[Kind, int] = {}
        """Slots that got no place."""
        self.capped: dict[Kind, int] = {}
        """Slots that shared things did not allow."""
        self.held: dict[NodeId, Kind] = {}
        """Nodes that are kept for work that came first and got no place yet."""
        self.purchases = Purchases()
        self.shared = scene.shared.fork()
        self.catalogue = scene.catalogue.fork()
        self.limits = scene.limits.fork()
        self.fleet = Fleet(scene.counters, self.catalogue, self.limits, scene.prices)
        self._add_nodes()
        self.fleet.add_offers(scene.buckets)
        self.together = Together(
            fleet=self.fleet,
            policy=problem.policy,
            buckets={bucket.id: bucket for bucket in scene.buckets},
            groups=Groups(problem.policy, self.limits, scene.buckets),
        )

    def _add_nodes(self) -> None:
        for lot in self.scene.lots_as_meant if self.keep else self.scene.lots:
            self.fleet.add_nodes(
                lot.nodes,
                lot.machine,
                lot.tier,
                lot.free,
                empty=lot.load is None,
                closed=lot.load is not None and lot.load.sharing is not Sharing.ANYBODY,
                meant=lot.meant,
            )

    # -- the work

    def place(self) -> None:
        """Put all kinds somewhere, those of higher priority first and without regard to the others."""
        classes = self.scene.classes
        if self.all_priorities:
            classes = [[turn for turns in classes for turn in turns]]
        seconds = self.problem.policy.solver_seconds / max(len(classes), 1)
        for turns in classes:
            if self.joint is not None:
                self._place_at_once([kind for turn in turns for kind in turn], self.joint, seconds)
                if self.failed:
                    return
                continue
            if self.keep:
                self._keep([kind for turn in turns for kind in turn])
            for number, turn in enumerate(turns):
                self._place_turn(turn, 0.0 if number else seconds)  # most of what is later finds no room
                if len(turns) > 1 and not self.held:
                    self._hold_for(turn)

    def _keep(self, kinds: list[Kind]) -> None:
        """Put work where it was meant to be, as far as it is still there."""
        for kind in sorted(kinds, key=_order):
            may = self.shared.allowed(kind)
            self.kept[kind] = may - keep(self.together, kind, may)
            self.shared.take(kind, self.kept[kind])

    def _hold_for(self, turn: list[Kind]) -> None:
        """Keep machines from the turns to come, for the first work of this one that got no place."""
        for kind in turn:
            if self.left[kind] <= self.capped[kind]:
                continue
            known = self.problem.waited
            waited = max((known[name] for name in kind.names if name in known), default=timedelta())
            for node_id in self.fleet.close(chosen_for(self.together, kind, waited)):
                self.held[node_id] = kind
            if self.held:
                return

    def _place_turn(self, kinds: list[Kind], seconds: float) -> None:
        allowed = {}
        # What needs whole nodes or many at once goes first; single slots then fill what that leaves.
        for kind in sorted(kinds, key=_order):
            kept = self.kept.get(kind, 0)
            more = self.shared.allowed(kind, kept)
            allowed[kind] = kept + more
            self.capped[kind] = kind.count - allowed[kind]
            over = 0 if kind.plain else self.together.place(kind, more)
            self.left[kind] = self.capped[kind] + over
            self.shared.take(kind, more - over, kept)
        packer = Packer(fleet=self.fleet, policy=self.policy, seconds=seconds, purchases=self.purchases)
        wanted = {kind: count - self.kept.get(kind, 0) for kind, count in allowed.items() if kind.plain}
        while wanted:
            stuck = {kind: over for kind, over in packer.place(wanted).items() if over}
            for kind, over in stuck.items():
                self.left[kind] += over
                self.shared.give_back(kind, allowed[kind], over)
            # What a kind without room gave back, another may take: licences that nobody uses would keep its
            # work waiting.
            wanted = self._allowed_after_all(allowed) if stuck else {}
            packer.seconds = 0.0

    def _place_at_once(self, kinds: list[Kind], counts: Mapping[Kind, int], seconds: float) -> None:
        """So many slots of each kind; those with several ways to be placed come before or after."""
        wanted: dict[Kind, int] = {}
        packer = Packer(fleet=self.fleet, policy=self.policy, seconds=seconds, purchases=self.purchases)
        one_way = {k for k in kinds if can_be_joined(k, self.catalogue.table(k))}
        for kind in sorted(kinds, key=_order):
            may = self.shared.allowed(kind)
            self.capped[kind] = max(kind.count - max(may, counts[kind]), 0)
            self.left[kind] = kind.count - counts[kind]
            if counts[kind] > may:
                self.failed = True
                return
            self.shared.take(kind, counts[kind])
            if kind in one_way:
                wanted[kind] = counts[kind]
            elif not kind.plain and self.together.place(kind, counts[kind]):
                self.failed = True
                return
        rest = {kind: counts[kind] for kind in kinds if kind.plain and kind not in one_way}
        self.failed = (
            self.failed
            or not self._jointly(seconds).place(wanted, self.known, careful=self.careful)
            or any(packer.place(rest).values())
        )
        packer.seconds = 0.0
        for kind in () if self.failed else sorted(kinds, key=lambda k: (-k.priority, _order(k))):
            # A cheaper plan may have left room to others.
            more = min(self.left[kind], self.shared.allowed(kind, counts[kind]))
            if more > 0:
                over = (
                    packer.place({kind: more}).get(kind, 0) if kind.plain else self.together.place(kind, more)
                )
                served = more - over
                self.shared.take(kind, served, counts[kind])
                self.left[kind] -= served

    def _allowed_after_all(self, allowed: dict[Kind, int]) -> dict[Kind, int]:
        """Slots of plain kinds that shared things did not allow at first and do now."""
        found: dict[Kind, int] = {}
        for kind in allowed:
            if not kind.plain or not self.capped[kind] or self.left[kind] > self.capped[kind]:
                continue  # nothing was refused, or there is no room for what was not
            more = self.shared.allowed(kind, allowed[kind])
            if more > 0:
                self.shared.take(kind, more, allowed[kind])
                allowed[kind] += more
                self.capped[kind] -= more
                self.left[kind] -= more
                found[kind] = more
        return found

    def squeeze(self, work: Sequence[tuple[Kind, int]], *, at_once: bool, weighed: bool = False) -> bool:
        """Put so many slots of each kind on what is there, in this order or all at once; `weighed` by what
        they would cost to buy. False: they do not fit.
        """
        offers, buckets = self.fleet.offers, self.together.buckets
        if not weighed:
            self.fleet.offers, self.together.buckets = [], {}
        joined: dict[Kind, int] = {}
        for kind, count in work:
            if count > self.shared.allowed(kind):
                return False
            self.shared.take(kind, count)
            self.kept[kind] = count
            if at_once and can_be_joined(kind, self.catalogue.table(kind)):
                joined[kind] = count
            elif self.together.place(kind, count):
                return False
        if joined and not self._jointly(0.0).place(joined, {}, careful=False):
            return False
        self.fleet.offers, self.together.buckets = offers, buckets
        return not self.bought

    def _jointly(self, seconds: float) -> Jointly:
        return Jointly(together=self.together, policy=self.policy, seconds=seconds, purchases=self.purchases)

    @property
    def is_whole(self) -> bool:
        """Has everything a place that shared things allow one?"""
        return all(left <= self.capped.get(kind, 0) for kind, left in self.left.items())

    def on_what_is_there(self, kind: Kind) -> tuple[int, ...]:
        """Slots of the kind on machines that take work at once, and on those and what boots."""
        found = [0, 0]
        for cohort in self.fleet.cohorts:
            if cohort.nodes is None or kind.no not in cohort.kinds:
                continue
            named = sum(slots for name, slots in cohort.named.items() if name in kind.names)
            slots = (cohort.slots.get(kind.no, 0) + named) * cohort.count
            found[0] += slots * (cohort.tier < Tier.BOOTING)
            found[1] += slots
        return tuple(found)

    @property
    def price(self) -> float:
        """Money per hour of what is bought."""
        new = (cohort for cohort in self.fleet.cohorts if cohort.nodes is None)
        return sum(self.scene.prices[cohort.bucket_id] * cohort.count for cohort in new)

    @property
    def bought(self) -> int:
        """Machines that are bought."""
        return sum(cohort.count for cohort in self.fleet.cohorts if cohort.nodes is None)

    @property
    def unserved(self) -> tuple[int, ...]:
        """Slots without a place, those of the highest priority first."""
        classes = groupby(self.kinds, key=lambda kind: kind.priority)
        return tuple(
            sum(self.left.get(kind, 0) * max(kind.node_count, 1) for kind in kinds) for _, kinds in classes
        )

    # -- what follows from it

    def needed(self) -> set[NodeId]:
        """Nodes that the plan could not do without."""
        pinned = self._pinned()
        apart = pinned | self._leaving_alone()
        kept = [n.id for n in self.problem.nodes if n.keep_alive and self.scene.tiers[n.id] is not None]
        return needed(self.fleet, self._peers(apart), self._movable(apart), [*pinned, *kept])

    def _leaving_alone(self) -> set[NodeId]:
        """Fenced nodes that get nothing new: what runs there ends there, and is nobody else's."""
        used = {n.id for c in self.fleet.cohorts if c.slots or c.named for n in c.nodes or ()}
        return {node_id for node_id, tier in self.scene.tiers.items() if tier is Tier.CLOSED} - used

    def _pinned(self) -> set[NodeId]:
        """Nodes with a part of a gang, or of what is held together: that cannot move by itself."""
        apart = {kind.no for kind in self.kinds if kind.node_count or kind.grouped}
        pinned = {
            node.id for cohort in self.fleet.cohorts if cohort.kinds & apart for node in cohort.nodes or ()
        }
        for node_id, load in self.scene.loads.items():
            if any(job.node_count > 1 or job.colocated for job, _ in load.parts):
                pinned.add(node_id)
        return {node_id for node_id in pinned if self.scene.tiers.get(node_id) is not None}

    def _peers(self, apart: set[NodeId]) -> list[Peers]:
        peers: dict[tuple[object, ...], Peers] = {}
        before = self._needed_before()
        for node in self.scene.nodes:
            tier = self.scene.tiers[node.id]
            if tier is None or node.id in apart:
                continue
            machine, busy = self.scene.machines[node.id], self._busy(node.id)
            settled, was_needed = node.id in self.problem.settled, node.id in before
            key = (tier, machine, busy, node.keep_alive, settled, was_needed)
            if key in peers:
                peers[key].nodes.append(node)
                continue
            # A node that is never ended is there anyway: it comes before all that could go.
            peers[key] = Peers(
                nodes=[node],
                machine=machine,
                tier=tier,
                total=self.scene.free(machine, None),
                settled=settled or node.keep_alive,
                was_needed=was_needed,
                busy=2.0 if node.keep_alive else busy,
            )
        return list(peers.values())

    def _needed_before(self) -> set[NodeId]:
        """Nodes that are up and that the last plan could not do without."""
        history = self.problem.history
        up = {n.id for n in self.scene.nodes if n.is_ready and n.id in history and history[n.id].last_needed}
        latest = max((history[i].last_needed for i in up), default=None)  # type: ignore[type-var]
        return {i for i in up if history[i].last_needed == latest}

    def _busy(self, node_id: NodeId) -> float:
        load = self.scene.loads.get(node_id)
        if load is None:
            return 0.0
        total = self.catalogue.machines[self.scene.machines[node_id]].total
        shares = [amount / total[c] for c, amount in load.taken.items() if total.get(c)]
        # What runs without taking anything is still more than nothing.
        return max([0.001, *(min(share, 1.0) for share in shares)])

    def _movable(self, apart: set[NodeId]) -> dict[Kind, int]:
        """All work that could be anywhere else, with what runs already."""
        work = {kind: kind.count for kind in self.kinds if not kind.node_count and not kind.grouped}
        by_no = {kind.no: kind for kind in work}
        for cohort in self.fleet.cohorts:
            here = sum(node.id in apart for node in cohort.nodes or ())
            for no, slots in cohort.slots.items() if here else ():
                if no in by_no:
                    work[by_no[no]] -= here * slots
        runs = [
            Job(
                job.name,
                job.constraints,
                iterations=slots,
                exclusive=job.exclusive,
                priority=job.priority,
            )
            for node_id, load in self.scene.loads.items()
            if node_id not in apart and self.scene.tiers.get(node_id) is not None
            for job, slots in load.parts
        ]
        for kind in kinds_of(runs):
            kind.no += len(self.kinds)
            work[kind] = kind.count
        return work


def _order(kind: Kind) -> tuple[object, ...]:
    return (kind.plain, -kind.node_count, -int(kind.sharing), kind.no)
