"""`python -m autoscaler_app.beat interval [SECONDS]`: look at and change the schedule in the database."""

from __future__ import annotations

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
    try:
        database = django_setup.prepare(app.conf)
        from autoscaler_app.beat import entries

        with django_setup.translated(database):
            entries.make_missing(app.conf.beat_schedule)
            if seconds is not None:
                entries.set_interval(seconds)
            told = entries.planned()
    except (ScalelibError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(EX_CONFIG) from error
    for entry in told:
        click.echo(f"{entry.name}: {entry.when}{'' if entry.enabled else ', disabled'}")
    click.echo(f"in {database}")


if __name__ == "__main__":
    main(prog_name="python -m autoscaler_app.beat")
