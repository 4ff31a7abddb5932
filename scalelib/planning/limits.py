"""What may still be launched, under every ceiling at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.errors import InvalidInput
from scalelib.names import folded
from scalelib.node import Node
from scalelib.packing.linear import maximise

UNLIMITED = 200_000
"""Nodes of one bucket that one plan launches at most where nothing else limits them."""


class Limits:
    """The pools, with what this plan has taken of them so far, and the room in placement groups."""

    def __init__(self, pools: Iterable[Pool], buckets: Iterable[Bucket], nodes: Iterable[Node]) -> None:
        self.pools: dict[str, Pool] = {pool.name: pool for pool in pools}
        self._nodes = {name: pool.nodes for name, pool in self.pools.items()}
        self._cores = {name: pool.cores for name, pool in self.pools.items()}
        self._in_group: dict[str, int] = {}
        """Nodes by placement group: one name is one group, whoever uses it."""
        self._groups: dict[str, list[str]] = {}
        self._owners: dict[str, set[str]] = {}
        """Ids of the buckets that have nodes in a group. All of a group are of one size: others keep out."""
        counted: dict[tuple[str, str], int] = {}
        told: dict[tuple[str, str], int] = {}
        for node in nodes:
            if node.placement_group is not None:
                key = (node.bucket_id, node.placement_group)
                counted[key] = counted.get(key, 0) + 1
        for bucket in buckets:
            for name in bucket.pools:
                if name not in self.pools:
                    raise InvalidInput(
                        f"bucket {bucket.id!r}: there is no pool {name!r}: pass it with the pools"
                    )
            for group, count in bucket.placement_groups.items():
                told[(bucket.id, group)] = count
        for key in sorted(told.keys() | counted.keys()):
            # The larger of what the cloud says and what we see: both may lag behind.
            self._begin(*key, max(counted.get(key, 0), told.get(key, 0)))

    def _begin(self, owner: str, group: str, count: int) -> None:
        name, owners = folded(group), self._owners.setdefault(folded(group), set())
        if owner not in owners:
            owners.add(owner)
            self._groups.setdefault(owner, []).append(group)
        self._in_group[name] = self._in_group.get(name, 0) + count

    def fork(self) -> Limits:
        """An independent copy, to try something with."""
        other = Limits((), (), ())
        other.pools = self.pools
        other._nodes, other._cores = dict(self._nodes), dict(self._cores)
        other._in_group = dict(self._in_group)
        other._groups = {owner: list(groups) for owner, groups in self._groups.items()}
        other._owners = {group: set(owners) for group, owners in self._owners.items()}
        return other

    def room(self, bucket: Bucket, group: str | None) -> int:
        """How many more nodes this bucket may get, in this placement group if one is named."""
        if not bucket.valid or bucket.set_aside:
            return 0
        room = min((self._room_in(name, cores) for name, cores in bucket.pools.items()), default=UNLIMITED)
        if group is not None:
            room = min(room, self.room_in_group(bucket, group))
        return max(room, 0)

    def _room_in(self, name: str, cores: int) -> int:
        nodes, left = self._nodes[name], self._cores[name]
        room = UNLIMITED if nodes is None else nodes
        return room if left is None or cores <= 0 else min(room, left // cores)

    def room_in_group(self, bucket: Bucket, group: str) -> int:
        """How many more nodes may be launched in this placement group of the bucket."""
        if folded(group) in map(folded, bucket.failing_groups) or self.is_anothers(bucket, group):
            return 0
        return max(bucket.max_placement_group_size - self._in_group.get(folded(group), 0), 0)

    def is_anothers(self, bucket: Bucket, group: str) -> bool:
        """Has another bucket nodes in this placement group, and this one none?"""
        owners = self._owners.get(folded(group), ())
        return bool(owners) and bucket.id not in owners and group != bucket.fixed_placement_group

    def take(self, bucket: Bucket, group: str | None, count: int) -> None:
        """Use up what `count` nodes take."""
        if count > self.room(bucket, group):
            raise AssertionError(f"{count} nodes of {bucket.id!r} are more than the limits leave")
        for name, cores in bucket.pools.items():
            nodes, left = self._nodes[name], self._cores[name]
            self._nodes[name] = None if nodes is None else nodes - count
            self._cores[name] = None if left is None else left - count * cores
        if group is not None:
            self._begin(bucket.id, group, count)

    def nodes_left(self, name: str) -> int | None:
        """Nodes that this pool still lets in; None if it does not count nodes."""
        return self._nodes[name]

    def cores_left(self, name: str) -> int | None:
        """Cores that this pool still lets in; None if it does not count cores."""
        return self._cores[name]

    def most(self, worth: Sequence[tuple[Bucket, float]]) -> float:
        """No machines that may still be launched are worth more, given what one of each bucket is worth.

        Parts of machines would be, perhaps: it is a bound.
        """
        rows: list[list[int]] = []
        ceilings: list[int] = []
        for name in sorted({name for bucket, _ in worth for name in bucket.pools}):
            cores = [bucket.pools.get(name) for bucket, _ in worth]
            if (nodes := self._nodes[name]) is not None:
                rows.append([int(each is not None) for each in cores])
                ceilings.append(max(nodes, 0))
            if (left := self._cores[name]) is not None:
                rows.append([each or 0 for each in cores])
                ceilings.append(max(left, 0))
        room = [self.room(bucket, None) for bucket, _ in worth]
        _, prices = maximise([each for _, each in worth], rows, ceilings, room)
        # At any prices of the ceilings: what they come to, and what a machine is worth beyond its share.
        bound = math.fsum(price * left for price, left in zip(prices, ceilings, strict=True))
        for i, ((_, each), count) in enumerate(zip(worth, room, strict=True)):
            share = math.fsum(price * row[i] for price, row in zip(prices, rows, strict=True))
            bound += max(each - share, 0.0) * count
        return bound

    def groups(self, bucket: Bucket) -> list[str]:
        """The placement groups that the bucket has nodes in or that were planned for it, oldest first."""
        return self._groups.get(bucket.id, [])

    def ceilings_reached(self, bucket: Bucket) -> int:
        """How many pools let no more nodes of this bucket in."""
        return sum(self._room_in(name, cores) <= 0 for name, cores in bucket.pools.items())

    def tightest(self, bucket: Bucket) -> Pool | None:
        """The pool that leaves the bucket the least room; of several, what can be raised.

        A cloud tells the room of a bucket with all wider ceilings taken in: the wider one is the cause.
        """
        if not bucket.pools:
            return None
        order = list(PoolKind)
        name = min(
            bucket.pools,
            key=lambda name: (
                self._room_in(name, bucket.pools[name]),
                self.pools[name].kind is PoolKind.BUCKET,
                order.index(self.pools[name].kind),
                name,
            ),
        )
        return self.pools[name]
