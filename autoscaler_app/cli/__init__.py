"""`celery -A autoscaler_app autoscaler …`: what the control side sees, would do, and did."""

from __future__ import annotations

from typing import Any

import click


class _WhenAsked(click.Group):
    """Imports the commands only when one is wanted: every `celery` command imports this module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._commands())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return self._commands().get(name)

    def _commands(self) -> dict[str, click.Command]:
        from autoscaler_app.cli.group import autoscaler as real

        return dict(real.commands)


@click.group(name="autoscaler", cls=_WhenAsked)
def autoscaler(**_: Any) -> None:
    """Size the cluster that the tasks run on: look, plan, run a pass, read what passes did."""
