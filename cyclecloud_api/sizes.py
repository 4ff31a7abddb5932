"""The sizes of a status answer: one per VM size and nodearray. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyclecloud_api import models
from scalelib.bucket import Bucket
from scalelib.names import folded
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
    unclear: str
    """Why nothing may be launched, if what the machines would be is not known; empty if it is."""
    position: int

    @property
    def vm_size(self) -> str:
        """The machine type."""
        return self.status.definition.machine_type

    @property
    def vcpus(self) -> int:
        """What a machine of it has: the nodearray may say otherwise than the size."""
        return self.attributes.core_count or self.status.virtual_machine.vcpu_count

    @property
    def pcpus(self) -> int:
        """Physical ones, never more than virtual ones."""
        told = self.status.virtual_machine.pcpu_count
        return self.vcpus if told is None else min(told, self.vcpus)

    @property
    def memory(self) -> float:
        """GiB of a machine of it: the nodearray may say otherwise than the size."""
        return self.attributes.memory or self.status.virtual_machine.memory

    @property
    def account(self) -> str:
        """Who is charged: quotas of two subscriptions have nothing to do with each other."""
        told = self.attributes
        return folded(told.subscription_id or told.account_name or told.credentials)


def read_sizes(
    status: models.ClusterStatus, warnings: list[str]
) -> tuple[dict[str, models.NodearrayRecord], list[Size]]:
    """Nodearrays by name in lower case, and all sizes in the server's order, which is one of preference.

    A size that cannot be read is left out with a warning; an odd attribute spoils itself only.
    """
    arrays: dict[str, models.NodearrayRecord] = {}
    sizes: list[Size] = []
    seen: set[str] = set()
    for number, array in enumerate(status.nodearrays):
        where = f"$.nodearrays[{number}].nodearray"
        attributes, unclear = _attributes(array, where, warnings)
        arrays[array.name.lower()] = attributes
        enabled = _enabled(array.name, attributes, warnings)
        for place, raw in enumerate(array.buckets):
            where = f"$.nodearrays[{number}].buckets[{place}]"
            try:
                bucket = models.read_most(
                    models.BucketStatus, raw, where=where, spare=_SPARE_OF_SIZE, warnings=warnings
                )
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
                    enabled=enabled,
                    unclear=unclear,
                    position=len(sizes),
                )
            )
    return arrays, sizes


_SPARE = ("Priority", "Azure", "Memory", "CoreCount", "ImageName", "ShutdownPolicy")
"""Attributes of a nodearray that may be missing."""

_SPARE_OF_SIZE = ("invalidReason", "activeNodes", "lastCapacityFailure", "spotPlacementScore")
"""Properties of a size that may be missing; without a ceiling it would be taken for unlimited."""

_ON = ("true", "yes", "on", "1", "enabled", "t", "y")
_OFF = ("false", "no", "off", "0", "disabled", "f", "n", "none", "null")


def _attributes(
    array: models.NodearrayStatus, where: str, warnings: list[str]
) -> tuple[models.NodearrayRecord, str]:
    """The attributes, and why nothing may be launched by them, if they leave open what it would be."""
    found: list[str] = []
    every = models.NodearrayRecord.__struct_encode_fields__
    attributes = models.read_most(
        models.NodearrayRecord, array.nodearray, where=where, spare=every, warnings=found
    )
    warnings += [f"nodearray {array.name}: {text}" for text in found]
    # Whether it is spot, where it is, and whether we may use it at all, is not known then.
    vital = [text for text in found if not any(f"{where}.{name}" in text for name in _SPARE)]
    return attributes, f"its nodearray cannot be read: {vital[0]}" if vital else ""


def _enabled(nodearray: str, attributes: models.NodearrayRecord, warnings: list[str]) -> bool:
    """The owner's switch, in any spelling. What cannot be understood is off: it has some reason."""
    value = autoscale_setting(attributes.configuration, "enabled")
    if value is None:
        return True
    said = _switch(value)
    if said is None:
        warnings.append(
            f"nodearray {nodearray}: Configuration.autoscale.enabled is {value!r}, neither true nor false: "
            "it is taken for false"
        )
    return said is True


def _is_hpc(attributes: models.NodearrayRecord) -> bool:
    """False only where it says so: then no placement groups are made up for it."""
    value = autoscale_setting(attributes.configuration, "is_hpc")
    return value is None or _switch(value) is not False


def _switch(value: object) -> bool | None:
    """On or off, in any spelling; None: neither."""
    word = str(value).strip().lower()
    number = float(word) if word.replace(".", "", 1).isdecimal() else None
    if word in _ON or number:
        return True
    return False if word in _OFF or number == 0 else None


def bucket_of(size: Size, taken: Mapping[str, int], prices: Mapping[str, float]) -> Bucket:
    """The size as the engine sees it; `taken` are the pools over it with what one node takes of each."""
    status, machine = size.status, size.status.virtual_machine
    reason = status.invalid_reason
    if not status.valid:
        reason = reason or "the server calls it invalid"
    elif size.unclear:
        reason = size.unclear
    elif not size.enabled:
        reason = "autoscaling is switched off for this nodearray (Configuration.autoscale.enabled)"
    return Bucket(
        id=size.id,
        nodearray=size.nodearray,
        vm_size=size.vm_size,
        spot=size.spot,
        location=size.attributes.region,
        vcpu_count=size.vcpus,
        pcpu_count=size.pcpus,
        gpu_count=machine.gpu_count,
        memory_gib=size.memory,
        infiniband=machine.infiniband,
        price_per_hour=price_of(prices, size.vm_size, size.spot),
        pools=taken,
        placement_groups={g.name: max(0, g.active_count) for g in status.placement_groups},
        max_placement_group_size=_first(
            status.max_placement_group_size, size.attributes.azure.max_scaleset_size, 100
        ),
        fixed_placement_group=size.attributes.placement_group_id or None,
        capacity_failed=failed
        if (failed := status.last_capacity_failure) is not None and failed >= 0
        else None,
        makes_groups=_is_hpc(size.attributes),
        valid=status.valid and size.enabled and not size.unclear,
        invalid_reason=reason,
        priority=int(size.attributes.priority),
        position=size.position,
        resources=resources_of(size.attributes.configuration),
        software_configuration=size.attributes.configuration,
        image=size.attributes.image_name,
    )


def price_of(prices: Mapping[str, float], vm_size: str, spot: bool) -> float | None:
    """Price per hour of one machine; None if the settings do not have it."""
    return prices.get(f"{vm_size}/spot" if spot else vm_size)


def autoscale_setting(configuration: Mapping[str, Any], name: str) -> Any:
    """`Configuration.autoscale.<name>`; some integrations call the section `autoscaling`."""
    for section in ("autoscale", "autoscaling"):
        found = models.get(configuration, section)
        value = models.get(found, name) if isinstance(found, Mapping) else None
        if value is None:  # it may also be written as one key with a dot in it
            value = models.get(configuration, f"{section}.{name}")
        if value is not None:
            return value
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
