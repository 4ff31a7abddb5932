"""The sizes of a status answer: one per VM size and nodearray. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyclecloud_api import models
from cyclecloud_api.errors import Garbled
from scalelib.bucket import Bucket
from scalelib.node import ResourceValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """One bucket as it was read, with the nodearray that it is in."""

    id: str
    nodearray: str
    attributes: models.NodearrayRecord
    status: models.BucketStatus
    spot: bool
    enabled: bool
    position: int

    @property
    def vm_size(self) -> str:
        """The machine type."""
        return self.status.definition.machine_type


def read_sizes(
    status: models.ClusterStatus, warnings: list[str]
) -> tuple[dict[str, models.NodearrayRecord], list[Size]]:
    """Nodearrays by name in lower case, and all sizes in the server's order, which is one of preference.

    A size that cannot be read is left out with a warning. Garbled if a nodearray cannot be read.
    """
    arrays: dict[str, models.NodearrayRecord] = {}
    sizes: list[Size] = []
    seen: set[str] = set()
    for number, array in enumerate(status.nodearrays):
        where = f"$.nodearrays[{number}].nodearray"
        try:
            attributes = models.read(models.NodearrayRecord, array.nodearray, where=where)
        except models.ShapeError as wrong:
            # Whether it is spot, and whether we may use it at all, is not known then.
            raise Garbled(f"nodearray {array.name} cannot be read: {wrong}") from wrong
        arrays[array.name.lower()] = attributes
        for place, raw in enumerate(array.buckets):
            where = f"$.nodearrays[{number}].buckets[{place}]"
            try:
                bucket = models.read(models.BucketStatus, raw, where=where)
            except models.ShapeError as wrong:
                warnings.append(f"a size of nodearray {array.name} cannot be read and is left out: {wrong}")
                continue
            bucket_id = bucket.bucket_id or f"{array.name}/{bucket.definition.machine_type}"
            if bucket_id in seen:
                warnings.append(f"bucket id {bucket_id} comes twice; the second, at {where}, is left out")
                continue
            seen.add(bucket_id)
            sizes.append(
                Size(
                    id=bucket_id,
                    nodearray=array.name,
                    attributes=attributes,
                    status=bucket,
                    spot=attributes.interruptible or attributes.is_spot_instance,
                    enabled=autoscale_setting(attributes.configuration, "enabled")
                    not in (False, 0, "false", "False"),
                    position=len(sizes),
                )
            )
    return arrays, sizes


def bucket_of(size: Size, taken: Mapping[str, int], prices: Mapping[str, float]) -> Bucket:
    """The size as the engine sees it; `taken` are the pools over it with what one node takes of each."""
    status, machine = size.status, size.status.virtual_machine
    reason = status.invalid_reason
    if not status.valid:
        reason = reason or "the server calls it invalid"
    elif not size.enabled:
        reason = "autoscaling is switched off for this nodearray (Configuration.autoscale.enabled)"
    return Bucket(
        id=size.id,
        nodearray=size.nodearray,
        vm_size=size.vm_size,
        spot=size.spot,
        location=size.attributes.region,
        vcpu_count=machine.vcpu_count,
        pcpu_count=machine.vcpu_count if machine.pcpu_count is None else machine.pcpu_count,
        gpu_count=machine.gpu_count,
        memory_gib=machine.memory,
        infiniband=machine.infiniband,
        price_per_hour=price_of(prices, size.vm_size, size.spot),
        pools=taken,
        placement_groups={g.name: max(0, g.active_count) for g in status.placement_groups},
        max_placement_group_size=_first(
            status.max_placement_group_size, size.attributes.azure.max_scaleset_size, 100
        ),
        fixed_placement_group=size.attributes.placement_group_id or None,
        valid=status.valid and size.enabled,
        invalid_reason=reason,
        priority=int(size.attributes.priority),
        position=size.position,
        resources=resources_of(size.attributes.configuration),
        software_configuration=size.attributes.configuration,
    )


def price_of(prices: Mapping[str, float], vm_size: str, spot: bool) -> float | None:
    """Price per hour of one machine; None if the settings do not have it."""
    return prices.get(f"{vm_size}/spot" if spot else vm_size)


def autoscale_setting(configuration: Mapping[str, Any], name: str) -> Any:
    """`Configuration.autoscale.<name>`; some integrations call the section `autoscaling`."""
    for section in ("autoscale", "autoscaling"):
        found = models.get(configuration, section)
        if isinstance(found, Mapping) and models.get(found, name) is not None:
            return models.get(found, name)
    return None


def resources_of(configuration: Mapping[str, Any]) -> dict[str, ResourceValue]:
    """`Configuration.autoscale.resources`, as far as its values are ones."""
    found = autoscale_setting(configuration, "resources")
    if not isinstance(found, Mapping):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, str | int | float | bool)}


def _first(*values: int | None) -> int:
    """The first that is a positive number."""
    return next(v for v in values if v is not None and v > 0)
