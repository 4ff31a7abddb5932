"""Each point on which the documentation is silent is a switch that changes just that."""

import json

import pytest

CREATE = "/clusters/c/nodes/create"
ONE = {"sets": [{"nodearray": "worker", "count": 1}]}


def with_quirk(make_world, **quirks):
    return make_world(quirks=quirks)


def status_of(world, method, path, body=None):
    return world.ask(method, path, body).status


@pytest.mark.parametrize(
    ("how", "content_type", "begins"),
    [
        ("json", "application/json", b'{"Code": 404'),
        ("html", "text/html", b"<html>"),
        ("text", "text/plain", b"No such"),
    ],
)
def test_error_bodies(make_world, how, content_type, begins):
    answer = with_quirk(make_world, error_bodies=how).ask("GET", "/nowhere")
    assert (answer.status, answer.content_type) == (404, content_type)
    assert answer.body.startswith(begins)


def test_error_bodies_may_be_empty(make_world):
    assert with_quirk(make_world, error_bodies="empty").ask("GET", "/nowhere").body == b""


@pytest.mark.parametrize(("how", "status"), [("404", 404), ("409", 409), ("empty", 200)])
def test_unknown_cluster(make_world, how, status):
    world = with_quirk(make_world, unknown_cluster=how)
    assert status_of(world, "GET", "/clusters/x/status") == status


@pytest.mark.parametrize(("how", "status"), [("404", 404), ("empty", 200)])
def test_unknown_operation(make_world, how, status):
    world = with_quirk(make_world, unknown_operation=how)
    answer = world.ask("GET", "/clusters/c/nodes?operation=x")
    assert answer.status == status
    assert status == 404 or json.loads(answer.body) == {"nodes": []}


def test_older_status_words(make_world):
    world = with_quirk(make_world, status_words="older")
    world.create(1)
    assert world.nodes()["worker-1"]["Status"] == "Allocating"
    world.wait(10)
    assert world.nodes()["worker-1"]["Status"] == "Started"


@pytest.mark.parametrize(("scope", "regular", "others"), [("size", True, True), ("bucket", True, False)])
def test_scope_of_a_capacity_failure(make_world, scope, regular, others):
    """By size in the region it shows in every nodearray that has that size; else in one."""
    arrays = {"second": {"sizes": ["D4"]}}
    world = make_world(quirks={"throttle_scope": scope}, clusters={"c": {"nodearrays": arrays}})
    world.mishap("capacity")
    world.create(1)
    world.wait(2)
    assert (world.bucket("D4", "worker")["lastCapacityFailure"] >= 0) is regular
    assert (world.bucket("D4", "second")["lastCapacityFailure"] >= 0) is others


@pytest.mark.parametrize(("how", "status"), [("error", 202), ("ok", 202), ("conflict", 409)])
def test_protected_nodes_are_never_ended_however_it_is_said(make_world, how, status):
    world = with_quirk(make_world, keep_alive=how)
    world.create(1, nodeAttributes={"KeepAlive": True})
    answer = world.ask("POST", "/clusters/c/nodes/terminate", {"names": ["worker-1"]})
    assert answer.status == status
    if status == 202:
        assert json.loads(answer.body)["nodes"][0]["status"] == ("Error" if how == "error" else "OK")
    world.wait(60)
    assert world.nodes()["worker-1"]["TargetState"] == "Started"


@pytest.mark.parametrize(("how", "statuses"), [("ok", ["OK"]), ("error", ["Error"]), ("absent", [])])
def test_terminate_twice(make_world, how, statuses):
    world = with_quirk(make_world, terminate_twice=how)
    world.create(1)
    world.manage("terminate", names=["worker-1"])
    assert [r["status"] for r in world.manage("terminate", names=["worker-1"])] == statuses


@pytest.mark.parametrize(("how", "added", "last"), [("next", 2, "x-3"), ("fewer", 1, "x-2")])
def test_a_taken_name(make_world, how, added, last):
    world = with_quirk(make_world, name_collision=how)
    world.create(1, nameFormat="x-%d")
    assert world.create(2, nameFormat="x-%d")["added"] == added
    assert max(world.nodes()) == last


