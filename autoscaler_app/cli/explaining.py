"""The command `explain`: why a task, or what waits in a queue, has not begun."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from autoscaler_app.cli import show
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from scalelib.errors import InvalidInput
from scalelib.spelling import meant

if TYPE_CHECKING:
    from autoscaler_app.passes.control import Control
    from autoscaler_app.passes.decide.explaining import Explanation


@click.command()
@click.argument("task_id", required=False)
@click.option("--queue", help="Explain what waits in this queue, from the state file alone.")
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def explain(ctx: click.Context, task_id: str | None, queue: str | None, json_: bool) -> None:
    """Why a task, or what waits in a queue, has not begun: what it waits for, and until when.

    Exit code 1 if no worker and no queue has the task.
    """
    if (task_id is None) == (queue is None):
        raise InvalidInput("name a task by its id, or a queue by --queue, and not both")
    if queue is not None:
        told = of_queue(queue)
        say(as_json(told) if json_ else text(told))
        return
    assert task_id is not None
    with opened(ctx) as control:
        where = of_task(control, task_id)
    found = of_queue(where.queue) if where.state == "waits" else None
    if json_:
        say(as_json({"task": where, "queue": found}))
    else:
        say(f"{task_id} {where.sentence}" + (f"\n{text(found)}" if found else ""))
    ctx.exit(1 if where.state == "nowhere" else 0)


class TaskIs(msgspec.Struct, frozen=True, kw_only=True):
    """Where one task is."""

    state: Literal["runs", "held", "later", "waits", "nowhere"]
    queue: str = ""
    host: str = ""
    sentence: str


def of_task(control: Control, task_id: str) -> TaskIs:
    """Asks the workers, and then looks through the queues. Raises BrokerError."""
    from autoscaler_app.listening.activity.coming import THE_BROKER
    from autoscaler_app.passes.observe.look import observe

    sight = observe(control)
    for view in sight.views.values():
        host = view.hostname
        for task in view.running:
            if task.id == task_id:
                said = f"runs on {host} since {task.started:%Y-%m-%d %H:%M:%S}Z, from queue {task.queue}"
                return TaskIs(state="runs", queue=task.queue, host=host, sentence=said)
        for held in view.held:
            if held.id == task_id:
                said = f"was taken from queue {held.queue} by {host}, and begins there when there is room"
                return TaskIs(state="held", queue=held.queue, host=host, sentence=said)
    for later in sight.asked.coming:
        if later.id == task_id:
            held_by = f" and waits for that at {later.held_by}" if later.held_by else ""
            said = f"is to begin at {later.at:%Y-%m-%d %H:%M:%S}Z{held_by}; its queue is {later.queue}"
            host = "" if later.held_by == THE_BROKER else later.held_by
            return TaskIs(state="later", queue=later.queue, host=host, sentence=said)
    waiting = [queue.queue for queue in sight.snapshot.queues if queue.waiting]
    place = control.broker.in_line(task_id, waiting)
    if place is None:
        said = (
            f"is with no worker and in no queue in which something waits ({len(waiting)} of them): "
            "it has ended, was revoked, or went to a queue that is not counted"
        )
        return TaskIs(state="nowhere", sentence=said)
    return TaskIs(state="waits", queue=place.queue, sentence=_behind(place.before))


def _behind(before: int) -> str:
    return f"waits behind {show.plural(before, 'other')}" if before else "waits, and is the next of its queue"


def of_queue(queue: str) -> Explanation:
    """From the state file alone. Raises InvalidInput for a queue that the last pass did not know."""
    from autoscaler_app.memory.runtimes import Runtimes
    from autoscaler_app.passes.decide.explaining import explain as explained
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as journal:
        last = journal.reports(1)
        if not last:
            raise InvalidInput("no pass has been made yet: there is nothing to explain from")
        state = journal.state
        runtimes = Runtimes.from_json(state.fact("runtimes") or {})
        boot = float(state.fact("boot_seconds") or 0.0)
        try:
            return explained(
                last[0],
                queue,
                run_seconds=runtimes.mean(queue),
                boot_seconds=boot,
                paused=journal.paused,
            )
        except LookupError:
            known = [each.queue for each in last[0].saw.queues] if last[0].saw else []
            hint = meant(queue, known, f"it knew {', '.join(known) or 'none'}")
            raise InvalidInput(f"pass {last[0].number} knew no queue {queue!r}; {hint}") from None


def text(found: Explanation) -> str:
    """The same for people."""
    oldest = found.oldest_seconds
    lines = [
        f"{found.queue}: {found.waiting} waiting, {found.running} running"
        + (f"; the oldest has waited for {show.span(oldest)}" if oldest is not None else "")
        + f" (pass {found.number})"
    ]
    lines += [f"  {why.wait.value:9} {why.sentence}" for why in found.why]
    if found.done_seconds is not None:
        lines.append(f"  the last of them will have ended in about {show.span(found.done_seconds)}")
    return "\n".join(lines)
