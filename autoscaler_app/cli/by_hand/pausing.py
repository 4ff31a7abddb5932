"""The commands `pause` and `resume`: what passes are not to do, and that they may again."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from autoscaler_app import settings as settings_module
from autoscaler_app.cli.by_hand import asking
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from scalelib.errors import InvalidInput, ScalelibError

if TYPE_CHECKING:
    from autoscaler_app.memory.orders import Pause

json_option = click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
nodearray_option = click.option("--nodearray", default="", help="Only in this nodearray.")
queue_option = click.option("--queue", default="", help="Only for what waits in this queue (growth).")


@click.command()
@click.option("--growth", is_flag=True, help="Only growth: nothing is launched.")
@click.option("--shrinking", is_flag=True, help="Only shrinking: nothing is fenced or ended.")
@nodearray_option
@queue_option
@asking.for_option
@asking.why_option
@json_option
@click.pass_context
@speaks
def pause(
    ctx: click.Context,
    growth: bool,
    shrinking: bool,
    nodearray: str,
    queue: str,
    span: timedelta | None,
    why: str,
    json_: bool,
) -> None:
    """From the next pass on: look and tell, but launch, fence and end nothing but what people ask for."""
    from autoscaler_app.memory.orders import Pause, change_pauses, told
    from autoscaler_app.memory.state import State
    from autoscaler_app.passes import lock

    if nodearray and queue:
        raise InvalidInput("name a nodearray or a queue, not both")
    if queue and shrinking and not growth:
        raise InvalidInput("for a queue only growth can be paused: nodes are no queue's own; use --nodearray")
    _check(ctx, nodearray, queue)
    settings, now = settings_module.load(), datetime.now(UTC)
    new = Pause(
        growth=growth or not shrinking,
        shrinking=(shrinking or not growth) and not queue,
        nodearray=nodearray,
        queue=queue,
        who=asking.who(),
        why=asking.one_line(why),
        at=now,
        until=None if span is None else now + span,
    )
    # A pass that is running ends first: when this command is done nothing is done that is paused.
    with closing(State(settings.state_file)) as state, lock.held(settings.lock_file, patience=30):
        change_pauses(state, lambda before: [*(each for each in before if not each.same_place(new)), new])
    say(as_json(new) if json_ else f"paused: {new.stops} ({told(new)}); `{new.ended_by}` ends it")


@click.command()
@nodearray_option
@queue_option
@json_option
@speaks
def resume(nodearray: str, queue: str, json_: bool) -> None:
    """End a pause: that of everything, or of one nodearray or queue."""
    from autoscaler_app.memory.orders import Pause, change_pauses, in_force, told
    from autoscaler_app.memory.state import State

    here, now = Pause(nodearray=nodearray, queue=queue), datetime.now(UTC)
    ended: list[Pause] = []

    def without(before: tuple[Pause, ...]) -> list[Pause]:
        ended[:] = [each for each in before if each.same_place(here) and not each.is_over(now)]
        return [each for each in before if not each.same_place(here)]

    with closing(State(settings_module.load().state_file)) as state:
        change_pauses(state, without)
        left = in_force(state.fact("paused"), now)
    if json_:
        say(as_json({"ended": ended, "left": left}))
        return
    lines = [f"resumed: {each.stops} no longer ({told(each)})" for each in ended] or [
        "resumed: nothing was paused"
    ]
    lines += [f"still paused: {each.stops} ({told(each)}); `{each.ended_by}` ends it" for each in left]
    say("\n".join(lines))


def _check(ctx: click.Context, nodearray: str, queue: str) -> None:
    """Raises InvalidInput for a name that neither the last pass has seen nor the cloud has."""
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as journal:
        made = next(iter(journal.reports(1)), None)
    saw = None if made is None else made.saw
    if queue and saw is not None and queue not in (queues := {each.queue for each in saw.queues}):
        raise asking.unknown("queue", queue, queues, "`status` lists them")
    if not nodearray or (saw is not None and nodearray in {each.nodearray for each in saw.nodes}):
        return
    try:
        with opened(ctx) as control:
            arrays = {each.nodearray for each in control.provider.cloud().buckets}
    except ScalelibError as error:
        click.echo(f"note: whether there is a nodearray {nodearray!r} is not known: {error}", err=True)
        return
    if nodearray.lower() not in map(str.lower, arrays):
        raise asking.unknown("nodearray", nodearray, arrays, f"there are {', '.join(sorted(arrays))}")
