"""The ceilings over the sizes, as shared pools: what one size takes is gone for the others too. Pure.

What is left under a ceiling is the smaller of the server's number and our own count. Ours holds nodes on
their way out, which the server's `availableCount` forgets; the server's holds nodes that we do not see.
Sources: reference of the status answer, and what public clients learned of it (docs/cyclecloud_api.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cyclecloud_api import models
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.names import folded


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeUse:
    """One size, and how many nodes of it we count."""

    id: str
    nodearray: str
    vm_size: str
    region: str
    account: str = ""
    """The subscription that is charged; each has quotas of its own."""
    spot: bool
    status: models.BucketStatus
    nodes: int

    @property
    def used(self) -> int:
        """Nodes in use: ours or the server's count, whichever is more."""
        return max(self.nodes, self.status.active_count or 0)

    @property
    def cores(self) -> int:
        """Cores of one node for the ceilings of cluster and nodearray."""
        return self.status.virtual_machine.vcpu_count

    @property
    def quota_cores(self) -> int:
        """Cores of one node that quotas are charged; more than `cores` for constrained-core sizes."""
        charged = self.status.virtual_machine.vcpu_quota_count
        return self.cores if charged is None else charged


def pools_over(
    status: models.ClusterStatus, sizes: Sequence[SizeUse], *, stray: Iterable[tuple[str, int]] = ()
) -> tuple[tuple[Pool, ...], dict[str, Mapping[str, int]]]:
    """All pools, and for each bucket id the pools over it with the cores that one node takes of each.

    `stray` are nodes of no known size: (nodearray or "", cores) each.
    """
    strays = list(stray)
    pools = [_ceiling("cluster", PoolKind.CLUSTER, status.max_count, status.max_core_count, sizes, strays)]
    for array in status.nodearrays:
        mine = [s for s in sizes if s.nodearray == array.name]
        lost = [s for s in strays if s[0].lower() == array.name.lower()]
        name = f"nodearray/{array.name}"
        pools.append(_ceiling(name, PoolKind.NODEARRAY, array.max_count, array.max_core_count, mine, lost))
    taken = {s.id: {"cluster": s.cores, f"nodearray/{s.nodearray}": s.cores} for s in sizes}
    for size in sizes:
        name = f"bucket/{size.id}"
        pools.append(Pool(name=name, kind=PoolKind.BUCKET, nodes=_left_in_bucket(size)))
        taken[size.id][name] = size.cores
    for quota in _quotas(sizes):
        pools.append(Pool(name=quota.name, kind=quota.kind, cores=quota.left))
        for size in quota.sizes:
            taken[size.id][quota.name] = size.quota_cores
    return tuple(pools), dict(taken)


def _ceiling(
    name: str,
    kind: PoolKind,
    max_nodes: int | None,
    max_cores: int | None,
    sizes: Sequence[SizeUse],
    strays: Sequence[tuple[str, int]],
) -> Pool:
    """A ceiling of nodes and cores that is set in the cluster's template."""
    nodes = sum(s.used for s in sizes) + len(strays)
    cores = sum(max(s.used * s.cores, s.status.active_core_count or 0) for s in sizes)
    cores += sum(c for _, c in strays)
    return Pool(name=name, kind=kind, nodes=_left(max_nodes, nodes), cores=_left(max_cores, cores))


def _left_in_bucket(size: SizeUse) -> int | None:
    """Nodes that may still be created; the server's number is 0 while it throttles after a failure."""
    known = [
        amount
        for amount in (size.status.available_count, _left(size.status.max_count, size.used))
        if amount is not None
    ]
    return max(0, min(known)) if known else None


def _left(ceiling: int | None, used: int) -> int | None:
    return None if ceiling is None else max(0, ceiling - used)


def withheld(buckets: Iterable[Bucket], pools: Iterable[Pool], sizes: Iterable[SizeUse]) -> dict[str, bool]:
    """Bucket ids of which the server offers none though no ceiling is reached, and whether all are known.

    An `availableCount` of 0 has two causes. Where a ceiling over the size is reached (by whose nodes ever),
    that is the cause, and no failure. Where every ceiling has room the server throttles the size after a
    failure to get machines, as `ThrottleCapacity` makes it. A server that does not tell the quota of the
    region leaves it open which of the two it is.
    """
    by_name, by_id = {pool.name: pool for pool in pools}, {size.id: size for size in sizes}
    found = {}
    for bucket in buckets:
        size = by_id[bucket.id]
        if size.status.available_count is None or size.status.available_count > 0 or not bucket.valid:
            continue
        over = [(by_name[name], cores) for name, cores in bucket.pools.items()]
        if not _is_full(bucket, size) and all(
            _has_room(pool, cores) for pool, cores in over if pool.kind is not PoolKind.BUCKET
        ):
            found[bucket.id] = any(pool.kind in (PoolKind.REGIONAL, PoolKind.SPOT) for pool, _ in over)
    return found


