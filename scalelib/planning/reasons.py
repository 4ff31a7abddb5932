"""Why slots have no place, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scalelib.amounts import MILLION
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.constraints import Backoff, unknown_resources
from scalelib.constraints.alternatives import amount_shown
from scalelib.demand import UnservedReason
from scalelib.machine import label_of
from scalelib.planning.fleet import Fleet, Offer
from scalelib.planning.groups import Groups, groups_named
from scalelib.planning.kinds import Kind
from scalelib.planning.limits import UNLIMITED
from scalelib.planning.shared import Shared, consumables
from scalelib.planning.together import Scope, Together

_NAMES: Mapping[PoolKind, str] = {
    PoolKind.BUCKET: "the bucket",
    PoolKind.NODEARRAY: "the nodearray",
    PoolKind.CLUSTER: "the cluster",
    PoolKind.FAMILY: "the family quota",
    PoolKind.REGIONAL: "the regional quota",
    PoolKind.SPOT: "the spot quota",
    PoolKind.PLACEMENT_GROUP: "the placement group",
}
Reason = tuple[UnservedReason, str]


@dataclass(eq=False, kw_only=True, slots=True)
class Reasons:
    """Finds the reason, once all that can be placed has been."""

    together: Together
    shared: Shared
    buckets: Sequence[Bucket]
    known: frozenset[str]
    """Resources that some machine has."""

    @property
    def fleet(self) -> Fleet:
        """The machines, with all that was placed."""
        return self.together.fleet

    @property
    def groups(self) -> Groups:
        """The placement groups."""
        return self.together.groups

    def of(self, kind: Kind) -> Reason:
        """Why slots of this kind are left over, shared things apart."""
        if refusals := self._refusals(kind):
            return UnservedReason.NEVER, refusals[0] or "refused by its own constraint 'never'"
        fitting = [offer for offer in self._offers(kind) if self._fits(kind, offer)]
        if not fitting:
            return self._backing_off(kind) or self._reserved(kind) or self._nowhere(kind)
        usable = [offer for offer in fitting if offer.bucket.valid and not offer.bucket.set_aside]
        if not usable:
            return self._set_aside(fitting)
        if kind.colocated and not any(self._may_group(kind, offer.bucket) for offer in usable):
            return UnservedReason.PLACEMENT_GROUP, (
                f"nodearray {usable[0].bucket.nodearray!r} gets no placement groups (its autoscale.is_hpc is "
                "false): name some in nodearrays.<name>.placement_groups, or do without colocated"
            )
        if kind.grouped and kind.node_count:
            largest = max(offer.bucket.max_placement_group_size for offer in usable)
            if kind.node_count > largest:
                return UnservedReason.PLACEMENT_GROUP, (
                    f"a gang of {kind.node_count} nodes does not fit into one placement group, which holds "
                    f"at most {largest} nodes: ask for fewer nodes, or do without colocated"
                )
        return self._limit(kind, usable)

    def _offers(self, kind: Kind) -> list[Offer]:
        if not kind.grouped:
            return list(self.fleet.offers)
        asked = groups_named(kind.constraint)
        return [
            self.fleet.group_offer(bucket, group)
            for bucket in self.buckets
            for group in self._groups_of(bucket, asked)
        ] + ([] if kind.colocated else [offer for offer in self.fleet.offers if offer.group is None])

    def _groups_of(self, bucket: Bucket, asked: Sequence[str]) -> Sequence[str]:
        """Groups that would do, if they may be begun or not: then it is that which is in the way."""
        names = [*self.groups.fresh(bucket, asked), *self.groups.existing(bucket)]
        if bucket.fixed_placement_group is None:
            names += [name for name in asked if name not in names]
        return names or [next(iter(bucket.failing_groups), f"{bucket.vm_size}_pg0")]

    def _may_group(self, kind: Kind, bucket: Bucket) -> bool:
        """Is there a placement group in the bucket, or could there be one?"""
        asked = groups_named(kind.constraint)
        return bucket.makes_groups or bool(self.groups.existing(bucket) or asked or self.groups.named(bucket))

    def _fits(self, kind: Kind, offer: Offer) -> bool:
        return bool(self.fleet.catalogue.levels(kind, offer.machine))

    def _refusals(self, kind: Kind) -> list[str]:
        refusals = [way.refusal for way in kind.alternatives]
        return [each for each in refusals if each is not None] if all(r is not None for r in refusals) else []

    def used_up(self, kind: Kind) -> Reason:
        """Why shared things did not allow more."""
        names = sorted(
            consumables(kind), key=lambda each: (self.shared.left(each.name) // max(each.units, 1), each.name)
        )
        scarce = names[0]
        left = max(self.shared.left(scarce.name), 0) / MILLION
        return UnservedReason.SHARED_RESOURCE, (
            f"{left:g} of {scarce.total:g} {scarce.name!r} are left and {scarce.amount:g} are needed: wait "
            "until jobs that hold some end, or raise the total"
        )

    def _nowhere(self, kind: Kind) -> Reason:
        if not self.buckets:
            return UnservedReason.NO_BUCKETS, (
                "there is no kind of machine to launch: the cluster has no nodearray with a VM size that the "
                "autoscaler may use"
            )
        if (refuted := self._told_less(kind)) is not None:
            return refuted
        unknown = unknown_resources(kind.constraint, self.known)
        if unknown:
            name, meant = unknown[0]
            hint = f"did you mean {meant!r}?" if meant else "define it with default_resources"
            return UnservedReason.UNKNOWN_RESOURCE, f"no node and no bucket has a resource {name!r}: {hint}"
        misfits = [
            (way.misfit(self.fleet.catalogue.machines[offer.machine]), offer)
            for offer in self._offers(kind)
            for way in kind.alternatives
        ]
        failed = [(misfit, offer) for misfit, offer in misfits if misfit is not None]
        (_, text), _ = min(
            failed,
            key=lambda each: (each[0][0], [-amount for amount in each[1].total], each[1].no),
        )
        return UnservedReason.NEVER_FITS, (
            f"no bucket can ever hold it; the nearest one fails at {text}: ask for less, or add a VM size"
        )

    def _told_less(self, kind: Kind) -> Reason | None:
        """Where the promise of a bucket would do and its machines were seen to have less, both are told."""
        catalogue = self.fleet.catalogue
        for offer in self._offers(kind) if any(bucket.told for bucket in self.buckets) else ():
            told, promised = catalogue.machines[offer.machine], catalogue.promised(offer.bucket, offer.group)
            for way in kind.alternatives:
                short = [c for c, need in way.needs.items() if need > told.total.get(c, 0)]
                if not offer.bucket.told or not short or way.rank(promised) is None:
                    continue
                asked, has, said = (
                    ", ".join(amount_shown(c, amounts.get(c, 0)) for c in short)
                    for amounts in (way.needs, told.total, promised.total)
                )
                return UnservedReason.TOLD_LESS, (
                    f"{asked} is asked for; of {label_of(offer.bucket)} the cloud promises {said}, and its "
                    f"machines were seen to have {has}: ask for no more than that, or add a VM size"
                )
        return None

    def _backing_off(self, kind: Kind) -> Reason | None:
        """Would a machine do, if capacity had not failed there so lately that the job wants to wait?"""
        for way in kind.alternatives:
            waits = [test.seconds for test in way.tests if isinstance(test, Backoff)]
            others = replace(way, tests=tuple(each for each in way.tests if not isinstance(each, Backoff)))
            for offer in self._offers(kind) if waits else ():
                if others.rank(self.fleet.catalogue.machines[offer.machine]) is not None:
                    ago = offer.bucket.capacity_failed or 0
                    return UnservedReason.SET_ASIDE, (
                        f"capacity failed {ago:g} s ago for {label_of(offer.bucket)}, "
                        f"and its own capacity-failure-backoff waits {max(waits):g} s"
                    )
        return None

    def _reserved(self, kind: Kind) -> Reason | None:
        """Would a machine do, if it were not reserved for other work?"""
        machines = self.fleet.catalogue.machines
        could = [
            offer
            for offer in self._offers(kind)
            if any(way.rank(machines[offer.machine]) is not None for way in kind.alternatives)
        ]
        if not could:
            return None
        # Allowing others there helps where new machines may be had.
        offer = min(
            could,
            key=lambda o: (not o.bucket.valid or bool(o.bucket.set_aside), self.fleet.room(o) <= 0),
        )
        bucket, limits = offer.bucket, self.fleet.limits
        besides = ""
        if not bucket.valid or bucket.set_aside:
            besides = f"; besides, it gets no new machines now: {_why_aside(bucket)}"
        elif limits.ceilings_reached(bucket):
            besides = f"; besides, {self._told(limits.tightest(bucket), bucket)}"
        return UnservedReason.RESERVED, (
            f"{label_of(bucket)} could hold it, and is reserved for work that asks for what it has: ask for "
            f'that, or allow others there with "reserved": false in nodearrays.{bucket.nodearray}{besides}'
        )

    def _set_aside(self, fitting: Sequence[Offer]) -> Reason:
        # One that comes back by itself, if there is any.
        bucket = min(fitting, key=lambda offer: not offer.bucket.valid).bucket
        more = f" (and {len(fitting) - 1} more)" if len(fitting) > 1 else ""
        until = (
            "it is tried again by itself when that has passed"
            if bucket.valid
            else "that does not pass by itself: see to it in the cloud, or add another size"
        )
        return UnservedReason.SET_ASIDE, (
            f"every bucket that fits is set aside: {label_of(bucket)}{more}: {_why_aside(bucket)}; {until}"
        )

    def _limit(self, kind: Kind, usable: Sequence[Offer]) -> Reason:
        limits = self.fleet.limits
        # The one that the fewest ceilings hold down: raising just that ceiling would help.
        offer = min(
            usable,
            key=lambda o: (
                -self.fleet.room(o),
                limits.ceilings_reached(o.bucket),
                o.group in o.bucket.failing_groups,
                o.bucket.position,
                o.no,
            ),
        )
        room = self.fleet.room(offer)
        pool = self.fleet.limits.tightest(offer.bucket)
        groups = self.groups.full(offer.bucket)
        is_new = offer.group not in (None, *self.groups.existing(offer.bucket))
        if room >= max(kind.node_count, 1) and groups is not None and is_new:
            return UnservedReason.PLACEMENT_GROUP, (
                f"nodearray {offer.bucket.nodearray!r} has {groups} placement groups, and "
                "max_placement_groups allows no more: raise it, or wait for nodes to go"
            )
        if kind.node_count and room > 0:
            where = "in any placement group " if kind.grouped else ""
            return UnservedReason.GANG_INCOMPLETE, (
                f"{kind.node_count} nodes are needed at once, and there is {where}room for "
                f"{self._nodes_for(kind)}: {self._told(pool, offer.bucket)}; raise it, or wait for nodes to "
                "go"
            )
        group = offer.group
        failing = offer.bucket.failing_groups.get(group or "")
        if failing is not None and not limits.ceilings_reached(offer.bucket):
            return UnservedReason.SET_ASIDE, (
                f"placement group {group!r} of {label_of(offer.bucket)} is set aside: {failing}; it is tried "
                "again by itself when that has passed"
            )
        if group is not None and self.fleet.limits.room_in_group(offer.bucket, group) == 0:
            return UnservedReason.PLACEMENT_GROUP, (
                f"placement group {group!r} of {label_of(offer.bucket)} is full at "
                f"{offer.bucket.max_placement_group_size} nodes: wait for nodes to go"
            )
        if pool is None:
            return (
                UnservedReason.BUCKET,
                f"{label_of(offer.bucket)} takes no more nodes now: wait for nodes to go",
            )
        several = f"; {len(usable)} kinds of machine fit and all are at a limit" if len(usable) > 1 else ""
        return UnservedReason(pool.kind.value), (
            f"{self._told(pool, offer.bucket)}{several}: raise it, or wait for nodes to go"
        )

    def _nodes_for(self, kind: Kind) -> int:
        """How many nodes of a gang have room now: everywhere, or in the placement group that has the most."""
        scopes: list[Scope] = [self.together.outside(kind)]
        if kind.grouped:
            scopes += filter(self.together.may_begin, self.together.scopes(groups_named(kind.constraint)))
        return max(self.together.nodes_for(kind, scope) for scope in scopes)

    def _told(self, pool: Pool | None, bucket: Bucket) -> str:
        if pool is None:
            return f"{label_of(bucket)} has no limit"
        limits, cores = self.fleet.limits, bucket.pools[pool.name]
        nodes_left, cores_left = limits.nodes_left(pool.name), limits.cores_left(pool.name)
        if nodes_left is None and cores_left is None:
            return f"one plan launches at most {UNLIMITED} nodes of {label_of(bucket)}"
        short = cores_left is not None and (nodes_left is None or cores_left // max(cores, 1) <= nodes_left)
        what = (
            f"{cores_left} cores left, and one {label_of(bucket)} takes {cores}"
            if short
            else f"{nodes_left} nodes left for {label_of(bucket)}"
        )
        return f"{_NAMES[pool.kind]} {pool.name!r} has {what}"


def _why_aside(bucket: Bucket) -> str:
    return bucket.set_aside or bucket.invalid_reason or "it may not get new nodes"
