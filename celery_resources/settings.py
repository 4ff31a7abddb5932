"""The settings of this package, read from the app's configuration once and checked there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_resources.errors import InvalidRequirement, InvalidSetting
from celery_resources.need.requirement import Requirement
from scalelib.errors import InvalidInput

ONE_CPU = Requirement({"ncpus": 1})
"""What a task takes whose queue says nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every `resource_*` setting of a Celery app, with its default."""

    queues: Mapping[str, Requirement] = field(default_factory=dict)
    """`resource_queues`: queues of the app's own, each with what its tasks need."""
    control_queue: str | None = None
    """`resource_control_queue`: where announcements and notes go; None without an autoscaler."""
    names: frozenset[str] = frozenset()
    """`resource_names`: resources of the app's own, beside ncpus, pcpus, ngpus and memory."""
    node_kinds: tuple[Mapping[str, Any], ...] = ()
    """`resource_node_kinds`: what the known kinds of node have; empty if that is not known."""
    too_big_is_error: bool = False
    """`resource_too_big`: "error" refuses a task that no known kind of node can hold; "warn" logs it."""
    beat: float = 30.0
    """`resource_beat`: seconds between two `worker-resources` events of a node to which nothing happens."""
    tell_every: float = 1.0
    """`resource_tell_every`: least seconds between two events of a node to which a lot happens."""
    quiet: bool = True
    """`resource_quiet`: a node neither gossips nor mingles, and sends a heartbeat every other beat."""
    hold: float = 2.0
    """`resource_hold`: most seconds for which a node keeps a message that it cannot start yet."""
    reserve_after: float = 10.0
    """`resource_reserve_after`: seconds a big task may wait beside small ones before a node makes room."""
    metadata_url: str | None = None
    """`resource_metadata_url`: where the machine is told that it will be evicted; None: nobody asks."""
    gang_member_lost: str = "fail"
    """`resource_gang_member_lost`: "fail" the task of a gang that loses a node, or "continue" without it."""
    signing: bool = False
    """`resource_signing`: a node signs what it says, and obeys its control side alone (docs/signing.md)."""
    control_key: str | None = None
    """`resource_control_key`: the control side's public key; None: the first that a node meets."""
    unsigned_commands: frozenset[str] = frozenset()
    """`resource_unsigned_commands`: commands that a node which signs does for anybody all the same."""

    @property
    def known_names(self) -> frozenset[str]:
        """Resource names that need no explanation: declared, or used in a declaration."""
        used = {name for requirement in self.queues.values() for name in requirement.constraints}
        return self.names | used | {name for kind in self.node_kinds for name in kind}


def read_settings(conf: Mapping[str, Any]) -> Settings:
    """The settings in this configuration. InvalidSetting names the setting, the value and what is right."""
    return Settings(
        queues=_queues(conf.get("resource_queues") or {}),
        control_queue=_text_or_none(conf, "resource_control_queue"),
        names=_names(conf, "resource_names", "licenses"),
        node_kinds=_node_kinds(conf.get("resource_node_kinds") or ()),
        too_big_is_error=_one_of(conf, "resource_too_big", ("warn", "error")) == "error",
        beat=_seconds(conf, "resource_beat", Settings.beat),
        tell_every=_seconds(conf, "resource_tell_every", Settings.tell_every),
        quiet=_true_or_false(conf, "resource_quiet", Settings.quiet),
        hold=_seconds(conf, "resource_hold", Settings.hold),
        reserve_after=_seconds(conf, "resource_reserve_after", Settings.reserve_after),
        metadata_url=_url_or_none(conf, "resource_metadata_url"),
        gang_member_lost=_one_of(conf, "resource_gang_member_lost", ("fail", "continue")),
        signing=_true_or_false(conf, "resource_signing", Settings.signing),
        control_key=_text_or_none(conf, "resource_control_key", "a public key"),
        unsigned_commands=_names(conf, "resource_unsigned_commands", "terminate"),
    )


def _queues(value: object) -> dict[str, Requirement]:
    if not isinstance(value, Mapping):
        raise InvalidSetting(f"resource_queues must be like {{'gpu': {{'ngpus': 1}}}}, not {value!r}")
    queues = {}
    for name, requirement in value.items():
        if not isinstance(name, str) or not name:
            raise InvalidSetting(f"resource_queues: a queue's name must be text, not {name!r}")
        try:
            queues[name] = Requirement.from_json(requirement)
        except (InvalidRequirement, InvalidInput) as error:
            raise InvalidSetting(f"resource_queues[{name!r}]: {error}") from error
    return queues


def _names(conf: Mapping[str, Any], name: str, example: str) -> frozenset[str]:
    value = conf.get(name) or ()
    if (
        isinstance(value, str)
        or not isinstance(value, Iterable)
        or not all(isinstance(n, str) for n in value)
    ):
        raise InvalidSetting(f"{name} must be a list of names such as [{example!r}], not {value!r}")
    return frozenset(value)


def _node_kinds(value: object) -> tuple[Mapping[str, Any], ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidSetting(
            f"resource_node_kinds must be a list like [{{'ncpus': 4, 'memgb': 16}}], not {value!r}"
        )
    kinds = tuple(value)
    for kind in kinds:
        if not isinstance(kind, Mapping):
            raise InvalidSetting(f"resource_node_kinds: each must be like {{'ncpus': 4}}, not {kind!r}")
    return kinds


def _text_or_none(conf: Mapping[str, Any], name: str, what: str = "a queue's name") -> str | None:
    value = conf.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise InvalidSetting(f"{name} must be {what} or None, not {value!r}")


def _url_or_none(conf: Mapping[str, Any], name: str) -> str | None:
    value = conf.get(name)
    if value is None or (isinstance(value, str) and value.startswith(("http://", "https://"))):
        return value
    raise InvalidSetting(f"{name} must be an address such as http://169.254.169.254 or None, not {value!r}")


def _one_of(conf: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
    value = conf.get(name) or words[0]
    if value not in words:
        raise InvalidSetting(f"{name} must be one of {', '.join(map(repr, words))}, not {value!r}")
    return str(value)


def _true_or_false(conf: Mapping[str, Any], name: str, default: bool) -> bool:
    value = conf.get(name)
    if value is None or isinstance(value, bool):
        return default if value is None else value
    raise InvalidSetting(f"{name} must be True or False, not {value!r}")


def _seconds(conf: Mapping[str, Any], name: str, default: float) -> float:
    value = conf.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 86_400:
        raise InvalidSetting(f"{name} must be a number of seconds above 0, not {value!r}")
    return float(value)
