"""One pass: settle what the last one left open, look, decide, act, report.

A pass may be killed at any point. What it did is in the cloud and on the nodes, what it was about to do is in
the state file, and the next one goes on from what is really there.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec

from autoscaler_app.brokers import BrokerError
from autoscaler_app.passes import lock, report, stories, way_out
from autoscaler_app.passes.act import counting, ending, growing, housekeeping, serving, shadow
from autoscaler_app.passes.act.deeds import Deeds
from autoscaler_app.passes.act.shadow import SHADOW
from autoscaler_app.passes.control import Control
from autoscaler_app.passes.decide.decision import Decision, decide
from autoscaler_app.passes.observe import learnt
from autoscaler_app.passes.observe.clocks import followed
from autoscaler_app.passes.observe.look import observe
from autoscaler_app.passes.observe.remembering import learn_run_times, remember
from autoscaler_app.passes.observe.sight import Sight
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import BucketSaw, DrainSaw, NodeSaw, QueueSaw, Report, Saw, bucket_name
from scalelib.bucket import room_left
from scalelib.errors import ScalelibError
from scalelib.meant import found
from scalelib.node import Node
from scalelib.policy import Policy
from scalelib.prices import estimated, price_list

log = logging.getLogger(__name__)


def make_pass(control: Control, *, patience: float = 0.0, asked_by: str = "") -> Report:
    """Make one pass and return its report, which is in the journal by then. `asked_by`: as in the report.

    A failure of the cloud or the broker is in the report, not raised, and so is that another control side has
    the lease of this broker: then nothing was done. Raises PassIsRunning if another process makes a pass and
    is not done within `patience` seconds.
    """
    with lock.held(control.settings.lock_file, patience=patience), _collected_afterwards():
        started, clock = control.now(), time.monotonic()
        fields: dict[str, Any] = {}
        deeds, sights = Deeds(), list[Sight]()
        try:
            with control.lease.for_a_pass():
                _run(control, deeds, fields, sights)
        except (ScalelibError, BrokerError) as error:
            fields["error"] = f"{type(error).__name__}: {error}"
        except BaseException as error:
            fields["error"] = f"a defect of this program, please report it: {type(error).__name__}: {error}"
            raise
        finally:
            made = Report(
                started=started,
                asked_by=asked_by,
                seconds=time.monotonic() - clock,
                ok="error" not in fields and deeds.all_done,
                actions=tuple(deeds.actions),
                again=deeds.again,
                **fields,
            )
            made = _written(control, made)
            news = [stories.tell(control, sight, deeds.launched, made) for sight in sights]
            counting.count(control, made, deeds.launched, news)
            for sight in sights:
                stories.count(control, sight, made)
            _log(made)
        return made


@contextmanager
def _collected_afterwards() -> Iterator[None]:
    """No search for cycles while a pass is made. Over thousands of nodes it makes some hundred thousand
    values that all live until its end and have no cycles: Python would walk through all of them again and
    again, the more often the more there are, and find nothing. What nobody has any more is freed at once all
    the same.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _log(made: Report) -> None:
    """A line for each deed, and one for the pass."""
    for action in made.actions:
        level = logging.INFO if action.ok else logging.WARNING
        failed, why = "" if action.ok else "FAILED ", f": {action.detail}" if action.detail else ""
        facts = {"action": action.kind, "pass": made.number, "target": action.target, "ok": action.ok}
        facts |= {"detail": action.detail, "count": action.count}
        said = failed, action.kind, action.target, why
        log.log(level, "pass %d: %s%s %s%s", made.number, *said, extra={"facts": facts})
    level = logging.INFO if made.ok else logging.WARNING
    log.log(level, "pass %d: %s", made.number, report.summary(made), extra={"facts": report.facts(made)})


def _written(control: Control, made: Report) -> Report:
    """The report as it stands in the journal. On a full disk it stands nowhere: number 0, and failed."""
    bounds = control.settings.autoscaler
    kept, most_bytes = timedelta(seconds=bounds.journal_kept), bounds.journal_bytes
    try:
        number = control.state.journal.write(
            made.started, report.encode(made), kept=kept, most_bytes=most_bytes
        )
    except ScalelibError as error:
        log.error("the report of this pass cannot be written: %s", error)
        said = made.error or f"{type(error).__name__}: {error}"
        return msgspec.structs.replace(made, ok=False, error=said, number=0)
    return msgspec.structs.replace(made, number=number)


