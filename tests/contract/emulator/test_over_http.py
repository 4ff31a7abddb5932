"""The API as it is on the wire: methods, statuses, headers, and answers that are broken on purpose."""

import socket

import httpx
import pytest

from cyclecloud_emulator import Emulator, load, replace
from cyclecloud_emulator.settings import DEFAULT_FILE


def test_a_node_lives_from_create_to_the_end_of_its_record(cloud, wait_until):
    answer = cloud.create(2, requestId="a")
    assert answer.status_code == 202
    operation = answer.json()["operationId"]
    assert answer.headers["location"] == f"{cloud.emulator.url}/operations/{operation}"
    assert cloud.get(answer.headers["location"]).json()["action"] == "create"
    wait_until(lambda: {node["Status"] for node in cloud.nodes().values()} == {"Ready"})
    nodes = cloud.get("/clusters/celery/nodes", params={"operation": operation}).json()["nodes"]
    assert [node["Name"] for node in nodes] == ["worker-1", "worker-2"]
    body = {"ids": [node["NodeId"] for node in nodes]}
    answer = cloud.post("/clusters/celery/nodes/terminate", json=body)
    assert [node["status"] for node in answer.json()["nodes"]] == ["OK", "OK"]
    wait_until(lambda: cloud.nodes() == {})
    ledger = cloud.admin("GET", "ledger")
    assert (ledger["nodes_created"], ledger["nodes_removed"], ledger["machines_running"]) == (2, 2, 0)


def test_the_head_node_is_listed_among_the_nodes_and_not_in_the_status(cloud):
    names = [node["Name"] for node in cloud.get("/clusters/celery/nodes").json()["nodes"]]
    assert names == ["scheduler"]
    assert cloud.get("/clusters/celery/status?nodes=true").json()["nodes"] == []


@pytest.mark.parametrize(("how", "listed"), [("nodes", (1, 0)), ("both", (1, 1)), ("neither", (0, 0))])
def test_where_head_nodes_are_listed_is_a_switch(start, how, listed):
    cloud = start(quirks={"head_node": how})
    in_nodes = cloud.get("/clusters/celery/nodes").json()["nodes"]
    in_status = cloud.get("/clusters/celery/status?nodes=true").json()["nodes"]
    assert (len(in_nodes), len(in_status)) == listed


def test_every_request_needs_the_password(cloud):
    for path in ("/clusters/celery/status", "/operations/", "/emulator/state", "/nowhere"):
        answer = httpx.get(cloud.emulator.url + path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert set(answer.json()) == {"Code", "Message", "Exception", "Detail"}
        assert httpx.get(cloud.emulator.url + path, auth=("emulator", "wrong")).status_code == 401


@pytest.mark.parametrize(
    ("how", "status", "location"),
    [("redirect", 302, "/login"), ("bare", 401, None), ("challenge", 401, None)],
)
def test_who_is_not_let_in_is_told_in_one_of_three_ways(start, how, status, location):
    cloud = start(quirks={"unauthorised": how})
    answer = httpx.get(cloud.emulator.url + "/clusters/celery/status")
    assert (answer.status_code, answer.headers.get("location")) == (status, location)
    assert ("www-authenticate" in answer.headers) is (how == "challenge")


def test_a_rate_limit_is_answered_with_429(start):
    cloud = start(quirks={"rate_limit_per_minute": 2})
    assert [cloud.get("/operations/").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/clusters", 404),
        ("GET", "/clusters/nobody/status", 404),
        ("GET", "/clusters/celery/status?nodes=yes", 400),
        ("DELETE", "/clusters/celery/status", 405),
        ("PUT", "/clusters/celery/nodes/create", 405),
        ("GET", "/clusters/celery/nodes/terminate", 405),
        ("POST", "/clusters/celery/nodes/explode", 404),
        ("GET", "/operations/none", 404),
        ("GET", "/clusters/celery/nodes/nobody/ghr", 404),
        ("GET", "/clusters/celery/nodes/scheduler/ghr", 200),
        ("POST", "/clusters/celery/nodes/scheduler/ghr", 202),
        ("OPTIONS", "/clusters/celery/status", 405),
    ],
)
def test_paths_and_methods(cloud, method, path, status):
    assert cloud.request(method, path).status_code == status


