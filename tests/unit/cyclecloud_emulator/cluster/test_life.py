"""A node goes through the documented states, and through the undocumented accidents that are asked for."""

import pytest


def record(world, name="worker-1"):
    return world.nodes()[name]


def test_the_normal_path_shows_each_fact_when_it_becomes_true(world):
    """No InstanceId while Acquiring; then the machine, its address, and the host name with Ready."""
    world.create(1)
    node = record(world)
    assert (node["Status"], node["State"], node["TargetState"]) == ("Acquiring", "Allocation", "Started")
    assert not {"InstanceId", "PrivateIp", "Hostname"} & node.keys()
    world.wait(2)
    node = record(world)
    assert (node["Status"], node["State"]) == ("Preparing", "Initialization")
    assert "InstanceId" in node
    assert "PrivateIp" not in node
    world.wait(4)
    node = record(world)
    assert (node["Status"], node["State"], node["PrivateIp"]) == ("Preparing", "Configuration", "127.0.0.2")
    assert "Hostname" not in node
    assert not world.fleet.started
    world.wait(4)
    node = record(world)
    assert (node["Status"], node["State"], node["Hostname"]) == ("Ready", "Started", "ip-7F000002")
    assert [machine.hostname for machine in world.fleet.started] == ["ip-7F000002"]
    assert node["PhaseMap"]["Azure.CreateVirtualMachines"]["Status"] == "Ok"


def test_terminate_takes_the_record_away_when_the_machine_is_gone(world):
    world.create(1)
    world.wait(10)
    node_id = record(world)["NodeId"]
    world.manage("terminate", ids=[node_id])
    node = record(world)
    assert (node["Status"], node["TargetState"]) == ("Terminating", "Terminated")
    assert world.fleet.stopped == [node_id]
    world.wait(2)
    assert world.nodes() == {}


def test_a_record_stays_until_nothing_runs_on_the_node_any_more(world):
    world.create(1)
    world.wait(10)
    node_id = record(world)["NodeId"]
    world.fleet.lingering.add(node_id)
    world.manage("terminate", ids=[node_id])
    world.wait(60)
    assert record(world)["Status"] == "Terminating"
    world.fleet.lingering.clear()
    world.wait(1)
    assert world.nodes() == {}


def test_a_node_that_is_terminated_while_it_boots_never_becomes_ready(world):
    world.create(1)
    world.wait(3)
    world.manage("terminate", names=["worker-1"])
    world.wait(60)
    assert world.nodes() == {}
    assert world.fleet.started == []


def test_names_and_addresses_come_back_or_not_and_node_ids_never_do(make_world):
    world = make_world()
    world.create(2)
    world.wait(10)
    first = record(world)
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    world.create(1)
    world.wait(10)
    second = record(world)
    assert second["NodeId"] != first["NodeId"]
    assert second["Hostname"] != first["Hostname"]


def test_switch_gives_the_lowest_free_address_out_again(make_world):
    world = make_world(quirks={"reuse_addresses": True})
    world.create(2)
    world.wait(10)
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    world.create(1)
    world.wait(10)
    assert record(world)["Hostname"] == "ip-7F000002"


def test_deallocate_keeps_the_record_and_start_brings_another_machine(world):
    world.create(1)
    world.wait(10)
    before = record(world)
    world.manage("deallocate", names=["worker-1"])
    node = record(world)
    assert (node["Status"], node["TargetState"]) == ("Stopping", "Deallocated")
    world.wait(2)
    node = record(world)
    assert node["Status"] == "Deallocated"
    assert "InstanceId" not in node
    assert world.bucket()["activeCount"] == 0
    assert world.manage("start", names=["worker-1"])[0]["status"] == "OK"
    world.wait(10)
    node = record(world)
    assert (node["Status"], node["NodeId"]) == ("Ready", before["NodeId"])
    assert node["InstanceId"] != before["InstanceId"]


def test_a_fixed_node_stays_as_a_record_that_is_off(world):
    world.create(1, nodeAttributes={"Fixed": True})
    world.wait(10)
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    assert record(world)["Status"] == "Off"
    assert world.get("/clusters/c/status?nodes=true")["nodes"] == []
    world.manage("remove", names=["worker-1"])
    world.wait(2)
    assert world.nodes() == {}


