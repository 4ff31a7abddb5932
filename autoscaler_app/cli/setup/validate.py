"""The command `validate`: which machines could hold a task, and what is in the way on the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from autoscaler_app.cli import show
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from scalelib.errors import InvalidInput

if TYPE_CHECKING:
    from celery_resources import Requirement
    from scalelib.bucket import Bucket
    from scalelib.policy import Policy


class OnBucket(msgspec.Struct, frozen=True, kw_only=True):
    """The task on one kind of machine."""

    nodearray: str
    vm_size: str
    spot: bool
    holds: int
    """How many of it one machine holds; of a gang, of one node's part."""
    price_each: float | None
    """Money per hour for one of them, on a machine full of them; None where none fits."""
    why_not: str
    """What is in the way, on this kind of machine or just now."""


@click.command()
@click.argument("constraints")
@click.option("--node-count", default=0, help="So many nodes at once.")
@click.option("--colocated", is_flag=True, help="All of them in one placement group.")
@click.option("--exclusive", is_flag=True, help="Nothing else on the node meanwhile.")
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def validate(
    ctx: click.Context, constraints: str, node_count: int, colocated: bool, exclusive: bool, json_: bool
) -> None:
    """Which machines could hold a task of these CONSTRAINTS ('{"ncpus": 4}'), and why others could not.

    Exit code 0 if one could, 1 if none could. Limits are not asked: `whatif --constraints` does that.
    """
    from autoscaler_app.passes.decide.offered import offered
    from autoscaler_app.passes.decide.sizes import told
    from autoscaler_app.passes.observe.learnt import recall
    from celery_resources import Requirement
    from celery_resources.errors import InvalidRequirement
    from scalelib.policy import Policy

    try:
        wanted = Requirement(
            json.loads(constraints), node_count=node_count, colocated=colocated, exclusive=exclusive
        )
    except (json.JSONDecodeError, InvalidRequirement) as error:
        raise InvalidInput(f"the constraints {constraints!r}: {error}") from error
    with opened(ctx) as control:
        seen = {size: told(known) for size, known in recall(control.state).sizes.items()}
        buckets = offered(control.provider.cloud().buckets, control.provider.set_aside(), seen)
        found = on_buckets(wanted, buckets, Policy.from_config(control.settings.config), control.now())
    say(as_json(found) if json_ else text(found))
    ctx.exit(0 if any(each.holds for each in found) else 1)


def on_buckets(
    wanted: Requirement, buckets: Sequence[Bucket], policy: Policy, now: datetime
) -> list[OnBucket]:
    """The task on one machine of each kind. Raises InvalidConstraint."""
    from scalelib.job import Job
    from scalelib.trying import tried

    job = Job(
        "a task",
        dict(wanted.constraints),
        node_count=wanted.node_count,
        colocated=wanted.colocated,
        exclusive=wanted.exclusive,
    )
    return [
        OnBucket(
            nodearray=each.bucket.nodearray,
            vm_size=each.bucket.vm_size,
            spot=each.bucket.spot,
            holds=each.slots,
            price_each=each.price_per_hour / each.slots if each.slots else None,
            why_not=each.why_not or each.now_not,
        )
        for each in tried(job, buckets, policy, now)
    ]


def text(found: Iterable[OnBucket]) -> str:
    """The same for people: those that could hold it first, the cheapest on top."""
    found = sorted(found, key=lambda each: (each.price_each is None, each.price_each or 0.0))
    rows = (
        (
            each.nodearray,
            f"{each.vm_size}{' spot' if each.spot else ''}",
            each.holds or "none",
            None if each.price_each is None else f"{each.price_each:.4f}",
        )
        for each in found
    )
    table = show.table(
        ("nodearray", "vm_size", "holds", "each/h"), rows, empty="there is no kind of machine to launch"
    )
    refused: dict[str, list[str]] = {}
    for each in found:
        if each.why_not:
            refused.setdefault(each.why_not, []).append(f"{each.nodearray}/{each.vm_size}")
    notes = [f"{', '.join(kinds)}: {why}" for why, kinds in refused.items()]
    return "\n".join([table, *([""] if notes else []), *notes])
