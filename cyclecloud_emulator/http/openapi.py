"""The OpenAPI document of everything the emulator answers: the product's API, and the admin endpoint."""

from __future__ import annotations

from typing import Any

import msgspec

from cyclecloud_emulator.cluster import creation, management
from cyclecloud_emulator.cluster.usage import GRANULARITIES, TIMEFRAMES
from cyclecloud_emulator.http import bodies
from cyclecloud_emulator.trouble.faults import Fault, Schedule
from cyclecloud_emulator.trouble.mishaps import Mishap

Schema = dict[str, Any]

_BODIES = (
    creation.CreationRequest,
    management.ManagementRequest,
    Fault,
    Mishap,
    Schedule,
    bodies.NodeAction,
    bodies.Restart,
    bodies.ClusterAction,
    bodies.Skew,
)
_COUNT: Schema = {"type": "integer", "minimum": 0}
_WHOLE: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}


def document(url: str) -> Schema:
    """The document for an emulator at this address."""
    _, bodies = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CycleCloud emulator",
            "version": "8",
            "description": "The part of the CycleCloud REST API that concerns nodes, and /emulator.",
        },
        "servers": [{"url": url}],
        "security": [{"basic": []}],
        "paths": {**_api_paths(), **_admin_paths()},
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {**_ANSWERS, **bodies},
            "responses": {
                name: {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}
                for name, text in (
                    ("BadQuery", "The query or the body makes no sense."),
                    ("Unauthorised", "No user name and password, wrong ones, or a locked account."),
                    ("NotFound", "No such path, cluster, node, operation or request."),
                    ("Conflict", "Invalid input, or a request id that was used before."),
                )
            },
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_VIRTUAL_MACHINE = _object(
    {
        "vcpuCount": _COUNT, "pcpuCount": _COUNT, "gpuCount": _COUNT, "memory": _NUMBER, "infiniband": _FLAG,
    },
    {"vcpuQuotaCount": _COUNT},
)  # fmt: skip
_PLACEMENT_GROUP = _object({"name": _TEXT, "activeCount": _COUNT, "activeCoreCount": _COUNT})
_BUCKET_COUNTS = (
    "maxCount", "maxCoreCount", "activeCount", "activeCoreCount", "availableCount", "availableCoreCount",
    "quotaCount", "quotaCoreCount", "consumedCoreCount", "maxPlacementGroupSize", "maxPlacementGroupCoreSize",
)  # fmt: skip
_BUCKET_LATER_COUNTS = (
    "familyQuotaCount", "familyQuotaCoreCount", "familyConsumedCoreCount",
    "regionalQuotaCount", "regionalQuotaCoreCount", "regionalConsumedCoreCount",
)  # fmt: skip
_NODE = _object(
    dict.fromkeys(("Name", "NodeId", "Template", "MachineType", "Status", "State"), _TEXT),
    {
        "ClusterName": _TEXT, "StatusMessage": _TEXT, "TargetState": _TEXT, "Hostname": _TEXT,
        "PrivateIp": _TEXT, "InstanceId": _TEXT, "PlacementGroupId": {"type": ["string", "null"]},
        "KeepAlive": {"type": ["boolean", "null"]}, "Interruptible": _FLAG, "CoreCount": _WHOLE,
        "Memory": _NUMBER, "Region": _TEXT, "Configuration": {"type": "object"}, "RequestId": _TEXT,
        "PhaseMap": {"type": "object"}, "PhaseFailed": _TEXT,
    },
)  # fmt: skip
_USAGE_ITEM = _object(
    {"category": _TEXT, "hours": _NUMBER, "cost": _NUMBER, "details": _list({"type": "object"})},
    {"node": _TEXT},
)

