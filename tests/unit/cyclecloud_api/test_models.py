"""Reading the shapes of the REST API: lenient where servers differ, clear where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cyclecloud_api import models

Make = Callable[..., dict[str, Any]]


def test_names_are_matched_without_regard_to_case(node: Make) -> None:
    lowered = {key.lower(): value for key, value in node(7).items()}
    assert models.read(models.NodeRecord, lowered) == models.read(models.NodeRecord, node(7))


def test_null_is_the_same_as_absent(node: Make) -> None:
    nulls = node(7, Hostname=None, PlacementGroupId=None, KeepAlive=None, Configuration=None)
    record = models.read(models.NodeRecord, nulls)
    assert (record.hostname, record.placement_group_id, record.keep_alive) == ("", "", False)
    assert record.configuration == {}


def test_unknown_properties_are_ignored(status: Make) -> None:
    read = models.read(models.ClusterStatus, status(somethingNew={"deep": [1]}))
    assert read.max_count == 200


@pytest.mark.parametrize(
    ("given", "understood"), [("4", 4), (4.0, 4), ("16", 16)], ids=["text", "whole fraction", "text of two"]
)
def test_numbers_may_come_in_other_clothes(node: Make, given: object, understood: int) -> None:
    assert models.read(models.NodeRecord, node(1, CoreCount=given)).core_count == understood


def test_machine_type_may_be_a_list(node: Make) -> None:
    record = models.read(models.NodeRecord, node(1, MachineType=["Standard_A", "Standard_B"]))
    assert record.machine_type == "Standard_A,Standard_B"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({}, "Object missing required field `nodearrays` - at `$`"),
        ({"nodearrays": None}, "Object missing required field `nodearrays` - at `$`"),
        ({"nodearrays": {}}, "Expected `array`, got `object` - at `$.nodearrays`"),
        ({"nodearrays": [{"buckets": []}]}, "Object missing required field `name` - at `$.nodearrays[0]`"),
        ({"nodearrays": [{"name": "w"}]}, "Object missing required field `buckets` - at `$.nodearrays[0]`"),
        ([], "an object is wanted at $, not a list of 0"),
        (None, "an object is wanted at $, not null"),
        ("nonsense", "an object is wanted at $, not 'nonsense'"),
    ],
)
def test_what_is_missing_is_named_with_its_place(answer: object, complaint: str) -> None:
    with pytest.raises(models.ShapeError) as caught:
        models.read(models.ClusterStatus, answer)
    assert str(caught.value) == complaint


def test_requests_leave_out_what_is_not_given_and_keep_the_one_odd_name() -> None:
    create = models.CreationRequest(sets=[models.NodeSet(nodearray="worker", count=2)])
    assert msgspec.json.decode(msgspec.json.encode(create)) == {"sets": [{"nodearray": "worker", "count": 2}]}
    manage = models.ManagementRequest(ip_addresses=["10.0.0.1"], request_id="r")
    assert msgspec.json.decode(msgspec.json.encode(manage)) == {
        "ip_addresses": ["10.0.0.1"],
        "requestId": "r",
    }


@pytest.mark.parametrize(
    ("entry", "ok"),
    [
        ({"id": "1", "name": "a", "status": "OK"}, True),
        ({"id": "1", "name": "a"}, True),
        ({"id": "1", "name": "a", "status": "Error", "error": "no"}, False),
        ({"id": "1", "name": "a", "status": "Baffled"}, False),
        ({"id": "1", "name": "a", "error": "no"}, False),
    ],
)
def test_a_managed_node_is_ok_unless_the_server_says_otherwise(entry: dict[str, str], ok: bool) -> None:
    assert models.read(models.ManagedNode, entry).ok is ok


def test_usage_reads_both_spellings_of_its_parts() -> None:
    usage = models.read(
        models.ClusterUsage,
        {
            "usage": [
                {
                    "start": "2026-03-01",
                    "end": "2026-03-02",
                    "total": {"category": "cluster", "hours": 8},
                    "breakdown": [
                        {
                            "category": "nodearray",
                            "node": "worker",
                            "hours": 8,
                            "details": [{"vm_size": "F2", "hours": 8, "core_count": 2, "priority": "Spot"}],
                        }
                    ],
                }
            ]
        },
    )
    assert usage.usage[0].breakdown[0].details[0].vm_size == "F2"
    assert isinstance(usage.usage[0].total, models.UsageItem)
