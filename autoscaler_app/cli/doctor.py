"""The command `doctor`: everything that is seen to lose work or money, each with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import click
import msgspec

from autoscaler_app.brokers import BrokerError
from autoscaler_app.cli import health, process
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from autoscaler_app.memory.orders import PAUSED, recall
from scalelib.demand import UnservedReason
from scalelib.errors import ScalelibError
from scalelib.names import ByName

if TYPE_CHECKING:
    from autoscaler_app.passes.control import Control
    from autoscaler_app.passes.observe.sight import Sight
    from autoscaler_app.passes.plan import Plan
    from scalelib.provider import Cloud

LEAST_DISK = 200 * 2**20
"""Bytes that are to be free where the state file is."""


class Weight(IntEnum):
    """How bad it is; the worst is the exit code."""

    NOTE = 0
    """Worth knowing; nothing is wrong."""
    WARNING = 1
    """Costs money or time, or may lose work."""
    BAD = 2
    """The autoscaler does not do its work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One matter."""

    weight: Weight
    about: str
    """`settings`, `cloud`, `broker`, `control`, `passes`, `work`, `state`."""
    sentence: str
    """What it is, and what to do."""


WHAT_TO_DO: Mapping[UnservedReason, str] = {
    UnservedReason.NEVER: "change the constraints of the task (docs/constraints.md says how they are read)",
    UnservedReason.NO_BUCKETS: "enable a nodearray of the cluster (`buckets`)",
    UnservedReason.UNKNOWN_RESOURCE: "mind the spelling, or give machines the resource (default_resources)",
    UnservedReason.NEVER_FITS: "ask for less, or add a larger size to a nodearray",
    UnservedReason.TOLD_LESS: "ask for what they really have (`buckets`), or `try-again` when they have more",
    UnservedReason.FUTILE: "see why the machines ran none of it (`history`, `why NODE`), then `try-again`",
    UnservedReason.PAUSED: "`resume`, with the queue or nodearray that is paused",
    UnservedReason.NO_MONEY: "wait for the next day or month, or raise budget_per_day or budget_per_month",
    UnservedReason.SET_ASIDE: "wait until the cloud has capacity again, or add sizes to a nodearray",
    UnservedReason.RESERVED: "ask for what the machines have, or set nodearrays.<name>.reserved to false",
    UnservedReason.SHARED_RESOURCE: "wait until others release it, or raise what the cluster shares",
    UnservedReason.GANG_INCOMPLETE: "raise the limit that the reason names, or ask for fewer nodes at once",
    UnservedReason.BUCKET: "raise MaxCount of this size",
    UnservedReason.NODEARRAY: "raise MaxCoreCount or MaxCount of the nodearray",
    UnservedReason.CLUSTER: "raise MaxCoreCount of the cluster",
    UnservedReason.QUOTA_FAMILY: "ask Azure for more cores of this family, or add another one",
    UnservedReason.QUOTA_REGIONAL: "ask Azure for more cores in this region, or add another one",
    UnservedReason.QUOTA_SPOT: "ask Azure for more spot cores, or add ordinary machines",
    UnservedReason.PLACEMENT_GROUP: "raise Azure.MaxScalesetSize, or allow more placement groups",
}
"""By reason why work has no place; docs/runbook.md has the same table."""

TELLS_IT_ITSELF = (UnservedReason.NEVER_FITS, UnservedReason.RESERVED)
"""Reasons whose sentence ends with what to do."""


@click.command()
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
@speaks
def doctor(ctx: click.Context, json_: bool) -> None:
    """Look for all that loses work or money, and say what to do. Exit code 0, 1 (warnings) or 2 (bad)."""
    with opened(ctx) as control:
        found = examine(control, interval=_interval(ctx.obj.app))
    say(as_json(found) if json_ else text(found))
    ctx.exit(max((finding.weight for finding in found), default=Weight.NOTE))


def _interval(app: Any) -> timedelta:
    from autoscaler_app.schedule import interval_of

    return interval_of(app.conf.beat_schedule)


def text(found: Iterable[Finding]) -> str:
    """The same for people."""
    lines = [f"{each.weight.name:8} {each.about:9} {each.sentence}" for each in found]
    return "\n".join(lines) or "nothing is wrong that can be seen from here"


def examine(control: Control, interval: timedelta) -> list[Finding]:
    """Everything that was found, the worst first. What cannot be examined is a finding itself."""
    found = [
        *_guarded("passes", lambda: _passes(control, interval)),
        *_guarded("control", lambda: _control(control)),
        *_guarded("broker", lambda: _broker(control)),
        *_guarded("cloud", lambda: _cloud(control)),
        *_guarded("work", lambda: _work(control)),
        *_guarded("state", lambda: _state(control)),
    ]
    return sorted(dict.fromkeys(found), key=lambda finding: -finding.weight)


def _guarded(about: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except (ScalelibError, BrokerError) as error:
        return [Finding(weight=Weight.BAD, about=about, sentence=f"could not be examined: {error}")]


def _passes(control: Control, interval: timedelta) -> Iterator[Finding]:
    """What `status --check` says of passes."""
    last = next(iter(control.reports(1)), None)
    paused = recall(control.state, control.now()).pauses
    long = control.settings.autoscaler.paused_long
    for matter in health.matters_of_passes(last, control.now(), interval, paused=paused, paused_long=long):
        yield Finding(weight=Weight(matter.code), about="passes", sentence=matter.sentence)


def _control(control: Control) -> Iterator[Finding]:
    worker = process.facts(process.look())
    if worker is None:
        said = "no control worker runs here with this state file: start it, or look on the broker node"
        yield Finding(weight=Weight.WARNING, about="control", sentence=said)
    elif worker["why_not"]:
        yield Finding(weight=Weight.BAD, about="control", sentence=f"not in charge: {worker['why_not']}")
    if other := control.lease.who():
        said = f"{other} holds the lease of this broker: a second control side? Only one of them acts"
        yield Finding(weight=Weight.WARNING, about="control", sentence=said)
    if (backend := control.app.conf.result_backend) is None or backend == "disabled://":
        said = "no result backend is set: `autoscale.delay().get()` cannot be answered (result_backend)"
        yield Finding(weight=Weight.NOTE, about="control", sentence=said)


def _broker(control: Control) -> Iterator[Finding]:
    from autoscaler_app.worker.visibility import dangerous_visibility

    for danger in control.broker.dangers():
        yield Finding(weight=Weight.WARNING, about="broker", sentence=danger)
    options = control.app.conf.broker_transport_options or {}
    if (too_short := dangerous_visibility(options)) is not None:
        yield Finding(weight=Weight.WARNING, about="broker", sentence=too_short)


def _cloud(control: Control) -> Iterator[Finding]:
    cloud = control.provider.cloud()
    yield from _names(control.settings.config, cloud)
    unpriced = sorted(
        {_priced(each.vm_size, each.spot) for each in cloud.buckets if each.price_per_hour is None}
    )
    if unpriced:
        said = f"no price is given for {_some(unpriced)}: it is estimated (`prices` in autoscale.json)"
        yield Finding(weight=Weight.WARNING, about="settings", sentence=said)
    for what, why in control.provider.set_aside().items():
        yield Finding(weight=Weight.WARNING, about="cloud", sentence=f"nothing is launched in {what}: {why}")


def _names(config: Mapping[str, Any], cloud: Cloud) -> Iterator[Finding]:
    """Names in the settings that nothing in the cloud has."""
    sizes = ByName({_priced(each.vm_size, each.spot): True for each in cloud.buckets})
    arrays = ByName({each.nodearray: True for each in cloud.buckets} | {"default": True})
    said = [
        ("prices", name, "no nodearray offers it") for name in config.get("prices") or {} if name not in sizes
    ]
    for key in ("idle_timeout", "boot_timeout", "nodearrays", "priorities"):
        section = config.get(key)
        names = section if isinstance(section, Mapping) else {}
        said += [(key, name, "the cluster has no such nodearray") for name in names if name not in arrays]
    for key, name, why in said:
        sentence = f"{key} has {name!r}, and {why}: mind the spelling, or take it out"
        yield Finding(weight=Weight.WARNING, about="settings", sentence=sentence)


def _priced(vm_size: str, spot: bool) -> str:
    return f"{vm_size}/spot" if spot else vm_size


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _work(control: Control) -> Iterator[Finding]:
    from autoscaler_app.passes.one_pass import dry_run

    sight, plan = dry_run(control)
    yield from _warnings(sight, plan)
    for entry in plan.unserved:
        try:
            reason = UnservedReason(entry.reason)
            todo = "" if reason in TELLS_IT_ITSELF else f"; {WHAT_TO_DO[reason]}"
        except ValueError:
            todo = "; `explain --queue` has more"
        said = f"{entry.count} of {entry.job} have no place ({entry.reason}): {entry.detail}{todo}"
        yield Finding(weight=Weight.WARNING, about="work", sentence=said)


def _warnings(sight: Sight, plan: Plan) -> Iterator[Finding]:
    for warning in dict.fromkeys((*sight.warnings, *plan.warnings)):
        if warning.startswith(PAUSED):  # told already
            continue
        yield Finding(weight=Weight.WARNING, about="work", sentence=warning)


def _state(control: Control) -> Iterator[Finding]:
    path = control.settings.state_file
    free = shutil.disk_usage(path.parent).free
    if free < LEAST_DISK:
        said = (
            f"{free / 2**20:.0f} MiB are free where {path} is: what passes remember cannot be kept for long"
        )
        yield Finding(weight=Weight.BAD, about="state", sentence=said)
    if path.exists() and (mode := os.stat(path).st_mode & 0o077):
        said = f"{path} can be read by others (mode …{mode:03o}): chmod 600"
        yield Finding(weight=Weight.WARNING, about="state", sentence=said)
