"""Clusters to look at: a busy one, an idle one, an ailing one, and one of any size, each with a week
behind it.

They are state files as passes write them, for tests that read pages and for pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import pi, sin
from pathlib import Path

import msgspec

from autoscaler_app.memory.figures import Figures, FiguresBook, largest
from autoscaler_app.memory.state import State
from autoscaler_app.memory.stories.book import StoryBook
from autoscaler_app.memory.stories.story import BOOTING, IDLE, Moment, Spent, Story
from autoscaler_app.passes import report as reports
from autoscaler_app.passes.plan import GivenQueues, Keep, KeepReason, Launch, Plan, Price, Unserved
from autoscaler_app.passes.report import Action, NodeSaw, QueueSaw, Report, Saw

PRICES = {"Standard_F4s_v2": 0.169, "Standard_F16s_v2": 0.677, "Standard_NC6s_v3": 3.06}
CORES = {"Standard_F4s_v2": 4, "Standard_F16s_v2": 16, "Standard_NC6s_v3": 6}
QUEUES = ("res:ncpus=1", "render", "res:memgb=32:ncpus=8", "train", "mail", "thumbnails")


def node(number: int, size: str = "Standard_F4s_v2", state: str = "Ready", **changes: object) -> NodeSaw:
    """One node; it runs something if it is up."""
    array = "gpu" if "NC" in size else "worker"
    fields: dict[str, object] = {
        "node": f"{array}-{number}",
        "node_id": f"{array}-id-{number}",
        "hostname": f"ip-0A0000{number:02X}" if state == "Ready" else "",
        "vm_size": size,
        "nodearray": array,
        "state": state,
        "running": 4 if state == "Ready" else 0,
        "heard_seconds_ago": float(number % 7) if state == "Ready" else None,
        "price_per_hour": PRICES[size],
    }
    return msgspec.convert(fields | changes, NodeSaw)


def keep(each: NodeSaw, queue: str = "render") -> Keep:
    """What a plan makes of it."""
    if each.fenced:
        detail = "waits for the last word of its worker"
        return Keep(node=each.node, node_id=each.node_id, reason=KeepReason.DRAINING, detail=detail)
    if each.state != "Ready":
        return Keep(node=each.node, node_id=each.node_id, reason=KeepReason.BOOTING, jobs={queue: 4})
    if not each.running:
        detail = "idle for 140 s; goes after 300 s"
        return Keep(node=each.node, node_id=each.node_id, reason=KeepReason.IDLE, detail=detail)
    return Keep(
        node=each.node,
        node_id=each.node_id,
        reason=KeepReason.RUNNING,
        jobs={f"{queue} on {each.hostname}": 4},
    )


def plan(nodes: tuple[NodeSaw, ...], **changes: object) -> Plan:
    """Keeps them all."""
    fields: dict[str, object] = {
        "keep": tuple(map(keep, nodes)),
        "price_per_hour": Price(before=sum(each.price_per_hour for each in nodes), added=0.0),
        "decided_by": "highs",
        "planning_seconds": 0.02,
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


def busy(now: datetime) -> Report:
    """Much waits, nodes come, two things have no place."""
    nodes = (
        *(node(number) for number in range(1, 10)),
        *(node(number, "Standard_F16s_v2", running=15) for number in range(10, 14)),
        *(node(number, "Standard_F16s_v2", state="Preparing") for number in range(14, 17)),
        node(1, "Standard_NC6s_v3", running=1),
    )
    queues = (
        QueueSaw(queue="render", waiting=131, running=52, held=3, oldest_seconds=187.0),
        QueueSaw(queue="res:ncpus=1", waiting=14, running=36, oldest_seconds=12.0),
        QueueSaw(queue="train", waiting=2, running=1, oldest_seconds=1260.0),
        QueueSaw(queue="res:memgb=32:ncpus=8", waiting=0, running=7),
        QueueSaw(queue="mail", waiting=0, running=0),
        QueueSaw(queue="thumbnails", waiting=0, running=0),
    )
    launch = Launch(
        nodearray="worker",
        vm_size="Standard_F16s_v2",
        spot=False,
        placement_group=None,
        count=2,
        price_per_hour=1.354,
        jobs={"render": 32},
    )
    no_gpu = "0 of 24 cores of standardNCSv3Family are left"
    unserved = (Unserved(job="train", count=2, reason="quota-family", detail=no_gpu),)
    made = plan(
        nodes,
        launch=(launch,),
        join=(GivenQueues(hostname="ip-0A000009", queues=("render",)),),
        unserved=unserved,
        price_per_hour=Price(before=sum(each.price_per_hour for each in nodes), added=1.354),
    )
    actions = (
        Action(
            kind="launch", target="2 x worker/Standard_F16s_v2", ok=True, detail="for 32 x render", count=2
        ),
        Action(kind="join", target="ip-0A000009", ok=True, detail="render"),
    )
    return Report(
        started=now - timedelta(seconds=3),
        asked_by="news",
        seconds=0.31,
        saw=Saw(cluster_state="Started", queues=queues, nodes=nodes),
        plan=made,
        actions=actions,
    )


def idle(now: datetime) -> Report:
    """Nothing waits; the last nodes are on their way out."""
    nodes = (node(1, running=0), node(2, running=0, fenced=True))
    queues = tuple(QueueSaw(queue=queue, waiting=0, running=0) for queue in QUEUES)
    return Report(
        started=now - timedelta(seconds=9),
        asked_by="beat",
        seconds=0.08,
        saw=Saw(cluster_state="Started", queues=queues, nodes=nodes),
        plan=plan(nodes),
    )


def ailing(now: datetime) -> Report:
    """A machine has failed, one is silent, no more are to be had, somebody asks for what does not exist."""
    nodes = (
        *(node(number) for number in range(1, 5)),
        node(5, state="Failed"),
        node(6, heard_seconds_ago=410.0),
        node(7, fenced=True, running=1),
    )
    queues = (
        QueueSaw(queue="render", waiting=420, running=17, oldest_seconds=5400.0),
        QueueSaw(queue="res:memgb=900:ncpus=8", waiting=3, running=0, oldest_seconds=7300.0),
        QueueSaw(queue="mail", waiting=0, running=0),
    )
    unserved = (
        Unserved(
            job="render",
            count=60,
            reason="set-aside",
            detail="nothing is to be had of Standard_F16s_v2 until 14:05",
        ),
        Unserved(
            job="res:memgb=900:ncpus=8",
            count=3,
            reason="never-fits",
            detail="memgb=900 is more than any machine has: Standard_F16s_v2 has 32",
        ),
    )
    actions = (
        Action(
            kind="launch",
            target="4 x worker/Standard_F16s_v2",
            ok=False,
            detail="the cloud has no capacity in this zone",
        ),
        Action(kind="delete", target="worker-5", ok=True, detail="failed"),
    )
    warnings = (
        "worker-7 has been on its way out for 16 min: ip-0A000007 has not said its last word; "
        "see whether its worker hangs",
    )
    return Report(
        started=now - timedelta(seconds=6),
        asked_by="beat",
        seconds=1.94,
        ok=False,
        saw=Saw(cluster_state="Started", queues=queues, nodes=nodes, warnings=warnings),
        plan=plan(nodes, unserved=unserved),
        actions=actions,
    )


def large(now: datetime, nodes: int = 1000, queues: int = 500) -> Report:
    """Of any size."""
    sizes = list(PRICES)
    there = tuple(
        node(
            number,
            sizes[number % 3],
            "Preparing" if number % 17 == 0 else "Failed" if number % 331 == 0 else "Ready",
            fenced=number % 101 == 0,
        )
        for number in range(1, nodes + 1)
    )
    seen = tuple(
        QueueSaw(queue=f"res:ncpus={number}", waiting=number * 3 if number % 3 else 0, running=number % 5)
        for number in range(1, queues + 1)
    )
    made = plan(there, keep=tuple(keep(each, f"res:ncpus={i % queues + 1}") for i, each in enumerate(there)))
    return Report(
        started=now - timedelta(seconds=4),
        asked_by="beat",
        seconds=1.2,
        saw=Saw(cluster_state="Started", queues=seen, nodes=there),
        plan=made,
    )


def write(folder: Path, make: Callable[[datetime], Report], now: datetime | None = None) -> Path:
    """A folder with the settings and the state file of such a cluster; the settings' path."""
    now = now or datetime.now(UTC)
    settings = folder / "autoscale.json"
    url = {"url": "http://127.0.0.1:1", "username": "u", "cluster_name": "c"}
    settings.write_text(json.dumps({**url, "autoscaler": {"state_file": "state.db"}}))
    last = make(now)
    with closing(State(folder / "state.db")) as state:
        for number in range(11, -1, -1):
            each = last if number == 0 else _before(last, number, now)
            state.journal.write(each.started, reports.encode(each))
    with closing(FiguresBook(folder / "state.db")) as figures, figures._file.transaction():
        for minutes in range(7 * 24 * 60, 0, -20):
            figures.add(_figures(last, minutes, now), now - timedelta(minutes=minutes))
        for seconds in range(3600, 0, -30):
            figures.add(_figures(last, seconds / 60, now), now - timedelta(seconds=seconds))
    with closing(StoryBook(folder / "state.db")) as book:
        assert last.saw is not None
        stories = [_story(each, now) for each in last.saw.nodes[:60]]
        gone = msgspec.structs.replace(stories[0], node="worker-91", node_id="gone-1", hostname="ip-0A00005B")
        went = (
            Moment(at=now - timedelta(minutes=40), what="fenced", why="idle", number=3),
            Moment(at=now - timedelta(minutes=39), what="deleted", why="idle", number=4),
            Moment(at=now - timedelta(minutes=38), what="gone", why="idle", number=5),
        )
        gone = msgspec.structs.replace(gone, moments=(*gone.moments, *went))
        book.write([*stories, gone], _spent(now), now, kept=timedelta(days=30))
    return settings


