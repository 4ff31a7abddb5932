"""What machines of a size were seen to have holds, not what is promised: down at once, up by agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from autoscaler_app.passes import snapshot as snapshots
from autoscaler_app.passes.decide.decision import Decision, decide
from autoscaler_app.passes.decide.sizes import LAST, told
from autoscaler_app.passes.snapshot import Learnt, QueueSeen, SizeKnown, Snapshot
from tests.unit.autoscaler_app.conftest import NOW, bucket, host, node, times

Make = Callable[..., Snapshot]
S2 = "worker/s2"


def after(make: Make, totals: Mapping[int, Mapping[str, Any]], **changes: Any) -> Decision:
    """A decision where these nodes tell what they have; the higher the number, the younger."""
    history = {f"id-{n}": times(created=NOW - timedelta(hours=1, seconds=-n)) for n in totals}
    nodes, hosts = [node(n) for n in totals], [host(n, total=dict(total)) for n, total in totals.items()]
    return decide(make(**{"nodes": nodes, "hosts": hosts, "history": history, **changes}))


def held(make: Make, totals: Mapping[int, Mapping[str, Any]], **changes: Any) -> dict[str, float]:
    return told(after(make, totals, **changes).learnt.sizes[S2])


def asks(memgb: float, waiting: int = 3) -> dict[str, Any]:
    return {"queues": [QueueSeen(queue="big", constraints={"ncpus": 2, "memgb": memgb}, waiting=waiting)]}


def only_s2(seen: Snapshot) -> Snapshot:
    array = {**seen.cluster["nodearrays"][0], "buckets": [bucket("S2", 2, 4.0)]}
    return msgspec.structs.replace(seen, cluster={**seen.cluster, "nodearrays": [array]})


def test_one_machine_that_tells_less_is_believed_at_once_in_whatever_unit(snapshot: Make) -> None:
    assert held(snapshot, {1: {"ncpus": 2, "memmb": 3686}}) == {"memgb": 3686 / 1024}
    assert held(snapshot, {1: {"ncpus": 2, "memgb": 4}, 2: {"ncpus": 1, "memgb": 4}}) == {"ncpus": 1.0}
    assert held(snapshot, {1: {"ncpus": 2, "memgb": 4}}) == {}


def test_more_is_believed_when_all_that_were_seen_agree_and_never_on_the_word_of_one(snapshot: Make) -> None:
    assert held(snapshot, {1: {"ncpus": 2, "memgb": 6}}) == {}
    assert held(snapshot, {1: {"ncpus": 2, "memgb": 6}, 2: {"ncpus": 2, "memgb": 5}}) == {"memgb": 5.0}
    assert held(snapshot, {1: {"ncpus": 2, "memgb": 6}, 2: {"ncpus": 2, "memgb": 4}}) == {}
    assert held(snapshot, {1: {"ncpus": 2, "disk": 3}, 2: {"ncpus": 2}}) == {}, "one says nothing of it"


def test_an_odd_machine_is_outvoted_by_younger_ones(snapshot: Make) -> None:
    odd, sound = {"ncpus": 2, "memgb": 1}, {"ncpus": 2, "memgb": 4}
    assert held(snapshot, {1: odd, **dict.fromkeys(range(2, LAST + 1), sound)}) == {"memgb": 1.0}
    assert held(snapshot, {1: odd, **dict.fromkeys(range(2, LAST + 2), sound)}) == {}
    # One after the other, each gone before the next comes up.
    sizes: dict[str, SizeKnown] = {}
    for number in range(1, LAST + 2):
        assert not sizes or told(sizes[S2]) == {"memgb": 1.0}
        totals = {number: odd if number == 1 else sound}
        sizes = dict(after(snapshot, totals, learnt=Learnt(sizes=sizes)).learnt.sizes)
    assert told(sizes[S2]) == {}


def test_work_that_therefore_fits_nowhere_is_unserved_with_both_figures_and_buys_nothing(
    snapshot: Make,
) -> None:
    sizes = after(snapshot, {1: {"ncpus": 2, "memgb": 3.5}}).learnt.sizes
    plan = decide(only_s2(snapshot(learnt=Learnt(sizes=sizes), **asks(4)))).plan
    assert plan.launch == ()
    (left,) = plan.unserved
    assert (left.reason, left.count) == ("told-less", 3)
    for figure in ("memgb 4 is asked", "promises memgb 4", "seen to have memgb 3.5"):
        assert figure in left.detail
    plan = decide(only_s2(snapshot(learnt=Learnt(sizes=sizes), **asks(3.5)))).plan
    assert sum(launch.count for launch in plan.launch) == 3, "what fits is bought"


def test_another_size_that_holds_it_is_bought_instead(snapshot: Make) -> None:
    plan = after(snapshot, {1: {"ncpus": 2, "memgb": 3.5}}, **asks(4)).plan
    assert {launch.vm_size for launch in plan.launch} == {"S8"}


def test_a_machine_that_has_not_told_yet_is_taken_for_one_of_its_size(snapshot: Make) -> None:
    nodes = [node(1), node(2, Status="Preparing", Hostname="")]
    seen = only_s2(snapshot(nodes=nodes, hosts=[host(1, total={"ncpus": 2, "memgb": 3.5})], **asks(4)))
    plan = decide(seen).plan
    assert [keep.jobs for keep in plan.keep] == [{}, {}]
    assert [left.count for left in plan.unserved] == [3]


def test_what_was_learnt_outlives_its_machines_and_is_forgotten_after_its_time(snapshot: Make) -> None:
    sizes = dict(after(snapshot, {1: {"ncpus": 2, "memgb": 3.5}}).learnt.sizes)
    assert told(decide(snapshot(learnt=Learnt(sizes=sizes))).learnt.sizes[S2]) == {"memgb": 3.5}
    later = snapshot(learnt=Learnt(sizes=sizes), autoscaler={"sizes_kept": 60.0})
    assert S2 not in decide(msgspec.structs.replace(later, now=NOW + timedelta(seconds=61))).learnt.sizes


@pytest.mark.parametrize("changed", [{"memory": 3.8}, {"ImageName": "another"}])
def test_it_is_forgotten_when_the_promise_or_the_image_changes_and_older_machines_say_nothing_then(
    snapshot: Make, changed: dict[str, Any]
) -> None:
    small = {"ncpus": 2, "memgb": 3.5}
    sizes = dict(after(snapshot, {1: small}).learnt.sizes)
    seen = snapshot(nodes=[node(1)], hosts=[host(1, total=small)], learnt=Learnt(sizes=sizes))
    (array,) = seen.cluster["nodearrays"]
    attributes = {**array["nodearray"], **{k: v for k, v in changed.items() if k == "ImageName"}}
    array = {**array, "nodearray": attributes, "buckets": [bucket("S2", 2, changed.get("memory", 4.0))]}
    now_so = msgspec.structs.replace(seen, cluster={**seen.cluster, "nodearrays": [array]})
    sizes = dict(decide(now_so).learnt.sizes)
    assert told(sizes[S2]) == {}
    young = {"id-2": times(created=NOW + timedelta(seconds=20))}
    again = msgspec.structs.replace(
        now_so,
        learnt=Learnt(sizes=sizes),
        now=NOW + timedelta(seconds=60),
        hosts=(host(2, total=small),),
        history=young,
        cluster={**now_so.cluster, "nodes": [node(2)]},
    )
    assert told(decide(again).learnt.sizes[S2]) == {"memgb": 3.5}


def test_a_machine_of_two_workers_had_what_both_told_though_one_has_died(snapshot: Make) -> None:
    both = dict(after(snapshot, {1: {"ncpus": 2, "memgb": 4}}).learnt.sizes)
    assert held(snapshot, {1: {"ncpus": 1, "memgb": 2}}, learnt=Learnt(sizes=both)) == {}


def test_a_snapshot_carries_it_through_a_file(snapshot: Make) -> None:
    sizes = dict(after(snapshot, {1: {"ncpus": 2, "memgb": 3.5}}).learnt.sizes)
    seen = only_s2(snapshot(learnt=Learnt(sizes=sizes), **asks(4)))
    again = snapshots.decode(snapshots.encode(seen))
    assert again == seen
    assert decide(again).plan.unserved == decide(seen).plan.unserved
    assert isinstance(again.learnt.sizes[S2], SizeKnown)
