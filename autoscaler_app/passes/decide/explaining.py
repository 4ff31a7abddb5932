"""Why what waits in a queue has not begun, from what the last pass saw and planned. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

import msgspec

from autoscaler_app.passes.plan import Keep, Places, Plan
from autoscaler_app.passes.report import QueueSaw, Report


class Wait(Enum):
    """What a waiting task waits for: the closed list, which docs/commands.md has too."""

    NOTHING = "nothing"
    """Nothing of it waits."""
    ROOM = "room"
    """It has a place on a node that is up, and begins as soon as that takes it."""
    BOOT = "boot"
    """Its node boots, or its worker is not heard yet."""
    LAUNCH = "launch"
    """Its node has just been asked for."""
    TURN = "turn"
    """Others are before it, on slots that are soon free again; more are not worth a machine."""
    LEARNING = "learning"
    """The first tasks are to tell how long they run, before more machines are asked for."""
    GANG = "gang"
    """Several nodes have to be reserved at once for it."""
    UNSERVED = "unserved"
    """It has no place, for the reason that is given."""
    PAUSED = "paused"
    """Passes are paused."""
    UNKNOWN = "unknown"
    """The last pass did not see enough to say."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """So many of them wait for this."""

    wait: Wait
    count: int
    sentence: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One queue, as the last pass saw it."""

    queue: str
    number: int
    """The pass."""
    waiting: int
    running: int
    oldest_seconds: float | None
    why: tuple[Why, ...]
    next_seconds: float | None = None
    """Until the first of them begins; None if that cannot be told."""
    last_seconds: float | None = None
    """Until the last of them begins, if no more come."""
    done_seconds: float | None = None
    """Until the last of them has ended, if no more come; None if that cannot be told."""


def explain(
    made: Report,
    queue: str,
    *,
    run_seconds: float | None,
    boot_seconds: float,
    paused: bool = False,
    kept: Sequence[Keep] | None = None,
) -> Explanation:
    """Why so many wait there. `run_seconds`: the mean of their run times, None if unknown. `boot_seconds`:
    how long nodes take to boot here. `kept`: as `Places` takes it. Raises LookupError for a queue that the
    pass did not know.
    """
    failed = f"pass {made.number} failed: {made.error}"
    if made.saw is None:
        unseen = QueueSaw(queue=queue, waiting=0, running=0)
        return _of(made, unseen, Why(wait=Wait.UNKNOWN, count=0, sentence=failed))
    seen = next((each for each in made.saw.queues if each.queue == queue), None)
    if seen is None:
        raise LookupError(queue)
    if not seen.waiting:
        return _of(made, seen, Why(wait=Wait.NOTHING, count=0, sentence="nothing waits there"))
    if paused:
        said = "passes are paused; `resume` ends that"
        return _of(made, seen, Why(wait=Wait.PAUSED, count=seen.waiting, sentence=said))
    if made.plan is None:
        return _of(made, seen, Why(wait=Wait.UNKNOWN, count=seen.waiting, sentence=failed))
    places = Places(made.plan, queue, kept)
    return msgspec.structs.replace(
        _of(made, seen, *_reasons(seen, made.plan, places, run_seconds, boot_seconds)),
        next_seconds=places.next_seconds(run_seconds, boot_seconds),
        last_seconds=places.last_seconds(seen.waiting, run_seconds, boot_seconds),
        done_seconds=places.done_seconds(seen.waiting, run_seconds, boot_seconds),
    )


def _of(made: Report, seen: QueueSaw, *why: Why) -> Explanation:
    return Explanation(
        queue=seen.queue,
        number=made.number,
        waiting=seen.waiting,
        running=seen.running,
        oldest_seconds=seen.oldest_seconds,
        why=why,
    )


def _sum(counts: dict[str, int]) -> int:
    return sum(counts.values())


def _reasons(
    seen: QueueSaw, plan: Plan, places: Places, run_seconds: float | None, boot_seconds: float
) -> Iterator[Why]:
    left = seen.waiting
    takes = f"; nodes take about {boot_seconds:.0f} s to boot here" if boot_seconds else ""
    kinds = (
        (
            Wait.ROOM,
            places.up,
            "{count} of them {have} a place on {where} and begin as soon as that takes them",
        ),
        (Wait.BOOT, places.booting, "{count} wait for {where} to boot and join" + takes),
        (
            Wait.LAUNCH,
            places.asked_for,
            "{count} wait for nodes that this pass has asked for: {where}" + takes,
        ),
    )
    for order in plan.gangs:
        if order.queue == seen.queue:
            said = f"a gang: {order.order} on {', '.join(order.hosts)}: {order.reason}"
            yield Why(wait=Wait.GANG, count=1, sentence=said)
    for wait, where, sentence in kinds:
        count = min(left, _sum(where))
        if count:
            left -= count
            have = "has" if count == 1 else "have"
            said = sentence.format(count=count, where=_names(where), have=have)
            yield Why(wait=wait, count=count, sentence=said)
    for entry in places.unserved:
        count = min(left, entry.count)
        left -= count
        yield Why(wait=Wait.UNSERVED, count=entry.count, sentence=f"{entry.reason}: {entry.detail}")
    if left:
        yield _turn(seen, plan, places, left, run_seconds)


def _turn(seen: QueueSaw, plan: Plan, places: Places, left: int, run_seconds: float | None) -> Why:
    """Those for whom no slot of their own is planned."""
    learning = next((w for w in plan.warnings if "until the first tasks have told" in w), None)
    if learning is not None and run_seconds is None:
        return Why(wait=Wait.LEARNING, count=left, sentence=learning)
    if not places.count:
        said = "the last pass planned nothing for them: the next one does, or says why not"
        return Why(wait=Wait.UNKNOWN, count=left, sentence=said)
    each = "" if run_seconds is None else f"; one takes about {run_seconds:.1f} s"
    said = f"{left} come after others on the {places.count} slots that are there or come{each}"
    return Why(wait=Wait.TURN, count=left, sentence=said)


MOST_NAMED = 5


def _names(counts: dict[str, int]) -> str:
    names = sorted(counts)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
