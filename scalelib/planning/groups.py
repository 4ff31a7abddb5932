"""Placement groups by name: those that a bucket has, those named in the settings, and made-up ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from scalelib.bucket import Bucket
from scalelib.constraints import Constraint, Property
from scalelib.names import folded
from scalelib.planning.limits import Limits
from scalelib.policy import Policy


class Groups:
    """Which groups a bucket may use, now and next."""

    def __init__(self, policy: Policy, limits: Limits, buckets: Iterable[Bucket]) -> None:
        self._policy = policy
        self._limits = limits
        self._in_array: dict[str, set[str]] = {}
        """Groups of a nodearray in the one spelling of their names."""
        self._next: dict[tuple[str, str], int] = {}
        for bucket in buckets:
            self._in_array.setdefault(bucket.nodearray, set()).update(map(folded, limits.groups(bucket)))

    def note(self, bucket: Bucket, group: str) -> None:
        """The group is in use from now on."""
        self._in_array[bucket.nodearray].add(folded(group))

    def existing(self, bucket: Bucket) -> Sequence[str]:
        """The groups in use; the one that the nodearray forces on all nodes, if it does."""
        if bucket.fixed_placement_group is not None:
            return (bucket.fixed_placement_group,)
        return self._limits.groups(bucket)

    def may_begin(self, bucket: Bucket, group: str) -> bool:
        """Is there still room for it in the nodearray? Its other sizes may have begun groups meanwhile."""
        if self._limits.is_anothers(bucket, group):
            return False
        return folded(group) in self._in_array[bucket.nodearray] or self._room(bucket) > 0

    def full(self, bucket: Bucket) -> int | None:
        """How many groups the nodearray has, if it may have no more; else None."""
        return len(self._in_array[bucket.nodearray]) if self._room(bucket) <= 0 else None

    def fresh(self, bucket: Bucket, asked: Sequence[str]) -> list[str]:
        """Groups that could be begun: those `asked` for by name, else of the settings, else a made-up one."""
        room = self._room(bucket)
        if bucket.fixed_placement_group is not None or room <= 0:
            return []
        names = asked or self._policy.groups_of(bucket.nodearray).names
        if names:
            used = set(map(folded, (*self._limits.groups(bucket), *bucket.failing_groups)))
            free = [n for n in names if folded(n) not in used and not self._limits.is_anothers(bucket, n)]
            return free[:room]
        return [self._made_up(bucket)] if bucket.makes_groups else []

    def named(self, bucket: Bucket) -> Sequence[str]:
        """The groups of the settings."""
        return self._policy.groups_of(bucket.nodearray).names

    def several(self, bucket: Bucket, asked: Sequence[str], count: int) -> list[str]:
        """So many of the groups that could be begun one after the other."""
        names = self.fresh(bucket, asked)
        if not names or asked or self._policy.groups_of(bucket.nodearray).names:
            return names[:count]
        found: list[str] = []
        while len(found) < min(count, self._room(bucket)):
            found.append(self._made_up(bucket, found))
        return found

    def may_begin_all(self, bucket: Bucket, groups: Collection[str]) -> bool:
        """Is there room for all of these, begun or not, in the nodearray?"""
        return len(set(map(folded, groups)) - self._in_array[bucket.nodearray]) <= self._room(bucket)

    def after(self, bucket: Bucket, asked: Sequence[str]) -> list[str]:
        """Groups that could be begun now that a fresh one has been: given names are all in turn already."""
        if asked or self._policy.groups_of(bucket.nodearray).names:
            return []
        return self.fresh(bucket, asked)

    def _room(self, bucket: Bucket) -> int:
        """How many more groups the nodearray may have."""
        return self._policy.groups_of(bucket.nodearray).most - len(self._in_array[bucket.nodearray])

    def _made_up(self, bucket: Bucket, others: Collection[str] = ()) -> str:
        """`<size>_pg<i>` with the lowest number that is free; a name holds letters, digits, '-' and '_'."""
        base = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in bucket.vm_size)
        base += "_spot" * bucket.spot
        taken, key = self._in_array[bucket.nodearray], (bucket.nodearray, base)
        failing = set(map(folded, bucket.failing_groups))
        number = self._next.get(key, 0)
        while (
            folded(name := f"{base}_pg{number}") in taken
            or name in others
            or folded(name) in failing
            or self._limits.is_anothers(bucket, name)
        ):
            number += 1
        if not others:
            self._next[key] = number
        return name


def groups_named(constraint: Constraint) -> list[str]:
    """Placement groups that a constraint asks for by name."""
    return [
        value
        for each in constraint.walk()
        if isinstance(each, Property) and each.name == "placement_group"
        for value in each.values
        if isinstance(value, str) and not set(value) & set("*?[")
    ]