def test_shutdown_does_what_the_policy_of_the_node_says(world):
    world.create(1)
    world.create(1, nodeAttributes={"ShutdownPolicy": "Deallocate"})
    world.wait(10)
    world.manage("shutdown", names=["worker-1", "worker-2"])
    world.wait(2)
    assert {name: node["Status"] for name, node in world.nodes().items()} == {"worker-2": "Deallocated"}


def test_a_record_without_a_start_stays_off(world):
    world.create(1, nodeAttributes={"StartAutomatically": False})
    world.wait(60)
    assert record(world)["Status"] == "Off"
    assert world.bucket()["availableCount"] == 16


def test_restart_keeps_machine_and_address(world):
    world.create(1)
    world.wait(10)
    before = record(world)
    world.manage("restart", names=["worker-1"])
    assert record(world)["Status"] == "Preparing"
    world.wait(5)
    assert record(world)["InstanceId"] == before["InstanceId"]
    assert record(world)["Hostname"] == before["Hostname"]
    assert len(world.fleet.started) == 2


# -- accidents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shown", "status"), [("failed", "Failed"), ("unavailable", "Unavailable")])
def test_a_capacity_failure_is_shown_for_a_moment_and_the_promised_node_disappears(make_world, shown, status):
    world = make_world(quirks={"capacity_failure": shown})
    world.mishap("capacity", vm_size="D4")
    world.create(1)
    world.wait(2)
    assert record(world)["Status"] == status
    assert record(world)["PhaseFailed"] == "Azure.CreateVirtualMachines"
    assert world.bucket("D4")["lastCapacityFailure"] == pytest.approx(0.0)
    assert world.bucket("D8")["lastCapacityFailure"] == -1.0
    assert world.bucket("D4")["availableCount"] > 0
    world.wait(3)
    assert world.nodes() == {}
    assert world.bucket("D4")["lastCapacityFailure"] == pytest.approx(3.0)
    assert world.state.ledger.summary(world.now)["machines"] == 0


def test_a_capacity_failure_may_leave_no_trace_but_its_time(make_world):
    world = make_world(quirks={"capacity_failure": "vanish"})
    world.mishap("capacity", times=1)
    world.create(2)
    world.wait(2)
    assert len(world.nodes()) == 1
    assert world.bucket()["lastCapacityFailure"] == -1.0, "the second node got its machine"


def test_a_success_may_leave_the_capacity_failure_remembered_for_an_hour(make_world):
    world = make_world(quirks={"capacity_memory": "hour"})
    world.mishap("capacity", times=1)
    world.create(2)
    world.wait(2)
    assert world.bucket()["lastCapacityFailure"] == pytest.approx(0.0)
    world.wait(3601)
    assert world.bucket()["lastCapacityFailure"] == -1.0


def test_capacity_may_be_missing_in_one_zone_only(world):
    world.mishap("capacity", zone="2")
    world.create(3)
    world.wait(2)
    assert sorted(node["Status"] for node in world.nodes().values()) == ["Failed", "Preparing", "Preparing"]


def test_a_throttled_nodearray_offers_nothing_for_a_while(make_world):
    array = {"throttle_capacity": True, "throttle_capacity_seconds": 300}
    world = make_world(clusters={"c": {"nodearrays": {"worker": array}}})
    world.mishap("capacity", times=1)
    world.create(1)
    world.wait(2)
    assert world.bucket("D4")["availableCount"] == 0
    assert world.create(1)["added"] == 0
    world.wait(301)
    assert world.bucket("D4")["availableCount"] == 16


def test_acquiring_can_last_for_ever_and_can_be_ended(world):
    world.mishap("acquiring_forever")
    world.create(1)
    world.wait(100_000)
    assert record(world)["Status"] == "Acquiring"
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    assert world.nodes() == {}


def test_a_boot_that_never_ends_is_failed_after_the_servers_own_time_out_and_keeps_costing(world):
    world.mishap("boot_forever")
    world.create(1)
    world.wait(10 + 1799)
    assert record(world)["Status"] == "Preparing"
    world.wait(1)
    node = record(world)
    assert (node["Status"], node["PhaseFailed"]) == ("Failed", "Cloud.AwaitBootup")
    world.wait(100_000)
    assert record(world)["Status"] == "Failed"
    assert world.state.ledger.summary(world.now)["machines_running"] == 1