@pytest.mark.parametrize(("how", "name"), [("ignored", "worker-1"), ("used", "worker-11")])
def test_offset_without_format(make_world, how, name):
    world = with_quirk(make_world, offset_without_format=how)
    world.create(1, nameOffset=10)
    assert list(world.nodes()) == [name]


@pytest.mark.parametrize(("how", "name"), [("gaps", "worker-1"), ("increasing", "worker-2")])
def test_numbering(make_world, how, name):
    world = with_quirk(make_world, numbering=how)
    world.create(1)
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    world.create(1)
    assert list(world.nodes()) == [name]


def test_increasing_numbers_pass_over_names_that_are_taken(make_world):
    """By a nameFormat, or by nodes from before the numbering was switched on."""
    world = with_quirk(make_world, numbering="increasing")
    world.create(2, nameFormat="worker-%d")
    assert world.create(2)["added"] == 2
    assert list(world.nodes()) == ["worker-1", "worker-2", "worker-3", "worker-4"]
    world.manage("terminate", names=list(world.nodes()))
    world.wait(2)
    assert world.nodes() == {}


@pytest.mark.parametrize(
    ("how", "status", "added"), [("partial", 202, 16), ("none", 202, 0), ("conflict", 409, 0)]
)
def test_asking_for_too_much(make_world, how, status, added):
    world = with_quirk(make_world, over_ask=how)
    body = {"sets": [{"nodearray": "worker", "count": 99}]}
    assert status_of(world, "POST", CREATE, body) == status
    assert len(world.nodes()) == added


@pytest.mark.parametrize(("scope", "status"), [("server", 409), ("cluster", 202)])
def test_scope_of_a_request_id(make_world, scope, status):
    second = {"nodearrays": {"worker": {"sizes": ["D4"]}}}
    world = make_world(quirks={"request_scope": scope}, clusters={"d": second})
    assert status_of(world, "POST", CREATE, {**ONE, "requestId": "a"}) == 202
    assert status_of(world, "POST", "/clusters/d/nodes/create", {**ONE, "requestId": "a"}) == status


def test_operations_may_be_forgotten(make_world):
    world = with_quirk(make_world, operation_seconds=60)
    world.ask("POST", CREATE, {**ONE, "requestId": "a"})
    world.wait(61)
    assert status_of(world, "GET", "/clusters/c/nodes?request_id=a") == 404
    assert world.get("/operations/") == []
    assert status_of(world, "POST", CREATE, {**ONE, "requestId": "a"}) == 202


@pytest.mark.parametrize(("how", "action"), [("verb", "terminate"), ("create", "create"), ("absent", None)])
def test_action_of_other_operations(make_world, how, action):
    world = with_quirk(make_world, operation_action=how)
    world.create(1)
    world.manage("terminate", names=["worker-1"])
    assert world.get("/operations/")[-1].get("action") == action


@pytest.mark.parametrize(
    ("how", "begins"),
    [("absolute", "http://cloud/operations/"), ("relative", "/operations/"), ("absent", "")],
)
def test_location(make_world, how, begins):
    answer = with_quirk(make_world, location=how).ask("POST", CREATE, ONE)
    assert answer.headers.get("Location", "").startswith(begins)
    assert ("Location" in answer.headers) is (how != "absent")


@pytest.mark.parametrize(("how", "status"), [("409", 409), ("400", 400), ("empty", 202)])
def test_no_selector(make_world, how, status):
    world = with_quirk(make_world, no_selector=how)
    world.create(1)
    assert status_of(world, "POST", "/clusters/c/nodes/terminate", {}) == status
    assert world.nodes()["worker-1"]["TargetState"] == "Started"


@pytest.mark.parametrize(
    ("how", "value"),
    [("iso", "1970-01-12T13:46:40Z"), ("object", {"$date": "1970-01-12T13:46:40Z"}), ("absent", None)],
)
def test_dates_in_records(make_world, how, value):
    world = with_quirk(make_world, dates=how)
    world.create(1)
    assert world.nodes()["worker-1"].get("UpdatedAt") == value


@pytest.mark.parametrize(("how", "listed"), [("nodes", "nodes"), ("both", "both")])
def test_nodes_that_are_off(make_world, how, listed):
    world = with_quirk(make_world, off_nodes=how)
    world.create(1, nodeAttributes={"StartAutomatically": False})
    assert len(world.nodes()) == 1
    assert len(world.get("/clusters/c/status?nodes=true")["nodes"]) == (listed == "both")


