"""nodes/create and scale: what is accepted, how much of it, under which names, and only once."""

import json

import pytest

CREATE = "/clusters/c/nodes/create"


def ask(world, *sets, request_id=None):
    body = {"sets": list(sets)}
    if request_id is not None:
        body["requestId"] = request_id
    return world.ask("POST", CREATE, body)


def worker(count, **more):
    return {"nodearray": "worker", "count": count, **more}


def test_the_answer_says_how_many_and_where_the_operation_is(world):
    answer = ask(world, worker(2))
    value = json.loads(answer.body)
    assert answer.status == 202
    assert value["sets"] == [{"added": 2}]
    assert answer.headers["Location"] == f"http://cloud/operations/{value['operationId']}"
    assert world.get(f"/operations/{value['operationId']}") == {
        "action": "create",
        "startTime": "1970-01-12T13:46:40Z",
    }
    nodes = world.get(f"/clusters/c/nodes?operation={value['operationId']}")
    assert [node["Name"] for node in nodes["nodes"]] == ["worker-1", "worker-2"]
    assert nodes["operation"]["action"] == "create"


def test_the_second_set_of_the_worked_example_is_partly_met(world):
    """44 cores left: three D4 leave 32, which is four D8."""
    world.create(3)
    world.create(1, size="D8")
    answer = ask(
        world,
        worker(3, definition={"machineType": "D4"}),
        worker(
            9, definition={"machineType": "D8"}, nameFormat="big-%d", nameOffset=100, placementGroupId="pg0"
        ),
        request_id="scale-up-000017",
    )
    assert json.loads(answer.body)["sets"] == [
        {"added": 3},
        {"added": 4, "message": "Only 4 of 9 nodes fit in the limits"},
    ]
    big = [node for node in world.nodes().values() if node["Name"].startswith("big")]
    assert [node["Name"] for node in big] == ["big-101", "big-102", "big-103", "big-104"]
    assert {node["PlacementGroupId"] for node in big} == {"pg0"}
    assert {node["RequestId"] for node in big} == {"scale-up-000017"}


def test_a_request_id_counts_once_and_tells_what_became_of_it(world):
    assert ask(world, worker(1), request_id="a").status == 202
    again = ask(world, worker(5), request_id="a")
    assert again.status == 409
    assert len(world.nodes()) == 1
    assert len(world.get("/clusters/c/nodes?request_id=a")["nodes"]) == 1
    assert len(world.get("/operations/?request_id=a")) == 1
    unknown = world.ask("GET", "/clusters/c/nodes?request_id=b")
    assert unknown.status == 404
    assert b"No operation found for request id" in unknown.body
    assert world.get("/operations/?request_id=b") == []


def test_nodes_of_a_finished_operation_can_be_an_empty_list(world):
    ask(world, worker(1), request_id="a")
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    assert world.get("/clusters/c/nodes?request_id=a")["nodes"] == []


def test_without_a_definition_the_first_bucket_is_taken(world):
    ask(world, worker(1), worker(1, definition={}))
    assert {node["MachineType"] for node in world.nodes().values()} == {"D4"}


def test_names_fill_gaps(world):
    world.create(3)
    world.manage("terminate", names=["worker-2"])
    world.create(1)
    assert sorted(world.nodes()) == ["worker-1", "worker-2", "worker-3", "worker-4"], "still terminating"
    world.wait(2)
    world.create(2)
    assert sorted(world.nodes()) == [f"worker-{n}" for n in (1, 2, 3, 4, 5)]


def test_attributes_are_laid_over_those_of_the_nodearray(world):
    world.create(1, nodeAttributes={"KeepAlive": True, "Tags": {"queue": "q"}, "Interruptible": True})
    node = world.nodes()["worker-1"]
    assert (node["KeepAlive"], node["Tags"], node["Interruptible"]) == (True, {"queue": "q"}, True)
    assert world.bucket("D4")["regionalConsumedCoreCount"] == 100, "a spot machine, charged to spot quota"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"sets": [{"nodearray": "none", "count": 1}]}, "No nodearray none"),
        ({"sets": [worker(1, definition={"machineType": "X"})]}, "No bucket matches machineType X"),
        ({"sets": []}, "sets is empty"),
        ({}, "sets"),
        ({"sets": [{"nodearray": "worker"}]}, "count"),
        ({"sets": [worker("3")]}, "count"),
        ({"sets": [worker(-1)]}, "count -1"),
        ({"sets": [worker(1, nameFormat="same")]}, "nameFormat"),
        (b"{", "Invalid node creation request"),
        (b"\xff", "Invalid node creation request"),
        ([1], "Invalid node creation request"),
    ],
)
def test_invalid_input_is_a_conflict_that_names_it_and_creates_nothing(world, body, hint):
    answer = world.ask("POST", CREATE, body)
    assert answer.status == 409
    assert hint in json.loads(answer.body)["Message"]
    assert world.nodes() == {}


def test_one_bad_set_stops_all_of_them(world):
    assert ask(world, worker(1), {"nodearray": "none", "count": 1}).status == 409
    assert world.nodes() == {}


def test_scale_adds_what_is_missing_to_a_total_and_never_removes(world):
    path = "/clusters/c/scale/worker"
    assert world.ask("POST", f"{path}?totalNodeCount=3").status == 202
    assert len(world.nodes()) == 3
    assert json.loads(world.ask("POST", f"{path}?totalCoreCount=17").body)["sets"] == [{"added": 2}]
    assert json.loads(world.ask("POST", f"{path}?totalNodeCount=1").body)["sets"] == [{"added": 0}]
    assert len(world.nodes()) == 5
    assert world.ask("POST", path).status == 400
    assert world.ask("POST", f"{path}?totalCoreCount=1&totalNodeCount=1").status == 400
    assert world.ask("POST", f"{path}?totalCoreCount=x").status == 400
    assert world.ask("POST", "/clusters/c/scale/none?totalNodeCount=1").status == 404
