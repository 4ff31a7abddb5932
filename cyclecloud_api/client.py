"""A client of the CycleCloud REST API: one typed method per endpoint, on one cluster.

A request is repeated by itself only where that is safe: reads, and requests that certainly never reached the
server. A create that got no answer is never repeated here; see `CycleCloudProvider`, which asks first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from cyclecloud_api import answers, errors, models
from cyclecloud_api.wire import Answer, Wire

S = TypeVar("S", bound=Struct)


class Which(TypedDict, total=False):
    """Which nodes a management verb is about; several together mean the union."""

    ids: Sequence[str] | None
    names: Sequence[str] | None
    hostnames: Sequence[str] | None
    """Short host names."""
    ip_addresses: Sequence[str] | None
    filter: str | None
    """An expression over node attributes, such as `State === "Started"`."""
    request_id: str | None
    """A repeat with the same one does nothing: RepeatedRequestId."""


class CycleCloudClient:
    """Speaks to one cluster as one user. Safe to use from several threads. Use it as a context manager.

    `verify` is True (the public and the machine's certificates), the path of a CA file, or False (a loud
    warning).
    `timeout` is how long one call may take in all, repeats included, in seconds.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        cluster: str,
        *,
        verify: bool | str | Path = True,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        wire: Wire | None = None,
    ) -> None:
        self.cluster = cluster
        self._wire = wire or Wire(
            url, username, password, verify=verify, timeout=timeout, transport=transport
        )
        self._path = f"/clusters/{quote(cluster, safe='')}"

    @property
    def url(self) -> str:
        """The address of CycleCloud, with its path prefix if it has one."""
        return self._wire.url

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- looking ----------------------------------------------------------------------------------------

    def status(self, nodes: bool = False) -> models.ClusterStatus:
        """Ceilings, nodearrays and sizes; with `nodes`, the nodes of the nodearrays as well."""
        query = {"nodes": "true"} if nodes else {}
        answer = self._get(f"{self._path}/status", query)
        raw = _decoded(answer)
        status = answers.shaped(models.ClusterStatus, raw, request=answer.request, status=answer.status)
        if nodes and status.nodes is None:
            raise errors.Garbled("the answer has no `nodes`, which were asked for", request=answer.request)
        return msgspec.structs.replace(status, raw=raw)

    def nodes(self, *, operation: str | None = None, request_id: str | None = None) -> models.NodeList:
        """All nodes, or those of one operation, or those of the operation that carried a request id."""
        query = _given(operation=operation, request_id=request_id)
        return self._read(models.NodeList, f"{self._path}/nodes", query)

    def operations(self, *, request_id: str | None = None) -> list[models.Operation]:
        """All operations, or the one that carried a request id (none: an empty list)."""
        answer = self._get("/operations/", _given(request_id=request_id))
        raw = _decoded(answer)
        if not isinstance(raw, list):
            raise errors.Garbled("the answer is not a list of operations", request=answer.request)
        return [
            answers.shaped(models.Operation, one, request=answer.request, status=answer.status) for one in raw
        ]

    def operation(self, operation_id: str) -> models.Operation:
        """One operation."""
        return self._read(models.Operation, f"/operations/{quote(operation_id, safe='')}", {})

    def usage(
        self,
        timeframe: str = "monthToDate",
        *,
        granularity: str = "total",
        start: str | None = None,
        end: str | None = None,
    ) -> models.ClusterUsage:
        """Core-hours and retail cost. `start` and `end` go with the timeframe `custom`."""
        query = {"timeframe": timeframe, "granularity": granularity, **_given(**{"from": start, "to": end})}
        return self._read(models.ClusterUsage, f"{self._path}/usage", query)

    # -- growing ----------------------------------------------------------------------------------------

    def create(
        self, sets: Sequence[models.NodeSet], *, request_id: str | None = None
    ) -> models.CreationResult:
        """Create node records. Fewer than asked is no error: see `added` and `message` of each set.

        RepeatedRequestId if this request id was carried out before; nothing new was created then.
        """
        if not sets:
            raise ValueError("create needs at least one set")
        body = models.CreationRequest(sets=list(sets), request_id=request_id)
        path = f"{self._path}/nodes/create"
        try:
            result = self._post(models.CreationResult, path, body=body)
        except errors.Conflict as conflict:
            if request_id is not None and self._knows(lambda: self.nodes(request_id=request_id)):
                raise _repeated(conflict, request_id) from conflict
            raise
        if len(result.sets) != len(sets):
            raise errors.Garbled(
                f"the answer speaks of {len(result.sets)} sets, the request had {len(sets)}",
                request=f"POST {path}",
            )
        return result

    def scale(
        self, nodearray: str, *, total_nodes: int | None = None, total_cores: int | None = None
    ) -> models.CreationResult:
        """Add what is missing to reach a total, once. Never removes."""
        if (total_nodes is None) == (total_cores is None):
            raise ValueError("scale needs exactly one of total_nodes and total_cores")
        query = _given(totalNodeCount=total_nodes, totalCoreCount=total_cores)
        path = f"{self._path}/scale/{quote(nodearray, safe='')}"
        return self._post(models.CreationResult, path, query=query)

    # -- managing: which nodes is said by ids, names, hostnames, addresses or an expression --------------

    def start(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Start deallocated or switched-off nodes again."""
        return self._manage("start", which)

    def shutdown(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Do what the ShutdownPolicy of each node says: terminate (the default) or deallocate."""
        return self._manage("shutdown", which)

    def terminate(self, **which: Unpack[Which]) -> models.ManagementResult:
        """End machines; the records of ordinary nodearray nodes go away."""
        return self._manage("terminate", which)

    def deallocate(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Stop machines, keep their disks and records."""
        return self._manage("deallocate", which)

    def remove(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Terminate and drop the record."""
        return self._manage("remove", which)

    def restart(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Restart machines (CycleCloud 8.8 and later)."""
        return self._manage("restart", which)

    def reimage(self, **which: Unpack[Which]) -> models.ManagementResult:
        """Put the image on machines anew (CycleCloud 8.8 and later)."""
        return self._manage("reimage", which)

    def ghr(self, node: str) -> None:
        """Ask whether a guest health report of a node is known; NotFound if not (8.9 and later)."""
        self._get(self._ghr_path(node), {})

    def report_ghr(self, node: str, *, category: str | None = None, description: str | None = None) -> None:
        """Report a sick host to Azure (8.9 and later)."""
        self._wire.send("POST", self._ghr_path(node), _given(category=category, description=description))

    # -- the common parts -------------------------------------------------------------------------------

    def _manage(
        self,
        verb: str,
        which: Which,
    ) -> models.ManagementResult:
        """One management verb. No selector at all is refused here: who knows what it would select."""
        request_id = which.get("request_id")
        body = models.ManagementRequest(
            ids=_listed(which.get("ids")),
            names=_listed(which.get("names")),
            hostnames=_listed(which.get("hostnames")),
            ip_addresses=_listed(which.get("ip_addresses")),
            filter=which.get("filter") or None,
            request_id=request_id,
        )
        if not (body.ids or body.names or body.hostnames or body.ip_addresses or body.filter):
            raise ValueError(f"{verb} needs ids, names, hostnames, ip_addresses or a filter, not empty")
        try:
            return self._post(models.ManagementResult, f"{self._path}/nodes/{verb}", body=body)
        except errors.Conflict as conflict:
            if request_id is not None and self._knows(lambda: self.operations(request_id=request_id)):
                raise _repeated(conflict, request_id) from conflict
            raise

    def _knows(self, ask: Callable[[], object]) -> bool:
        """Whether a question about a request id finds anything."""
        try:
            found = ask()
        except errors.NotFound:
            return False
        except errors.Unreachable as lost:
            # The question may not have left, but the request that it is about did.
            raise errors.Unreachable(lost.message, request=lost.request, sent=True) from lost
        return isinstance(found, models.NodeList) or bool(found)

    def _read(self, kind: type[S], path: str, query: Mapping[str, str]) -> S:
        answer = self._get(path, query)
        return answers.shaped(kind, _decoded(answer), request=answer.request, status=answer.status)

    def _get(self, path: str, query: Mapping[str, str]) -> Answer:
        return self._wire.send("GET", path, query)

    def _post(
        self, kind: type[S], path: str, *, query: Mapping[str, str] | None = None, body: Struct | None = None
    ) -> S:
        content = None if body is None else msgspec.json.encode(body)
        answer = self._wire.send("POST", path, query or {}, content)
        return answers.shaped(kind, _decoded(answer), request=answer.request, status=answer.status)

    def _ghr_path(self, node: str) -> str:
        return f"{self._path}/nodes/{quote(node, safe='')}/ghr"


def _decoded(answer: Answer) -> Any:
    return answers.decoded(answer.body, request=answer.request, status=answer.status)


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None


def _given(**query: object) -> dict[str, str]:
    """Query parameters that have a value, as text."""
    return {key: str(value) for key, value in query.items() if value is not None}


def _repeated(conflict: errors.Conflict, request_id: str) -> errors.RepeatedRequestId:
    return errors.RepeatedRequestId(
        f"request id {request_id} was carried out before: {conflict.message}",
        request=conflict.request,
        status=conflict.status,
    )
