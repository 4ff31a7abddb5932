"""Queues: what waits in each, for what, and until when; and the page of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from autoscaler_app.cli.doctor import WHAT_TO_DO
from autoscaler_app.passes.decide.explaining import Explanation, Wait, explain
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import QueueSaw, Report
from autoscaler_app.web import words
from autoscaler_app.web.markup import Child, Html, columns, join, table, tag
from autoscaler_app.web.pages import parts
from autoscaler_app.web.remembered import Times
from scalelib.demand import UnservedReason

MOST_AT_ONCE = 30
"""Queues with work that the first page tells of; those with most are told of."""

_KINDS = {
    Wait.UNSERVED: "bad",
    Wait.PAUSED: "warn",
    Wait.UNKNOWN: "warn",
    Wait.ROOM: "good",
}


def of(made: Report, queue: str, times: Times, *, paused: bool) -> Explanation:
    """The answer of `explain --queue`, from this pass. Raises LookupError."""
    return explain(
        made, queue, run_seconds=times.run_seconds(queue), boot_seconds=times.boot_seconds, paused=paused
    )


def busy_and_empty(queues: Iterable[QueueSaw]) -> tuple[list[QueueSaw], list[QueueSaw]]:
    """Those with work, most of it first; those without, by name."""
    both: tuple[list[QueueSaw], list[QueueSaw]] = ([], [])
    for queue in queues:
        both[not (queue.waiting or queue.running or queue.held)].append(queue)
    both[0].sort(key=lambda queue: (-queue.waiting, -queue.running - queue.held, words.natural(queue.queue)))
    both[1].sort(key=lambda queue: words.natural(queue.queue))
    return both


def listed(made: Report, times: Times, *, paused: bool, limit: int) -> Html:
    """A section of all queues: those with work say what it waits for, the empty ones are folded away."""
    assert made.saw is not None
    busy, empty = busy_and_empty(made.saw.queues)
    shown = busy[:limit]
    rows = [_row(queue, of(made, queue.queue, times, paused=paused)) for queue in shown]
    heads = columns("queue", "#waiting", "#running", "#held", "#oldest", "#done in", "*waits for")
    nothing = "Nothing waits or runs." if made.saw.queues else "No queue is watched."
    return parts.section(
        "Queues",
        table(heads, rows, id_="queues", empty=nothing),
        _more(busy[limit:]),
        _folded(empty),
    )


def _more(left: Sequence[QueueSaw]) -> Html | None:
    if not left:
        return None
    waiting = sum(queue.waiting for queue in left)
    said = (
        f"{words.plural(len(left), 'queue')} more with work, in which {words.plural(waiting, 'task')} wait: "
    )
    return tag("p", said, tag("a", "all queues", href="queues"), class_="note")


def _folded(empty: Sequence[QueueSaw]) -> Html | None:
    if not empty:
        return None
    links = join(tag("li", parts.queue(queue.queue)) for queue in empty)
    said = f"{words.plural(len(empty), 'queue')} in which nothing waits or runs"
    return tag("details", tag("summary", said), tag("ul", links, class_="names"), id="empty-queues")


def _row(queue: QueueSaw, found: Explanation) -> tuple[str | Html | None, ...]:
    return (
        tag("b", parts.queue(queue.queue)),
        f"{queue.waiting:,}",
        f"{queue.running:,}",
        f"{queue.held:,}",
        None if queue.oldest_seconds is None else words.duration(queue.oldest_seconds),
        None if found.done_seconds is None else f"about {words.duration(found.done_seconds)}",
        join(_reasons(found)) if queue.waiting else None,
    )


def _reasons(found: Explanation) -> Iterator[Html]:
    for why in found.why:
        yield tag(
            "span", parts.pill(why.wait.value, _KINDS.get(why.wait, "plain")), " ", why.sentence, class_="row"
        )


def unserved(plan: Plan) -> Html | None:
    """What has no place, why, and what to do; None if all has one."""
    if not plan.unserved:
        return None
    heads = columns("job", "#slots", "reason", "*why")
    shown, note = parts.most(plan.unserved, "job", important=lambda entry: True)
    rows = [
        (
            parts.queue(entry.job),
            f"{entry.count:,}",
            parts.pill(entry.reason, "warn"),
            join((entry.detail, tag("span", to_do(entry.reason), class_="row detail"))),
        )
        for entry in shown
    ]
    return parts.section("What stands against growth", table(heads, rows, id_="unserved", empty=""), note)


def to_do(reason: str) -> str:
    """What helps against a reason why work has no place, as `doctor` says it."""
    known = next((each for each in UnservedReason if each.value == reason), None)
    return "" if known is None else f"{WHAT_TO_DO[known]}."


def of_one(made: Report, found: Explanation) -> Html:
    """The page of one queue."""
    numbers = [
        (f"{found.waiting:,}", "waiting", ""),
        (f"{found.running:,}", "running", ""),
        (
            "?" if found.oldest_seconds is None else words.duration(found.oldest_seconds),
            "the oldest waits",
            "",
        ),
        ("?" if found.done_seconds is None else f"{words.duration(found.done_seconds)}", "done in about", ""),
    ]
    why = parts.section(
        "Why it waits" if found.waiting else "Nothing waits",
        tag("ul", *(tag("li", each) for each in _reasons(found)), class_="lines", id="why"),
        tag("p", "As pass ", parts.a_pass(found.number), " saw and planned it.", class_="note"),
    )
    return join((parts.figures(numbers if found.waiting else numbers[:2]), why, _places(made, found.queue)))


def _places(made: Report, queue: str) -> Html | None:
    """Nodes on which it runs or is to run."""
    running = f"{queue} on "
    rows: list[tuple[Child, ...]] = [
        (parts.node(entry.node), entry.reason.value, words.jobs(entry.jobs))
        for entry in (made.plan.keep if made.plan else ())
        if queue in entry.jobs or any(job.startswith(running) for job in entry.jobs)
    ]
    rows += [
        (
            Html(f"{entry.count:,} × ") + tag("span", f"{entry.nodearray}/{entry.vm_size}"),
            "asked for",
            words.jobs(entry.jobs),
        )
        for entry in (made.plan.launch if made.plan else ())
        if queue in entry.jobs
    ]
    heads = columns("node", "decided", "*work")
    shown, note = parts.most(rows, "node", important=lambda row: True)
    return parts.section("Where it runs", table(heads, shown, id_="places", empty="On no node."), note)
