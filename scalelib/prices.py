"""Money per hour of a machine: what the settings say, else what the cloud says, else an estimate.

The estimate only has to rank machines sensibly. It takes the mean price per vCPU of the sizes of the same
kind (spot or not, with GPUs or not) whose price is known; knowing none, it adds up list-like rates per vCPU,
GiB and GPU, and takes a third of that for spot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Final

from scalelib.bucket import Bucket
from scalelib.names import ByName

PER_VCPU: Final = 0.035
"""Money per hour and vCPU where no price is known at all."""
PER_GIB: Final = 0.004
"""Money per hour and GiB of memory where no price is known at all."""
PER_GPU: Final = 0.90
"""Money per hour and GPU where no price is known at all."""
SPOT_SHARE: Final = 1 / 3
"""Part of the ordinary price that a spot machine is taken to cost where no spot price is known."""


def price_list(buckets: Iterable[Bucket], prices: Mapping[str, float]) -> dict[str, float]:
    """Money per hour of one machine, by bucket id. `prices` has `<vm_size>` and `<vm_size>/spot` as keys."""
    buckets, prices = list(buckets), ByName(prices)
    known = {bucket.id: price for bucket in buckets if (price := _known(bucket, prices)) is not None}
    rates: dict[tuple[bool, bool], list[float]] = {}
    for bucket in buckets:
        if bucket.id in known and bucket.vcpu_count > 0:
            rates.setdefault(_kind(bucket), []).append(known[bucket.id] / bucket.vcpu_count)
    return {
        bucket.id: known[bucket.id] if bucket.id in known else _estimate(bucket, prices, rates)
        for bucket in buckets
    }


def estimated(buckets: Iterable[Bucket], prices: Mapping[str, float]) -> frozenset[str]:
    """Ids of the buckets whose price nobody gives."""
    prices = ByName(prices)
    return frozenset(bucket.id for bucket in buckets if _known(bucket, prices) is None)


def _known(bucket: Bucket, prices: Mapping[str, float]) -> float | None:
    key = f"{bucket.vm_size}/spot" if bucket.spot else bucket.vm_size
    return prices.get(key, bucket.price_per_hour)


def _kind(bucket: Bucket) -> tuple[bool, bool]:
    return bucket.spot, bucket.gpu_count > 0


def _estimate(
    bucket: Bucket, prices: Mapping[str, float], rates: Mapping[tuple[bool, bool], list[float]]
) -> float:
    if bucket.spot and bucket.vm_size in prices:
        return prices[bucket.vm_size] * SPOT_SHARE
    if rates.get(_kind(bucket)):
        return fmean(rates[_kind(bucket)]) * max(bucket.vcpu_count, 1)
    ordinary = (
        bucket.vcpu_count * PER_VCPU + bucket.memory_gib * PER_GIB + bucket.gpu_count * PER_GPU
    ) or PER_VCPU
    return ordinary * SPOT_SHARE if bucket.spot else ordinary