def _is_full(bucket: Bucket, size: SizeUse) -> bool:
    """Whether the size's own ceiling is reached, or that of the one group that all of its nodes are in."""
    in_group = bucket.placement_groups.get(bucket.fixed_placement_group or "", 0)
    return _left(size.status.max_count, size.used) == 0 or in_group >= bucket.max_placement_group_size


def _has_room(pool: Pool, cores: int) -> bool:
    return (pool.nodes is None or pool.nodes > 0) and (pool.cores is None or pool.cores >= cores)


# -- quotas ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Quota:
    name: str
    kind: PoolKind
    left: int
    sizes: tuple[SizeUse, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """What one size says about one quota over it."""

    name: str
    kind: PoolKind
    quota: int
    consumed: int


def _quotas(sizes: Sequence[SizeUse]) -> list[_Quota]:
    """Each quota once, with the sizes under it. Of differing statements the tightest holds."""
    claims: dict[str, list[tuple[SizeUse, _Claim]]] = {}
    for size in sizes:
        for claim in (_family(size), _regional(size)):
            if claim is not None:
                claims.setdefault(claim.name, []).append((size, claim))
    found = []
    for name, said in claims.items():
        # The server polls the consumption every few minutes: our own nodes may not be in it yet.
        own = sum(size.used * size.quota_cores for size, _ in said)
        left = min(claim.quota - max(claim.consumed, own) for _, claim in said)
        found.append(
            _Quota(name=name, kind=said[0][1].kind, left=max(0, left), sizes=tuple(size for size, _ in said))
        )
    return found


def _family(size: SizeUse) -> _Claim | None:
    """The quota of the VM family. Spot has none: its family fields are 0 by design, which is no quota of 0.

    The answer does not name the family, the size does. Two families often have equal numbers, and one family
    is told of with different ones while nodes come and go: so numbers say nothing about which family it is.
    """
    status = size.status
    if size.spot:
        return None
    quota, consumed = status.family_quota_core_count, status.family_consumed_core_count
    if quota is None:
        quota, consumed = status.quota_core_count, status.consumed_core_count
    if quota is None:
        return None
    consumed = max(0, consumed or 0)
    name = f"family/{_whose(size)}/{family(size.vm_size)}"
    return _Claim(name=name, kind=PoolKind.FAMILY, quota=quota, consumed=consumed)


def _regional(size: SizeUse) -> _Claim | None:
    """The quota of the region; spot machines have one of their own."""
    status = size.status
    quota, consumed = status.regional_quota_core_count, status.regional_consumed_core_count
    if size.spot and not quota and status.quota_core_count:
        quota, consumed = status.quota_core_count, status.consumed_core_count
    if quota is None:
        return None
    name = f"{'spot' if size.spot else 'regional'}/{_whose(size)}"
    kind = PoolKind.SPOT if size.spot else PoolKind.REGIONAL
    return _Claim(name=name, kind=kind, quota=quota, consumed=max(0, consumed or 0))


def _whose(size: SizeUse) -> str:
    return f"{size.account}/{size.region}" if size.account else size.region


_SIZE = re.compile(r"(?:(?:standard|basic)_)?([a-z]+)(\d+)(?:-\d+)?([a-z]*)((?:_[a-z0-9]+)*)", re.IGNORECASE)
"""Series, size, constrained cores, what is added (`s`: premium disks, say), accelerator and version."""

_NOT_A_FAMILY: Mapping[str, str] = {"a": "m", "b": "mlt", "h": "mr", "m": "ml", "nv": "m"}
"""By series: letters that say how large a size is, not of which family. `r` never says that."""

_ISOLATED_APART = re.compile(r"e(v[1-5])?|m(v\d+)?")
"""Series with their version of which isolated sizes (`i`) are a family of their own: of E up to the fifth,
and of M. Elsewhere `i` only says how large a size is.
"""

_HIGH_MEMORY: Final = 416
"""Cores from which on a size of M v3 has high memory, which is a family of its own; others have medium."""


def family(vm_size: str) -> str:
    """The quota family of a size: `dsv5` of Standard_D4s_v5, `ncasv3_t4` of Standard_NC4as_T4_v3.

    A family is a series with what its sizes add, its version and its accelerator.
    """
    found = _SIZE.fullmatch(folded(vm_size))
    if found is None:
        return folded(vm_size)
    series, cores, added, rest = found.groups()
    # M416s_6_v3: the number by itself says how much memory a size has, not of which family it is.
    parts = [part for part in rest.split("_") if part and not part.isdecimal()]
    version = next((part for part in parts if re.fullmatch(r"v\d+", part)), "")
    size_only = "r" + _NOT_A_FAMILY.get(series, "")
    size_only += "" if _ISOLATED_APART.fullmatch(f"{series}{version}") else "i"
    added = "".join(letter for letter in added if letter not in size_only)
    if (series, version) == ("m", "v3"):
        added += f"{'high' if int(cores) >= _HIGH_MEMORY else 'medium'}memory"
    return "_".join([f"{series}{added}{version}", *(part for part in parts if part != version)])
