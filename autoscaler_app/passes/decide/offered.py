"""Buckets as they are to be had now: with what failed lately, and what their machines really have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoscaler_app.passes.decide.sizes import Amounts, size_of
from scalelib.bucket import Bucket


def offered(
    buckets: Iterable[Bucket], aside: Mapping[str, str], told: Mapping[str, Amounts]
) -> tuple[Bucket, ...]:
    """`aside`: what the failure memory says, by bucket id and `<bucket id>@<placement group>`. `told`: by
    size, the amounts that hold in place of what is promised.
    """
    return tuple(
        replace(
            bucket,
            set_aside=aside.get(bucket.id, ""),
            failing_groups=_failing(bucket, aside),
            told=told.get(size_of(bucket.nodearray, bucket.vm_size), {}),
        )
        for bucket in buckets
    )


def _failing(bucket: Bucket, aside: Mapping[str, str]) -> dict[str, str]:
    prefix = f"{bucket.id}@"
    return {key.removeprefix(prefix): why for key, why in aside.items() if key.startswith(prefix)}
