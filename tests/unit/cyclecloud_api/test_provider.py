"""The provider: launches that happen once, ends that touch nothing protected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cyclecloud_api import errors
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.provider import CycleCloudProvider, from_config
from scalelib.errors import (
    CloudGarbled,
    CloudNotFound,
    CloudRefused,
    CloudTrouble,
    CloudUnreachable,
    InvalidConfig,
)
from scalelib.node import NodeId
from scalelib.provider import LaunchRequest, LaunchResult, NodeOutcome, Provider

if TYPE_CHECKING:
    from conftest import Server

Make = Callable[..., dict[str, Any]]
REQUEST = LaunchRequest(request_id="r-1", nodearray="worker", vm_size="Standard_D4s_v5", count=3)


@pytest.fixture
def provider(client: CycleCloudClient) -> Provider:
    return CycleCloudProvider(client, prices={"Standard_D4s_v5": 0.2})


def test_a_look_is_one_call(provider: Provider, server: Server, status: Make, node: Make) -> None:
    server.then(body=status(nodes=[node(1)]))
    cloud = provider.cloud()
    assert [n.id for n in cloud.nodes] == ["node-1"]
    assert cloud.buckets[0].price_per_hour == 0.2
    assert len(server.sent) == 1


def test_a_launch_reads_back_the_names_of_what_was_created(
    provider: Provider, server: Server, node: Make
) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 2, "message": "only 2 fit"}]})
    server.then(200, {"nodes": [node(1), node(2), node(3, NodeId=None)]})
    assert provider.launch(REQUEST) == LaunchResult(
        request_id="r-1",
        added=2,
        message="only 2 fit",
        nodes=((NodeId("node-1"), "worker-1"), (NodeId("node-2"), "worker-2")),
    )
    assert server.sent[1].endswith("/nodes?operation=op")


def test_none_added_is_a_result_not_an_error(provider: Provider, server: Server) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 0, "message": "full"}]})
    assert provider.launch(REQUEST) == LaunchResult(request_id="r-1", added=0, message="full")
    assert len(server.sent) == 1


def test_created_nodes_that_cannot_be_listed_are_still_created(provider: Provider, server: Server) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 3}]}).then(404, "no such operation")
    assert provider.launch(REQUEST).added == 3


def test_a_repeat_gives_what_became_of_the_first(provider: Provider, server: Server, node: Make) -> None:
    server.then(409, "handled").then(200, {"nodes": [node(1), node(2)], "operation": {}})
    result = provider.launch(REQUEST)
    assert result.added == 2
    assert [name for _, name in result.nodes] == ["worker-1", "worker-2"]
    assert sum(s.startswith("POST") for s in server.sent) == 1


def test_a_bad_request_is_refused_with_the_servers_words(provider: Provider, server: Server) -> None:
    server.then(409, {"Message": "Unknown nodearray worker"})
    server.then(404, {"Message": "No operation found for request id r-1"})
    with pytest.raises(CloudRefused, match="Unknown nodearray worker"):
        provider.launch(REQUEST)


@pytest.mark.parametrize(
    ("error", "kind"), [(httpx.ReadTimeout("slow"), CloudUnreachable), (None, CloudTrouble)]
)
def test_a_launch_whose_answer_is_lost_is_sent_once_and_says_that_it_is_unknown(
    provider: Provider, server: Server, error: Exception | None, kind: type[Exception]
) -> None:
    if error is None:
        server.then(503, "busy")
    else:
        server.failing(error)
    with pytest.raises(kind):
        provider.launch(REQUEST)
    assert len(server.sent) == 1


def test_find_launch_knows_a_launch_that_arrived(provider: Provider, server: Server, node: Make) -> None:
    server.then(200, {"nodes": [node(1)], "operation": {"action": "create"}})
    found = provider.find_launch("r-1")
    assert found is not None
    assert found.added == 1


def test_find_launch_finds_nothing_if_the_server_never_heard_of_it(
    provider: Provider, server: Server
) -> None:
    server.then(404, {"Message": "No operation found for request id r-1"})
    assert provider.find_launch("r-1") is None
    assert len(server.sent) == 1


def test_another_404_counts_as_never_heard_only_if_the_cluster_answers(
    provider: Provider, server: Server, status: Make
) -> None:
    """A wrong address answers 404 too; taking that for "never arrived" would create nodes twice."""
    server.then(404, "nope").then(200, status())
    assert provider.find_launch("r-1") is None
    server.then(404, "nope")
    with pytest.raises(CloudNotFound):
        provider.find_launch("r-1")


def test_terminate_says_what_became_of_each_node(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    listed = status(nodes=[node(1), node(2), node(3, KeepAlive=True)])
    server.then(body=listed).then(body=listed).then(
        202,
        {
            "operationId": "o",
            "nodes": [
                {"id": "node-1", "name": "worker-1", "status": "OK"},
                {"id": "node-2", "name": "worker-2", "status": "Error", "error": "busy"},
            ],
        },
    )
    ids = [NodeId(f"node-{i}") for i in (1, 2, 3, 4, 1)]
    outcomes = provider.terminate(ids)
    assert [(o.id, o.ok) for o in outcomes] == [
        ("node-1", True),
        ("node-2", False),
        ("node-3", False),
        ("node-4", True),
    ]
    assert outcomes[1] == NodeOutcome(id=NodeId("node-2"), ok=False, error="busy")
    assert "KeepAlive" in outcomes[2].error
    assert json.loads(server.requests[2].content) == {"ids": ["node-1", "node-2"]}


def test_keep_alive_nodes_are_never_sent(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    server.then(body=status(nodes=[node(1, KeepAlive=True)]))
    assert [o.ok for o in provider.terminate([NodeId("node-1")])] == [False]
    assert not any("terminate" in s for s in server.sent)


def test_nothing_is_ended_if_it_cannot_be_known_what_is_protected(provider: Provider, server: Server) -> None:
    server.then(503, "")
    with pytest.raises(CloudTrouble):
        provider.terminate([NodeId("node-1")])
    assert all(s.startswith("GET") for s in server.sent)


def test_many_nodes_are_ended_in_few_calls_and_a_late_failure_keeps_the_early_outcomes(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    listed = status(nodes=[node(i) for i in range(1500)])
    server.then(body=listed).then(body=listed)
    provider.cloud()
    provider.cloud()
    server.then(202, {"operationId": "o", "nodes": []}).then(503, "busy")
    outcomes = provider.terminate([NodeId(f"node-{i}") for i in range(1500)])
    assert [o.ok for o in outcomes] == [True] * 1000 + [False] * 500
    assert "busy" in outcomes[-1].error
    assert len(server.sent) == 4


def test_a_node_that_was_seen_once_is_looked_at_again_before_it_is_ended(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    server.then(body=status(nodes=[node(1)])).then(body=status(nodes=[node(1)]))
    server.then(202, {"operationId": "o", "nodes": [{"id": "node-1", "name": "worker-1"}]})
    provider.cloud()
    assert provider.terminate([NodeId("node-1")]) == (NodeOutcome(id=NodeId("node-1"), ok=True),)
    assert [s.split()[0] for s in server.sent] == ["GET", "GET", "POST"]
    server.then(202, {"operationId": "o", "nodes": [{"id": "node-1", "name": "worker-1"}]})
    (again,) = provider.terminate([NodeId("node-1")])
    assert again.is_repeat, "the list that it is decided from may be older than the first"


def test_an_answer_that_swaps_ids_is_refused_and_ends_nothing(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    truth = status(nodes=[node(1), node(2)])
    lie = status(nodes=[node(1, NodeId="node-2"), node(2, NodeId="node-1")])
    server.then(body=truth).then(body=lie).then(body=lie)
    provider.cloud()
    with pytest.raises(CloudGarbled, match="2 nodes changed their names"):
        provider.cloud()
    server.then(body=truth)
    with pytest.raises(CloudGarbled):
        provider.terminate([NodeId("node-1")])
    assert all(s.startswith("GET") for s in server.sent)


def test_a_few_bad_records_are_left_out_and_many_are_refused(
    provider: Provider, server: Server, status: Make, array: Make, bucket: Make, node: Make
) -> None:
    worker = array("worker", bucket(activeCount=3))
    server.then(body=status(worker, nodes=[node(1), {"NodeId": "x"}, {"NodeId": "y"}]))
    assert len(provider.cloud().nodes) == 1
    server.then(body=status(worker, nodes=[{"NodeId": str(i)} for i in range(3)]))
    with pytest.raises(CloudGarbled, match="3 of 3 nodes that cannot be read"):
        provider.cloud()


def test_half_a_list_of_nodes_is_refused(
    provider: Provider, server: Server, status: Make, array: Make, bucket: Make, node: Make
) -> None:
    worker = array("worker", bucket(activeCount=10))
    server.then(body=status(worker, nodes=[node(i) for i in range(7)]))
    with pytest.raises(CloudGarbled, match="lists 7 of 10 active nodes"):
        provider.cloud()
    server.then(body=status(worker, nodes=[node(i) for i in range(8)]))
    assert len(provider.cloud().nodes) == 8


def test_the_verb_comes_from_the_settings(
    client: CycleCloudClient, server: Server, status: Make, node: Make
) -> None:
    listed = status(nodes=[node(1)])
    server.then(body=listed).then(body=listed).then(202, {"operationId": "o", "nodes": []})
    CycleCloudProvider(client, config={"terminate_verb": "shutdown"}).terminate([NodeId("node-1")])
    assert server.sent[-1].endswith("/nodes/shutdown")


def test_no_ids_no_call(provider: Provider, server: Server) -> None:
    assert provider.terminate([]) == ()
    assert server.sent == []


def test_a_password_error_is_typed_and_names_no_password(provider: Provider, server: Server) -> None:
    server.then(401, "")
    with pytest.raises(errors.Unauthorised) as caught:
        provider.cloud()
    assert "s3cret" not in str(caught.value)


def test_from_config_makes_a_provider() -> None:
    config = {"url": "http://127.0.0.1:1", "username": "u", "password": "p", "cluster_name": "c"}
    provider = from_config(config)
    assert isinstance(provider, CycleCloudProvider)
    provider.close()


def test_from_config_refuses_what_cannot_be_right() -> None:
    with pytest.raises(InvalidConfig, match="timeout is -1"):
        from_config({"url": "http://x", "username": "u", "password": "p", "cluster_name": "c", "timeout": -1})


def test_a_node_without_an_id_is_never_ended(
    provider: Provider, server: Server, status: Make, node: Make
) -> None:
    server.then(body=status(nodes=[node(1, NodeId=None, Status="Acquiring")]))
    (booting,) = provider.cloud().nodes
    (outcome,) = provider.terminate([booting.id])
    assert (outcome.ok, "no NodeId yet" in outcome.error) == (False, True)
    assert len(server.sent) == 1
