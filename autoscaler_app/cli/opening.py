"""What every command shares: open the control side, say errors as one sentence, print JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import click
import msgspec

from autoscaler_app.brokers import BrokerError
from autoscaler_app.passes.control import Control
from scalelib.errors import ScalelibError

P = ParamSpec("P")
R = TypeVar("R")


def speaks(command: Callable[P, R]) -> Callable[P, R]:
    """Errors that a person can mend are printed as a sentence, with exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (ScalelibError, BrokerError) as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(2) from error

    return wrapped


@contextmanager
def opened(ctx: click.Context, *, look: bool = True) -> Iterator[Control]:
    """The control side of this command, closed at the end. Most commands look, and write nothing anywhere."""
    control = Control.open(ctx.obj.app, look=look)
    try:
        yield control
    finally:
        control.close()


def as_json(value: Any) -> str:
    """Indented JSON text."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
