"""The command `create`: nodes of one kind, launched because a person wants them."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from autoscaler_app.cli import show
from autoscaler_app.cli.by_hand import asking
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from autoscaler_app.memory.stories.budget import money
from scalelib.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 10_000
"""Nodes in one order."""


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, MOST), default=1, show_default=True, help="How many.")
@click.option("-a", "--nodearray", default="", help="In this nodearray.")
@click.option("-v", "--vm-size", default="", help="Of this size; the cheapest that fits, if not given.")
@click.option("-p", "--placement-group", default=None, help="In this placement group.")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be launched, and its price, and no more.")
@asking.why_option
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def create(
    ctx: click.Context,
    count: int,
    nodearray: str,
    vm_size: str,
    placement_group: str | None,
    dry_run: bool,
    why: str,
    json_: bool,
) -> None:
    """Launch nodes by hand, in the next pass. Those that stay idle go as any others; `hold` keeps one."""
    with opened(ctx) as control:
        found = chosen(show.buckets_of(control.provider.cloud()), nodearray, vm_size, count)
        currency = control.settings.autoscaler.currency
    price = None if found["price_per_hour"] is None else found["price_per_hour"] * count
    what = f"{count} x {found['nodearray']}/{found['vm_size']}{' spot' if found['spot'] else ''}"
    costs = "at an unknown price" if price is None else f"at {money(price, currency, places=3)} per hour"
    order = None
    if not dry_run:
        order = _order(found, count, placement_group, asking.one_line(why))
    if json_:
        say(as_json({"order": order, "bucket": found, "count": count, "price_per_hour": price}))
    else:
        say(
            f"{what}, {costs}: "
            + ("the next pass launches them" if order else "nothing is launched (--dry-run)")
        )


def _order(found: dict[str, Any], count: int, placement_group: str | None, why: str) -> Any:
    from autoscaler_app import settings as settings_module
    from autoscaler_app.memory.orders import Create, add_create
    from autoscaler_app.memory.state import State

    order = Create(
        id=str(uuid.uuid4()),
        nodearray=found["nodearray"],
        vm_size=found["vm_size"],
        spot=found["spot"],
        count=count,
        placement_group=placement_group,
        who=asking.who(),
        why=why,
        at=datetime.now(UTC),
    )
    with closing(State(settings_module.load().state_file)) as state:
        add_create(state, order)
    return order


def chosen(buckets: Sequence[dict[str, Any]], nodearray: str, vm_size: str, count: int) -> dict[str, Any]:
    """The cheapest kind of machine of this nodearray and size of which so many can be had.

    Raises InvalidInput, which names what stands against it.
    """
    for key, name in (("nodearray", nodearray), ("vm_size", vm_size)):
        names = sorted({each[key] for each in buckets})
        if name and name.lower() not in map(str.lower, names):
            raise asking.unknown(key.replace("_", " "), name, names, f"there are {', '.join(names)}")
    fitting = [
        each
        for each in buckets
        if nodearray.lower() in ("", each["nodearray"].lower())
        and vm_size.lower() in ("", each["vm_size"].lower())
    ]
    to_be_had = [each for each in fitting if not _against(each, count)]
    if to_be_had:
        return min(to_be_had, key=_price)
    if not fitting:
        raise InvalidInput(f"nodearray {nodearray!r} has no {vm_size}; `buckets` lists what there is")
    first = min(fitting, key=_price)
    raise InvalidInput(
        f"{count} x {first['nodearray']}/{first['vm_size']} cannot be had: {_against(first, count)}"
    )


def _price(bucket: dict[str, Any]) -> tuple[bool, float, str]:
    price = bucket["price_per_hour"]
    return price is None, price or 0.0, bucket["vm_size"]


def _against(bucket: dict[str, Any], count: int) -> str:
    """What stands against so many of it; empty if nothing does."""
    if bucket["set_aside"]:
        return f"{bucket['set_aside']} (`retry-failed` lets one be tried)"
    if bucket["available"] is not None and bucket["available"] < count:
        return f"{bucket['available']} are left, by the limit of {bucket['limit']}"
    return ""
