"""The command `top`: how things stand and how they came to that, for as long as somebody looks."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from typing import TextIO

import click
import msgspec

from autoscaler_app import settings as settings_module
from autoscaler_app.cli import health, process, show
from autoscaler_app.cli.opening import Whole, say, speaks, stdout
from autoscaler_app.cli.seeing import queues
from autoscaler_app.cli.seeing.queues import QueueNow
from autoscaler_app.cli.seeing.sparkline import sparkline
from autoscaler_app.memory.figures import SPANS, FiguresBook, SpanName, Step
from autoscaler_app.passes.journal import Journal

ALTERNATE, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To a terminal: another screen, without a cursor; and back to what was there."""
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What passes saw in one step of the span, on average."""

    at: datetime
    demand: float
    """Tasks that wait or run."""
    waiting: float
    cores_up: float
    price_per_hour: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look; with `--json` it is one line."""

    at: datetime
    code: int
    """As `status --check` has it: 0, 1 or 2."""
    health: str
    span: SpanName
    currency: str
    nodes: dict[str, int]
    """By what the cloud says that they are."""
    price_per_hour: float | None
    queues: tuple[QueueNow, ...]
    """Those with work, most of it first."""
    past: tuple[Point, ...]
    """The steps of the span in which a pass saw something."""


@click.command()
@click.option(
    "--every",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between two looks.",
)
@click.option(
    "--span",
    default="hour",
    show_default=True,
    type=click.Choice(list(SPANS)),
    help="How far the curves go back.",
)
@click.option("--once", is_flag=True, help="One look, and no more.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a look, each on a line of its own.")
@click.pass_context
@speaks
def top(ctx: click.Context, every: float, span: SpanName, once: bool, json_: bool) -> None:
    """How things stand, again and again, with curves of what was; Ctrl-C ends it. Reads the state file."""
    from autoscaler_app.schedule import interval_of

    interval = interval_of(ctx.obj.app.conf.beat_schedule)
    looks = _looks(lambda: looked(span, interval), 0.0 if once else every)
    with suppress(KeyboardInterrupt):
        if json_:
            for look in looks:
                say(Whole(msgspec.json.encode(look).decode()))
        elif once or not stdout().isatty():
            for look in looks:
                say(screen(look, _columns()) + ("" if once else "\n"))
        else:
            with on_another_screen(stdout()) as show_:
                for look in looks:
                    show_(screen(look, _columns()))


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _looks(look: Callable[[], Look], every: float) -> Iterator[Look]:
    """One look after the other; with 0 seconds between them only one."""
    yield look()
    while every:
        time.sleep(every)
        yield look()


@contextmanager
def on_another_screen(out: TextIO) -> Iterator[Callable[[str], None]]:
    """What is shown takes the place of what was; afterwards the terminal is as before. Who ends the process
    by a signal gets a KeyboardInterrupt, as Ctrl-C does.
    """

    def shown(text: str) -> None:
        lines = text.splitlines()[: shutil.get_terminal_size().lines - 1]
        out.write(HOME + "".join(f"{line}{REST_OF_LINE}\n" for line in lines) + REST_OF_SCREEN)
        out.flush()

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        out.write(ALTERNATE)
        yield shown
    finally:
        out.write(BACK)
        out.flush()
        signal.signal(signal.SIGTERM, before)


def looked(span: SpanName, interval: timedelta) -> Look:
    """One look at the state file. `interval`: a pass is due so often."""
    settings = settings_module.load()
    with closing(FiguresBook.look(settings.state_file)) as book:
        steps = book.steps(span, Journal.now())
    with closing(Journal.look()) as journal:
        code, sentence = health.check(
            next(iter(journal.reports(1)), None),
            journal.now(),
            interval,
            paused=journal.orders().pauses,
            paused_long=settings.autoscaler.paused_long,
            worker=process.facts(process.look()),
        )
        seen, there = show.last_that_saw(journal), queues.facts(journal)
        return Look(
            at=journal.now(),
            code=code,
            health=sentence,
            span=span,
            currency=settings.autoscaler.currency,
            nodes={} if seen is None or seen.saw is None else Counter(n.state for n in seen.saw.nodes),
            price_per_hour=seen.plan.price_per_hour.before if seen is not None and seen.plan else None,
            queues=tuple(queue for queue in there.queues if not queue.is_empty),
            past=tuple(map(_point, steps)),
        )


def _point(step: Step) -> Point:
    figures = step.figures
    return Point(
        at=step.at,
        demand=round(sum(figures.demand.values()), 2),
        waiting=round(sum(figures.waiting.values()), 2),
        cores_up=round(figures.cores_up, 2),
        price_per_hour=round(figures.price_per_hour, 6),
    )


NAMED = 12
"""Characters before a curve, and (below) after it."""
TOLD = 22


def screen(look: Look, columns: int) -> str:
    """A look as text, no line of it wider than so many columns."""
    now = look.past[-1] if look.past else None
    curves: tuple[tuple[str, Callable[[Point], float], str], ...] = (
        ("demand", lambda point: point.demand, "{:,.0f} in all"),
        ("capacity", lambda point: point.cores_up, "{:,.0f} cores up"),
        ("waiting", lambda point: point.waiting, "{:,.0f} waiting"),
        ("money", lambda point: point.price_per_hour, "{:.3f}" + f" {look.currency}".rstrip() + "/h"),
    )
    width = max(1, columns - NAMED - TOLD)
    lines = [_cut(look.health, columns), ""]
    for name, of, told in curves:
        curve = sparkline(_over(look, of), width)
        last = told.format(of(now)) if now is not None else "nothing seen"
        lines.append(_cut(f"{name:<{NAMED}}{curve:<{width}}  {last}", columns))
    nodes = ", ".join(f"{count} {state}" for state, count in sorted(look.nodes.items())) or "none"
    lines += [_cut(f"{'nodes':<{NAMED}}{nodes}", columns), "", queues.rows(look.queues)]
    return "\n".join(lines)


def _over(look: Look, of: Callable[[Point], float]) -> list[float | None]:
    """A value for each step of the span until now; None where no pass saw anything."""
    span = SPANS[look.span]
    values: list[float | None] = [None] * (span.whole // span.step)
    for point in look.past:
        place = len(values) - 1 - (look.at - point.at) // span.step
        if 0 <= place < len(values):
            values[place] = of(point)
    return values


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"