def test_a_failed_configuration_stays_failed_until_somebody_ends_it(world):
    world.mishap("configuration")
    world.create(1)
    world.wait(100_000)
    assert (record(world)["Status"], world.fleet.started) == ("Failed", [])
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    assert world.nodes() == {}


def test_a_node_can_be_ready_with_no_worker(world):
    world.mishap("no_worker", times=1)
    world.create(2)
    world.wait(10)
    assert {node["Status"] for node in world.nodes().values()} == {"Ready"}
    assert len(world.fleet.started) == 1


def test_a_node_can_vanish_while_it_boots(world):
    world.mishap("vanish")
    world.create(1)
    world.wait(10)
    assert world.nodes() == {}


@pytest.mark.parametrize(
    ("shown", "status"), [("terminating", "Terminating"), ("unavailable", "Unavailable"), ("vanish", None)]
)
def test_an_eviction_comes_after_its_notice_and_takes_the_machine_at_once(make_world, shown, status):
    world = make_world(quirks={"eviction": shown})
    world.create(1, nodearray="spot")
    world.wait(10)
    node = next(iter(world.state.nodes.values()))
    world.life.evict(node, world.now, notice=30)
    assert record(world, "spot-1")["Status"] == "Ready"
    assert record(world, "spot-1")["StatusMessage"] == "Waiting for eviction"
    world.wait(30)
    assert world.fleet.stopped == [node.id]
    assert (world.nodes() or {"spot-1": {"Status": None}})["spot-1"]["Status"] == status
    world.wait(2)
    assert world.nodes() == {}


@pytest.mark.parametrize("boots_for", [3, 7], ids=["no address yet", "address"])
def test_an_eviction_that_is_announced_while_a_machine_boots_comes_all_the_same(world, boots_for):
    world.create(1, nodearray="spot")
    world.wait(boots_for)
    node = next(iter(world.state.nodes.values()))
    world.life.evict(node, world.now, notice=30)
    world.wait(20)
    assert (record(world, "spot-1")["Status"], record(world, "spot-1")["StatusMessage"]) == (
        "Ready",
        "Waiting for eviction",
    )
    world.wait(12)
    assert world.nodes() == {}
    assert world.fleet.stopped == [node.id]


def test_an_eviction_that_is_announced_comes_though_the_machine_is_restarted(world):
    world.create(1, nodearray="spot")
    world.wait(10)
    node = next(iter(world.state.nodes.values()))
    world.life.evict(node, world.now, notice=30)
    world.manage("restart", ids=[node.id])
    world.wait(32)
    assert world.nodes() == {}


@pytest.mark.parametrize(
    ("policy", "code", "status", "starts"),
    [
        ("keep", -9, "Ready", 1),
        ("restart", -9, "Ready", 2),
        ("fail", -9, "Failed", 1),
        ("vanish", -9, None, 1),
        ("restart", 0, "Ready", 1),
        ("fail", 0, "Ready", 1),
    ],
)
def test_what_a_dead_worker_means_is_a_setting_and_a_clean_exit_is_none(
    make_world, policy, code, status, starts
):
    world = make_world(nodes={"on_worker_exit": policy})
    world.create(1)
    world.wait(10)
    world.life.worker_exited(next(iter(world.state.nodes)), code, world.now)
    world.wait(1)
    assert (world.nodes() or {"worker-1": {"Status": None}})["worker-1"]["Status"] == status
    assert len(world.fleet.started) == starts


def test_machines_are_billed_from_their_existence_to_their_end(world):
    """D4 costs 0.4 an hour: 3600 s of a machine, of which none before it exists."""
    world.create(1)
    world.wait(2)
    world.wait(3598)
    world.manage("terminate", names=["worker-1"])
    world.wait(2)
    world.wait(1000)
    summary = world.state.ledger.summary(world.now)
    assert summary["node_seconds"] == pytest.approx(3600)
    assert summary["cost"] == pytest.approx(0.4)
    assert (summary["nodes_created"], summary["nodes_removed"], summary["machines_running"]) == (1, 1, 0)
