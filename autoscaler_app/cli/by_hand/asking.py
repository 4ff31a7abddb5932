"""What commands that act have in common: who asks, for how long, and about which node or queue."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

import click

from scalelib.errors import InvalidInput
from scalelib.spelling import meant

C = TypeVar("C", bound=Callable[..., Any])
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:min|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(min|[smhd])")
LONGEST = timedelta(days=3650)


class Span(click.ParamType):  # type: ignore[type-arg]  # before click 8.2 it takes no argument
    """A length of time: `90s`, `30m`, `2h`, `1d`, `1h30m`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = "".join(str(value).lower().split())
        if _SPAN.fullmatch(text) is None:
            self.fail(
                f"{value!r} is no length of time; 2h would be right, and 90s, 30m, 1d, 1h30m", param, ctx
            )
        seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
        if not 0 < seconds <= LONGEST.total_seconds():
            self.fail(f"{value!r} is no time that can be waited for; 2h would be right", param, ctx)
        return timedelta(seconds=seconds)


def why_option(command: C) -> C:
    """`--why`."""
    return click.option(
        "--why", default="", help="The reason; written down, and shown wherever the effect is."
    )(command)


def for_option(command: C) -> C:
    """`--for`."""
    said = "It ends by itself after this: 90s, 30m, 2h, 1d."
    return click.option("--for", "span", type=Span(), metavar="SPAN", help=said)(command)


def who() -> str:
    """Who asks, by the name that the machine knows."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id that has no name
        return f"user {os.getuid()}"


def one_line(text: str) -> str:
    """As it is kept."""
    return " ".join(text.split())


def unknown(what: str, name: str, names: Iterable[str], otherwise: str) -> InvalidInput:
    """The error for a name that nothing has: with what was probably meant."""
    return InvalidInput(f"no {what} is called {name!r}; {meant(name, names, otherwise)}")
