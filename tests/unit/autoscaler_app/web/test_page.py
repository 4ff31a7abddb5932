"""The page says what the last pass saw, decided and did, and when that is not to be relied on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from autoscaler_app.passes.plan import (
    Delete,
    DeleteReason,
    Fence,
    FenceReason,
    GangOrder,
    GivenQueues,
    Keep,
    KeepReason,
    Launch,
    Price,
    Unfence,
    Unserved,
)
from autoscaler_app.passes.report import Action, QueueSaw

Read = Callable[[], Any]


def test_without_a_pass_the_page_says_how_to_get_one(page: Read) -> None:
    read = page()
    assert read.health.startswith(
        "CRITICAL: no pass has been made yet: start `celery -A autoscaler_app worker`"
    )
    assert read.banners == [], "it is said once"
    assert read.tables == {}


def test_queues_are_shown_as_the_last_pass_saw_them(page: Read, world: Any, make: Any) -> None:
    empty = QueueSaw(queue="celery", waiting=0, running=0)
    full = QueueSaw(queue="render", waiting=12345, running=2, held=1, oldest_seconds=90.0)
    world.write(make.report(1, saw=make.saw(queues=(empty, full))))
    read = page()
    ((*numbers, done, said),) = read.rows("queues")
    assert numbers == ["render", "12,345", "2", "1", "90 s"]
    assert said.startswith("room 2 of them have a place on worker-1")
    assert said.endswith("turn 12343 come after others on the 2 slots that are there or come")
    assert done == "", "how long they run is not known"
    assert "1 queue in which nothing waits or runs" in read.texts["summary"]
    assert "celery" in read.texts["li"], "out of the way, and a link"


def test_a_node_is_shown_with_what_was_decided_about_it_and_why(page: Read, world: Any, make: Any) -> None:
    world.write(make.report(1))
    assert page().rows("nodes") == [
        [
            "worker-1",
            "Ready",
            "Standard_F4s_v2",
            "2",
            "",
            "3 s ago",
            "0.250",
            "running (2 × render)",
        ]
    ]


def test_a_node_that_was_never_heard_is_not_said_to_be_silent_for_a_time(
    page: Read, world: Any, make: Any
) -> None:
    booting = make.node(state="Preparation", heard_seconds_ago=None, running=0)
    world.write(make.report(1, saw=make.saw(nodes=(booting,))))
    assert page().rows("nodes")[0][5] == ""


def test_nodes_are_in_the_order_in_which_people_count(page: Read, world: Any, make: Any) -> None:
    nodes = tuple(make.node(f"worker-{number}") for number in (10, 9, 1))
    world.write(make.report(1, saw=make.saw(nodes=nodes)))
    assert [row[0] for row in page().rows("nodes")] == ["worker-1", "worker-9", "worker-10"]


def test_every_kind_of_decision_is_shown_with_its_reason(page: Read, world: Any, make: Any) -> None:
    keep = tuple(
        Keep(node=name, node_id=f"id-of-{name}", reason=KeepReason.IDLE, detail="idle for 4 s of 8 s")
        for name in ("worker-1", "worker-3")
    )
    launch = Launch(
        nodearray="worker",
        vm_size="Standard_F8s_v2",
        spot=True,
        placement_group="pg-1",
        count=2,
        price_per_hour=0.16,
        jobs={"render": 14},
    )
    plan = make.plan(
        keep=keep,
        launch=(launch,),
        join=(GivenQueues(hostname="host-1", queues=("render", "mix")),),
        gangs=(
            GangOrder(order="form", gang="", queue="mpi", hosts=("host-5", "host-6"), reason="all ready"),
        ),
        unfence=(Unfence(node="worker-3", hostname="host-3", reason="demand came back"),),
        fence=(Fence(node="worker-2", hostname="host-2", reason=FenceReason.SURPLUS),),
        delete=(Delete(node="worker-4", node_id="id-of-worker-4", reason=DeleteReason.BOOT_TIMEOUT),),
        price_per_hour=Price(before=0.25, added=0.16),
    )
    nodes = tuple(make.node(f"worker-{number}", fenced=number == 2) for number in range(1, 5))
    world.write(make.report(1, plan=plan, saw=make.saw(nodes=nodes), actions=()))
    read = page()
    assert read.texts["li"] == [
        "launch 2 × worker/Standard_F8s_v2 spot in pg-1 for 14 × render; 0.160 per hour",
        "join host-1 to render, mix",
        "gang: form mpi of host-5, host-6: all ready",
        "unfence worker-3 demand came back",
        "fence worker-2 surplus",
        "delete worker-4 boot-timeout",
    ]
    assert [(row[1], row[7]) for row in read.rows("nodes")] == [
        ("Ready", "idle-not-long-enough: idle for 4 s of 8 s"),
        ("Ready fenced", "fence: surplus"),
        ("Ready", "unfence: demand came back"),
        ("Ready", "delete: boot-timeout"),
    ]
    assert "2 nodes kept. Decided by the greedy packer." in read.texts["p"]
    assert "per hour + 0.160" in read.texts["dt"]
    assert "nodes 1 fenced" in read.texts["dt"]


def test_unserved_slots_are_shown_with_the_reason_and_what_to_do(page: Read, world: Any, make: Any) -> None:
    entry = Unserved(
        job="huge", count=3, reason="never-fits", detail="no bucket can hold it: ask for less, or add a size"
    )
    world.write(make.report(1, plan=make.plan(unserved=(entry,))))
    assert page().rows("unserved") == [
        [
            "huge",
            "3",
            "never-fits",
            "no bucket can hold it: ask for less, or add a size"
            "ask for less, or add a larger size to a nodearray.",
        ]
    ]


def test_what_was_done_is_told_apart_from_what_was_tried_in_vain(page: Read, world: Any, make: Any) -> None:
    actions = (
        Action(kind="launch", target="2 x worker/F4", ok=False, detail="no capacity in this zone"),
        Action(kind="delete", target="worker-9", ok=True, detail="idle"),
    )
    world.write(make.report(1, ok=False, actions=actions))
    read = page()
    assert read.texts["li"] == [
        "launch failed 2 x worker/F4 no capacity in this zone",
        "delete worker-9 idle",
    ]
    assert read.rows("passes")[0][7] == "delete 1not done launch 2 x worker/F4: no capacity in this zone"


def test_a_pass_that_did_nothing_says_so(page: Read, world: Any, make: Any) -> None:
    world.write(make.report(1, actions=()))
    read = page()
    assert "Pass 1 did nothing." in read.texts["p"]
    assert "Nothing to change, 1 node kept." in read.texts["p"]
    assert read.rows("passes")[0][7] == "nothing to do"


def test_the_last_fifty_passes_are_listed_newest_first(page: Read, world: Any, make: Any) -> None:
    world.write(*(make.report(number) for number in range(1, 61)))
    rows = page("/passes").rows("passes")
    assert [int(row[0]) for row in rows] == list(range(60, 10, -1))
    assert rows[1] == ["59", "2 s ago", "beat", "7", "2", "1", "0.50 s", "join 1"]
    assert page().rows("passes") == rows[:10], "the first page has the last ones only"


def test_the_first_page_tells_the_sums_and_leads_to_more_passes(page: Read, world: Any, make: Any) -> None:
    queues = (
        QueueSaw(queue="render", waiting=1200, running=7),
        QueueSaw(queue="mail", waiting=3, running=2000),
    )
    unserved = tuple(Unserved(job=job, count=600, reason="cluster", detail="") for job in ("render", "mail"))
    world.write(make.report(1, saw=make.saw(queues=queues), plan=make.plan(unserved=unserved)))
    read = page()
    figures = dict(zip(read.texts["dt"], read.texts["dd"], strict=True))
    sums = {"waiting": "1,203", "running": "2,007", "without a place": "1,200", "nodes": "1"}
    assert {name: figures[name] for name in sums} == sums
    assert "more passes" not in read.texts["p"]
    world.write(*(make.report(number) for number in range(2, 12)))
    assert "more passes" in page().texts["p"]


def test_a_failed_pass_is_said_to_have_failed_and_the_older_sight_to_be_older(
    page: Read, world: Any, make: Any
) -> None:
    world.write(make.report(1), make.failed(9))
    read = page()
    assert read.health == "CRITICAL: pass 9 failed: CloudUnreachable: no answer from the cloud"
    assert read.banners == ["What stands below is what pass 1 saw 9 s ago."]
    assert read.rows("queues"), "the last sight is still shown"
    assert read.rows("passes")[0][3:6] == ["?", "?", "?"], "unknown is not zero"


def test_a_first_pass_that_failed_leaves_nothing_to_show_but_itself(
    page: Read, world: Any, make: Any
) -> None:
    world.write(make.failed(1))
    read = page()
    assert read.banners[0] == "No pass that is still in memory has seen queues and nodes."
    assert set(read.tables) == {"passes"}


@pytest.mark.parametrize(("after", "old"), [(45.0, False), (45.2, True)])
def test_a_last_pass_is_old_after_three_intervals(
    page: Read, world: Any, make: Any, after: float, old: bool
) -> None:
    """The pass ended half a second after it began; from then on it ages."""
    world.write(make.report(1))
    world.clock = world.journal[0].started + timedelta(seconds=0.5 + after)
    says = "CRITICAL: the last pass ended 45 s ago, and one is due every 15 s: see to beat"
    assert page().health.startswith(says) is old


def test_a_pause_and_the_warnings_of_the_pass_are_told(page: Read, world: Any, make: Any) -> None:
    world.paused = True
    world.write(make.report(1, saw=make.saw(warnings=("worker-7 is heard and unknown to the cloud",))))
    read = page()
    assert read.health == (
        "WARNING: paused: nothing is launched, fenced or ended; `resume` ends it (and 1 more: `status`)"
    )
    assert read.banners == ["worker-7 is heard and unknown to the cloud"], "the worst is said on top, once"


EVIL = "</td><script>alert('1')</script><b a=\"$title"


def test_no_name_and_no_text_can_be_markup(page: Read, web: httpx.Client, world: Any, make: Any) -> None:
    keep = Keep(node=EVIL, node_id="1", reason=KeepReason.RUNNING, detail=EVIL, jobs={EVIL: 1})
    launch = Launch(
        nodearray=EVIL,
        vm_size=EVIL,
        spot=False,
        placement_group=EVIL,
        count=1,
        price_per_hour=1,
        jobs={EVIL: 1},
    )
    plan = make.plan(
        keep=(keep,),
        launch=(launch,),
        join=(GivenQueues(hostname=EVIL, queues=(EVIL,)),),
        unserved=(Unserved(job=EVIL, count=1, reason=EVIL, detail=EVIL),),
        decided_by=EVIL,
    )
    nodes = (make.node(EVIL, node_id="1", hostname=EVIL, vm_size=EVIL, state=EVIL),)
    queues = (QueueSaw(queue=EVIL, waiting=1, running=0),)
    saw = make.saw(cluster_state=EVIL, queues=queues, nodes=nodes, warnings=(EVIL,))
    actions = (Action(kind="launch", target=EVIL, ok=False, detail=EVIL),)
    world.write(make.report(1, saw=saw, plan=plan, actions=actions, ok=False, error=EVIL))
    read = page()
    assert len(read.tags_named("script")) == 1, "our own"
    assert [set(attributes) for attributes in read.tags_named("b") if "a" in attributes] == []
    assert read.rows("queues")[0][0] == EVIL
    assert read.rows("nodes")[0][0] == EVIL
    assert read.rows("unserved")[0] == [EVIL, "1", EVIL, EVIL]
    assert "<script>alert" not in web.get("/").text


def test_of_a_thousand_nodes_those_of_a_kind_are_one_line_and_those_of_note_have_their_own(
    page: Read, world: Any, make: Any
) -> None:
    nodes = [make.node(f"worker-{number}", node_id=f"id-{number}") for number in range(1, 1001)]
    nodes[990] = make.node("worker-991", node_id="id-991", state="Failed")
    nodes[995] = make.node("worker-996", node_id="id-996", fenced=True)
    keep = tuple(
        Keep(node=n.node, node_id=n.node_id, reason=KeepReason.RUNNING, detail=n.node) for n in nodes
    )
    world.write(make.report(1, saw=make.saw(nodes=tuple(nodes)), plan=make.plan(keep=keep)))
    read = page()
    assert read.rows("groups") == [
        ["999", "Ready", "worker/Standard_F4s_v2", "1,998", "0", "249.75", "running"],
        ["1", "Failed", "worker/Standard_F4s_v2", "2", "0", "0.250", "running"],
    ]
    assert [row[0] for row in read.rows("nodes")] == ["worker-991", "worker-996"]
    rows = page("/nodes?state=Failed").rows("nodes")
    assert [row[0] for row in rows] == ["worker-991"], "a line leads to its nodes"
    rest = page("/nodes")
    assert len(rest.rows("nodes")) == 300
    assert any(text.startswith("and 700 nodes more") for text in rest.texts["p"])


def test_the_page_asks_nobody_else_for_anything_and_runs_no_foreign_script(
    web: httpx.Client, world: Any, make: Any
) -> None:
    world.write(make.report(1))
    answer = web.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        (inner,) = re.findall(f"<{name}>(.*?)</{name}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in policy, "our own is let through"
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_without_a_script_the_page_still_refreshes_itself(page: Read) -> None:
    assert {"http-equiv": "refresh", "content": "5"} in page().tags_named("meta")


def test_the_page_is_never_kept(web: httpx.Client) -> None:
    assert web.get("/").headers["cache-control"] == "no-store"
