"""`python -m cyclecloud_api`: look at a cluster and change it, by hand."""

from __future__ import annotations

import functools
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec

from cyclecloud_api import errors, models
from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.settings import connection_settings
from scalelib.errors import ScalelibError

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="The answer as JSON, for programs.")


def _said_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """An error of ours becomes one line and exit code 1, not a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ScalelibError, ValueError) as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group()
@click.option("--url", envvar="CYCLECLOUD_URL", help="Address of CycleCloud [CYCLECLOUD_URL].")
@click.option("--username", envvar="CYCLECLOUD_USERNAME", help="[CYCLECLOUD_USERNAME]")
@click.option("--cluster", envvar="CYCLECLOUD_CLUSTER", help="Cluster name [CYCLECLOUD_CLUSTER].")
@click.option("--password-file", help="File with the password, of mode 600. Else: CYCLECLOUD_PASSWORD.")
@click.option("--ca-file", help="PEM file with the authority that signed the server's certificate.")
@click.option("--insecure", is_flag=True, help="Do not verify the server's certificate.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for one call.")
@click.pass_context
def main(
    context: click.Context,
    url: str | None,
    username: str | None,
    cluster: str | None,
    password_file: str | None,
    ca_file: str | None,
    insecure: bool,
    timeout: float,
) -> None:
    """Speak to the CycleCloud REST API. The password comes from CYCLECLOUD_PASSWORD or a file."""
    context.obj = {
        "url": url,
        "username": username,
        "cluster_name": cluster,
        "password_file": password_file,
        "ca_file": ca_file,
        "verify_certificates": not insecure,
        "timeout": timeout,
    }


def _client(context: click.Context) -> CycleCloudClient:
    settings = connection_settings({k: v for k, v in context.obj.items() if v is not None})
    return CycleCloudClient(
        settings.url,
        settings.username,
        settings.password,
        settings.cluster,
        verify=settings.verify,
        timeout=settings.timeout,
    )


@main.command()
@click.option("--nodes", is_flag=True, help="With the nodes (in --json).")
@JSON_OPTION
@click.pass_context
@_said_plainly
def status(context: click.Context, nodes: bool, as_json: bool) -> None:
    """Nodearrays and sizes, with what is in use and what is left."""
    with _client(context) as client:
        found = client.status(nodes=nodes)
    if as_json:
        _print_json(found.raw)
        return
    click.echo(
        f"{client.cluster}: {found.state or 'never started'}, at most {_number(found.max_count)} nodes"
    )
    rows = []
    for array in found.nodearrays:
        for number, raw in enumerate(array.buckets):
            bucket = models.read(models.BucketStatus, raw, where=f"{array.name}.buckets[{number}]")
            rows.append(
                (
                    array.name,
                    bucket.definition.machine_type,
                    bucket.virtual_machine.vcpu_count,
                    f"{bucket.virtual_machine.memory:g}",
                    bucket.virtual_machine.gpu_count,
                    _number(bucket.active_count),
                    _number(bucket.available_count),
                    "" if bucket.valid else bucket.invalid_reason or "invalid",
                )
            )
    _table(("NODEARRAY", "SIZE", "VCPUS", "GIB", "GPUS", "ACTIVE", "AVAILABLE", "PROBLEM"), rows)


@main.command()
@click.option("--operation", help="Only those of one operation.")
@click.option("--request-id", help="Only those of the operation that carried this request id.")
@JSON_OPTION
@click.pass_context
@_said_plainly
def nodes(context: click.Context, operation: str | None, request_id: str | None, as_json: bool) -> None:
    """Nodes and their states."""
    with _client(context) as client:
        found = client.nodes(operation=operation, request_id=request_id)
    if as_json:
        _print_json(found.nodes)
        return
    rows = []
    for number, raw in enumerate(found.nodes):
        one = models.read(models.NodeRecord, raw, where=f"nodes[{number}]")
        rows.append(
            (
                one.name,
                one.node_id,
                one.template,
                one.machine_type,
                one.status,
                one.target_state,
                one.hostname,
                one.status_message,
            )
        )
    _table(("NAME", "ID", "NODEARRAY", "SIZE", "STATUS", "TARGET", "HOSTNAME", "MESSAGE"), rows)


@main.command()
@click.argument("nodearray")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True)
@click.option("--size", help="VM size; otherwise the first of the nodearray.")
@click.option("--placement-group", help="Placement group; made when first named.")
@click.option("--keep-alive", is_flag=True, help="Protect the nodes from being ended.")
@click.option("--request-id", help="A repeat with the same one creates nothing. Made up if not given.")
@JSON_OPTION
@click.pass_context
@_said_plainly
def create(
    context: click.Context,
    nodearray: str,
    count: int,
    size: str | None,
    placement_group: str | None,
    keep_alive: bool,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Create nodes in NODEARRAY. Exit code 1 if fewer were created than asked."""
    asked = models.NodeSet(
        nodearray=nodearray,
        count=count,
        definition=models.BucketDefinition(machine_type=size) if size else None,
        placement_group_id=placement_group,
        node_attributes={"KeepAlive": True} if keep_alive else None,
    )
    request_id = request_id or str(uuid.uuid4())
    with _client(context) as client:
        try:
            made = client.create([asked], request_id=request_id)
        except (errors.Unreachable, errors.ServerTrouble, errors.Garbled):
            click.echo(f"What became of it is unknown; ask: nodes --request-id {request_id}", err=True)
            raise
    done = made.sets[0]
    if as_json:
        _print_json(msgspec.to_builtins(made))
    else:
        click.echo(f"created {done.added} of {count}; operation {made.operation_id}")
    if done.added < count:
        raise errors.OverLimit(done.message or "the server does not say why", asked=count, added=done.added)


