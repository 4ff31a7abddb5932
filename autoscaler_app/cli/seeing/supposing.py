"""The command `whatif`: what would be planned, and what it would cost, if other work waited."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoscaler_app import settings as settings_module
from autoscaler_app.cli import show
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from autoscaler_app.cli.tables import table
from autoscaler_app.memory.stories.budget import money
from autoscaler_app.passes.report import bucket_name
from scalelib.errors import InvalidInput

if TYPE_CHECKING:
    from autoscaler_app.passes.decide.supposing import Outcome
    from autoscaler_app.passes.plan import Launch
    from celery_resources import Requirement


@click.command()
@click.argument("waiting", nargs=-1, metavar="[QUEUE=COUNT]...")
@click.option("--constraints", help="What other tasks would need, as JSON: '{\"ncpus\": 4}'.")
@click.option("--count", default=1, show_default=True, help="How many of those.")
@click.option(
    "--idle-timeout", type=click.FloatRange(min=0), help="Seconds after which idle nodes would be ended."
)
@click.option(
    "--snapshot",
    "file",
    type=click.Path(path_type=Path),
    help="From this file, as `plan --save` writes it, instead of a look at the world.",
)
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def whatif(
    ctx: click.Context,
    waiting: Sequence[str],
    constraints: str | None,
    count: int,
    idle_timeout: float | None,
    file: Path | None,
    json_: bool,
) -> None:
    """What would be planned if COUNT tasks waited in QUEUE; touches nothing. With nothing else, what is."""
    from autoscaler_app.passes import snapshot
    from autoscaler_app.passes.decide.supposing import outcome, supposed

    counts: dict[Requirement | str, int] = dict(map(_read, waiting))
    if constraints is not None:
        counts[_requirement(constraints)] = count
    if file is not None:
        seen = snapshot.load(file)
    else:
        from autoscaler_app.passes.one_pass import dry_run

        with opened(ctx) as control:
            seen = dry_run(control)[0].snapshot
    then = outcome(supposed(seen, counts, idle_timeout))
    currency = settings_module.read_autoscaler(seen.config, "the snapshot").currency
    say(as_json(then) if json_ else text(then, currency))


def _read(wish: str) -> tuple[str, int]:
    # A derived name has such signs itself: res:ncpus=4=500.
    queue, equals, count = wish.rpartition("=")
    if not (equals and queue and count.isascii() and count.isdigit()):
        raise InvalidInput(f"{wish!r} is no QUEUE=COUNT; celery=500 would be right")
    return queue, int(count)


def _requirement(text: str) -> Requirement:
    from celery_resources import Requirement
    from celery_resources.errors import InvalidRequirement

    try:
        return Requirement.from_json(json.loads(text))
    except (json.JSONDecodeError, InvalidRequirement) as error:
        raise InvalidInput(f"--constraints is {text!r}: {error}") from error


def text(then: Outcome, currency: str = "") -> str:
    """The same for people."""

    def hourly(price: float, *, is_estimated: bool) -> str:
        return f"{money(price, currency, is_estimated=is_estimated, places=3)}/h"

    lines = [
        *(
            f"launch    {entry.count} x {entry.nodearray}/{entry.vm_size}{' spot' if entry.spot else ''}"
            f"  ({hourly(entry.price_per_hour, is_estimated=_name(entry) in then.estimated)})"
            f"  for {_jobs(entry.jobs.items())}"
            for entry in then.launch
        ),
        *(f"end       {name}" for name in then.going),
        *(
            f"unserved  {entry.count} of {entry.job} ({entry.reason}): {entry.detail}"
            for entry in then.unserved
        ),
    ]
    lines = lines or ["nothing would be launched or ended"]
    waits = table(
        ("queue", "waiting", "slots", "unserved", "runs for", "done in"),
        (
            (
                queue.queue,
                queue.waiting,
                queue.slots,
                queue.unserved,
                _span(queue.run_seconds),
                _span(queue.done_seconds),
            )
            for queue in then.queues
        ),
        empty="nothing would wait",
    )
    now, later = (
        f"{show.plural(nodes, 'node')}, {hourly(price, is_estimated=then.is_estimated)}"
        for nodes, price in ((then.nodes_now, then.price_now), (then.nodes_then, then.price_then))
    )
    lines += ["", waits, "", f"now {now}; then {later}"]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in then.warnings)])


def _name(launch: Launch) -> str:
    return bucket_name(launch.nodearray, launch.vm_size, launch.spot)


def _jobs(jobs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in jobs)


def _span(seconds: float | None) -> str:
    return "unknown" if seconds is None else show.span(seconds)
