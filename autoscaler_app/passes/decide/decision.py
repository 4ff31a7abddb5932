"""The decision: a snapshot in, a plan out. No broker, no cloud, no clock: `now` is in the snapshot.

`plan`, `run`, `replay` and every pass go through `decide`. What becomes of each node is told in `fates.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from autoscaler_app.memory.orders import told
from autoscaler_app.memory.stories.budget import Spending, spendings
from autoscaler_app.passes.decide.fates import Fates
from autoscaler_app.passes.decide.situation import Situation, read
from autoscaler_app.passes.decide.worth import vain
from autoscaler_app.passes.plan import Launch, Plan, Price, Unserved
from autoscaler_app.passes.snapshot import Learnt, Snapshot
from scalelib import planner
from scalelib.meant import noted
from scalelib.node import NodeId
from scalelib.planner import Demand, UnservedReason


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A plan, and which clocks it resets."""

    plan: Plan
    active: frozenset[NodeId]
    """Nodes that have work, running or meant for them."""
    needed: frozenset[NodeId]
    """Nodes that the plan could not do without."""
    meant: dict[str, Any]
    """For whom the nodes are, to be remembered before anything is launched."""
    budgets: tuple[Spending, ...]
    """How those stand that the settings name."""
    slots: dict[str, int]
    """By queue: how many slots its waiting tasks are worth."""
    learnt: Learnt
    """What machines of each size have, and what has become of those that were bought: to be remembered
    before anything is launched."""


def decide(snapshot: Snapshot, *, clock: Callable[[], float] = time.perf_counter) -> Decision:
    """What to join, launch, fence and delete, and why. Raises InvalidInput for a snapshot that says nonsense.

    `clock` only measures how long the planning took.
    """
    started = clock()
    return decide_in(read(snapshot), clock=clock, started=started)


def decide_in(
    situation: Situation, *, clock: Callable[[], float] = time.perf_counter, started: float | None = None
) -> Decision:
    """The same of a snapshot that is understood already: a simulated cloud need not be read from JSON."""
    started = clock() if started is None else started
    snapshot = situation.snapshot
    situation, demand = _planned(situation)
    no_growth = situation.by_hand.no_growth()
    fates = Fates(situation)
    for verdict in demand.nodes:
        fates.add(verdict)
    money = tuple(spendings(situation.autoscaler, snapshot.spent, snapshot.now))
    used_up = _used_up(money)
    is_still = bool(no_growth) or used_up is not None
    unserved = (
        *_unbought(demand, None if no_growth else used_up),
        *(
            Unserved(job=u.job, count=u.count, reason=u.reason.value, detail=u.detail)
            for u in demand.unserved
        ),
        *_futile(situation),
        *_spared(situation),
    )
    plan = Plan(
        join=tuple(fates.join),
        gangs=() if snapshot.paused else tuple(fates.gang_orders()),
        launch=() if is_still else _launches(demand),
        create=tuple(_created(situation)),
        fence=tuple(fates.fence),
        unfence=tuple(fates.unfence),
        delete=tuple(fates.delete),
        keep=tuple(fates.keep),
        unserved=unserved,
        warnings=(
            *_warnings(snapshot, fates),
            *(budget.sentence for budget in money if budget.is_nearly),
            *_refuted(unserved),
        ),
        price_per_hour=Price(before=demand.price_before, added=0.0 if used_up else demand.price_added),
        decided_by=demand.decided_by,
        planning_seconds=clock() - started,
    )
    # Unknown is not idle, and what cannot be seen is not known to be dispensable.
    unknown = {i for i, host in situation.host_of.items() if situation.is_unknown(host)}
    unknown |= fates.let_go_on
    return Decision(
        plan=plan,
        active=frozenset(unknown.union(verdict.node.id for verdict in demand.nodes if verdict.jobs)),
        needed=frozenset(unknown.union(verdict.node.id for verdict in demand.nodes if verdict.needed)),
        meant=noted(
            demand,
            launches=not is_still,
            now=snapshot.now,
            waited=situation.problem.waited,
        ),
        budgets=money,
        slots={queue.queue: situation.slots(queue) for queue in snapshot.queues},
        learnt=Learnt(sizes=situation.sizes, bought=situation.tried.bought, vain=situation.tried.vain),
    )


MOST_TRIES = 3
"""How often it is planned anew where growth is paused for a queue, before what waits there is left out."""