def _before(last: Report, number: int, now: datetime) -> Report:
    assert last.saw is not None
    started = now - timedelta(seconds=4 + 15 * number)
    queues = tuple(
        msgspec.structs.replace(q, waiting=q.waiting + number * 2 if q.waiting else 0)
        for q in last.saw.queues
    )
    saw = msgspec.structs.replace(
        last.saw, queues=queues, nodes=last.saw.nodes[: len(last.saw.nodes) - number // 4]
    )
    return msgspec.structs.replace(last, started=started, asked_by="beat", saw=saw, actions=(), ok=True)


def _figures(last: Report, minutes: float, now: datetime) -> Figures:
    """What might have been seen so many minutes ago."""
    assert last.saw is not None
    assert last.plan is not None
    day = 0.2 + 0.8 * max(0.0, sin((1 - minutes / 1440) * 2 * pi + 0.5 * pi)) ** 0.7
    wave = day * (0.85 + 0.15 * sin(minutes / 5.1) * sin(minutes / 17.0))
    is_idle = not any(q.waiting for q in last.saw.queues)
    grown = wave * min(1.0, minutes / 40) if is_idle else wave
    waiting, running = largest(
        (
            q.queue,
            int((q.waiting or 9 * (minutes > 25)) * grown),
            int((q.running or 6 * (minutes > 12)) * wave),
        )
        for q in last.saw.queues
    )
    up = sum(each.state == "Ready" and not each.fenced for each in last.saw.nodes)
    booting = sum(each.state == "Preparing" for each in last.saw.nodes)
    share = min(1.0, 0.1 + wave)
    up += 6 if is_idle and minutes > 15 else 0
    nodes = {
        "up": round(up * share),
        "booting": round((booting or 1) * abs(sin(minutes / 9))) if minutes >= 2 else booting,
        "going": sum(each.fenced for each in last.saw.nodes) if minutes < 12 else int(minutes % 60 < 6),
        "failed": sum(each.state == "Failed" for each in last.saw.nodes) if minutes < 20 else 0,
    }
    cores = sum(CORES[each.vm_size] for each in last.saw.nodes) + (24 if is_idle and minutes > 15 else 0)
    return Figures(
        waiting=waiting,
        running=running,
        nodes=nodes,
        cores_up=round(cores * share),
        cores_booting=16 * nodes["booting"],
        unserved=sum(entry.count for entry in last.plan.unserved) if minutes < 25 else 0,
        price_per_hour=cores * share * 0.042,
    )


def _story(each: NodeSaw, now: datetime) -> Story:
    asked = now - timedelta(minutes=100)
    moments = (
        Moment(at=asked, what="launched", why="for 4 x render", number=1),
        Moment(at=asked + timedelta(seconds=130), what="ready", number=2),
        Moment(at=asked + timedelta(seconds=145), what="joined", why=each.hostname, number=3),
    )
    is_up = each.state == "Ready"
    return Story(
        node_id=each.node_id,
        node=each.node,
        nodearray=each.nodearray,
        vm_size=each.vm_size,
        hostname=each.hostname,
        state=each.state,
        price_per_hour=each.price_per_hour,
        jobs={"render": 4},
        moments=moments if is_up else moments[:1],
        seen=now - timedelta(seconds=3),
        ran={"render": (118, 5100.0), "res:ncpus=1": (40, 420.0)} if is_up else {},
        booting_seconds=130.0,
        busy_seconds=5200.0 if is_up else 0.0,
        idle_seconds=560.0 if is_up else 0.0,
        cost=each.price_per_hour * 1.6,
    )


def _spent(now: datetime) -> list[Spent]:
    uses = {
        ("render", "film.render"): 7.1,
        ("res:ncpus=1", ""): 2.4,
        ("train", "models.train"): 9.2,
        (IDLE, ""): 1.3,
        (BOOTING, ""): 0.7,
    }
    return [
        Spent(
            day=(now - timedelta(days=back)).date().isoformat(),
            nodearray="gpu" if use == "train" else "worker",
            vm_size="Standard_NC6s_v3" if use == "train" else "Standard_F16s_v2",
            use=use,
            task=task,
            seconds=money * 5000,
            money=money * (0.6 + 0.1 * back),
        )
        for back in range(7)
        for (use, task), money in uses.items()
    ]