_ANSWERS: dict[str, Schema] = {
    "Error": _object({"Code": _WHOLE, "Message": _TEXT, "Exception": _TEXT, "Detail": _TEXT}),
    "Node": _NODE,
    "OperationStatus": _object({"startTime": _TEXT}, {"action": _TEXT}),
    "NodeList": _object({"nodes": _list(_ref("Node"))}, {"operation": _ref("OperationStatus")}),
    "Bucket": _object(
        {
            "bucketId": _TEXT,
            "virtualMachine": _VIRTUAL_MACHINE,
            "valid": _FLAG,
            "invalidReason": _TEXT,
            "placementGroups": _list(_PLACEMENT_GROUP),
            "lastCapacityFailure": _NUMBER,
            **dict.fromkeys(_BUCKET_COUNTS, _COUNT),
        },
        {
            "definition": _object({"machineType": _TEXT}),
            "activeNodes": _list(_TEXT),
            "spotPlacementScore": _TEXT,
            **dict.fromkeys(_BUCKET_LATER_COUNTS, _COUNT),
        },
    ),
    "ClusterStatus": _object(
        {
            "maxCount": _COUNT,
            "maxCoreCount": _COUNT,
            "nodearrays": _list(
                _object(
                    {
                        "name": _TEXT,
                        "nodearray": {"type": "object"},
                        "maxCount": _COUNT,
                        "maxCoreCount": _COUNT,
                        "buckets": _list(_ref("Bucket")),
                    }
                )
            ),
        },
        {"state": _TEXT, "targetState": _TEXT, "nodes": _list(_ref("Node"))},
    ),
    "NodeCreationResult": _object(
        {"operationId": _TEXT, "sets": _list(_object({"added": _COUNT}, {"message": _TEXT}))}
    ),
    "NodeManagementResult": _object(
        {
            "operationId": _TEXT,
            "nodes": _list(
                _object({"id": _TEXT, "name": _TEXT}, {"status": {"enum": ["OK", "Error"]}, "error": _TEXT})
            ),
        }
    ),
    "ClusterUsage": _object(
        {
            "usage": _list(
                _object({"start": _TEXT, "end": _TEXT, "total": _USAGE_ITEM, "breakdown": _list(_USAGE_ITEM)})
            )
        }
    ),
    "Anything": {"type": "object"},
}


def _parameter(name: str, schema: Schema, *, place: str = "query") -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _operation(
    summary: str,
    answer: str | None,
    *,
    status: int = 200,
    body: str | None = None,
    parameters: tuple[Schema, ...] = (),
    errors: dict[int, str] | None = None,
) -> Schema:
    good: Schema = {"description": "Done." if status == 200 else "Accepted."}
    if answer is not None:
        schema = _list(_ref("OperationStatus")) if answer == "Operations" else _ref(answer)
        good["content"] = {"application/json": {"schema": schema}}
    names = {401: "Unauthorised", **(errors or {})}
    operation: Schema = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            str(status): good,
            **{str(code): {"$ref": f"#/components/responses/{name}"} for code, name in sorted(names.items())},
        },
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    return operation


