"""The command `queues`: what waits and runs in each queue, for what it waits, and when it will start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click
import msgspec

from autoscaler_app.cli import show
from autoscaler_app.cli.by_hand import asking
from autoscaler_app.cli.opening import as_json, say, speaks
from autoscaler_app.cli.tables import table

if TYPE_CHECKING:
    from autoscaler_app.passes.journal import Journal


class QueueNow(msgspec.Struct, frozen=True, kw_only=True):
    """One queue, as the last pass that saw the cluster saw and planned it. Times are from that pass on."""

    queue: str
    waiting: int
    running: int
    held: int
    oldest_seconds: float | None
    """How long the oldest has waited; None: the broker does not say."""
    run_seconds: float | None
    """How long one of its tasks runs, on average; None: not known."""
    next_seconds: float | None
    """Until the first of those that wait begins; None: nothing waits, or that cannot be told."""
    last_seconds: float | None
    """Until the last of them begins, if no more come."""
    done_seconds: float | None
    waits_for: dict[str, int]
    """By what they wait for, one of `explain`'s list: how many."""

    @property
    def is_empty(self) -> bool:
        """Nothing waits, runs, or was taken."""
        return not (self.waiting or self.running or self.held)


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    number: int | None = None
    """The pass; None: none has seen the cluster lately."""
    seconds_ago: float | None = None
    queues: tuple[QueueNow, ...] = ()
    """Those with most work first, then by name."""


@click.command()
@click.argument("names", nargs=-1, metavar="[QUEUE]...")
@click.option("--all", "all_", is_flag=True, help="Those too in which nothing waits or runs.")
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text; has all queues.")
@speaks
def queues(names: Sequence[str], all_: bool, json_: bool) -> None:
    """What waits and runs in each queue, for what it waits, how long it runs, and when it will start."""
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as journal:
        seen = facts(journal)
    if names:
        known = [queue.queue for queue in seen.queues]
        for name in names:
            if name not in known:
                raise asking.unknown("queue", name, known, "`queues --all` lists them")
        seen = msgspec.structs.replace(seen, queues=tuple(q for q in seen.queues if q.queue in names))
    say(as_json(seen) if json_ else text(seen, all_=all_ or bool(names)))


def facts(journal: Journal) -> Queues:
    """From the state file alone."""
    from autoscaler_app.memory.runtimes import Runtimes
    from autoscaler_app.passes.decide.explaining import explain
    from autoscaler_app.passes.plan import kept_for

    seen = show.last_that_saw(journal)
    if seen is None or seen.saw is None:
        return Queues()
    runtimes = Runtimes.from_json(journal.state.fact("runtimes") or {})
    boot, paused = float(journal.state.fact("boot_seconds") or 0.0), journal.paused
    kept = {} if seen.plan is None else kept_for(seen.plan)
    found = []
    for queue in seen.saw.queues:
        run = runtimes.mean(queue.queue)
        told = explain(
            seen,
            queue.queue,
            run_seconds=run,
            boot_seconds=boot,
            paused=paused,
            kept=kept.get(queue.queue, ()),
        )
        found.append(
            QueueNow(
                queue=queue.queue,
                waiting=queue.waiting,
                running=queue.running,
                held=queue.held,
                oldest_seconds=queue.oldest_seconds,
                run_seconds=run,
                next_seconds=told.next_seconds,
                last_seconds=told.last_seconds,
                done_seconds=told.done_seconds,
                waits_for={why.wait.value: why.count for why in told.why} if queue.waiting else {},
            )
        )
    found.sort(key=lambda each: (each.is_empty, -each.waiting, -each.running, each.queue))
    return Queues(
        number=seen.number,
        seconds_ago=round((journal.now() - seen.started).total_seconds(), 1),
        queues=tuple(found),
    )


def text(seen: Queues, *, all_: bool = False) -> str:
    """The same for people."""
    if seen.number is None or seen.seconds_ago is None:
        return "no pass has seen the cluster lately: `status` says what is the matter"
    shown = [queue for queue in seen.queues if all_ or not queue.is_empty]
    lines = [f"as pass {seen.number} saw it, {show.span(seen.seconds_ago)} ago", "", rows(shown)]
    if empty := len(seen.queues) - len(shown):
        lines += ["", f"{show.plural(empty, 'queue')} in which nothing waits or runs (--all)"]
    return "\n".join(lines)


def rows(shown: Iterable[QueueNow]) -> str:
    """The table."""
    return table(
        ("queue", "waiting", "running", "held", "oldest", "runs for", "starts", "last", "waits for"),
        (
            (
                queue.queue,
                queue.waiting,
                queue.running,
                queue.held,
                _span(queue.oldest_seconds) if queue.waiting else "",
                _span(queue.run_seconds),
                starts(queue),
                f"in {show.span(queue.last_seconds)}" if queue.last_seconds else "",
                ", ".join(f"{wait} {count}" for wait, count in queue.waits_for.items()),
            )
            for queue in shown
        ),
        empty="nothing waits or runs",
        spare=("held", "last"),
    )


def starts(queue: QueueNow) -> str:
    """When the first of them will begin."""
    if not queue.waiting:
        return ""
    if queue.next_seconds is None:
        return "unknown"
    return f"in {show.span(queue.next_seconds)}" if queue.next_seconds >= 1 else "now"


def _span(seconds: float | None) -> str:
    return "" if seconds is None else show.span(seconds)