def _run(control: Control, deeds: Deeds, fields: dict[str, Any], sights: list[Sight]) -> None:
    """The pass, in the order in which it happens. Growth comes before shrinking. A failure of the cloud or
    the broker ends it; a host that does not answer is tried again in the next one. What was seen is in
    `sights`, if it came to that.
    """
    if control.in_shadow:
        _run_in_shadow(control, fields, sights)
        return
    # Time may have passed, and somebody else be in charge by now: asked again before each kind of deed.
    may = control.lease.check
    control.state.change(SHADOW, lambda _: None)
    housekeeping.settle(control, deeds)
    learn_run_times(control)
    sight = observe(control, followed(control))
    sights.append(sight)
    remember(control, sight)
    seen = fields["saw"] = saw(sight)

    may()
    housekeeping.bury_the_dead(control, deeds, sight)
    housekeeping.forget_strangers(control, sight)
    housekeeping.forget_orders(control, sight)
    housekeeping.give_back(control, deeds, sight)
    housekeeping.sweep(control, deeds)

    decision = decide(sight.snapshot)
    plan = fields["plan"] = decision.plan
    fields["saw"] = decided(seen, decision)
    control.history.update(control.now(), sight.cloud.nodes, active=decision.active, needed=decision.needed)
    learnt.write_down(control.state, decision.learnt)

    may()  # a plan takes a while
    serving.unfence(control, deeds, sight, plan)
    serving.give_queues(control, deeds, sight, plan)
    serving.reserve(control, deeds, sight, plan)
    growing.create_all(control, deeds, plan)
    _grow(control, deeds, sight, decision)
    may()
    ending.fence(control, deeds, sight, plan)
    ending.end(control, deeds, sight, plan)
    may()
    ending.call_off(control, sight, plan)
    serving.set_the_pace(control, sight)
    ending.remind(control, deeds)


def _run_in_shadow(control: Control, fields: dict[str, Any], sights: list[Sight]) -> None:
    """The same without a deed: what would be done is added up. What is seen is remembered as ever."""
    learn_run_times(control)
    sight = observe(control, followed(control))
    sights.append(sight)
    remember(control, sight)
    control.state.forget_nodes(set(sight.known) - {str(node.id) for node in sight.cloud.nodes})
    decision = decide(sight.snapshot)
    plan = fields["plan"] = decision.plan
    seen = fields["saw"] = decided(saw(sight), decision)
    control.history.update(control.now(), sight.cloud.nodes, active=decision.active, needed=decision.needed)
    learnt.write_down(control.state, decision.learnt)
    so_far = shadow.recall(control.state.fact(SHADOW))
    fields["shadow"] = total = shadow.added_up(so_far, plan, seen, control.now())
    control.state.set_fact(SHADOW, msgspec.to_builtins(total))


MOST_OFFERINGS = 4
"""How often one pass plans anew when the cloud has nothing where the plan wanted it."""


def _grow(control: Control, deeds: Deeds, sight: Sight, decision: Decision) -> None:
    """Launch; where an offering turns out to have nothing, plan anew without it in the same pass."""
    snapshot = sight.snapshot
    for _ in range(MOST_OFFERINGS):
        # Before the launch: of the machines that a killed pass leaves, the next one knows the purpose.
        control.state.set_fact("meant", decision.meant)
        all_came = growing.launch_all(control, deeds, decision.plan.launch)
        aside = dict(control.provider.set_aside())
        if all_came or aside.keys() <= snapshot.set_aside.keys():
            return
        cloud = control.provider.cloud()
        meant = found(decision.meant, cloud.nodes, sight.asked.history)
        snapshot = msgspec.structs.replace(
            snapshot,
            cluster=dict(cloud.raw),
            set_aside=aside,
            meant={str(i): jobs for i, jobs in meant.items()},
        )
        decision = decide(snapshot)


