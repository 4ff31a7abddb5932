"""The client: what it sends, what it repeats, what it makes of failures."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cyclecloud_api import errors, models
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.lockout import Lockout, account_key
from cyclecloud_api.wire import Wire
from scalelib.errors import (
    CloudGarbled,
    CloudNotFound,
    CloudRefused,
    CloudTrouble,
    CloudUnauthorised,
    CloudUnreachable,
    InvalidConfig,
)

if TYPE_CHECKING:
    from conftest import Server

Make = Callable[..., dict[str, Any]]
CLUSTER = "/prefix/clusters/my%20cluster%2F1"
CREATED = {"operationId": "op-1", "sets": [{"added": 2}]}
SETS = [models.NodeSet(nodearray="worker", count=2)]


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


# -- what is sent ---------------------------------------------------------------------------------------


def test_basic_auth_goes_with_every_request_and_the_prefix_is_kept(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    server.then(body=status())
    client.status(nodes=True)
    assert server.sent == [f"GET {CLUSTER}/status?nodes=true"]
    sent = server.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"tester:s3cret-word"


def test_a_create_names_size_count_and_request_id(client: CycleCloudClient, server: Server) -> None:
    server.then(202, CREATED)
    made = client.create(
        [
            models.NodeSet(
                nodearray="worker",
                count=2,
                definition=models.BucketDefinition(machine_type="F2"),
                node_attributes={"KeepAlive": True},
                placement_group_id="pg0",
            )
        ],
        request_id="r-1",
    )
    assert (made.operation_id, made.sets[0].added) == ("op-1", 2)
    assert server.sent == [f"POST {CLUSTER}/nodes/create"]
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert body_of(server.requests[0]) == {
        "requestId": "r-1",
        "sets": [
            {
                "nodearray": "worker",
                "count": 2,
                "definition": {"machineType": "F2"},
                "nodeAttributes": {"KeepAlive": True},
                "placementGroupId": "pg0",
            }
        ],
    }


@pytest.mark.parametrize(
    "verb", ["start", "shutdown", "terminate", "deallocate", "remove", "restart", "reimage"]
)
def test_every_verb_sends_its_selectors(client: CycleCloudClient, server: Server, verb: str) -> None:
    server.then(202, {"operationId": "o", "nodes": [{"id": "i", "name": "n", "status": "OK"}]})
    result = getattr(client, verb)(ids=["i"], ip_addresses=["10.0.0.1"], request_id="r")
    assert server.sent == [f"POST {CLUSTER}/nodes/{verb}"]
    assert body_of(server.requests[0]) == {"ids": ["i"], "ip_addresses": ["10.0.0.1"], "requestId": "r"}
    assert result.nodes[0].ok


def test_a_management_request_that_selects_nothing_is_never_sent(
    client: CycleCloudClient, server: Server
) -> None:
    with pytest.raises(ValueError, match="terminate needs ids"):
        client.terminate(ids=[])
    assert server.sent == []


def test_the_other_endpoints(client: CycleCloudClient, server: Server) -> None:
    server.then(body=[{"action": "create", "startTime": "2026-03-02T08:15:30Z"}])
    assert client.operations(request_id="a b")[0].action == "create"
    server.then(body={"action": "create"})
    assert client.operation("op/1").start_time == ""
    server.then(body={"usage": []})
    assert client.usage("custom", start="2026-03-01", end="2026-03-02").usage == []
    server.then(202, CREATED)
    assert client.scale("worker", total_nodes=4).operation_id == "op-1"
    server.then(body={"nodes": [], "operation": {"action": "create"}})
    assert client.nodes(operation="op-1").nodes == []
    server.then(202, "")
    client.report_ghr("worker-1", category="Sick")
    server.then(200, "")
    client.ghr("worker-1")
    assert server.sent == [
        "GET /prefix/operations/?request_id=a+b",
        "GET /prefix/operations/op%2F1",
        f"GET {CLUSTER}/usage?timeframe=custom&granularity=total&from=2026-03-01&to=2026-03-02",
        f"POST {CLUSTER}/scale/worker?totalNodeCount=4",
        f"GET {CLUSTER}/nodes?operation=op-1",
        f"POST {CLUSTER}/nodes/worker-1/ghr?category=Sick",
        f"GET {CLUSTER}/nodes/worker-1/ghr",
    ]


# -- failures -------------------------------------------------------------------------------------------

CASES = [
    (302, errors.Rejected, CloudRefused),
    (400, errors.Rejected, CloudRefused),
    (401, errors.Unauthorised, CloudUnauthorised),
    (403, errors.Unauthorised, CloudUnauthorised),
    (404, errors.NotFound, CloudNotFound),
    (406, errors.Rejected, CloudRefused),
    (408, errors.ServerTrouble, CloudTrouble),
    (409, errors.Conflict, CloudRefused),
    (429, errors.ServerTrouble, CloudTrouble),
    (500, errors.ServerTrouble, CloudTrouble),
    (503, errors.ServerTrouble, CloudTrouble),
    (204, errors.Garbled, CloudGarbled),
]


@pytest.mark.parametrize(("code", "ours", "engines"), CASES)
def test_each_status_code_is_an_error_that_both_sides_know(
    client: CycleCloudClient, server: Server, code: int, ours: type[Exception], engines: type[Exception]
) -> None:
    server.then(code, "" if code == 204 else {"Code": code, "Message": "because", "Detail": "more"})
    with pytest.raises(ours) as caught:
        client.create(SETS)
    assert isinstance(caught.value, engines)
    assert str(caught.value).startswith("POST /clusters/my%20cluster%2F1/nodes/create: ")
    if code not in (204, 302):
        assert "because" in str(caught.value)
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"message": "lower case"}', "lower case"),
        ('{"Message": "", "Detail": "the detail"}', "the detail"),
        ('{"Message": null, "Exception": "NullPointer"}', "NullPointer"),
        ('"just text"', "just text"),
        ("plain words", "plain words"),
        ("", "HTTP 400 without an explanation"),
        ("[1, 2]", "[1, 2]"),
        (
            "<html><head><style>b {}</style></head><body><h1>Oops &amp; sorry</h1></body></html>",
            "Oops & sorry",
        ),
        ('<html><body><p class="x">cut sho', "cut sho"),
        ('{"Message": "cut sho', '{"Message": "cut sho'),
        (b"\xff\xfe\x00broken", "broken"),
        ("x" * 5000, "x" * 300 + "…"),
    ],
)
def test_error_bodies_of_every_kind_are_understood(
    client: CycleCloudClient, server: Server, body: str | bytes, words: str
) -> None:
    server.then(400, body)
    with pytest.raises(errors.Rejected) as caught:
        client.create(SETS)
    assert str(caught.value).endswith(words)


def test_the_password_is_in_no_error_even_if_the_server_echoes_it(
    client: CycleCloudClient, server: Server
) -> None:
    server.then(400, {"Message": "tester:s3cret-word is not a number"})
    with pytest.raises(errors.Rejected) as caught:
        client.create(SETS)
    assert "s3cret-word" not in f"{caught.value!r} {caught.value}"
    assert "tester:*** is not a number" in str(caught.value)


def test_a_redirect_is_not_followed_and_says_where_it_points(
    client: CycleCloudClient, server: Server
) -> None:
    server.then(302, "", Location="https://elsewhere.example/login?next=secret")
    with pytest.raises(errors.Rejected, match=r"redirected to https://elsewhere.example/login \(HTTP 302\)"):
        client.status()
    assert len(server.sent) == 1


@pytest.mark.parametrize("body", ["", "<html>Sign in</html>", '{"nodearrays": [', "[]", "null", '{"a": 1}'])
def test_a_good_code_with_a_bad_body_is_garbled(client: CycleCloudClient, server: Server, body: str) -> None:
    server.then(200, body)
    with pytest.raises(errors.Garbled, match="GET /clusters/my%20cluster%2F1/status: "):
        client.status()


def test_a_byte_order_mark_before_an_answer_says_nothing(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    server.then(200, "\ufeff" + json.dumps(status()))
    assert client.status().nodes == []
    server.then(404, '\ufeff{"Message": "no such cluster"}')
    with pytest.raises(errors.NotFound, match="no such cluster"):
        client.status()


def test_asked_for_nodes_and_got_none_at_all_is_garbled(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    """An absent list must never be read as an empty cluster."""
    raw = status()
    del raw["nodes"]
    server.then(200, raw)
    with pytest.raises(errors.Garbled, match="no `nodes`"):
        client.status(nodes=True)


def test_an_answer_about_other_sets_than_asked_is_garbled(client: CycleCloudClient, server: Server) -> None:
    server.then(202, {"operationId": "o", "sets": []})
    with pytest.raises(errors.Garbled, match="0 sets, the request had 1"):
        client.create(SETS)


# -- repeats --------------------------------------------------------------------------------------------


def test_reads_are_repeated_after_trouble_with_growing_pauses(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    server.then(503, "busy").failing(httpx.ReadError("gone")).then(500, "").then(200, status())
    assert client.status().state == "Started"
    assert server.pauses == [0.5, 1.0, 2.0]


def test_reads_are_given_up_after_a_few(client: CycleCloudClient, server: Server) -> None:
    server.then(503, "busy")
    with pytest.raises(errors.ServerTrouble, match="busy"):
        client.status()
    assert len(server.sent) == 4


def test_the_server_may_ask_for_a_longer_pause_but_not_beyond_the_deadline(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    server.then(503, "", Retry_After="20").then(200, status())
    client.status()
    assert server.pauses == [20.0]
    server.then(503, "", Retry_After="3600")
    with pytest.raises(errors.ServerTrouble):
        client.status()
    assert server.pauses == [20.0]


@pytest.mark.parametrize("trouble", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut off")])
def test_a_create_that_may_have_arrived_is_never_repeated(
    client: CycleCloudClient, server: Server, trouble: Exception
) -> None:
    server.failing(trouble)
    with pytest.raises(errors.Unreachable) as caught:
        client.create(SETS, request_id="r")
    assert isinstance(caught.value, CloudUnreachable)
    assert len(server.sent) == 1


def test_a_create_that_never_left_is_repeated(client: CycleCloudClient, server: Server) -> None:
    server.failing(httpx.ConnectError("refused")).then(202, CREATED)
    assert client.create(SETS, request_id="r").sets[0].added == 2


def test_trouble_in_a_create_is_not_repeated(client: CycleCloudClient, server: Server) -> None:
    server.then(503, "busy")
    with pytest.raises(errors.ServerTrouble):
        client.create(SETS)
    assert len(server.sent) == 1


def test_a_conflict_about_a_request_id_that_the_server_knows_is_a_repeat(
    client: CycleCloudClient, server: Server
) -> None:
    server.then(409, {"Message": "handled"}).then(200, {"nodes": [], "operation": {"action": "create"}})
    with pytest.raises(errors.RepeatedRequestId, match="r-1 was carried out before: handled"):
        client.create(SETS, request_id="r-1")
    assert server.sent[1] == f"GET {CLUSTER}/nodes?request_id=r-1"


def test_a_conflict_about_a_request_id_that_the_server_does_not_know_is_a_bad_request(
    client: CycleCloudClient, server: Server
) -> None:
    server.then(409, {"Message": "no nodearray 'worker'"}).then(404, {"Message": "No operation found"})
    with pytest.raises(errors.Conflict, match="no nodearray 'worker'") as caught:
        client.create(SETS, request_id="r-1")
    assert not isinstance(caught.value, errors.RepeatedRequestId)


def test_a_repeated_terminate_is_told_from_a_bad_one_as_well(
    client: CycleCloudClient, server: Server
) -> None:
    server.then(409, "handled").then(200, [{"action": "terminate"}])
    with pytest.raises(errors.RepeatedRequestId):
        client.terminate(ids=["i"], request_id="r")
    server.then(409, "no").then(200, [])
    with pytest.raises(errors.Conflict):
        client.terminate(ids=["i"], request_id="r2")


# -- the account is not to be locked --------------------------------------------------------------------


def test_after_one_401_nothing_is_sent_for_65_seconds(
    client: CycleCloudClient, server: Server, status: Make
) -> None:
    server.then(401, "bad password").then(200, status())
    with pytest.raises(errors.Unauthorised, match="user name or password refused: bad password"):
        client.status()
    server.now = 64.0
    with pytest.raises(errors.Unauthorised, match=r"not sent.*next try possible in 1 s"):
        client.status()
    assert len(server.sent) == 1
    server.now = 65.5
    assert client.status().state == "Started"


def test_a_refusal_is_remembered_for_the_account_not_for_the_object() -> None:
    """A caller may make a new client for each try; a corrected password is tried at once."""
    now = [0.0]
    lockout = Lockout(clock=lambda: now[0])
    calls: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(401)

    def sending(password: str) -> Wire:
        transport = httpx.MockTransport(refuse)
        return Wire("http://127.0.0.1:1", "tester", password, transport=transport, lockout=lockout)

    for password in ("wrong", "wrong", "corrected"):
        wire = sending(password)
        with pytest.raises(errors.Unauthorised):
            wire.send("GET", "/x")
        wire.close()
    assert len(calls) == 2
    assert "wrong" not in account_key("http://127.0.0.1:1", "tester", "wrong")


# -- settings that cannot be right ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "cyclecloud.example.com"}, "url is 'cyclecloud.example.com'"),
        ({"url": "ftp://x"}, "url is 'ftp://x'"),
        ({"url": ""}, "url is ''"),
        ({"url": "https://u:p@x"}, "url holds a user name or password"),
        ({"url": "https://x?a=1"}, r"without '\?' or '#'"),
        ({"username": "a:b"}, "username is 'a:b'"),
        ({"username": ""}, "username is ''"),
        ({"password": ""}, "password is empty"),
        ({"timeout": 0}, "timeout is 0"),
        ({"verify": "/no/such.pem"}, "ca_file is '/no/such.pem'"),
    ],
)
def test_settings_that_cannot_be_right_name_the_value(changes: dict[str, Any], complaint: str) -> None:
    good: dict[str, Any] = {
        "url": "https://x",
        "username": "u",
        "password": "p",
        "verify": True,
        "timeout": 1,
    }
    with pytest.raises(InvalidConfig, match=complaint):
        Wire(**{**good, **changes})


def test_a_ca_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(InvalidConfig, match="PEM certificates"):
        Wire("https://x", "u", "p", verify=tmp_path / "ca.pem")


def test_switching_verification_off_is_a_loud_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Wire("https://x", "u", "p", verify=False).close()
        Wire("http://x.example.com", "u", "p").close()
    assert "NOT verified" in caplog.messages[0]
    assert "in the clear" in caplog.messages[1]
