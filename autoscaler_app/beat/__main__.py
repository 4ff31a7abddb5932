"""`python -m autoscaler_app.beat interval [SECONDS]`, `on`, `off`: the schedule in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from autoscaler_app.beat import django_setup
from autoscaler_app.celery import app
from autoscaler_app.exits import EX_CONFIG
from scalelib.errors import ScalelibError


@click.group()
def main() -> None:
    """The schedule of `celery -A autoscaler_app beat --scheduler autoscaler_app.beat:DatabaseScheduler`."""


@main.command()
@click.argument("seconds", type=float, required=False)
def interval(seconds: float | None) -> None:
    """Say when passes are asked for; with SECONDS, ask for one every so many seconds from now on.

    A beat that runs takes it up within seconds; it is not started anew.
    """
    _change(lambda entries: None if seconds is None else entries.set_interval(seconds))


@main.command()
def on() -> None:
    """Ask for passes again. A beat that runs takes it up within seconds."""
    _change(lambda entries: entries.set_enabled(True))


@main.command()
def off() -> None:
    """Ask for no pass by the clock any more; new work, and who calls for one, still do."""
    _change(lambda entries: entries.set_enabled(False))


def _change(change: Callable[[Any], object]) -> None:
    """Change the entry, and say how it stands then."""
    try:
        database = django_setup.prepare(app.conf)
        from autoscaler_app.beat import entries

        with django_setup.translated(database):
            entries.make_missing(app.conf.beat_schedule)
            change(entries)
            told = entries.planned()
    except (ScalelibError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(EX_CONFIG) from error
    for entry in told:
        click.echo(f"{entry.name}: {entry.when}{'' if entry.enabled else ', disabled'}")
    click.echo(f"in {database}")


if __name__ == "__main__":
    main(prog_name="python -m autoscaler_app.beat")