def _api_paths() -> dict[str, Schema]:
    missing, conflict, query = {404: "NotFound"}, {409: "Conflict"}, {400: "BadQuery"}
    cluster = _parameter("cluster", _TEXT, place="path")
    here = (cluster,)
    paths: dict[str, Schema] = {
        "/clusters/{cluster}/status": {
            "get": _operation(
                "State, limits and buckets of a cluster",
                "ClusterStatus",
                parameters=(*here, _parameter("nodes", _FLAG)),
                errors=query | missing,
            )
        },
        "/clusters/{cluster}/nodes": {
            "get": _operation(
                "Nodes of a cluster, or of one operation",
                "NodeList",
                parameters=(*here, _parameter("operation", _TEXT), _parameter("request_id", _TEXT)),
                errors=query | missing,
            )
        },
        "/clusters/{cluster}/nodes/create": {
            "post": _operation(
                "Create nodes",
                "NodeCreationResult",
                status=202,
                body="CreationRequest",
                parameters=here,
                errors=missing | conflict,
            )
        },
        "/clusters/{cluster}/nodes/{node}/ghr": {
            method: _operation(
                "Report a sick host",
                None,
                status=status,
                parameters=(*here, _parameter("node", _TEXT, place="path")),
                errors=missing | conflict,
            )
            for method, status in (("get", 200), ("post", 202))
        },
        "/cloud/actions/retry/{cluster}": {
            "post": _operation("Try again what failed", None, parameters=here, errors=missing)
        },
        "/clusters/{cluster}/scale/{nodearray}": {
            "post": _operation(
                "Grow a nodearray to a total",
                "NodeCreationResult",
                status=202,
                parameters=(
                    *here,
                    _parameter("nodearray", _TEXT, place="path"),
                    _parameter("totalCoreCount", _COUNT),
                    _parameter("totalNodeCount", _COUNT),
                ),
                errors=query | missing | conflict,
            )
        },
        "/clusters/{cluster}/usage": {
            "get": _operation(
                "Core-hours and cost",
                "ClusterUsage",
                parameters=(
                    *here,
                    _parameter("timeframe", {"enum": list(TIMEFRAMES)}),
                    _parameter("granularity", {"enum": list(GRANULARITIES)}),
                    _parameter("from", _TEXT),
                    _parameter("to", _TEXT),
                ),
                errors=query | missing,
            )
        },
        "/operations/": {
            "get": _operation(
                "Operations, or the one that carried a request id",
                "Operations",
                parameters=(_parameter("request_id", _TEXT),),
            )
        },
        "/operations/{id}": {
            "get": _operation(
                "One operation",
                "OperationStatus",
                parameters=(_parameter("id", _TEXT, place="path"),),
                errors=missing,
            )
        },
    }
    for verb in management.VERBS:
        paths[f"/clusters/{{cluster}}/nodes/{verb}"] = {
            "post": _operation(
                f"{verb.capitalize()} nodes",
                "NodeManagementResult",
                status=202,
                body="ManagementRequest",
                parameters=here,
                errors=missing | conflict,
            )
        }
    return paths


def _admin_paths() -> dict[str, Schema]:
    query = {400: "BadQuery"}
    paths: dict[str, Schema] = {}
    for name, summary in (
        ("state", "Clusters and nodes as the emulator knows them"),
        ("ledger", "Machines, node-seconds and money"),
        ("calls", "What clients asked"),
        ("faults", "Answers that go wrong"),
        ("mishaps", "Accidents of nodes that start"),
        ("settings", "The settings in force"),
        ("openapi.json", "This document"),
    ):
        paths[f"/emulator/{name}"] = {"get": _operation(summary, "Anything")}
    for name in ("calls", "faults", "mishaps"):
        paths[f"/emulator/{name}"]["delete"] = _operation("Remove them all", "Anything")
    for name, body, status in (
        ("faults", "Fault", 200),
        ("mishaps", "Mishap", 200),
        ("schedule", "Schedule", 200),
        ("skew", "Skew", 200),
        ("restart", "Restart", 202),
    ):
        paths.setdefault(f"/emulator/{name}", {})["post"] = _operation(
            f"{body}: see docs/emulator.md", "Anything", status=status, body=body, errors=query
        )
    paths["/emulator/nodes"] = {
        "post": _operation(
            "Do something to a node",
            "Anything",
            body="NodeAction",
            errors=query | {404: "NotFound", 409: "Conflict"},
        )
    }
    paths["/emulator/clusters/{cluster}"] = {
        "post": _operation(
            "Start or stop a cluster",
            "Anything",
            body="ClusterAction",
            parameters=(_parameter("cluster", _TEXT, place="path"),),
            errors=query | {404: "NotFound"},
        )
    }
    paths["/emulator/settings"]["patch"] = _operation(
        "Change settings (RFC 7396)", "Anything", body="Anything", errors=query | {409: "Conflict"}
    )
    paths["/emulator/unlock"] = {"post": _operation("Forget bad passwords", "Anything")}
    return paths
