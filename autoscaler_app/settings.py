"""Settings of the control side: read once, handed in, never changed.

They stand in `autoscale.json`: the keys that users of scalelib know at the top, ours under `"autoscaler"`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from autoscaler_app.passes.decide.bounds import quiet
from scalelib.config import load as load_config
from scalelib.errors import InvalidConfig

CONFIG_VARIABLE = "AUTOSCALER_CONFIG"
SECRETS = ("password", "password_file")


class Autoscaler(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys under `"autoscaler"`. Durations are seconds."""

    state_file: str = "autoscaler.db"
    """The one file of state on the broker node; relative to `autoscale.json`."""
    queues: tuple[str, ...] = ("celery",)
    """Plain queues to watch; a task in one of them counts as {"ncpus": 1}."""
    target_drain_time: float = 300.0
    """A backlog whose run time is known is to be worked off within this time."""
    estimate_run_times: bool = True
    """False: one slot per waiting task, always."""
    eta_margin: float = 60.0
    """A task with an ETA becomes demand by so much more than a node's boot time before it is due."""
    beat_schedule_app: str = ""
    """The app whose `beat_schedule` is foreseen, as `celery -A` takes it; empty: none."""
    join_timeout: float = 180.0
    """A node that is Ready and whose worker has not been heard for so long is replaced."""
    silent_timeout: float = 600.0
    """A node whose worker was heard once, and then not for so long, is replaced."""
    hunger_timeout: float = 180.0
    """A host that has room and starts nothing of what waits in its queues for so long is replaced."""
    sizes_kept: float = 86_400.0
    """What machines of a size told that they have is forgotten when none has told it for so long."""
    futile_times: int = 4
    """Machines that were bought for some work so many times in a row and ran none of it: it is futile."""
    futile_backoff: float = 300.0
    """Nothing is bought for such work for so long after the second time; twice as long after each more."""
    futile_retry: float = 3600.0
    """One slot of futile work is tried so often."""
    give_back_after: float = 60.0
    """Redis: a message that was taken and that no worker has for so long goes back to its queue; 0: never."""
    rabbitmq_management_url: str = ""
    """Where RabbitMQ's management plugin answers, without user: then it is asked what is unacknowledged."""
    drain_timeout: float = 900.0
    """A drain that takes longer is reported as stuck."""
    unhealthy_share: float = 0.45
    """If more than this share of the nodes (and more than `unhealthy_least`) went silent, hold on."""
    unhealthy_least: int = 3
    told_within: float = 45.0
    """A host that has not told what it runs for so long is asked directly."""
    ask_timeout: float = 2.0
    """How long a pass waits for the hosts that it asks."""
    lock_patience: float = 10.0
    """How long the control worker waits for a pass that a command makes."""
    journal_kept: float = 30 * 86_400.0
    """How long a pass is in the journal, in seconds; what is older than a day is thinned out."""
    journal_bytes: int = 150_000_000
    """No more of the journal is kept than this, of what is packed; the oldest goes first."""
    stories_kept: float = 30 * 86_400.0
    """How long it is told of a node that is gone, and of what a day has cost, in seconds."""
    budget_per_day: float | None = None
    """Money that may be spent in a day (UTC); none: no budget."""
    budget_per_month: float | None = None
    budget_stops: bool = False
    """Nothing is launched while a budget is used up; else that is only a warning."""
    currency: str = ""
    """What the prices are in, for people."""
    lease_seconds: float = 10.0
    """So long the lease of the broker outlives a control side that died; the interval, if that is shorter."""
    kinds_kept: float = 7 * 86_400.0
    """A kind of task that nobody has announced, sent or run for so long is forgotten until it is again."""
    control_host: str = ""
    """Host name of the broker node, where the broker's address does not tell (a managed broker, say)."""
    signing: bool = False
    """Nothing is believed in a node's name that it has not signed; commands are signed (docs/signing.md)."""
    alarm_url_file: str = ""
    """A file for its owner only that says where alarms go; relative to `autoscale.json`."""
    log_json: bool = False
    """The log of the control worker is one JSON object a line."""
    metrics_port: int | None = None
    """Where the control worker serves its metrics; none: nowhere; 0: a free port."""
    metrics_host: str = "127.0.0.1"
    """The address of that: this machine's own, unless others are to read them."""
    most_leaving: int = 0
    """So many nodes may be on their way out at once, of those that the autoscaler chooses; 0: any number."""
    most_leaving_share: float = 1.0
    """The same as a share of all nodes; one may always be."""
    quiet_hours: tuple[str, ...] = ()
    """Times in which no node is chosen to go: `mon-fri 08:00-18:00`."""
    quiet_zone: str = "UTC"
    """The time zone of `quiet_hours`."""
    shadow: bool = False
    """Decide and report, and act on nothing."""
    paused_long: float = 86_400.0
    """A pause that has lasted for so many seconds is told as bad, no longer as a warning."""
    least_gap: float = 1.0
    """Passes that are asked for begin at least so far apart."""
    batch_quick: float = 0.25
    """A new demand asks for a pass after this long, if it came at once …"""
    batch_idle: float = 1.0
    """… and, while more keeps coming, after this long without another one …"""
    batch_longest: float = 10.0
    """… and after this long at the latest."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the control side was told."""

    config: dict[str, Any]
    autoscaler: Autoscaler
    folder: Path
    """Where relative paths start: the folder of `autoscale.json`."""

    @property
    def state_file(self) -> Path:
        """The state file, absolute."""
        return self.folder / self.autoscaler.state_file

    @property
    def alarm_url_file(self) -> Path | None:
        """The file that says where alarms go; None: there is none."""
        named = self.autoscaler.alarm_url_file
        return self.folder / named if named else None

    @property
    def lock_file(self) -> Path:
        """Held by the pass that runs."""
        named = self.config.get("lock_file")
        return self.folder / named if named else self.state_file.with_suffix(".lock")

    @property
    def key_file(self) -> Path:
        """The control side's key pair, where it signs."""
        return self.state_file.with_suffix(".key")

    @property
    def mark_file(self) -> Path:
        """Held by the control worker for as long as it lives."""
        return self.state_file.with_suffix(".worker")

    @property
    def public_config(self) -> dict[str, Any]:
        """The configuration without secrets, as snapshots carry it."""
        return {key: value for key, value in self.config.items() if key not in SECRETS}