def _verb(name: str, help_text: str) -> None:
    @main.command(name=name, help=f"{help_text} NODES are names, or ids with --ids.")
    @click.argument("nodes", nargs=-1, required=True)
    @click.option("--ids", "by_id", is_flag=True, help="NODES are ids.")
    @JSON_OPTION
    @click.pass_context
    @_said_plainly
    def run(context: click.Context, nodes: Sequence[str], by_id: bool, as_json: bool) -> None:
        with _client(context) as client:
            result = getattr(client, name)(**{"ids" if by_id else "names": list(nodes)})
        if as_json:
            _print_json(msgspec.to_builtins(result))
        else:
            _table(
                ("NAME", "ID", "OUTCOME"), [(n.name, n.id, "OK" if n.ok else n.error) for n in result.nodes]
            )
        known = {n.id if by_id else n.name for n in result.nodes}
        for missing in (n for n in nodes if n not in known):
            click.echo(f"{missing}: no such node", err=True)
        if not all(n.ok for n in result.nodes):
            raise errors.Rejected(f"{name} was refused for some nodes")


for _name, _help in {
    "start": "Start deallocated or switched-off nodes.",
    "shutdown": "Do what the ShutdownPolicy of each node says.",
    "terminate": "End machines.",
    "deallocate": "Stop machines and keep their disks.",
    "remove": "End machines and drop their records.",
    "restart": "Restart machines.",
    "reimage": "Put the image on machines anew.",
}.items():
    _verb(_name, _help)


@main.command()
@click.argument("operation_id", required=False)
@click.option("--request-id", help="The operation that carried this request id.")
@JSON_OPTION
@click.pass_context
@_said_plainly
def operations(
    context: click.Context, operation_id: str | None, request_id: str | None, as_json: bool
) -> None:
    """One operation, or all of them."""
    with _client(context) as client:
        one = [client.operation(operation_id)] if operation_id else None
        found = client.operations(request_id=request_id) if one is None else one
    if as_json:
        _print_json(msgspec.to_builtins(found))
    else:
        _table(("ACTION", "STARTED"), [(o.action, o.start_time) for o in found])


@main.command()
@click.option("--timeframe", default="monthToDate", show_default=True)
@click.option("--granularity", default="total", show_default=True)
@JSON_OPTION
@click.pass_context
@_said_plainly
def usage(context: click.Context, timeframe: str, granularity: str, as_json: bool) -> None:
    """Core-hours and their retail cost."""
    with _client(context) as client:
        found = client.usage(timeframe, granularity=granularity)
    if as_json:
        _print_json(msgspec.to_builtins(found))
        return
    rows = [
        (i.start, i.end, b.category, b.node, f"{b.hours:g}", "" if b.cost is None else f"{b.cost:.2f}")
        for i in found.usage
        for b in i.breakdown
    ]
    _table(("FROM", "TO", "CATEGORY", "NAME", "CORE-HOURS", "DOLLARS"), rows)


# -- output ---------------------------------------------------------------------------------------------


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest value, and no colours: it is read by people and by `awk`."""
    lines = [columns, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m cyclecloud_api"))
