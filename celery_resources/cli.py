"""`celery -A proj resource-queues`: the queues of an app's tasks that say what they need."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(name="resource-queues")
@click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")
@click.option("--timeout", default=1.0, show_default=True, help="Seconds to wait for nodes that answer.")
@click.pass_context
def resource_queues(ctx: click.Context, json_: bool, timeout: float) -> None:
    """The queues of tasks that say what they need: what that is, how much waits there, and who told of it.

    Celery's `purge`, `amqp` and `control add_consumer` take these names. As {queue: {...}} with --json.
    """
    from celery_resources.errors import ResourceError  # every `celery` command imports this module
    from celery_resources.sending.depth import messages_waiting
    from celery_resources.sending.known import known_queues

    app: Any = ctx.obj.app
    if not hasattr(app.amqp.router, "kinds"):
        raise click.ClickException(
            f"the app {app.main!r} has no resources: with_resources(app) gives it some"
        )
    try:
        found = known_queues(app, timeout=timeout)
    except ResourceError as error:
        raise click.ClickException(str(error)) from error
    waiting = messages_waiting(app, found)
    facts = {
        name: {
            "waiting": waiting[name],
            "requirement": None if known.requirement is None else known.requirement.to_json(),
            "source": known.source,
        }
        for name, known in sorted(found.items())
    }
    click.echo(json.dumps(facts, indent=2) if json_ else _table(facts))


def _table(facts: dict[str, dict[str, Any]]) -> str:
    if not facts:
        return "no queues: no task says what it needs, and nobody has heard of a kind"
    width = max(map(len, facts))
    rows = (
        f"{name:{width}}  {fact['waiting']:>7}  {fact['source']:8}  {_needs(fact['requirement'])}"
        for name, fact in facts.items()
    )
    return "\n".join([f"{'QUEUE':{width}}  WAITING  TOLD BY   NEEDS", *rows])


def _needs(requirement: dict[str, Any] | None) -> str:
    return "unknown" if requirement is None else json.dumps(requirement)