def read_autoscaler(config: Mapping[str, Any], place: str) -> Autoscaler:
    """Our own section of a configuration. Raises InvalidConfig naming key and place."""
    try:
        section = msgspec.convert(config.get("autoscaler", {}), Autoscaler, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{place}: in 'autoscaler': {error}") from error
    for name in ("target_drain_time", "join_timeout", "silent_timeout", "drain_timeout", "ask_timeout"):
        seconds = getattr(section, name)
        if not 0 < seconds < timedelta(days=365).total_seconds():
            raise InvalidConfig(
                f"{place}: autoscaler.{name} is {seconds}; it is a number of seconds greater than 0"
            )
    if not 0 <= section.give_back_after < timedelta(days=365).total_seconds():
        raise InvalidConfig(
            f"{place}: autoscaler.give_back_after is {section.give_back_after}; it is a number of seconds, "
            "0 to give nothing back"
        )
    if section.metrics_port is not None and not 0 <= section.metrics_port <= 65535:
        raise InvalidConfig(
            f"{place}: autoscaler.metrics_port is {section.metrics_port}; a port is from 0 to 65535"
        )
    for name in ("budget_per_day", "budget_per_month"):
        allowed = getattr(section, name)
        if allowed is not None and not 0 < allowed < 1e12:
            raise InvalidConfig(f"{place}: autoscaler.{name} is {allowed}; it is money, more than 0")
    if len(section.currency) > 8 or not section.currency.isprintable():
        raise InvalidConfig(
            f"{place}: autoscaler.currency is {section.currency!r}; it is a short word or sign, such as EUR"
        )
    if not 1 <= section.lease_seconds <= 3600:
        raise InvalidConfig(
            f"{place}: autoscaler.lease_seconds is {section.lease_seconds}; it is between 1 and 3600"
        )
    if section.silent_timeout < 2 * section.told_within:
        raise InvalidConfig(
            f"{place}: autoscaler.silent_timeout is {section.silent_timeout}; it is at least twice "
            f"autoscaler.told_within ({section.told_within}), or hosts that are asked seldom look silent"
        )
    if section.most_leaving < 0:
        raise InvalidConfig(
            f"{place}: autoscaler.most_leaving is {section.most_leaving}; it is a number of nodes, 0 for any"
        )
    if not 0 < section.most_leaving_share <= 1:
        raise InvalidConfig(
            f"{place}: autoscaler.most_leaving_share is {section.most_leaving_share}; it is more than 0, "
            "and 1 for all nodes"
        )
    for window in section.quiet_hours:
        try:
            quiet.parse(window)
        except InvalidConfig as error:
            raise InvalidConfig(f"{place}: autoscaler.quiet_hours: {error}") from error
    try:
        ZoneInfo(section.quiet_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidConfig(
            f"{place}: autoscaler.quiet_zone is {section.quiet_zone!r}, which is no time zone known here; "
            "'Europe/London' would be right"
        ) from error
    return section


def named() -> Path:
    """The file that is read: $AUTOSCALER_CONFIG, else `autoscale.json` in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE, "autoscale.json"))


def load(path: Path | None = None) -> Settings:
    """Read `autoscale.json`: `path`, or else the one that is `named`.

    Raises InvalidConfig that names file, key and what would be right.
    """
    path = path or named()
    config = load_config(path)
    return Settings(
        config=config, autoscaler=read_autoscaler(config, str(path)), folder=path.resolve().parent
    )
