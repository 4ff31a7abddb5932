"""What every command shares: open the control side, say errors as one sentence, print JSON."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO, TypeVar

import click
import msgspec

from autoscaler_app.brokers import BrokerError
from scalelib.errors import ScalelibError

if TYPE_CHECKING:
    from autoscaler_app.passes.control import Control

_ours: ContextVar[TextIO | None] = ContextVar("_ours", default=None)
"""Standard output, while a command has it for itself."""

P = ParamSpec("P")
R = TypeVar("R")


def speaks(command: Callable[P, R]) -> Callable[P, R]:
    """Errors that a person can mend are printed as a sentence, with exit code 2; and of what is printed to
    standard output, all is said by us (`say`).
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _ours_alone():
                return command(*args, **kwargs)
        except (ScalelibError, BrokerError) as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(2) from error

    return wrapped


class Whole(str):
    """A text that is not to be folded: it is read by programs."""

    __slots__ = ()


def say(text: str) -> None:
    """One text to standard output. On a terminal no word of it is broken in two at the edge."""
    if stdout().isatty() and not isinstance(text, Whole):
        text = folded(text, shutil.get_terminal_size().columns)
    click.echo(text, file=_ours.get())


def folded(text: str, width: int) -> str:
    """Long lines go on below what they say of their label. Lines in colour are tables, which fit already."""
    return "\n".join(
        line if len(line) <= width or "\x1b" in line else _folded(line, width) for line in text.split("\n")
    )


def _folded(line: str, width: int) -> str:
    label = re.match(r" *(?:\S+ {2,})*", line)
    indent = len(label[0]) if label is not None and label[0].strip() else len(line) - len(line.lstrip()) + 2
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * min(indent, width // 3),
        break_long_words=False,
        break_on_hyphens=False,
    )


def stdout() -> TextIO:
    """Standard output, for what wants a stream."""
    return _ours.get() or sys.stdout


@contextmanager
def _ours_alone() -> Iterator[None]:
    """Whatever a library prints to standard output goes to standard error: ours may be read as JSON.

    By the descriptor as well as by the name: HiGHS writes its banner from C++.
    """
    ours, descriptor = sys.stdout, None
    ours.flush()
    with suppress(OSError, ValueError):  # a test's output is no file
        if ours.fileno() == 1:
            descriptor = os.dup(1)
            os.dup2(2, 1)
            ours = open(descriptor, "w", encoding=ours.encoding, errors=ours.errors, closefd=False)  # noqa: SIM115
    token = _ours.set(ours)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _ours.reset(token)
        ours.flush()
        if descriptor is not None:
            os.dup2(descriptor, 1)
            os.close(descriptor)


@contextmanager
def opened(ctx: click.Context, *, look: bool = True, shadow: bool = False) -> Iterator[Control]:
    """The control side of this command, closed at the end. Most commands look, and write nothing anywhere."""
    from autoscaler_app.brokers.reading import survive_what_comes
    from autoscaler_app.passes.control import Control

    survive_what_comes()
    control = Control.open(ctx.obj.app, look=look, shadow=shadow)
    try:
        yield control
    finally:
        control.close()


def as_json(value: Any) -> Whole:
    """Indented JSON text."""
    return Whole(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
