"""The admin endpoint: look into the emulator, change it, and let things happen to it."""

import contextlib
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest


def ready(cloud, wait_until, count=1, **more):
    """Create nodes and wait until they are Ready; their records by name."""
    assert cloud.create(count, **more).status_code == 202
    return wait_until(
        lambda: (nodes := cloud.nodes()) and all(n["Status"] == "Ready" for n in nodes.values()) and nodes
    )


def act(cloud, node, action, **more):
    return cloud.post("/emulator/nodes", json={"node": node, "action": action, **more})


def test_settings_can_be_changed_while_it_runs(cloud):
    change = {"families": {"standardFSv2Family": {"cores": 12}}, "quirks": {"over_ask": "conflict"}}
    changed = cloud.admin("PATCH", "settings", change)
    assert changed["families"]["standardFSv2Family"] == {"cores": 12, "used_by_others": 8}
    assert cloud.create(3).status_code == 409
    assert cloud.create(2).status_code == 202


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"quirks": {"over_ask": "sometimes"}}, "quirks.over_ask: 'sometimes'"),
        ({"password": "x"}, "password: cannot be changed"),
        ({"nodes": {"kind": "process"}}, "nodes.kind"),
        ({"sizes": {"Standard_F2s_v2": None}}, "'Standard_F2s_v2' is not one of sizes"),
        ([], "Body of PATCH /emulator/settings"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(cloud, change, hint):
    before = cloud.admin("GET", "settings")
    answer = cloud.patch("/emulator/settings", json=change)
    assert answer.status_code == 400
    assert hint in answer.json()["Message"]
    assert cloud.admin("GET", "settings") == before


def test_a_nodearray_that_has_nodes_cannot_be_taken_away(cloud):
    cloud.create(1)
    answer = cloud.patch(
        "/emulator/settings", json={"clusters": {"celery": {"nodearrays": {"worker": None}}}}
    )
    assert answer.status_code == 409


def test_the_password_is_shown_nowhere(cloud):
    assert "password" not in cloud.admin("GET", "settings")
    assert cloud.emulator.password not in str(cloud.admin("GET", "state"))


def test_nodes_can_be_found_by_id_name_or_host_name(cloud, wait_until):
    node = ready(cloud, wait_until)["worker-1"]
    for name in (node["NodeId"], "worker-1", node["Hostname"]):
        assert act(cloud, name, "keep-alive").json()["id"] == node["NodeId"]
    assert cloud.nodes()["worker-1"]["KeepAlive"] is True
    assert act(cloud, "worker-1", "no-keep-alive").status_code == 200
    assert cloud.nodes()["worker-1"]["KeepAlive"] is False
    assert act(cloud, "nobody", "fail").status_code == 404
    assert act(cloud, "worker-1", "explode").status_code == 400


def test_a_node_can_be_made_to_fail_or_to_vanish(cloud, wait_until):
    ready(cloud, wait_until, 2)
    assert act(cloud, "worker-1", "fail", message="Disk full").status_code == 200
    assert act(cloud, "worker-2", "vanish").status_code == 200
    nodes = cloud.nodes()
    assert list(nodes) == ["worker-1"]
    assert (nodes["worker-1"]["Status"], nodes["worker-1"]["StatusMessage"]) == ("Failed", "Disk full")


def test_only_spot_machines_are_evicted(cloud, wait_until):
    ready(cloud, wait_until, nodearray="worker-spot")
    ready(cloud, wait_until)
    assert act(cloud, "worker-1", "evict").status_code == 409
    assert act(cloud, "worker-spot-1", "evict", notice=0).status_code == 200
    wait_until(lambda: list(cloud.nodes()) == ["worker-1"])


def test_a_node_without_a_worker_has_none_to_kill(cloud, wait_until):
    ready(cloud, wait_until)
    assert act(cloud, "worker-1", "kill-worker").status_code == 409


def test_mishaps_strike_nodes_that_start(cloud, wait_until):
    cloud.admin("POST", "mishaps", {"kind": "configuration", "vm_size": "Standard_F4s_v2", "times": 1})
    assert len(cloud.admin("GET", "mishaps")["mishaps"]) == 1
    cloud.create(2, size="Standard_F4s_v2")
    wait_until(lambda: sorted(n["Status"] for n in cloud.nodes().values()) == ["Failed", "Ready"])
    assert cloud.admin("GET", "mishaps")["mishaps"] == []


def test_a_cluster_can_be_stopped_and_started(cloud, wait_until):
    ready(cloud, wait_until)
    assert cloud.admin("POST", "clusters/celery", {"started": False}) == {
        "cluster": "celery",
        "started": False,
    }
    assert cloud.create(1).status_code == 409
    wait_until(lambda: cloud.nodes() == {})
    cloud.admin("POST", "clusters/celery", {"started": True})
    assert cloud.create(1).status_code == 202
    assert cloud.post("/emulator/clusters/nobody", json={"started": True}).status_code == 404


def test_the_clock_of_the_server_can_be_wrong(cloud):
    cloud.admin("POST", "skew", {"seconds": -86400 * 366})  # another year, a leap year's last day too
    answer = cloud.create(1)
    operation = answer.json()["operationId"]
    behind = datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])
    assert timedelta(days=366) <= behind < timedelta(days=366, minutes=2)
    year = int(cloud.get(f"/operations/{operation}").json()["startTime"][:4])
    cloud.admin("POST", "skew", {"seconds": 0})
    assert int(cloud.get(f"/operations/{operation}").json()["startTime"][:4]) > year


