"""From a status answer to nodes, buckets and pools."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclecloud_api.errors import Garbled
from cyclecloud_api.inventory import cloud_from_status, inventory
from scalelib.errors import InvalidConfig
from scalelib.node import NodeState
from scalelib.provider import Cloud

Make = Callable[..., dict[str, Any]]
PRICES = {"Standard_D4s_v5": 0.2, "Standard_D4s_v5/spot": 0.05}


def cloud_of(raw: dict[str, Any], **config: Any) -> Cloud:
    return cloud_from_status(raw, cluster="c", prices=PRICES, config=config)


def left(cloud: Cloud) -> dict[str, tuple[int | None, int | None]]:
    return {p.name: (p.nodes, p.cores) for p in cloud.pools}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Off", NodeState.OFF),
        ("Acquiring", NodeState.ACQUIRING),
        ("Allocating", NodeState.ACQUIRING),
        ("Preparing", NodeState.PREPARING),
        ("Ready", NodeState.READY),
        ("Started", NodeState.READY),
        ("ready", NodeState.READY),
        ("Failed", NodeState.FAILED),
        ("Error", NodeState.FAILED),
        ("Unavailable", NodeState.UNAVAILABLE),
        ("Terminating", NodeState.TERMINATING),
        ("Terminated", NodeState.TERMINATED),
        ("Deallocating", NodeState.STOPPING),
        ("Stopping", NodeState.STOPPING),
        ("Deallocated", NodeState.DEALLOCATED),
        ("Unknown", NodeState.UNKNOWN),
        ("Gone fishing", NodeState.UNKNOWN),
    ],
)
def test_status_words_mean_states(status: Make, node: Make, words: str, expected: NodeState) -> None:
    (found,) = cloud_of(status(nodes=[node(1, Status=words)])).nodes
    assert found.state is expected
    assert found.status == words


@pytest.mark.parametrize(
    ("words", "expected"),
    [("Allocation", NodeState.ACQUIRING), ("Configuration", NodeState.PREPARING), (None, NodeState.UNKNOWN)],
)
def test_without_a_status_the_finer_state_decides(
    status: Make, node: Make, words: str | None, expected: NodeState
) -> None:
    (found,) = cloud_of(status(nodes=[node(1, Status=None, State=words)])).nodes
    assert found.state is expected


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("Started", True), ("started", True), ("Terminated", False), ("Deallocated", False), (None, False)],
)
def test_only_a_target_of_started_is_capacity(
    status: Make, node: Make, target: str | None, wanted: bool
) -> None:
    (found,) = cloud_of(status(nodes=[node(1, TargetState=target)])).nodes
    assert found.wanted is wanted
    assert found.is_ready is wanted


def test_one_bad_node_is_left_out_and_named(status: Make, node: Make) -> None:
    bad: list[Any] = [{"NodeId": "x"}, "text", 5, None, node(9, NodeId={"a": 1}), []]
    cloud = cloud_of(status(nodes=[node(1), *bad, node(2)]))
    assert [n.id for n in cloud.nodes] == ["node-1", "node-2"]
    assert len(cloud.warnings) == len(bad)
    assert "worker-9" in " ".join(cloud.warnings)
    assert left(cloud)["cluster"][0] == 200 - 2 - len(bad)


def test_an_odd_attribute_spoils_only_itself(status: Make, node: Make) -> None:
    cloud = cloud_of(status(nodes=[node(1, CoreCount="many", StatusMessage=7)]))
    assert [(n.id, n.vcpu_count) for n in cloud.nodes] == [("node-1", 4)]
    assert sorted("CoreCount" in w or "StatusMessage" in w for w in cloud.warnings) == [True, True]


def test_whose_keep_alive_cannot_be_read_takes_work_and_is_kept(status: Make, node: Make) -> None:
    cloud = cloud_of(status(nodes=[node(1, KeepAlive="perhaps"), node(2, KeepAlive="false")]))
    assert [(n.id, n.keep_alive) for n in cloud.nodes] == [("node-1", True), ("node-2", False)]
    assert "KeepAlive" in cloud.warnings[0]


def test_an_unknown_status_counts_by_its_finer_step_and_is_named(status: Make, node: Make) -> None:
    """But nobody is up by that alone: idle, it would be ended."""
    cloud = cloud_of(
        status(nodes=[node(1, Status="Wobbling", State="Allocation"), node(2, Status="Wobbling")])
    )
    assert [n.state for n in cloud.nodes] == [NodeState.ACQUIRING, NodeState.UNKNOWN]
    assert len([w for w in cloud.warnings if "Wobbling" in w]) == 2


@pytest.mark.parametrize("off", [False, 0, "false", "FALSE", "no", "Off", "0", "0.0", "n", "whatever"])
def test_the_owners_switch_is_understood_in_any_spelling(status: Make, array: Make, off: object) -> None:
    cloud = cloud_of(status(array(Configuration={"autoscale": {"enabled": off}})))
    assert not any(b.valid for b in cloud.buckets)
    assert any("whatever" in w for w in cloud.warnings) is (off == "whatever")


@pytest.mark.parametrize("key", ["autoscale.enabled", "Autoscaling.Enabled"])
def test_the_owners_switch_may_be_one_key_with_a_dot(status: Make, array: Make, key: str) -> None:
    (found,) = cloud_of(status(array(Configuration={key: "false", "autoscale": {"is_hpc": False}}))).buckets
    assert (found.valid, found.makes_groups) == (False, False)


@pytest.mark.parametrize("on", [True, 1, "true", "YES", "on", "1", None])
def test_a_switch_that_is_on_is_on(status: Make, array: Make, on: object) -> None:
    assert all(b.valid for b in cloud_of(status(array(Configuration={"autoscale": {"enabled": on}}))).buckets)


def test_an_odd_attribute_of_a_nodearray_spoils_only_itself(status: Make, array: Make, bucket: Make) -> None:
    """Where it leaves open what the machines would be, that nodearray gets none; the others do."""
    odd = array("odd", bucket(bucketId="o"), Priority="")
    unclear = array("unclear", bucket(bucketId="u"), Interruptible="sometimes")
    cloud = cloud_of(status(odd, unclear))
    assert [(b.nodearray, b.valid) for b in cloud.buckets] == [("odd", True), ("unclear", False)]
    assert "Interruptible" in cloud.buckets[1].invalid_reason
    assert len(cloud.warnings) == 2


@pytest.mark.parametrize(("said", "makes"), [(None, True), ("true", True), (False, False), ("No", False)])
def test_a_nodearray_may_do_without_placement_groups(
    status: Make, array: Make, said: object, makes: bool
) -> None:
    (found,) = cloud_of(status(array(Configuration={"autoscale": {"is_hpc": said}}))).buckets
    assert found.makes_groups is makes


@pytest.mark.parametrize(("told", "known"), [(-1, None), (0, 0), (12.5, 12.5), (None, None)])
def test_when_capacity_failed_last_is_known(
    status: Make, array: Make, bucket: Make, told: object, known: object
) -> None:
    (found,) = cloud_of(status(array("worker", bucket(lastCapacityFailure=told)))).buckets
    assert found.capacity_failed == known


def test_a_deallocated_node_may_start_again_where_its_nodearray_or_it_says_so(
    status: Make, array: Make, node: Make
) -> None:
    off = {"Status": "Deallocated", "TargetState": "Deallocated"}
    for policy, own, may in (("Deallocate", None, True), (None, "deallocate", True), (None, None, False)):
        nodes = [node(1, ShutdownPolicy=own, **off), node(2, ShutdownPolicy=own)]
        cloud = cloud_of(status(array(ShutdownPolicy=policy), nodes=nodes))
        assert [n.may_start_again for n in cloud.nodes] == [may, False]


def test_a_nodearray_overrides_what_its_size_has(status: Make, array: Make) -> None:
    (found,) = cloud_of(status(array(Memory=14.0, CoreCount=2))).buckets
    assert (found.memory_gib, found.vcpu_count) == (14.0, 2)


@pytest.mark.parametrize("states", [("Off", "Off"), ("Started", "Terminated"), ("Terminated", "")])
def test_a_cluster_that_is_not_started_gets_no_nodes_and_says_so(
    status: Make, states: tuple[str, str]
) -> None:
    cloud = cloud_of(status(state=states[0], targetState=states[1]))
    assert [(b.valid, "Started: start it" in b.invalid_reason) for b in cloud.buckets] == [(False, True)]
    assert "nothing is launched" in cloud.warnings[-1]


def test_a_booting_node_without_an_id_is_capacity_to_come(status: Make, node: Make) -> None:
    """Left out, it would be asked for once more."""
    cloud = cloud_of(status(nodes=[node(1, NodeId=None, Status="Acquiring")]))
    assert [(n.id, n.is_booting) for n in cloud.nodes] == [("name:worker-1", True)]
    assert cloud.warnings == ()


@pytest.mark.parametrize(
    "changes", [{"Status": "Ready"}, {"Status": "Acquiring", "TargetState": "Terminated"}]
)
def test_any_other_node_without_an_id_is_left_out_but_counted(
    status: Make, node: Make, changes: dict[str, str]
) -> None:
    cloud = cloud_of(status(nodes=[node(1, NodeId=None, **changes)]))
    assert cloud.nodes == ()
    assert left(cloud)["nodearray/worker"] == (99, 996)
    assert "worker-1" in cloud.warnings[0]


@pytest.mark.parametrize(("words", "wanted"), [("Acquiring", True), ("Preparing", True), ("Off", False)])
def test_a_node_that_is_being_started_is_wanted_even_before_it_says_so(
    status: Make, node: Make, words: str, wanted: bool
) -> None:
    (found,) = cloud_of(status(nodes=[node(1, TargetState=None, Status=words)])).nodes
    assert found.wanted is wanted


@pytest.mark.parametrize(
    ("words", "target", "wanted"),
    [
        ("Acquiring", "Hibernating", True),
        ("Sleeping", "Hibernating", True),
        ("Sleeping", "Terminated", False),
        ("Ready", "Hibernating", False),
    ],
)
def test_a_target_that_nobody_knows_says_nothing(
    status: Make, node: Make, words: str, target: str, wanted: bool
) -> None:
    """Who may be booting is not asked for once more; who is up is given no new work."""
    (found,) = cloud_of(status(nodes=[node(1, TargetState=target, Status=words, State=None)])).nodes
    assert found.wanted is wanted


def test_an_id_that_comes_twice_is_one_node(status: Make, node: Make) -> None:
    cloud = cloud_of(status(nodes=[node(1), node(2, NodeId="node-1")]))
    assert [n.name for n in cloud.nodes] == ["worker-1"]
    assert "twice" in cloud.warnings[0]


def test_head_nodes_are_left_alone_but_counted(status: Make, node: Make) -> None:
    cloud = cloud_of(status(nodes=[node(1, Template="scheduler", CoreCount=8)]))
    assert cloud.nodes == ()
    assert cloud.warnings == ()
    assert left(cloud)["cluster"] == (199, 1992)
    assert left(cloud)["nodearray/worker"] == (100, 1000)


@pytest.mark.parametrize("word", ["Started", "started", "STARTED", ""])
def test_a_started_cluster_in_any_spelling_holds_a_size_back_after_a_failure(
    status: Make, array: Make, bucket: Make, word: str
) -> None:
    raw = status(array("worker", bucket(availableCount=0)), state=word, targetState=word)
    seen = inventory(raw, cluster="c", prices={})
    assert seen.throttled == {"id-Standard_D4s_v5"}
    assert seen.cloud.buckets[0].valid


def test_off_and_deallocated_nodes_hold_no_place(status: Make, node: Make) -> None:
    nodes = [
        node(1, Status="Off", TargetState="Terminated"),
        node(2, Status="Deallocated", TargetState="Deallocated"),
    ]
    assert left(cloud_of(status(nodes=nodes)))["cluster"] == (200, 2000)


def test_a_nodearray_with_autoscaling_off_is_not_ours(status: Make, array: Make, node: Make) -> None:
    off = array(Configuration={"autoscale": {"enabled": False}})
    cloud = cloud_of(status(off, nodes=[node(1)]))
    assert cloud.nodes == ()
    assert not cloud.buckets[0].valid
    assert "switched off" in cloud.buckets[0].invalid_reason
    assert left(cloud)["cluster"] == (199, 1996)


def test_an_invalid_bucket_keeps_its_nodes_and_says_why(
    status: Make, array: Make, bucket: Make, node: Make
) -> None:
    cloud = cloud_of(
        status(array("worker", bucket(valid=False, invalidReason="NotActivated")), nodes=[node(1)])
    )
    assert [n.id for n in cloud.nodes] == ["node-1"]
    assert (cloud.buckets[0].valid, cloud.buckets[0].invalid_reason) == (False, "NotActivated")


def test_one_bad_bucket_is_left_out_and_its_nodes_stay(
    status: Make, array: Make, bucket: Make, node: Make
) -> None:
    worker = array("worker", bucket(virtualMachine={"memory": 4}), bucket("Standard_F2s_v2", 2))
    cloud = cloud_of(status(worker, nodes=[node(1, CoreCount=4)]))
    assert [b.vm_size for b in cloud.buckets] == ["Standard_F2s_v2"]
    assert "vcpuCount" in cloud.warnings[0]
    assert "$.nodearrays[0].buckets[0]" in cloud.warnings[0]
    assert [(n.id, n.bucket_id, n.vcpu_count) for n in cloud.nodes] == [("node-1", "", 4)]
    assert left(cloud)["nodearray/worker"] == (99, 996)


@pytest.mark.parametrize("raw", [{}, {"nodearrays": None}, {"nodearrays": [{}]}, {"nodearrays": "many"}])
def test_an_answer_that_is_bad_as_a_whole_is_an_error(raw: dict[str, Any]) -> None:
    with pytest.raises(Garbled, match="status of cluster c cannot be read"):
        cloud_of(raw)


def test_what_a_node_is_comes_from_its_record_first_then_from_its_size(
    status: Make, array: Make, node: Make
) -> None:
    worker = array(Configuration={"autoscale": {"resources": {"disk": 100, "kind": "a", "list": [1]}}})
    own = node(
        1,
        CoreCount=2,
        Memory=7.5,
        Hostname="IP-1.internal.example.com",
        PlacementGroupId="pg0",
        KeepAlive=True,
        Configuration={"autoscale": {"resources": {"kind": "b"}}},
    )
    (found,) = cloud_of(status(worker, nodes=[own])).nodes
    assert (found.vcpu_count, found.memory_gib, found.hostname) == (2, 7.5, "IP-1")
    assert (found.placement_group, found.keep_alive, found.price_per_hour) == ("pg0", True, 0.2)
    assert found.resources == {"disk": 100, "kind": "b"}
    assert found.location == "westeurope"


def test_the_host_name_is_derived_from_the_address_only_on_request(status: Make, node: Make) -> None:
    raw = status(nodes=[node(1, Hostname=None)])
    assert cloud_of(raw).nodes[0].hostname is None
    assert cloud_of(raw, assume_standalone_hostnames=True).nodes[0].hostname == "ip-0A010201"


def test_only_valid_host_names_are_host_names(status: Make, node: Make) -> None:
    raw = status(nodes=[node(1), node(2, Hostname="localhost")])
    assert [n.hostname for n in cloud_of(raw, valid_hostnames=["^ip-[0-9A-F]{8}"]).nodes] == [
        "ip-0A010201",
        None,
    ]


@pytest.mark.parametrize("value", ["ip-.*", ["(", "x"], [5]])
def test_valid_hostnames_that_are_none_are_refused(status: Make, value: object) -> None:
    with pytest.raises(InvalidConfig, match="valid_hostnames"):
        cloud_of(status(), valid_hostnames=value)


def test_a_size_without_a_price_has_none(status: Make, array: Make, bucket: Make) -> None:
    assert cloud_of(status(array("worker", bucket("Odd_Size")))).buckets[0].price_per_hour is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
def test_any_value_in_any_place_is_read_left_out_or_garbled_but_never_a_crash(
    status: Make, array: Make, bucket: Make, node: Make, data: st.DataObject
) -> None:
    """And a node is never made up: ids that come out went in."""
    size = bucket(placementGroups=[{"name": "pg", "activeCount": 1}], spotPlacementScore="High")
    worker = array("worker", size, Priority=3, Azure={"MaxScalesetSize": 40}, PlacementGroupId="pg")
    raw = copy.deepcopy(status(worker, nodes=[node(1), node(2, CoreCount=4, Memory=16.0, StatusMessage="m")]))
    place: Any = raw
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(json_values)
            break
        place = place[key]
    try:
        cloud = cloud_of(raw)
    except Garbled:
        return
    assert all(p.nodes is None or p.nodes >= 0 for p in cloud.pools)
    known = [n.get("NodeId") for n in raw["nodes"] or [] if isinstance(n, dict)]
    assert all(n.id in known or n.id.startswith("name:") for n in cloud.nodes)
