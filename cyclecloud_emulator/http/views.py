"""The answers: records, buckets, status, operations, usage. Field names and casing as documented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cyclecloud_emulator.cluster.creation import is_throttled
from cyclecloud_emulator.cluster.limits import BucketLimits, Usage, bucket_limits
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import Operation, State, bucket_id
from cyclecloud_emulator.settings import Nodearray, Settings

Record = dict[str, object]

_OLDER_WORDS = {"Ready": "Started", "Acquiring": "Allocating"}
_NEWER_BUCKET_FIELDS = (
    "familyQuotaCount", "familyQuotaCoreCount", "familyConsumedCoreCount",
    "regionalQuotaCount", "regionalQuotaCoreCount", "regionalConsumedCoreCount",
    "invalidReason", "lastCapacityFailure",
)  # fmt: skip


class Views:
    """Makes answers from the state. `skew` seconds are added to every date."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.skew = 0.0

    @property
    def _settings(self) -> Settings:
        return self._state.settings

    # -- nodes -----------------------------------------------------------------------------------------

    def node(self, node: Node, now: float) -> Record:
        """A node record."""
        settings, quirks = self._settings, self._settings.quirks
        record: Record = {
            "Name": node.name,
            "NodeId": node.id,
            "ClusterName": node.cluster,
            "Template": node.nodearray or node.name,
            "MachineType": node.vm_size,
            "Region": settings.region,
            "Zone": node.zone,
            "Status": self._word(node.phase.status),
            "StatusMessage": node.message,
            "State": node.phase.state,
            "TargetState": node.target,
            "Interruptible": node.spot,
            "ShutdownPolicy": node.shutdown_policy,
            "Fixed": node.fixed,
            "CoreCount": node.size.vcpus,
            "Memory": node.size.memory_gib,
            "Configuration": self._configuration(node),
        }
        if now - node.created_at < quirks.node_id_delay_seconds:
            del record["NodeId"]
        if quirks.target_state == "late" and node.phase is Phase.ACQUIRING:
            del record["TargetState"]
        if node.instance_id is not None:
            record["InstanceId"] = node.instance_id
        if node.ready_at is None or now - node.ready_at >= quirks.address_delay_seconds:
            if node.private_ip is not None:
                record["PrivateIp"] = node.private_ip
            if node.hostname is not None:
                record["Hostname"] = node.hostname
        if node.request_id is not None:
            record["RequestId"] = node.request_id
        if node.phase_failed is not None:
            record["PhaseFailed"] = node.phase_failed
        self._optional(record, node)
        self._dates(record, node)
        for name, value in node.attributes.items():
            record.setdefault(name, value)
        return record

    def _word(self, status: str) -> str:
        return _OLDER_WORDS.get(status, status) if self._settings.quirks.status_words == "older" else status

    def _configuration(self, node: Node) -> Record:
        given = node.attributes.get("Configuration")
        configuration: Record = dict(given) if isinstance(given, Mapping) else {}
        array = self._settings.clusters[node.cluster].nodearrays.get(node.nodearray)
        if array is not None:
            configuration.setdefault("autoscale", _autoscale(array))
        return configuration

    def _optional(self, record: Record, node: Node) -> None:
        """KeepAlive and PlacementGroupId, which may be absent, null or a value."""
        how = self._settings.quirks.empty_fields
        if node.keep_alive or how == "value":
            record["KeepAlive"] = node.keep_alive
        elif how == "null":
            record["KeepAlive"] = None
        if node.placement_group is not None or how != "absent":
            record["PlacementGroupId"] = node.placement_group

    def _dates(self, record: Record, node: Node) -> None:
        if self._settings.quirks.dates == "absent":
            return
        record["UpdatedAt"] = self._date(node.changed_at)
        record["PhaseMap"] = {
            phase: {
                "Status": "Ok" if end is not None else "Executing",
                "Message": "",
                "StartTime": self._date(start),
                **({} if end is None else {"EndTime": self._date(end)}),
            }
            for phase, (start, end) in node.phases.items()
        }

    def _date(self, at: float) -> object:
        text = self.iso(at)
        return {"$date": text} if self._settings.quirks.dates == "object" else text

    def iso(self, at: float) -> str:
        """An instant, as ISO 8601 in UTC, by the server's (perhaps wrong) clock."""
        return datetime.fromtimestamp(at + self.skew, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def nodes(self, cluster: str, operations: Iterable[Operation], now: float, *, filtered: bool) -> Record:
        """Answer of `…/nodes`, of everything or of the nodes of some operations."""
        operations = list(operations)
        if not filtered:
            return {"nodes": [self.node(n, now) for n in self._listed(cluster, head=("nodes", "both"))]}
        ids = set(operations[0].node_ids) if operations else set()
        for operation in operations[1:]:
            ids &= set(operation.node_ids)
        nodes = [self.node(n, now) for n in self._state.nodes_of(cluster) if n.id in ids]
        answer: Record = {"nodes": nodes}
        if operations:
            answer["operation"] = self.operation(operations[0])
        return answer

    def _listed(self, cluster: str, *, head: tuple[str, ...], off: bool = True) -> list[Node]:
        with_head = self._settings.quirks.head_node in head
        return [
            node
            for node in self._state.nodes_of(cluster)
            if (node.nodearray or with_head) and (off or node.phase is not Phase.OFF)
        ]

    def operation(self, operation: Operation) -> Record:
        """OperationStatus: no progress in it, that is read from the nodes."""
        status: Record = {"startTime": self.iso(operation.started_at)}
        if operation.action:
            status["action"] = operation.action
        return status

    # -- status ----------------------------------------------------------------------------------------

    def status(self, cluster_name: str, now: float, *, nodes: bool) -> Record:
        """ClusterStatus."""
        state, settings = self._state, self._settings
        cluster = settings.clusters[cluster_name]
        usage = state.usage()
        shown = state.shown_usage(now, usage)
        active: dict[tuple[str, str], list[str]] = {}
        if nodes:
            for node in state.nodes_of(cluster_name):
                if node.phase.in_use:
                    active.setdefault((node.nodearray, node.vm_size), []).append(node.name)
        word = "Terminated" if cluster_name in state.stopped_clusters else "Started"
        answer: Record = {
            "state": word,
            "targetState": word,
            "maxCount": cluster.max_count,
            "maxCoreCount": cluster.max_core_count,
            "nodearrays": [
                {
                    "name": name,
                    "maxCount": array.max_count,
                    "maxCoreCount": array.max_core_count,
                    "nodearray": self._nodearray(name, array),
                    "buckets": self._buckets(cluster_name, name, array, usage, shown, active, now, nodes),
                }
                for name, array in cluster.nodearrays.items()
            ],
        }
        if nodes:
            with_off = settings.quirks.off_nodes == "both"
            listed = self._listed(cluster_name, head=("both",), off=with_off)
            answer["nodes"] = [self.node(node, now) for node in listed]
        return answer

    def empty_status(self) -> Record:
        """Status of a cluster that does not exist, by the quirk that answers one."""
        return {"maxCount": 0, "maxCoreCount": 0, "nodearrays": []}

    def _nodearray(self, name: str, array: Nodearray) -> Record:
        record: Record = {
            "Name": name,
            "Region": self._settings.region,
            "SubnetId": self._settings.subnet,
            "MachineType": list(array.sizes) if len(array.sizes) > 1 else array.sizes[0],
            "Interruptible": array.spot,
            "MaxCount": array.max_count,
            "MaxCoreCount": array.max_core_count,
            "ShutdownPolicy": array.shutdown_policy,
            "KeepAlive": array.keep_alive,
            "Fixed": array.fixed,
            "ThrottleCapacity": array.throttle_capacity,
            "Azure": {"MaxScalesetSize": array.max_placement_group_size},
            "Configuration": {"autoscale": _autoscale(array)},
        }
        if array.spot:
            record["MaxPrice"] = -1
        if array.priority is not None:
            record["Priority"] = array.priority
        if array.placement_group is not None:
            record["PlacementGroupId"] = array.placement_group
        return record

    def _buckets(
        self,
        cluster: str,
        array_name: str,
        array: Nodearray,
        usage: Usage,
        shown: Usage,
        active: Mapping[tuple[str, str], list[str]],
        now: float,
        nodes: bool,
    ) -> list[Record]:
        """One per size, in order of preference; those that are not valid only while they hold nodes."""
        buckets = []
        for vm_size in dict.fromkeys((*array.sizes, *array.disabled_sizes)):
            throttled = is_throttled(self._state, cluster, array_name, vm_size, array.spot, now)
            limits = bucket_limits(
                self._settings, cluster, array_name, vm_size, usage=usage, shown=shown, throttled=throttled
            )
            if vm_size in array.sizes or limits.active_nodes:
                bucket = self._bucket(cluster, array_name, array, vm_size, limits, usage, now)
                if nodes:
                    bucket["activeNodes"] = active.get((array_name, vm_size), [])
                buckets.append(bucket)
        return buckets

    def _bucket(
        self,
        cluster: str,
        array_name: str,
        array: Nodearray,
        vm_size: str,
        limits: BucketLimits,
        usage: Usage,
        now: float,
    ) -> Record:
        size, quirks, v = self._settings.sizes[vm_size], self._settings.quirks, limits.cores
        key = self._state.capacity_key(cluster, array_name, vm_size, array.spot)
        machine: Record = {
            "vcpuCount": size.vcpus,
            "pcpuCount": size.pcpus,
            "gpuCount": size.gpus,
            "memory": float(size.memory_gib),
            "infiniband": size.infiniband,
        }
        if size.quota_vcpus is not None:
            machine["vcpuQuotaCount"] = size.quota_vcpus
        bucket: Record = {
            "bucketId": bucket_id(cluster, array_name, vm_size),
            "definition": {"machineType": vm_size},
            "virtualMachine": machine,
            "valid": vm_size not in array.disabled_sizes,
            "invalidReason": array.disabled_sizes.get(vm_size, ""),
            "maxCount": limits.max_nodes,
            "maxCoreCount": limits.max_nodes * v,
            "activeCount": limits.active_nodes,
            "activeCoreCount": limits.active_nodes * v,
            "availableCount": limits.available_nodes,
            "availableCoreCount": limits.available_nodes * v,
            "quotaCount": limits.quota_nodes,
            "quotaCoreCount": limits.quota_cores,
            "consumedCoreCount": limits.consumed_cores,
            "familyQuotaCount": limits.family_quota_nodes,
            "familyQuotaCoreCount": limits.family_quota_cores,
            "familyConsumedCoreCount": limits.family_consumed_cores,
            "regionalQuotaCount": limits.regional_quota_nodes,
            "regionalQuotaCoreCount": limits.regional_quota_cores,
            "regionalConsumedCoreCount": limits.regional_consumed_cores,
            "maxPlacementGroupSize": array.max_placement_group_size,
            "maxPlacementGroupCoreSize": array.max_placement_group_size * v,
            "placementGroups": [
                {"name": group, "activeCount": count, "activeCoreCount": count * v}
                for (c, a, s, group), count in usage.group_nodes.items()
                if (c, a, s) == (cluster, array_name, vm_size)
            ],
            "lastCapacityFailure": self._state.seconds_since_capacity_failure(key, now),
        }
        if array.spot and quirks.spot_score != "absent":
            bucket["spotPlacementScore"] = "" if quirks.spot_score == "empty" else quirks.spot_score
        if quirks.old_buckets:
            for name in _NEWER_BUCKET_FIELDS:
                del bucket[name]
            del machine["gpuCount"], machine["pcpuCount"]
        return bucket


def _autoscale(array: Nodearray) -> Record:
    autoscale: Record = {"enabled": array.autoscale}
    if array.resources:
        autoscale["resources"] = dict(array.resources)
    return autoscale
