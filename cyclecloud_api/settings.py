"""The keys of `autoscale.json` that this package reads, checked once."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cyclecloud_api.breaker import BreakerLimits
from cyclecloud_api.deadlines import Deadlines
from cyclecloud_api.failures import Backoff
from cyclecloud_api.watch import Rules
from scalelib.errors import InvalidConfig
from scalelib.names import ByName
from scalelib.spelling import nearest

VERBS = ("terminate", "shutdown")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionSettings:
    """How to reach one cluster, and what its machines cost."""

    url: str
    username: str
    password: str = field(repr=False)
    cluster: str
    verify: bool | str = True
    """True, False, or the path of a CA file."""
    timeout: float = 60.0
    """Seconds for one call, repeats included."""
    terminate_verb: str = "terminate"
    """`shutdown` does what the ShutdownPolicy of each node says, which may keep its disks."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Money per hour: "Standard_F2s_v2" and, for spot, "Standard_F2s_v2/spot"."""


def connection_settings(
    config: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> ConnectionSettings:
    """The settings, with CYCLECLOUD_* variables for what the configuration does not say."""
    return ConnectionSettings(
        url=_text(config, "url", environ, "CYCLECLOUD_URL"),
        username=_text(config, "username", environ, "CYCLECLOUD_USERNAME"),
        password=_password(config, environ),
        cluster=_text(config, "cluster_name", environ, "CYCLECLOUD_CLUSTER"),
        verify=_verify(config),
        timeout=_positive(config.get("timeout", 60.0), "timeout", "a number of seconds above 0"),
        terminate_verb=_one_of(config.get("terminate_verb", "terminate"), "terminate_verb", VERBS),
        prices=_prices(config.get("prices") or {}),
    )


def _text(config: Mapping[str, Any], key: str, environ: Mapping[str, str], variable: str) -> str:
    value = config.get(key)
    if value is None:
        value = environ.get(variable)
    if not isinstance(value, str) or not value.strip():
        said = "is missing" if value is None else f"is {value!r}"
        raise InvalidConfig(f"{key} {said}: set it in the configuration, or {variable} in the environment")
    return value.strip()


def _password(config: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """From the configuration, a file of its own, or the environment, in this order."""
    value = config.get("password")
    if value is not None and not isinstance(value, str):
        raise InvalidConfig(f"password is of type {type(value).__name__}: text is wanted")
    if value:
        return value
    if config.get("password_file"):
        return _password_in(Path(str(config["password_file"])))
    if environ.get("CYCLECLOUD_PASSWORD"):
        return environ["CYCLECLOUD_PASSWORD"]
    raise InvalidConfig(
        "password is missing: set CYCLECLOUD_PASSWORD, or name a file that only you can read in "
        "`password_file`"
    )


def _password_in(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(
            f"password_file is {str(path)!r}: a readable text file is wanted: {error}"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidConfig(
            f"password_file {str(path)!r} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
        )
    if not text:
        raise InvalidConfig(f"password_file {str(path)!r} is empty: one line with the password is wanted")
    return text


def _verify(config: Mapping[str, Any]) -> bool | str:
    value = config.get("verify_certificates", True)
    if not isinstance(value, bool):
        raise InvalidConfig(f"verify_certificates is {value!r}: true or false is wanted")
    ca_file = config.get("ca_file")
    if ca_file is None:
        return value
    if not isinstance(ca_file, str) or not ca_file:
        raise InvalidConfig(f"ca_file is {ca_file!r}: the path of a file of PEM certificates is wanted")
    return ca_file if value else False


def _prices(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"prices is {value!r}: an object of size to money per hour is wanted")
    prices = {}
    for size, price in value.items():
        if isinstance(price, Mapping) or not isinstance(price, int | float) or isinstance(price, bool):
            raise InvalidConfig(f"prices[{size!r}] is {price!r}: a number, money per hour, is wanted")
        if not math.isfinite(price) or price < 0:
            raise InvalidConfig(f"prices[{size!r}] is {price!r}: a number of 0 or more is wanted")
        prices[str(size)] = float(price)
    return ByName.read(prices, "prices")


def _positive(value: Any, key: str, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InvalidConfig(f"{key} is {value!r}: {wanted} is wanted")
    return float(value)


def _one_of(value: Any, key: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InvalidConfig(f"{key} is {value!r}: one of {', '.join(allowed)} is wanted")
    return str(value)


# -- the memory -----------------------------------------------------------------------------------------

_SECONDS = "a number of seconds above 0"


SECTION = (
    "capacity_backoff",
    "trouble_backoff",
    "spot_fallback",
    "max_unhealthy_share",
    "failed_timeout",
    "leave_timeout",
)
"""Keys of the section `cyclecloud`."""


def rules(config: Mapping[str, Any]) -> Rules:
    """The numbers of the memory: `boot_timeout`, and the keys of the section `cyclecloud`."""
    section = config.get("cyclecloud") or {}
    if not isinstance(section, Mapping):
        raise InvalidConfig(f"cyclecloud is {section!r}: an object is wanted")
    for key in section:
        if key not in SECTION:
            meant = nearest(str(key), SECTION)
            hint = f"; did you mean {meant!r}?" if meant else f": one of {', '.join(SECTION)} is wanted"
            raise InvalidConfig(f"cyclecloud.{key} is no setting{hint}")

    def seconds(key: str, default: timedelta) -> timedelta:
        value = section.get(key, default.total_seconds())
        return timedelta(seconds=_positive(value, f"cyclecloud.{key}", _SECONDS))

    spot_fallback = section.get("spot_fallback", True)
    if not isinstance(spot_fallback, bool):
        raise InvalidConfig(f"cyclecloud.spot_fallback is {spot_fallback!r}: true or false is wanted")
    share = _positive(
        section.get("max_unhealthy_share", BreakerLimits().unhealthy_share),
        "cyclecloud.max_unhealthy_share",
        "a share above 0, such as 0.45",
    )
    usual = Deadlines()
    return Rules(
        backoff=Backoff(
            capacity=seconds("capacity_backoff", Backoff().capacity),
            trouble=seconds("trouble_backoff", Backoff().trouble),
        ),
        deadlines=Deadlines(
            boot=_boot_timeout(config),
            clean_up=seconds("failed_timeout", usual.clean_up),
            leave=seconds("leave_timeout", usual.leave),
        ),
        breaker=BreakerLimits(unhealthy_share=share),
        spot_fallback=spot_fallback,
    )


def _boot_timeout(config: Mapping[str, Any]) -> timedelta:
    """The longest that is set for any nodearray: the engine measures each by its own."""
    value = config.get("boot_timeout", Deadlines().boot.total_seconds())
    each = list(value.values()) if isinstance(value, Mapping) else [value]
    numbers = [float(v) if isinstance(v, str) and v.strip().isdecimal() else v for v in each]
    usual = [] if not isinstance(value, Mapping) or "default" in value else [Deadlines().boot.total_seconds()]
    wanted = f"{_SECONDS}, or an object of them by nodearray"
    return timedelta(seconds=max(_positive(n, "boot_timeout", wanted) for n in [*numbers, *usual]))
