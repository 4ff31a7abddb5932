"""A worker belongs to the machine that it says it runs on, whatever host its node name says."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler_app.listening.activity import Activity
from tests.unit.autoscaler_app.listening.events import NOW, report

HOMES = {"node-1": "node-1.example", "10.0.0.1": "node-1.example", "node-2": "node-2", "10.0.0.2": "node-2"}


@pytest.mark.parametrize(
    ("nodename", "machine", "home"),
    [
        ("w@lab", {"host": "node-1"}, "node-1.example"),
        ("w@lab", {"host": "NODE-1.other.domain"}, "node-1.example"),
        ("w@lab", {"host": "f00ba4", "addresses": ["172.17.0.2", "10.0.0.1"]}, "node-1.example"),
        ("w@lab", {"addresses": ["::ffff:10.0.0.2"]}, "node-2"),
        ("w@node-2", {"host": "node-1"}, "node-1.example"),
        ("w@node-1", {"host": "node-1"}, "node-1.example"),
        ("w@node-1", {"host": "f00ba4", "addresses": ["172.17.0.2"]}, "node-1.example"),
        ("w@lab", {"host": "f00ba4"}, "lab"),
        ("w@lab", {"host": "node-1", "addresses": ["10.0.0.2"]}, "lab"),
        ("w@lab", {}, "lab"),
    ],
    ids=[
        "by its host name",
        "in any spelling",
        "by an address",
        "in any notation",
        "of another node in name only",
        "both agree",
        "its machine is hidden from it",
        "on no node",
        "on two nodes at once",
        "not told",
    ],
)
def test_where_a_worker_is(activity: Activity, nodename: str, machine: dict[str, Any], home: str) -> None:
    activity.know_machines(HOMES)
    activity.apply(report(nodename, machine=machine), NOW)
    assert [host.hostname for host in activity.hosts()] == [home]
    assert activity.host(home) is not None
    activity.forget(home)
    assert activity.hosts() == ()


def test_workers_of_any_name_on_one_machine_are_one_host(activity: Activity) -> None:
    activity.know_machines(HOMES)
    for nodename in ("a@node-1", "b@lab", "c@elsewhere"):
        activity.apply(report(nodename, machine={"host": "node-1", "addresses": ["10.0.0.1"]}), NOW)
    activity.apply(report("d@node-1"), NOW)
    (host,) = activity.hosts()
    assert (host.hostname, len(host.workers)) == ("node-1.example", 4)