def test_a_cluster_name_is_one_part_of_the_path(start):
    """A name may hold a slash and a space, percent-encoded."""
    cloud = start()
    cloud.admin(
        "PATCH", "settings", {"clusters": {"a/b c": {"nodearrays": {"w": {"sizes": ["Standard_F2s_v2"]}}}}}
    )
    answer = cloud.get("/clusters/a%2Fb%20c/status")
    assert answer.json()["nodearrays"][0]["name"] == "w"
    assert cloud.get("/clusters/a/b%20c/status").status_code == 404


def raw(cloud, data):
    """Send bytes, read the answer to its end."""
    with socket.create_connection(("127.0.0.1", cloud.emulator.port), 5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 17_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"401"),
        (b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"401"),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
    ],
)
def test_nonsense_is_answered_and_stops_nothing(cloud, data, status):
    assert raw(cloud, data).split(b" ")[1] == status
    assert cloud.get("/clusters/celery/status").status_code == 200


def test_a_base_path_is_part_of_every_address(start):
    from cyclecloud_emulator import Emulator, load, replace

    settings = replace(load(), base_path="/cyclecloud", nodes={"kind": "none"})
    with Emulator.start(settings, password="x") as emulator:
        assert emulator.url.endswith("/cyclecloud")
        assert httpx.get(f"{emulator.url}/operations/", auth=emulator.auth).status_code == 200
        address = f"http://127.0.0.1:{emulator.port}/operations/"
        assert httpx.get(address, auth=emulator.auth).status_code == 404


# -- answers that go wrong ------------------------------------------------------------------------------


def fault(cloud, kind, **more):
    cloud.admin("POST", "faults", {"kind": kind, "path": "create$", "times": 1, **more})


@pytest.mark.parametrize(
    ("kind", "error", "made"),
    [
        ("refuse", httpx.RemoteProtocolError, 0),
        ("lost", httpx.RemoteProtocolError, 1),
        ("hang", httpx.ReadTimeout, 0),
        ("hang_after", httpx.ReadTimeout, 1),
        ("slow", httpx.ReadTimeout, 1),
        ("truncate", httpx.RemoteProtocolError, 1),
    ],
)
def test_an_answer_that_never_comes_whole(cloud, wait_until, kind, error, made):
    """Whether the create was carried out is what the client cannot see."""
    fault(cloud, kind)
    cloud.timeout = 0.5 if error is httpx.ReadTimeout else 10
    with pytest.raises(error):
        cloud.create(1, requestId="a")
    cloud.timeout = 10
    # It may come to the create only now that the client has lost patience.
    wait_until(lambda: cloud.admin("GET", "faults")["faults"] == [])
    wait_until(lambda: len(cloud.nodes()) == made)
    assert cloud.get("/clusters/celery/nodes?request_id=a").status_code == (200 if made else 404)
    assert cloud.create(1, requestId="a").status_code == (409 if made else 202)


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 502, 503])
def test_any_status_can_be_answered_before_or_after_the_work(cloud, status):
    fault(cloud, "status", status=status)
    assert cloud.create(1).status_code == status
    assert len(cloud.nodes()) == 0
    fault(cloud, "status_after", status=status)
    assert cloud.create(1).status_code == status
    assert len(cloud.nodes()) == 1


def test_a_success_can_be_nonsense_or_empty_or_a_redirect(cloud):
    fault(cloud, "garbage")
    assert cloud.create(1).text.startswith("<html>")
    fault(cloud, "empty")
    answer = cloud.create(1)
    assert (answer.status_code, answer.content) == (202, b"")
    fault(cloud, "redirect")
    assert cloud.create(1).status_code == 302
    assert len(cloud.nodes()) == 2