def _planned(situation: Situation) -> tuple[Situation, Demand]:
    """The engine's answer. What waits in a queue for which growth is paused gets the room that is there."""
    demand, paused = planner.calculate(situation.problem), situation.by_hand.no_growth_for()
    for last in (False,) * MOST_TRIES + (True,):
        bought = Counter[str]()
        for launch in demand.launches:
            bought.update({job: slots for job, slots in launch.jobs.items() if job in paused})
        if not bought:
            break
        if last:
            spared = {q.queue: situation.slots(q) for q in situation.snapshot.queues if q.queue in paused}
        else:
            spared = dict(bought + Counter(situation.spared))
        situation = replace(situation, spared=spared)
        demand = planner.calculate(situation.problem)
    return situation, demand


def _spared(situation: Situation) -> Iterator[Unserved]:
    paused = situation.by_hand.no_growth_for()
    for queue, slots in sorted(situation.spared.items()):
        yield Unserved(job=queue, count=slots, reason=UnservedReason.PAUSED.value, detail=paused[queue])


def _used_up(money: Iterable[Spending]) -> Spending | None:
    """A budget that stops growth now; of two the one that stops it for longer."""
    return max(
        (budget for budget in money if budget.stops and budget.is_used_up),
        key=lambda budget: budget.until,
        default=None,
    )


def _unbought(demand: Demand, used_up: Spending | None) -> Iterator[Unserved]:
    """What machines would be launched for if there were money for them."""
    if used_up is not None:
        slots: Counter[str] = Counter()
        for launch in demand.launches:
            slots.update(launch.jobs)
        for job, count in sorted(slots.items()):
            yield Unserved(
                job=job, count=count, reason=UnservedReason.NO_MONEY.value, detail=used_up.sentence
            )


_REFUTED = frozenset({UnservedReason.TOLD_LESS.value, UnservedReason.FUTILE.value})


def _futile(situation: Situation) -> Iterator[Unserved]:
    for queue, slots in sorted(situation.futile.items()):
        detail = vain.told(situation.tried.vain[queue], situation.snapshot.now)
        yield Unserved(job=queue, count=slots, reason=UnservedReason.FUTILE.value, detail=detail)


def _refuted(unserved: Iterable[Unserved]) -> Iterator[str]:
    """What the report warns of: work on which an estimate was refuted."""
    for each in unserved:
        if each.reason in _REFUTED:
            yield f"{each.count} of {each.job} ({each.reason}): {each.detail}"


MOST_NAMED = 5
"""Things named one by one in warnings."""


def _warnings(snapshot: Snapshot, fates: Fates) -> Iterator[str]:
    """A sentence for everything that holds something back, with what ends it."""
    yield from fates.holds.warnings()
    yield from fates.budget.warnings()
    learning = [q.queue for q in snapshot.queues if q.waiting and fates.situation.is_learning(q)]
    if learning:
        names = ", ".join(learning[:MOST_NAMED])
        more = f" and {len(learning) - MOST_NAMED} more" if len(learning) > MOST_NAMED else ""
        yield f"{names}{more}: no more is asked for until the first tasks have told how long they run"
    yield from fates.situation.by_hand.warnings()
    aside = sorted(snapshot.set_aside.items())
    for what, why in aside[:MOST_NAMED]:
        yield f"nothing is launched in {what}: {why}"
    if len(aside) > MOST_NAMED:
        yield f"nor in {len(aside) - MOST_NAMED} others (`autoscaler buckets` has them)"


def _launches(demand: Demand) -> tuple[Launch, ...]:
    return tuple(
        Launch(
            nodearray=launch.nodearray,
            vm_size=launch.vm_size,
            spot=launch.spot,
            placement_group=launch.placement_group,
            count=launch.count,
            price_per_hour=launch.price_per_hour,
            jobs=dict(sorted(launch.jobs.items())),
        )
        for launch in demand.launches
    )


def _created(situation: Situation) -> Iterator[Launch]:
    """What people want launched. It is done whatever else is planned, and counts as room when it is there."""
    prices = {(b.nodearray, b.vm_size, b.spot): b.price_per_hour for b in situation.cloud.buckets}
    for create in situation.snapshot.orders.create:
        price = prices.get((create.nodearray, create.vm_size, create.spot))
        yield Launch(
            nodearray=create.nodearray,
            vm_size=create.vm_size,
            spot=create.spot,
            placement_group=create.placement_group,
            count=create.count,
            price_per_hour=(price or 0.0) * create.count,
            jobs={},
            id=create.id,
            detail=told(create),
        )
