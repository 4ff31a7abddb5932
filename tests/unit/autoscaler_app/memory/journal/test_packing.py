"""A report that was packed comes back as it was, but for what is different at every pass."""

from __future__ import annotations

import copy
import lzma
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler_app.memory.journal import packing
from autoscaler_app.memory.journal.packing import (
    applied,
    changed,
    closed,
    in_short,
    packed,
    settled,
    thinned,
    unpacked,
)
from autoscaler_app.passes import report
from autoscaler_app.passes.plan import Keep, KeepReason, Plan, Price
from autoscaler_app.passes.report import Action, NodeSaw, QueueSaw, Report, Saw

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2)
entries = st.fixed_dictionaries({"node_id": st.sampled_from("abcdef")}, optional={"x": leaves, "y": leaves})
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3)
        | st.lists(entries, max_size=6)
    ),
    max_leaves=12,
)


@given(values, values)
def test_a_change_makes_the_one_of_the_other(before: Any, now: Any) -> None:
    kept = copy.deepcopy(before)
    change = changed(before, now)
    assert (now if change is None else applied(before, change)) == now
    assert before == kept, "what was before is not touched"


@given(st.lists(entries, max_size=6, unique_by=lambda e: e["node_id"]), st.randoms())
def test_entries_that_come_go_and_change_are_told_one_by_one(nodes: list[Any], chance: random.Random) -> None:
    now = [dict(node, x=5) if chance.random() < 0.5 else node for node in nodes if chance.random() < 0.7]
    now.insert(chance.randint(0, len(now)), {"node_id": "new"})
    change = changed(nodes, now)
    assert change is not None
    assert applied(nodes, change) == now
    assert not nodes or change[0] != 0


def made(number: int, **changes: Any) -> Report:
    nodes = tuple(
        NodeSaw(
            node=f"n{i}",
            node_id=f"id{i}",
            hostname=f"h{i}",
            vm_size="s",
            nodearray="a",
            state="Ready",
            heard_seconds_ago=number + i / 7,
        )
        for i in range(50)
    )
    keep = tuple(
        Keep(node=n.node, node_id=n.node_id, reason=KeepReason.IDLE, detail=f"idle for {number} s")
        for n in nodes
    )
    fields: dict[str, Any] = {
        "started": NOON + timedelta(seconds=15 * number),
        "saw": Saw(nodes=nodes, queues=(QueueSaw(queue="q", waiting=number, running=1, oldest_seconds=1.4),)),
        "plan": Plan(
            keep=keep,
            price_per_hour=Price(before=1, added=0),
            decided_by="greedy",
            planning_seconds=0.1,
        ),
    }
    return Report(**(fields | changes))


def pack_of(reports: Sequence[tuple[int, Report]], *, close: bool = True) -> bytes:
    """A pack that grew by one after the other."""
    texts = [(number, report.encode(each)) for number, each in reports]
    befores = [None, *(text for _, text in texts)]
    pack = b"".join(packed(number, text, befores[n]) for n, (number, text) in enumerate(texts))
    return closed(pack) if close else pack


@pytest.mark.parametrize("close", [False, True])
def test_reports_come_back_with_all_that_is_worth_keeping(close: bool) -> None:
    reports = [made(n) for n in range(4)]
    reports.insert(2, made(9, saw=None, plan=None, error="the cloud does not answer", ok=False))
    found = unpacked(pack_of([(n + 7, each) for n, each in enumerate(reports)], close=close))
    assert [number for number, _ in found] == [7, 8, 9, 10, 11]
    for (number, text), was in zip(found, reports, strict=True):
        back = report.decode(text, number)
        whole = msgspec.json.decode(report.encode(was))
        assert msgspec.json.decode(report.encode(back)) == settled(whole) | {"number": number}
    saw = report.decode(found[0][1], 7).saw
    assert saw is not None
    assert {node.heard_seconds_ago for node in saw.nodes} == {None}
    assert report.decode(found[2][1], 9).error == "the cloud does not answer"


def test_nodes_to_which_nothing_happens_take_no_room() -> None:
    few, many = (pack_of([(n, made(n)) for n in range(count)]) for count in (2, 202))
    assert (len(many) - len(few)) / 200 < 60


def test_of_long_ago_what_happened_is_kept_and_now_and_then_a_pass() -> None:
    did = (Action(kind="launch", target="1 x a/s", ok=True),)
    reports = [made(n, actions=did if n == 7 else (), ok=n != 9) for n in range(60)]
    reports[11] = made(11, error="no answer")
    numbered, every = list(enumerate(reports)), timedelta(minutes=5)
    pack = thinned(pack_of(numbered[:25]), every)
    pack += thinned(pack_of(numbered[25:]), every, pack)
    assert [number for number, _ in unpacked(pack)] == [0, 7, 9, 11, 20, 40]
    back = {number: report.decode(text, number) for number, text in unpacked(pack)}
    assert [number for number, each in back.items() if each.saw is not None] == [0, 20, 40]
    for number in (7, 9, 11):
        assert report.summary(back[number]) == report.summary(reports[number]), "what it said is kept"
    assert (back[7].actions, back[11].error, back[9].ok) == (did, "no answer", False)
    assert back[7].plan is not None
    assert back[7].plan.keep == ()
    pack = thinned(closed(pack), timedelta(minutes=15))
    assert [number for number, _ in unpacked(pack)] == [0, 7, 9, 11]
    assert report.summary(report.decode(unpacked(pack)[1][1], 7)) == report.summary(reports[7])


def test_in_short_hosts_that_were_told_their_queues_are_counted_and_all_else_is_told() -> None:
    joins = [Action(kind="join", target=f"h{i}", ok=i != 2, detail="q") for i in range(4)]
    launch = Action(kind="launch", target="1 x a/s", ok=True)
    whole = made(3, actions=(*joins, launch))
    short = report.decode(msgspec.json.encode(in_short(msgspec.json.decode(report.encode(whole)))), 3)
    assert [(action.kind, action.target, action.count) for action in short.actions] == [
        ("join", "h2", 1),
        ("launch", "1 x a/s", 1),
        ("join", "3 hosts", 3),
    ]
    assert report.summary(short) == report.summary(whole)


def test_a_report_that_cannot_be_read_any_more_is_left_as_it_is() -> None:
    strange = {"started": "2026-11-22T12:00:00Z", "actions": [1]}
    assert in_short(strange) is strange


def test_between_passes_in_short_whole_ones_are_told_by_what_changed() -> None:
    """Else each of them would have to be told from nothing."""
    did = (Action(kind="launch", target="1 x a/s", ok=True),)
    pack = pack_of([(n, made(n, actions=did if n % 2 else ())) for n in range(40)])
    pack = thinned(pack, timedelta(seconds=30))
    assert [number for number, _ in unpacked(pack)] == list(range(40))
    told = lzma.decompress(pack).splitlines()
    assert max(map(len, told[4:])) < 400


def test_a_pack_of_an_earlier_version_is_read() -> None:
    entries = [[1, [0, {"a": 1}]], [2, [1, {"a": [0, 2]}, []]]]
    assert [each for _, each, _ in packing._unpack(lzma.compress(msgspec.json.encode(entries)))] == [
        {"a": 1},
        {"a": 2},
    ]


@pytest.mark.parametrize(("before", "now"), [(1, True), (1.0, 1)])
def test_what_is_equal_and_not_the_same_is_a_change(before: Any, now: Any) -> None:
    change = changed(before, now)
    assert change is not None
    assert repr(applied(before, change)) == repr(now)
