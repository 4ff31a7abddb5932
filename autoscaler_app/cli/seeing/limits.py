"""The command `limits`: every ceiling over what can be launched, what is left, and which of them binds."""

from __future__ import annotations

import click
import msgspec

from autoscaler_app.cli.opening import as_json, opened, say, speaks
from autoscaler_app.cli.tables import table
from scalelib.bucket import Bucket, PoolKind, room_left
from scalelib.provider import Cloud


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One ceiling."""

    limit: PoolKind
    """What it is over, in the words of plans."""
    name: str
    nodes_left: int | None
    """How many nodes may be added; None: it does not count nodes."""
    cores_left: int | None
    """The same of cores."""
    over: tuple[str, ...]
    """Kinds of machine under it, `<nodearray>/<vm_size>`."""
    binds: tuple[str, ...]
    """Those of them of which it leaves no more than any other ceiling does."""


@click.command()
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def limits(ctx: click.Context, json_: bool) -> None:
    """The ceilings over nodes and cores (cluster, nodearray, size, quotas), what is left, which one binds."""
    with opened(ctx) as control:
        found = of(control.provider.cloud())
    say(as_json(found) if json_ else text(found))


def of(cloud: Cloud) -> list[Limit]:
    """Pure: the ceilings of this cloud, those that leave least first."""
    pools = {pool.name: pool for pool in cloud.pools}
    tightest = {bucket.id: room_left(bucket, pools)[1] for bucket in cloud.buckets}
    found = []
    for pool in cloud.pools:
        if pool.nodes is None and pool.cores is None:
            continue
        under = [bucket for bucket in cloud.buckets if pool.name in bucket.pools]
        binds = [bucket for bucket in under if tightest[bucket.id] is pool.kind]
        found.append(
            Limit(
                limit=pool.kind,
                name=pool.name,
                nodes_left=pool.nodes,
                cores_left=pool.cores,
                over=_names(under),
                binds=_names(binds),
            )
        )
    found.sort(key=lambda each: (not each.binds, each.limit.value, each.name))
    return found


def _names(buckets: list[Bucket]) -> tuple[str, ...]:
    return tuple(f"{bucket.nodearray}/{bucket.vm_size}{' spot' if bucket.spot else ''}" for bucket in buckets)


def _called(each: Limit) -> str:
    """What a person calls it: a kind of machine has an id in the cloud that says nothing."""
    if each.limit is PoolKind.BUCKET and each.over:
        return ", ".join(each.over)
    return each.name.partition("/")[2] or each.name


def text(found: list[Limit]) -> str:
    """The same for people."""
    return table(
        ("limit", "name", "nodes left", "cores left", "binds"),
        (
            (each.limit.value, _called(each), each.nodes_left, each.cores_left, ", ".join(each.binds))
            for each in found
        ),
        empty="nothing limits what can be launched",
    )
