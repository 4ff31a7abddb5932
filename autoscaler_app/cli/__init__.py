"""`celery -A autoscaler_app autoscaler …`: what the control side sees, would do, and did."""

from __future__ import annotations

from typing import Any

import click


class Helpful(click.Group):
    """Says which command was probably meant, and of each what it does, uncut."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from scalelib.spelling import meant  # every `celery` command imports this module

            hint = meant(args[0], self.list_commands(ctx), "")
            if not hint or "did you mean" in error.message.lower():
                raise
            raise click.UsageError(f"{error.message} {hint.capitalize()}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(MOST)) for name, each in named if each and not each.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


MOST = 400
"""Characters of what a command does, in the list of all."""


class _WhenAsked(Helpful):
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