@pytest.mark.parametrize(
    ("memory", "nodes", "known"), [("all", 1, 200), ("nodes", 1, 404), ("nothing", 0, 404)]
)
def test_a_restart_keeps_or_forgets(cloud, wait_until, memory, nodes, known):
    cloud.create(1, requestId="a")

    def is_up():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", cloud.emulator.port)) == 0

    # That its end closes every connection can be seen also by who is slow to look.
    with socket.create_connection(("127.0.0.1", cloud.emulator.port), 30) as before:
        cloud.admin("POST", "restart", {"memory": memory, "down_seconds": 0.5})
        with contextlib.suppress(ConnectionResetError):
            assert before.recv(1) == b""
    wait_until(is_up)
    assert len(cloud.nodes()) == nodes
    assert cloud.get("/clusters/celery/nodes?request_id=a").status_code == known


def test_a_seeded_schedule_spoils_the_same_calls_again(cloud):
    def run():
        cloud.admin("DELETE", "calls")
        cloud.admin("POST", "schedule", {"seed": 7, "rate": 0.5, "kinds": ["status", "empty"]})
        for _ in range(30):
            cloud.get("/operations/")
        return [call["fault"] for call in cloud.admin("GET", "calls")["calls"]]

    first = run()
    assert first == run()
    assert {"", "status", "empty"} == set(first)
    assert cloud.admin("DELETE", "faults") == {"faults": []}
    assert cloud.get("/operations/").content == b"[]"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"kind": "nothing"}),
        ("faults", {"kind": "lost", "path": "("}),
        ("faults", {"kind": "lost", "tims": 1}),
        ("mishaps", {"kind": "capacity", "chance": 2}),
        ("schedule", {"kinds": []}),
        ("restart", {"memory": "some"}),
        ("nodes", {}),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(cloud, path, body):
    assert cloud.post(f"/emulator/{path}", json=body).status_code == 400


def test_unknown_paths_and_methods_say_what_there_is(cloud):
    answer = cloud.get("/emulator/nothing")
    assert answer.status_code == 404
    assert "ledger" in answer.json()["Detail"]
    assert cloud.delete("/emulator/state").status_code == 405


def test_an_account_is_locked_after_five_bad_passwords_and_can_be_unlocked(cloud):
    for _ in range(5):
        assert httpx.get(cloud.emulator.url + "/operations/", auth=("emulator", "bad")).status_code == 401
    assert cloud.get("/operations/").status_code == 401
    cloud.emulator.gate.unlock()
    assert cloud.get("/operations/").status_code == 200
    assert cloud.admin("POST", "unlock") == {"bad_passwords": 0}


def test_a_machine_is_told_of_its_eviction_by_its_metadata_service(cloud, wait_until):
    """Without a password, as on a machine; with the header and the version that the service asks for."""
    cloud.create(2, nodearray="worker-spot")
    wait_until(lambda: {node["Status"] for node in cloud.nodes().values()} == {"Ready"})
    first, second = (cloud.nodes()[f"worker-spot-{number}"] for number in (1, 2))

    def ask(node, path="scheduledevents?api-version=2020-07-01", header="true"):
        url = f"{cloud.emulator.url}/emulator/metadata/{node['NodeId']}/metadata/{path}"
        return httpx.get(url, headers={"Metadata": header} if header else {})

    assert ask(first).json() == {"DocumentIncarnation": 1, "Events": []}
    act(cloud, first["Name"], "evict", notice=600)
    (event,) = ask(first).json()["Events"]
    assert (event["EventType"], event["EventStatus"]) == ("Preempt", "Scheduled")
    assert event["Resources"] == [ask(first, "instance/compute/name?api-version=2021-02-01").text]
    assert parsedate_to_datetime(event["NotBefore"]).timestamp() == pytest.approx(time.time() + 600, abs=30)
    assert ask(first).json()["Events"] == [event], "the same event each time"
    assert ask(second).json()["Events"] == []
    assert ask(first, header="").status_code == 400
    assert ask(first, "scheduledevents").status_code == 400
    assert ask(first, "elsewhere?api-version=1").status_code == 404
    assert ask({"NodeId": "nobody"}).status_code == 404
    assert cloud.admin("GET", "state")["bad_passwords"] == 0