def test_fewer_can_be_added_than_would_fit(cloud):
    fault(cloud, "fewer", added=1)
    assert cloud.create(3).json()["sets"] == [{"added": 1}]
    assert len(cloud.nodes()) == 1


def test_the_log_of_calls_counts_what_was_asked(cloud):
    fault(cloud, "lost")
    with pytest.raises(httpx.RemoteProtocolError):
        cloud.create(1, requestId="a")
    cloud.get("/clusters/celery/nodes?request_id=a")
    log = cloud.admin("GET", "calls")
    assert log["counts"] == {"POST /clusters/celery/nodes/create": 1, "GET /clusters/celery/nodes": 1}
    assert [(call["status"], call["request_id"], call["fault"]) for call in log["calls"]] == [
        (0, "a", "lost"),
        (200, "a", ""),
    ]
    assert cloud.admin("DELETE", "calls") == {"total": 0}
    assert cloud.admin("GET", "calls")["calls"] == []


def test_faults_and_mishaps_of_the_settings_file_are_in_force_from_the_start(tmp_path, wait_until):
    wrong = """
    [[faults]]
    kind = "status"
    path = "create$"
    status = 503
    times = 1

    [[mishaps]]
    kind = "configuration"
    vm_size = "Standard_F2s_v2"
    skip = 1
    times = 1

    [schedule]
    seed = 3
    rate = 0.5
    kinds = ["status"]
    path = "/operations/"
    """
    file = tmp_path / "emulator.toml"
    # The tables come last in TOML, so what is added stands at the end.
    file.write_text(DEFAULT_FILE.read_text() + wrong)
    settings = replace(load(file), nodes={"kind": "none", "boot_seconds": 0.05})
    with (
        Emulator.start(settings) as emulator,
        httpx.Client(base_url=emulator.url, auth=emulator.auth) as http,
    ):
        body = {
            "sets": [{"nodearray": "worker", "count": 3, "definition": {"machineType": "Standard_F2s_v2"}}]
        }
        statuses = [http.post("/clusters/celery/nodes/create", json=body).status_code for _ in range(2)]
        assert statuses == [503, 202]
        wait_until(lambda: {n.phase.status for n in emulator.nodes()} == {"Ready", "Failed"})
        assert [n.phase.status for n in emulator.nodes()] == ["Ready", "Failed", "Ready"]
        struck = [http.get("/operations/").status_code == 500 for _ in range(60)]
        assert 15 <= sum(struck) <= 45
    with Emulator.start(settings) as again, httpx.Client(base_url=again.url, auth=again.auth) as http:
        assert [http.get("/operations/").status_code == 500 for _ in range(60)] == struck


def test_retry_starts_anew_what_failed_and_nothing_else(cloud, wait_until):
    """In no reference; the client that the text of this project speaks of calls it and wants a 200."""
    cloud.create(2)
    wait_until(lambda: [node["Status"] for node in cloud.nodes().values()] == ["Ready", "Ready"])
    failed, well = cloud.nodes().values()
    cloud.admin("POST", "nodes", {"node": failed["Name"], "action": "fail"})
    assert cloud.nodes()[failed["Name"]]["Status"] == "Failed"
    answer = cloud.post("/cloud/actions/retry/celery")
    assert answer.status_code == 200
    wait_until(lambda: [node["Status"] for node in cloud.nodes().values()] == ["Ready", "Ready"])
    again = cloud.nodes()
    assert again[failed["Name"]]["InstanceId"] != failed["InstanceId"]
    assert again[well["Name"]]["InstanceId"] == well["InstanceId"]
    assert cloud.admin("GET", "ledger")["machines_running"] == 2
    assert cloud.post("/cloud/actions/retry/nobody").status_code == 404
    assert cloud.get("/cloud/actions/retry/celery").status_code == 405
