"""The REST API: from a request to an answer. Every path of the reference that concerns nodes."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from http import HTTPStatus

from cyclecloud_emulator.cluster import creation, management, usage
from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import Operation, State
from cyclecloud_emulator.errors import ApiError, BadQuery, Conflict, NotAllowed, NotFound, Unauthorised
from cyclecloud_emulator.http.views import Views
from cyclecloud_emulator.message import Answer, Request, as_json
from cyclecloud_emulator.trouble.quirks import Quirks


class Api:
    """Answers requests that were let in. The caller holds the emulator's lock."""

    def __init__(self, state: State, life: Life, views: Views) -> None:
        self._state = state
        self._life = life
        self._views = views

    def answer(self, request: Request, now: float) -> Answer:
        """Find the handler of the path and run it; raises ApiError for every answer that is an error."""
        match request.segments:
            case ("clusters", cluster, "status"):
                return self._on(request, GET=lambda: self._status(request, cluster, now))
            case ("clusters", cluster, "nodes"):
                return self._on(request, GET=lambda: self._nodes(request, cluster, now))
            case ("clusters", cluster, "nodes", "create"):
                return self._on(request, POST=lambda: self._create(request, cluster, now))
            case ("clusters", cluster, "nodes", verb) if verb in management.VERBS:
                return self._on(request, POST=lambda: self._manage(request, cluster, verb, now))
            case ("clusters", cluster, "nodes", name, "ghr"):
                return self._on(
                    request,
                    GET=lambda: self._health_report(cluster, name, 200),
                    POST=lambda: self._health_report(cluster, name, 202),
                )
            case ("clusters", cluster, "scale", nodearray):
                return self._on(request, POST=lambda: self._scale(request, cluster, nodearray, now))
            case ("clusters", cluster, "usage"):
                return self._on(request, GET=lambda: self._usage(request, cluster, now))
            case ("cloud", "actions", "retry", cluster):
                return self._on(request, POST=lambda: self._retry(cluster, now))
            case ("operations",):
                return self._on(request, GET=lambda: self._operations(request, now))
            case ("operations", operation_id):
                return self._on(request, GET=lambda: self._operation(operation_id, now))
        raise NotFound(f"No such path: {request.path}")

    def _on(self, request: Request, **handlers: Callable[[], Answer]) -> Answer:
        handler = handlers.get(request.method)
        if handler is None:
            raise NotAllowed(
                f"{request.method} is not allowed here", detail=f"Allowed: {', '.join(handlers)}"
            )
        return handler()

    # -- reading ---------------------------------------------------------------------------------------

    def _status(self, request: Request, cluster: str, now: float) -> Answer:
        nodes = request.flag("nodes")
        if cluster not in self._state.settings.clusters:
            if self._state.settings.quirks.unknown_cluster == "empty":
                return as_json(200, self._views.empty_status())
            self._check_cluster(cluster)
        return as_json(200, self._views.status(cluster, now, nodes=nodes))

    def _nodes(self, request: Request, cluster: str, now: float) -> Answer:
        self._check_cluster(cluster)
        parameters = request.parameters()
        operation_id, request_id = parameters.get("operation"), parameters.get("request_id")
        both = operation_id is not None and request_id is not None
        if both and self._state.settings.quirks.both_filters == "400":
            raise BadQuery("Specify only one of operation and request_id")
        operations: list[Operation] = []
        if operation_id is not None:
            operation = self._known_operation(operation_id, now)
            if operation is not None and operation.cluster == cluster:
                operations.append(operation)
            elif self._state.settings.quirks.unknown_operation == "404":
                raise NotFound(f"No operation found for id {operation_id}")
        if request_id is not None:
            operations.append(self._operation_of(request_id, cluster, now))
        filtered = operation_id is not None or request_id is not None
        return as_json(200, self._views.nodes(cluster, operations, now, filtered=filtered))

    def _operation_of(self, request_id: str, cluster: str, now: float) -> Operation:
        operation = self._state.operation_of_request(cluster, request_id, now)
        if operation is None or operation.cluster != cluster:
            raise NotFound(f"No operation found for request id {request_id}")
        return operation

    def _known_operation(self, operation_id: str, now: float) -> Operation | None:
        self._state.forget_old(now)
        return self._state.operations.get(operation_id)

    def _operations(self, request: Request, now: float) -> Answer:
        self._state.forget_old(now)
        request_id = request.parameters().get("request_id")
        operations = [
            operation
            for operation in self._state.operations.values()
            if request_id is None or operation.request_id == request_id
        ]
        return as_json(200, [self._views.operation(operation) for operation in operations])

    def _operation(self, operation_id: str, now: float) -> Answer:
        operation = self._known_operation(operation_id, now)
        if operation is None:
            raise NotFound(f"No operation found for id {operation_id}")
        return as_json(200, self._views.operation(operation))

    def _usage(self, request: Request, cluster: str, now: float) -> Answer:
        self._check_cluster(cluster)
        answer = usage.report(self._state.ledger, cluster, request.parameters(), now, self._views.iso)
        return as_json(200, answer)

    # -- changing --------------------------------------------------------------------------------------

    def _retry(self, cluster: str, now: float) -> Answer:
        """Try all nodes again that failed. In no reference; a public client calls it and wants a 200."""
        self._check_cluster(cluster)
        for node in list(self._state.nodes.values()):
            if node.cluster == cluster and node.phase in (Phase.FAILED, Phase.UNAVAILABLE):
                self._life.retry(node, now)
        return as_json(200, {})

    def _create(self, request: Request, cluster: str, now: float) -> Answer:
        self._check_cluster(cluster)
        self._check_content(request)
        operation, results = creation.create(
            self._state, self._life, cluster, creation.parse(request.body), now
        )
        return self._accepted(request, operation, {"sets": results})

    def _scale(self, request: Request, cluster: str, nodearray: str, now: float) -> Answer:
        self._check_cluster(cluster)
        operation, results = creation.scale(
            self._state,
            self._life,
            cluster,
            nodearray,
            total_cores=request.whole_number("totalCoreCount"),
            total_nodes=request.whole_number("totalNodeCount"),
            now=now,
        )
        return self._accepted(request, operation, {"sets": results})

    def _manage(self, request: Request, cluster: str, verb: str, now: float) -> Answer:
        self._check_cluster(cluster)
        self._check_content(request)

        def attributes(node: Node) -> dict[str, object]:
            return self._views.node(node, now)

        operation, results = management.manage(
            self._state,
            self._life,
            cluster,
            verb,
            management.parse(request.body),
            attributes_of=attributes,
            now=now,
        )
        return self._accepted(request, operation, {"nodes": results})

    def _accepted(self, request: Request, operation: Operation, results: dict[str, object]) -> Answer:
        path = f"/operations/{operation.id}"
        location = {
            "absolute": {"Location": request.base_url + path},
            "relative": {"Location": self._state.settings.base_path + path},
            "absent": {},
        }[self._state.settings.quirks.location]
        return as_json(202, {"operationId": operation.id, **results}, location)

    def _health_report(self, cluster: str, name: str, status: int) -> Answer:
        self._check_cluster(cluster)
        node = self._state.names.get((cluster, name))
        if node is None:
            raise NotFound(f"No node {name} in cluster {cluster}")
        if status == 202 and not node.has_machine:
            raise Conflict(f"Node {name} has no machine to report on")
        return Answer(status=status)

    # -- checks ----------------------------------------------------------------------------------------

    def _check_cluster(self, cluster: str) -> None:
        if cluster not in self._state.settings.clusters:
            message = f"No such cluster: {cluster}"
            if self._state.settings.quirks.unknown_cluster == "409":
                raise Conflict(message)
            raise NotFound(message)

    def _check_content(self, request: Request) -> None:
        refused = self._state.settings.quirks.text_plain == "refused"
        if refused and request.content_type.partition(";")[0].strip() == "text/plain":
            raise Conflict("text/plain is not accepted: send application/json")


def error_answer(error: ApiError, quirks: Quirks) -> Answer:
    """How an error looks on the wire."""
    status, headers = error.status, {}
    if isinstance(error, Unauthorised):
        if quirks.unauthorised == "redirect":
            return Answer(status=302, content_type="text/html", headers={"Location": "/login"})
        if quirks.unauthorised == "bare":
            return Answer(status=status, content_type="text/html")
        headers = {"WWW-Authenticate": 'Basic realm="CycleCloud", charset="UTF-8"'}
    reason = HTTPStatus(status).phrase
    if quirks.error_bodies == "empty":
        return Answer(status=status, headers=headers)
    if quirks.error_bodies == "text":
        return Answer(status=status, body=error.message.encode(), content_type="text/plain", headers=headers)
    if quirks.error_bodies == "html":
        page = f"<html><head><title>{status} {reason}</title></head><body><h1>{reason}</h1></body></html>"
        if error.message:
            page = page.replace("</h1>", f"</h1><p>{html.escape(error.message)}</p>")
        return Answer(status=status, body=page.encode(), content_type="text/html", headers=headers)
    body = {"Code": status, "Message": error.message, "Exception": "", "Detail": error.detail}
    return Answer(status=status, body=json.dumps(body).encode(), headers=headers)