def dry_run(control: Control) -> tuple[Sight, Plan]:
    """Look and decide as a pass does, and touch nothing; nothing is written anywhere."""
    sight = observe(control)
    return sight, decide(sight.snapshot).plan


def saw(sight: Sight) -> Saw:
    """The sight in short, for the report."""
    running = Counter(task.queue for view in sight.views.values() for task in view.running)
    held = Counter(task.queue for view in sight.views.values() for task in view.held)
    return Saw(
        cluster_state=sight.cloud.state,
        queues=tuple(
            QueueSaw(
                queue=queue.queue,
                waiting=queue.waiting,
                running=running[queue.queue],
                held=held[queue.queue],
                oldest_seconds=queue.oldest_seconds,
                run_seconds=queue.runtime_seconds,
            )
            for queue in sight.snapshot.queues
        ),
        nodes=tuple(_node_saw(sight, node) for node in sight.cloud.nodes),
        warnings=sight.warnings,
        buckets=_buckets_saw(sight),
        drains=tuple(_drains_saw(sight)),
        hold=sight.asked.hold,
        unaccounted=sight.unaccounted,
        hearing=sight.hearing,
    )


def decided(seen: Saw, decision: Decision) -> Saw:
    """The same with what was decided that is held back, and how much is wanted."""
    slots = decision.slots
    return msgspec.structs.replace(
        seen,
        queues=tuple(msgspec.structs.replace(each, slots=slots.get(each.queue)) for each in seen.queues),
        warnings=(*decision.plan.warnings, *seen.warnings),
        budgets=decision.budgets,
    )


def _buckets_saw(sight: Sight) -> tuple[BucketSaw, ...]:
    cloud = sight.cloud
    prices = Policy.from_config(sight.asked.settings.config).prices
    money, guessed = price_list(cloud.buckets, prices), estimated(cloud.buckets, prices)
    pools = {pool.name: pool for pool in cloud.pools}
    nodes: dict[str, Counter[str]] = defaultdict(Counter)
    for node in cloud.nodes:
        nodes[bucket_name(node.nodearray, node.vm_size, node.spot)][phase_of(node)] += 1
    found = []
    for bucket in cloud.buckets:
        left, limit = room_left(bucket, pools)
        found.append(
            BucketSaw(
                nodearray=bucket.nodearray,
                vm_size=bucket.vm_size,
                spot=bucket.spot,
                cores=bucket.vcpu_count,
                price_per_hour=money[bucket.id],
                is_estimated=bucket.id in guessed,
                left=left if bucket.valid else 0,
                limit="" if limit is None else limit.value,
                set_aside=bool(bucket.set_aside) or bucket.id in sight.asked.set_aside,
                nodes=dict(nodes[bucket_name(bucket.nodearray, bucket.vm_size, bucket.spot)]),
            )
        )
    return tuple(found)


def phase_of(node: Node) -> str:
    """Where it is, in one of the few words of `PHASES`."""
    if node.state.is_failed:
        return "failed"
    if not node.wanted or node.state.is_leaving:
        return "leaving"
    return "ready" if node.is_ready else "booting" if node.state.is_booting else "leaving"


def _drains_saw(sight: Sight) -> Iterator[DrainSaw]:
    names = {str(node.id): node.name for node in sight.cloud.nodes}
    for node_id, drain in sorted(sight.asked.drains.items()):
        if node_id in names:
            seconds = max(0.0, (sight.asked.now - drain.chosen).total_seconds())
            yield DrainSaw(
                node=names[node_id],
                stage=way_out.state_of(drain).value,
                seconds=seconds,
                is_stuck=seconds > sight.asked.settings.autoscaler.drain_timeout,
            )


def _node_saw(sight: Sight, node: Node) -> NodeSaw:
    host = sight.host_of.get(node.id)
    return NodeSaw(
        node=node.name,
        node_id=node.id,
        hostname=node.hostname or "",
        vm_size=node.vm_size,
        nodearray=node.nodearray,
        state=node.status,
        running=host.running if host else 0,
        held=host.held if host else 0,
        fenced=host is not None and host.on_its_way != "serving",
        heard_seconds_ago=host.heard_seconds_ago if host else None,
        price_per_hour=node.price_per_hour,
    )
