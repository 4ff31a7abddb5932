"""How the planner is to decide: timeouts, warm pool, expander, prices, solver. Read once, then only used."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Final, TypeVar

from scalelib.amounts import shown
from scalelib.errors import InvalidConfig
from scalelib.names import ByName
from scalelib.resources import Rule, read_rules
from scalelib.spelling import nearest
from scalelib.warm import WarmPool, read_warm_pool

T = TypeVar("T")

IDLE_TIMEOUT: Final = timedelta(seconds=300)
BOOT_TIMEOUT: Final = timedelta(seconds=1800)
_MOST_SECONDS: Final = 10**9
_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Expander(Enum):
    """What decides between kinds of machine that would all do."""

    LEAST_COST = "least-cost"
    """The least money per hour for all that waits (default)."""
    LEAST_WASTE = "least-waste"
    """The least left empty on each machine."""
    MOST_AVAILABLE = "most-available"
    """The kind of which most may still be had."""
    PRIORITY = "priority"
    """The nodearray of the highest priority; money breaks ties."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeout:
    """A time per nodearray."""

    default: timedelta
    nodearrays: Mapping[str, timedelta] = field(default_factory=dict)

    def __call__(self, nodearray: str) -> timedelta:
        """The time for this nodearray."""
        return self.nodearrays.get(nodearray, self.default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """Placement groups of one nodearray."""

    names: tuple[str, ...] = ()
    """Groups to use; with none given, names are made up as needed."""
    most: int = 10_000
    """Most groups of the nodearray, over all its sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How to decide."""

    idle_timeout: Timeout = Timeout(default=IDLE_TIMEOUT)
    boot_timeout: Timeout = Timeout(default=BOOT_TIMEOUT)
    warm_pool: WarmPool = field(default_factory=WarmPool)
    expander: Expander = Expander.LEAST_COST
    prices: Mapping[str, float] = field(default_factory=dict)
    """Money per hour by `<vm_size>` and `<vm_size>/spot`; see `scalelib.prices` for what is missing."""
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Priority by nodearray, in place of the cloud's."""
    solver: bool = True
    solver_seconds: float = 2.0
    """Budget of one pass for the optimal packer."""
    default_resources: tuple[Rule, ...] = ()
    disable_default_resources: bool = False
    groups: Mapping[str, Groups] = field(default_factory=dict)
    """By nodearray; `default` for those not named."""
    reserved: Mapping[str, bool | tuple[str, ...]] = field(default_factory=dict)
    """By nodearray, `default` for those not named: only for work that asks for what its machines have that
    others have not (true), or for one of these resources. Where nothing is said: true for machines with GPUs.
    """

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Policy:
        """The policy in a configuration; keys that are none of the planner's are left alone."""
        return cls(
            idle_timeout=_timeout(config, "idle_timeout", IDLE_TIMEOUT),
            boot_timeout=_timeout(config, "boot_timeout", BOOT_TIMEOUT),
            warm_pool=read_warm_pool(config.get("warm_pool", {}), "warm_pool"),
            expander=_expander(config.get("expander", Expander.LEAST_COST.value)),
            prices=_numbers(config, "prices", _price),
            priorities=_numbers(config, "priorities", _priority),
            solver=_truth(config, "solver", True),
            solver_seconds=_number(config.get("solver_seconds", 2.0), "solver_seconds", 3600.0),
            default_resources=read_rules(config.get("default_resources", [])),
            disable_default_resources=_truth(config, "disable_default_resources", False),
            groups=_groups(config.get("nodearrays", {})),
            reserved=_reserved(config.get("nodearrays", {})),
        )

    def reserved_of(self, nodearray: str) -> bool | tuple[str, ...] | None:
        """Whether this nodearray is reserved, and by which resources it is opened; None: nothing is said."""
        return self.reserved.get(nodearray, self.reserved.get("default"))

    def groups_of(self, nodearray: str) -> Groups:
        """The settings for placement groups of this nodearray."""
        return self.groups.get(nodearray) or self.groups.get("default") or Groups()


def object_at(value: object, place: str) -> Mapping[str, object]:
    """The value as an object with text keys, or InvalidConfig."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidConfig(f"{place}: {shown(value)} is no object: write {{...}}")
    return value


def check_keys(value: Mapping[str, object], known: Collection[str], place: str) -> None:
    """Raise InvalidConfig for a key that is not known, naming the nearest one."""
    for key in value:
        if key not in known:
            meant = nearest(key, known)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(known))}"
            raise InvalidConfig(f"{place}: unknown key {key!r}: {hint}")


def _number(value: object, place: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidConfig(f"{place}: {shown(value)} is no number from 0 to {most:g}")
    return float(value)


def _truth(config: Mapping[str, object], key: str, default: bool) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise InvalidConfig(f"{key}: {shown(value)} is neither true nor false")
    return value


def _seconds(value: object, place: str) -> timedelta:
    """A number, or digits as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
        raise InvalidConfig(f"{place}: {shown(value)} is no number of seconds: write one of 0 or more")
    return timedelta(seconds=value)


def _timeout(config: Mapping[str, object], key: str, default: timedelta) -> Timeout:
    value = config.get(key)
    if value is None:
        return Timeout(default=default)
    if not isinstance(value, Mapping):
        return Timeout(default=_seconds(value, key))
    times = {name: _seconds(each, f"{key}.{name}") for name, each in object_at(value, key).items()}
    return Timeout(default=times.pop("default", default), nodearrays=ByName.read(times, key))


def _expander(value: object) -> Expander:
    words = [each.value for each in Expander]
    if value not in words:
        meant = nearest(str(value), words)
        raise InvalidConfig(
            f"expander: {shown(value)} is none of {', '.join(words)}"
            + (f": did you mean {meant!r}?" if meant else "")
        )
    return Expander(value)


def _numbers(config: Mapping[str, object], key: str, read: Callable[[object, str], T]) -> Mapping[str, T]:
    values = object_at(config.get(key, {}), key)
    return ByName.read({name: read(value, f"{key}.{name}") for name, value in values.items()}, key)


def _price(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise InvalidConfig(f"{place}: {shown(value)} is no price: write money per hour, 0 or more")
    return float(value)


def _priority(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**9:
        raise InvalidConfig(f"{place}: {shown(value)} is no priority: write a whole number")
    return value


def _groups(value: object) -> Mapping[str, Groups]:
    known = ("placement_groups", "generated_placement_group_buffer", "max_placement_groups", "reserved")
    groups = {}
    for nodearray, settings in object_at(value, "nodearrays").items():
        place = f"nodearrays.{nodearray}"
        settings = object_at(settings, place)
        check_keys(settings, known, place)
        names = settings.get("placement_groups", [])
        if not isinstance(names, list | tuple):
            raise InvalidConfig(f"{place}.placement_groups: {shown(names)} is no list of names")
        for name in names:
            if not isinstance(name, str) or not _GROUP_NAME.fullmatch(name):
                raise InvalidConfig(
                    f"{place}.placement_groups: {shown(name)} is no name of a placement group: "
                    "write letters, digits, '-' and '_'"
                )
        most = settings.get("max_placement_groups", 10_000)
        if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= 10**6:
            raise InvalidConfig(f"{place}.max_placement_groups: {shown(most)} is no number from 0 to 1000000")
        # Groups are made exactly when a job needs one, so the buffer of older versions changes nothing.
        _number(
            settings.get("generated_placement_group_buffer", 2),
            f"{place}.generated_placement_group_buffer",
            1e6,
        )
        groups[nodearray] = Groups(names=tuple(dict.fromkeys(names)), most=most)
    return ByName.read(groups, "nodearrays")


def _reserved(value: object) -> Mapping[str, bool | tuple[str, ...]]:
    found: dict[str, bool | tuple[str, ...]] = {}
    for nodearray, settings in object_at(value, "nodearrays").items():
        said = object_at(settings, f"nodearrays.{nodearray}").get("reserved")
        if isinstance(said, list | tuple) and said and all(isinstance(name, str) for name in said):
            found[nodearray] = tuple(said)
        elif isinstance(said, bool):
            found[nodearray] = said
        elif said is not None:
            raise InvalidConfig(
                f"nodearrays.{nodearray}.reserved: {shown(said)} is neither true nor false, nor a list of "
                'resources that work has to ask for, such as ["ngpus"]'
            )
    return ByName.read(found, "nodearrays")
