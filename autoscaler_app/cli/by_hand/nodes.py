"""The commands about single nodes: `hold`, `unhold`, `drain`, `undrain`, `delete`.

They write down what is wanted, in the state file; the next pass carries it out, and says whose wish it was.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from autoscaler_app.cli import show
from autoscaler_app.cli.by_hand import asking
from autoscaler_app.cli.opening import as_json, opened, say, speaks
from scalelib.errors import InvalidInput

if TYPE_CHECKING:
    from autoscaler_app.memory.orders import NodeOrder, What
    from autoscaler_app.passes.control import Control
    from autoscaler_app.passes.report import NodeSaw, Report

NOT_OURS = {
    "keep-alive": "the cloud's KeepAlive is set on it, and such nodes are never touched: take that off first",
    "unmanaged": "it is none of the autoscaler's nodes",
    "leaving": "the cloud is ending it already",
}
json_option = click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")


@click.command()
@click.argument("node")
@asking.for_option
@asking.why_option
@json_option
@speaks
def hold(node: str, span: timedelta | None, why: str, json_: bool) -> None:
    """Keep a node whatever passes find, and give it no new work; what runs there runs on."""
    _order("hold", node, why, span, json_)


@click.command()
@click.argument("node")
@json_option
@speaks
def unhold(node: str, json_: bool) -> None:
    """End a hold: the node takes work again."""
    _end("hold", node, json_)


@click.command()
@click.argument("node")
@asking.why_option
@json_option
@speaks
def drain(node: str, why: str, json_: bool) -> None:
    """Let a node finish what it runs, take nothing more, and go once it is proven empty."""
    _order("drain", node, why, None, json_)


@click.command()
@click.argument("node")
@json_option
@speaks
def undrain(node: str, json_: bool) -> None:
    """Call a drain off, if the workers have not been told to shut down yet: the node takes work again."""
    _end("drain", node, json_)


@click.command()
@click.argument("node")
@click.option("--now", is_flag=True, help="Without proof that it is empty; what runs there is killed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asking.why_option
@json_option
@click.pass_context
@speaks
def delete(ctx: click.Context, node: str, now: bool, yes: bool, why: str, json_: bool) -> None:
    """End a node that is proven empty; with --now any, after saying which tasks that kills."""
    if not now:
        with closing(_journal()) as journal:
            found = _found(journal, node)
            if missing := _missing(journal, found):
                raise InvalidInput(
                    f"{found.saw.node} is not proven empty: {missing}. `drain {found.saw.node}` ends it when "
                    "that is shown; `delete --now` ends it at once and kills what runs there"
                )
    else:
        with opened(ctx) as control:
            said = _what_it_kills(control, node)
        click.echo(said, err=True)
        if not yes:
            click.confirm("End it?", abort=True, err=True)
    _order("delete", node, why, None, json_)


class Found(NamedTuple):
    """A node, as the last pass saw it."""

    saw: NodeSaw
    made: Report


def _journal() -> Any:
    from autoscaler_app.passes.journal import Journal

    return Journal.look()


def _found(journal: Any, name: str) -> Found:
    """By name, host name or id. Raises InvalidInput."""
    made = next((each for each in journal.reports(show.LOOKED_BACK) if each.saw is not None), None)
    if made is None:
        raise InvalidInput("no pass has seen the cluster yet: there is no node to speak of")
    names = {each: saw for saw in made.saw.nodes for each in (saw.node_id, saw.hostname, saw.node) if each}
    if name not in names:
        raise asking.unknown("node", name, names, "`nodes` lists them")
    return Found(names[name], made)


def _order(what: What, name: str, why: str, span: timedelta | None, json_: bool) -> None:
    """Write an order down. Raises InvalidInput for a node that is unknown, or not ours to touch."""
    from autoscaler_app.memory.orders import NodeOrder, told

    with closing(_journal()) as journal:
        found, before = _found(journal, name), journal.orders().nodes
    kept = found.made.plan.keep if found.made.plan else ()
    reason = next((each.reason.value for each in kept if each.node_id == found.saw.node_id), "")
    if reason in NOT_OURS:
        raise InvalidInput(f"{found.saw.node} cannot be had: {NOT_OURS[reason]}")
    now = datetime.now(UTC)
    order = NodeOrder(
        what=what,
        node=found.saw.node,
        who=asking.who(),
        why=asking.one_line(why),
        at=now,
        until=None if span is None else now + span,
    )
    _write({found.saw.node_id: order})
    instead = before.get(found.saw.node_id)
    was = (
        "" if instead is None or instead.is_over(now) else f" (instead of: {instead.what} by {told(instead)})"
    )
    say(as_json(order) if json_ else f"{order.node}: {what} by {told(order)}{was}; the next pass does it")


def _end(what: What, name: str, json_: bool) -> None:
    """Let an order be over: the next pass gives the node back its work."""
    import msgspec

    from autoscaler_app.passes import way_out
    from autoscaler_app.passes.way_out import State

    with closing(_journal()) as journal:
        orders, now = journal.orders().nodes, datetime.now(UTC)
        found = {i: each for i, each in orders.items() if each.what == what and not each.is_over(now)}
        ids = {each.node: i for i, each in found.items()} | {i: i for i in found}
        node_id = ids.get(name)
        if node_id is None:
            saw = _found(journal, name).saw
            node_id = saw.node_id if saw.node_id in found else None
        if node_id is None:
            of_all = ", ".join(sorted(each.node for each in found.values())) or "no node has one"
            raise InvalidInput(f"no {what} of {name!r} is in force; in force: {of_all}")
        drain = journal.state.drains().get(node_id)
    if drain is not None and way_out.state_of(drain) in (State.EMPTY, State.LEFT):
        raise InvalidInput(
            f"it is too late: {found[node_id].node} is proven empty, and its worker was told to end"
        )
    order = msgspec.structs.replace(found[node_id], until=now)
    _write({node_id: order})
    say(as_json(order) if json_ else f"{order.node}: the {what} is over; the next pass lets it go on")


def _write(orders: dict[str, NodeOrder]) -> None:
    from autoscaler_app import settings as settings_module
    from autoscaler_app.memory.orders import change_nodes
    from autoscaler_app.memory.state import State

    with closing(State(settings_module.load().state_file)) as state:
        change_nodes(state, lambda before: before | orders)


def _missing(journal: Any, found: Found) -> str:
    """What has not been shown, so that a node might be ended; empty if its certificate is whole."""
    from autoscaler_app.passes import way_out

    drain = journal.state.drains().get(found.saw.node_id)
    if drain is not None:
        return "" if way_out.state_of(drain) is way_out.State.LEFT else way_out.waits_for(drain)
    has = found.saw.running + found.saw.held
    return f"it takes work, and has {show.plural(has, 'task')}" if has else "it takes work, or may"


def _what_it_kills(control: Control, name: str) -> str:
    """Asks the workers. Raises InvalidInput for a node that the cloud does not have."""
    from autoscaler_app.passes.observe.look import observe

    sight = observe(control)
    nodes = {each: node for node in sight.cloud.nodes for each in (node.id, node.hostname, node.name) if each}
    if name not in nodes:
        raise asking.unknown("node", name, nodes, "`nodes` lists them")
    node = nodes[name]
    host = sight.host_of.get(node.id)
    view = None if host is None else sight.view_of(host.hostname)
    if view is None or view.told is None:
        return f"what runs on {node.name} is not known: its worker tells nothing. Whatever it is, is killed"
    lines = [
        *(f"  {each.id}  {each.name}, from {each.queue}" for each in view.running),
        *(f"  {each.id}  taken from {each.queue}, not begun" for each in view.held),
    ]
    if not lines:
        return f"nothing runs on {node.name}, as far as its worker has told"
    return f"this kills on {node.name}:\n" + "\n".join(lines)
