"""Faults strike the calls that they are about, so often as they say, the same for the same seed."""

import json
import random

import msgspec
import pytest

from cyclecloud_emulator.message import Answer, Request
from cyclecloud_emulator.trouble.faults import Fault, FaultKind, Faults, Schedule
from cyclecloud_emulator.trouble.lies import LieKind, tell

GET = Request(method="GET", path="/clusters/c/status")
CREATE = Request(
    method="POST",
    path="/clusters/c/nodes/create",
    body=b'{"sets": [{"nodearray": "worker", "count": 9}], "requestId": "a"}',
)
STATUS = {
    "maxCount": 3,
    "nodearrays": [{"name": "w", "buckets": [{"availableCount": 5, "activeCount": 2}]}],
    "nodes": [
        {"Name": f"n{i}", "NodeId": f"id{i}", "Status": "Ready", "TargetState": "Started", "CoreCount": 4}
        for i in range(4)
    ],
}


def apply(request=GET, **fault):
    """The answer under a fault, and the requests that were carried out."""
    carried_out = []

    def carry_out(request):
        carried_out.append(request)
        return Answer(status=200, body=json.dumps(STATUS).encode())

    return Faults().apply(Fault(**fault), request, carry_out), carried_out


@pytest.mark.parametrize(
    ("kind", "carried_out"),
    [
        (FaultKind.SLOW, True),
        (FaultKind.STATUS, False),
        (FaultKind.STATUS_AFTER, True),
        (FaultKind.REFUSE, False),
        (FaultKind.LOST, True),
        (FaultKind.HANG, False),
        (FaultKind.HANG_AFTER, True),
        (FaultKind.TRUNCATE, True),
        (FaultKind.GARBAGE, True),
        (FaultKind.EMPTY, True),
        (FaultKind.REDIRECT, False),
        (FaultKind.LIE, True),
        (FaultKind.FEWER, True),
    ],
)
def test_each_kind_carries_the_call_out_or_does_not(kind, carried_out):
    assert bool(apply(kind=kind)[1]) is carried_out


def test_every_kind_is_in_the_table_above():
    assert len(FaultKind) == 13


def test_what_the_client_sees():
    assert apply(kind=FaultKind.SLOW, seconds=3)[0].delay == 3
    assert apply(kind=FaultKind.STATUS, status=503, retry_after=7)[0].headers == {"Retry-After": "7"}
    assert apply(kind=FaultKind.STATUS, status=401)[0].headers["WWW-Authenticate"].startswith("Basic")
    assert apply(kind=FaultKind.STATUS, status=500, body="<html>")[0].body == b"<html>"
    assert apply(kind=FaultKind.LOST)[0].drop
    hang = apply(kind=FaultKind.HANG, seconds=60)[0]
    assert (hang.drop, hang.delay) == (True, 60)
    cut = apply(kind=FaultKind.TRUNCATE)[0]
    assert 0 < cut.cut < len(cut.body)
    assert apply(kind=FaultKind.GARBAGE)[0].body.startswith(b"<html>")
    assert apply(kind=FaultKind.EMPTY)[0].body == b""
    assert apply(kind=FaultKind.REDIRECT)[0].headers["Location"] == "/login"


def test_fewer_asks_for_fewer():
    _, [request] = apply(CREATE, kind=FaultKind.FEWER, added=2)
    assert json.loads(request.body) == {"sets": [{"nodearray": "worker", "count": 2}], "requestId": "a"}


def test_fewer_leaves_what_it_cannot_read():
    request = Request(method="POST", path="/x", body=b"{")
    assert apply(request, kind=FaultKind.FEWER)[1] == [request]


def picks(faults, request, times):
    return [fault.kind if (fault := faults.pick(request)) else None for _ in range(times)]


def test_a_rule_strikes_what_it_fits_after_skipping_and_until_it_is_spent():
    faults = Faults()
    faults.add(Fault(kind=FaultKind.LOST, method="post", path="/create$", skip=1, times=2))
    assert picks(faults, GET, 2) == [None, None]
    assert picks(faults, CREATE, 4) == [None, FaultKind.LOST, FaultKind.LOST, None]
    assert list(faults) == []


def test_the_first_rule_that_fits_strikes():
    faults = Faults()
    faults.add(Fault(kind=FaultKind.EMPTY, times=1))
    faults.add(Fault(kind=FaultKind.LOST))
    assert picks(faults, GET, 2) == [FaultKind.EMPTY, FaultKind.LOST]


def test_a_schedule_is_the_same_for_the_same_seed_and_holds_its_rate():
    def run(seed):
        faults = Faults()
        kinds = [FaultKind.LOST, FaultKind.EMPTY, FaultKind.STATUS]
        faults.follow(Schedule(seed=seed, rate=0.3, kinds=kinds))
        return picks(faults, GET, 3000)

    assert run(1) == run(1)
    assert run(1) != run(2)
    struck = run(1)
    assert sum(kind is not None for kind in struck) == pytest.approx(900, abs=100)
    for kind in (FaultKind.LOST, FaultKind.EMPTY, FaultKind.STATUS):
        assert struck.count(kind) == pytest.approx(300, abs=60)


def test_a_path_that_is_no_expression_is_refused():
    with pytest.raises(msgspec.ValidationError, match=r"path: '\(' is not a regular expression"):
        msgspec.json.decode(b'{"kind": "lost", "path": "("}', type=Fault)


# -- lies -----------------------------------------------------------------------------------------------


def lie(kind, seed=0, value=STATUS):
    return json.loads(tell(kind, json.dumps(value).encode(), random.Random(seed)))


def test_every_lie_is_json_and_is_not_the_truth():
    for kind in LieKind:
        assert any(lie(kind, seed) != STATUS for seed in range(5)), kind


def test_lies_are_what_they_are_called():
    assert lie(LieKind.NO_NODES)["nodes"] == []
    assert [node["Name"] for node in lie(LieKind.HALF_NODES)["nodes"]] == ["n0", "n2"]
    assert len(lie(LieKind.TWICE)["nodes"]) == 8
    assert "nodearrays" not in lie(LieKind.NO_NODEARRAYS)
    assert "buckets" not in lie(LieKind.NO_BUCKETS)["nodearrays"][0]
    assert lie(LieKind.STRINGS)["maxCount"] == "3"
    assert lie(LieKind.NEGATIVE)["nodearrays"][0]["buckets"][0]["availableCount"] < 0
    assert lie(LieKind.HUGE)["nodearrays"][0]["buckets"][0]["availableCount"] == 2**31 - 1
    assert {node["TargetState"] for node in lie(LieKind.ALL_TERMINATED)["nodes"]} == {"Terminated"}
    assert {node["NodeId"] for node in lie(LieKind.SHUFFLED_IDS)["nodes"]} == {f"id{i}" for i in range(4)}
    assert isinstance(lie(LieKind.NOT_AN_OBJECT), list)


def test_what_is_no_json_stays_as_it_is():
    assert tell(LieKind.FUZZ, b"<html>", random.Random(0)) == b"<html>"
