"""How much room the journal takes with 1,000 nodes and 500 kinds of task, as it grows older.

The cluster is restless: at every pass a quarter of the nodes run something else, a fifth of the queues
have another depth, and three in a hundred hosts are told other queues; in every other pass nodes come and go.
The bytes do not depend on what else the machine does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, pairwise

from autoscaler_app.memory.journal.book import KEPT, THIN, THIN_TOGETHER, WHOLE
from autoscaler_app.memory.journal.packing import closed, packed, thinned
from autoscaler_app.passes.plan import GivenQueues, Keep, KeepReason, Plan, Price
from autoscaler_app.passes.report import Action, BucketSaw, NodeSaw, QueueSaw, Report, Saw, encode
from benchmarks import Measurement

NODES, KINDS, EVERY = 1_000, 500, timedelta(seconds=15)
A_DAY = timedelta(days=1) // EVERY
QUEUES = [f"res:memgb={kind}:ncpus=2" for kind in range(KINDS)]


def measure() -> Iterator[Measurement]:
    """Megabytes a day: fresh, and after each time it was thinned out; and of all the days."""
    restless = passes(random.Random(1), datetime(2026, 11, 22, tzinfo=UTC))
    packs = [_pack(list(islice(restless, WHOLE))) for _ in range(THIN_TOGETHER)]
    ages = [timedelta(0), *(after for after, _ in THIN), KEPT]
    total = 0.0
    for times, (begins, ends) in enumerate(pairwise(ages)):
        if times:
            every = THIN[times - 1][1]
            *_, grown = accumulate(packs, lambda onto, one: onto + thinned(one, every, onto), initial=b"")  # noqa: B023
            packs = [closed(grown)]
        a_day = sum(map(len, packs)) / (WHOLE * THIN_TOGETHER) * A_DAY / 1e6
        total += a_day * ((ends - begins) / timedelta(days=1))
        yield Measurement(name=f"older than {begins.days} days", metric="a day", value=a_day, unit="MB")
    yield Measurement(name=f"{KEPT.days} days", metric="in all", value=total, unit="MB", target=150)


def _pack(reports: list[tuple[int, bytes]]) -> bytes:
    """As the journal makes one."""
    befores = [None, *(text for _, text in reports)]
    return closed(b"".join(packed(n, text, befores[i]) for i, (n, text) in enumerate(reports)))


@dataclass
class _Node:
    number: int
    running: int = 0
    kinds: list[int] = field(default_factory=list)
    state: str = "Ready"

    @property
    def id(self) -> str:
        return f"{self.number * 2654435761 % 2**32:08x}-6c7d-4a0e-9f11-{self.number:012x}"

    @property
    def hostname(self) -> str:
        return f"ip-0A{self.number:06X}"

    def saw(self, heard: float) -> NodeSaw:
        return NodeSaw(
            node=f"worker-{self.number}",
            node_id=self.id,
            hostname=self.hostname,
            vm_size="Standard_F4s_v2",
            nodearray="worker",
            state=self.state,
            running=self.running,
            heard_seconds_ago=heard,
            price_per_hour=0.04,
        )

    def keep(self) -> Keep:
        jobs = {QUEUES[kind]: 1 + self.running % 3 for kind in self.kinds} if self.running else {}
        reason = KeepReason.MATCHED if self.running else KeepReason.IDLE
        return Keep(node=f"worker-{self.number}", node_id=self.id, reason=reason, jobs=jobs)


def passes(dice: random.Random, at: datetime) -> Iterator[tuple[int, bytes]]:
    """The numbers and reports of passes from then on, without end."""
    nodes = [_Node(n, dice.randint(0, 4), dice.choices(range(KINDS), k=2)) for n in range(NODES)]
    waiting, running, oldest = [0] * KINDS, [0] * KINDS, [0.0] * KINDS
    number, born = 0, NODES
    while True:
        number, at = number + 1, at + EVERY
        actions: list[Action] = []
        for node in nodes:
            if dice.random() < 0.25:
                node.running = dice.randint(0, 4)
            if dice.random() < 0.03:
                node.kinds = dice.choices(range(KINDS), k=2)
                said = QUEUES[node.kinds[0]]
                actions.append(Action(kind="join", target=node.hostname, ok=True, detail=said))
        for kind in range(KINDS):
            if dice.random() < 0.2:
                waiting[kind] = max(0, waiting[kind] + dice.randint(-30, 30))
            if dice.random() < 0.3:
                running[kind] = dice.randint(0, 12)
            oldest[kind] = oldest[kind] + 15 if waiting[kind] and dice.random() < 0.8 else 0.0
        if dice.random() < 0.5:
            for _ in range(dice.randint(1, 3)):
                gone = nodes.pop(dice.randrange(len(nodes)))
                actions.append(Action(kind="delete", target=f"worker-{gone.number}", ok=True, detail="idle"))
                nodes.append(_Node(born, state="Preparing"))
                born += 1
            actions.append(Action(kind="launch", target="3 x worker/Standard_F4s_v2", ok=True, count=3))
        queues = (
            QueueSaw(
                queue=QUEUES[kind],
                waiting=waiting[kind],
                running=running[kind],
                oldest_seconds=oldest[kind] if waiting[kind] else None,
                slots=waiting[kind] // 4,
                run_seconds=20 + kind / 100 + number % 50 / 100,
            )
            for kind in range(KINDS)
        )
        joins = (GivenQueues(hostname=a.target, queues=(a.detail,)) for a in actions if a.kind == "join")
        made = Report(
            number=number,
            started=at,
            asked_by="beat",
            seconds=dice.random(),
            saw=Saw(
                cluster_state="Started",
                queues=tuple(queues),
                nodes=tuple(node.saw(10 * dice.random()) for node in nodes),
                buckets=tuple(
                    BucketSaw(nodearray="worker", vm_size=f"S{b}", cores=2**b, left=100, nodes={"ready": b})
                    for b in range(10)
                ),
            ),
            plan=Plan(
                keep=tuple(node.keep() for node in nodes),
                join=tuple(joins),
                price_per_hour=Price(before=40.0, added=0.1),
                decided_by="solver",
                planning_seconds=dice.random(),
            ),
            actions=tuple(actions),
        )
        yield number, encode(made)