@pytest.mark.parametrize(
    ("how", "fields"),
    [
        ("value", {"KeepAlive": False, "PlacementGroupId": None}),
        ("null", {"KeepAlive": None, "PlacementGroupId": None}),
        ("absent", {}),
    ],
)
def test_fields_that_are_not_set(make_world, how, fields):
    world = with_quirk(make_world, empty_fields=how)
    world.create(1)
    node = world.nodes()["worker-1"]
    assert {name: node[name] for name in ("KeepAlive", "PlacementGroupId") if name in node} == fields


@pytest.mark.parametrize(("how", "cores"), [("regional", 100), ("zero", 0)])
def test_quota_of_spot_buckets(make_world, how, cores):
    bucket = with_quirk(make_world, spot_quota=how).bucket("D4", "spot")
    assert (bucket["quotaCoreCount"], bucket["availableCount"]) == (cores, 8)


@pytest.mark.parametrize(("how", "most"), [("gross", 8), ("net", 3)])
def test_max_count_and_the_quota_that_others_use(make_world, how, most):
    world = make_world(quirks={"max_count": how}, families={"Dv5": {"cores": 64, "used_by_others": 40}})
    assert world.bucket("D8")["maxCount"] == most


@pytest.mark.parametrize(("how", "score"), [("absent", None), ("empty", ""), ("High", "High")])
def test_spot_placement_score(make_world, how, score):
    world = with_quirk(make_world, spot_score=how)
    assert world.bucket("D4", "spot").get("spotPlacementScore") == score
    assert "spotPlacementScore" not in world.bucket("D4")


@pytest.mark.parametrize(("how", "status", "made"), [("409", 409, {}), ("off", 202, {"worker-1": "Off"})])
def test_a_cluster_that_is_not_started(make_world, how, status, made):
    world = with_quirk(make_world, not_started=how)
    world.state.stopped_clusters.add("c")
    assert status_of(world, "POST", CREATE, ONE) == status
    assert {name: node["Status"] for name, node in world.nodes().items()} == made
    assert world.get("/clusters/c/status")["state"] == "Terminated"


@pytest.mark.parametrize(("how", "status"), [("accepted", 202), ("refused", 409)])
def test_json_that_is_labelled_text(make_world, how, status):
    world = with_quirk(make_world, text_plain=how)
    answer = world.ask("POST", CREATE, ONE, content_type="text/plain; charset=utf-8")
    assert answer.status == status


@pytest.mark.parametrize(("how", "status"), [("400", 400), ("intersection", 200)])
def test_both_filters(make_world, how, status):
    world = with_quirk(make_world, both_filters=how)
    answer = world.ask("POST", CREATE, {**ONE, "requestId": "a"})
    operation = json.loads(answer.body)["operationId"]
    answer = world.ask("GET", f"/clusters/c/nodes?operation={operation}&request_id=a")
    assert answer.status == status
    assert status == 400 or len(json.loads(answer.body)["nodes"]) == 1


def test_late_node_id(make_world):
    world = with_quirk(make_world, node_id_delay_seconds=3)
    world.create(1)
    assert "NodeId" not in world.nodes()["worker-1"]
    world.wait(3)
    assert world.nodes()["worker-1"]["NodeId"]


def test_late_address(make_world):
    world = with_quirk(make_world, address_delay_seconds=3)
    world.create(1)
    world.wait(10)
    node = world.nodes()["worker-1"]
    assert (node["Status"], node.get("PrivateIp"), node.get("Hostname")) == ("Ready", None, None)
    world.wait(3)
    assert world.nodes()["worker-1"]["Hostname"] == "ip-7F000002"


def test_late_target_state(make_world):
    world = with_quirk(make_world, target_state="late")
    world.create(1)
    assert "TargetState" not in world.nodes()["worker-1"]
    world.wait(2)
    assert world.nodes()["worker-1"]["TargetState"] == "Started"


def test_old_buckets(make_world):
    bucket = with_quirk(make_world, old_buckets=True).bucket()
    assert not {"lastCapacityFailure", "familyQuotaCount", "invalidReason"} & bucket.keys()
    assert "gpuCount" not in bucket["virtualMachine"]
