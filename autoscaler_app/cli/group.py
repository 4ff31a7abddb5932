"""The command group. A command is a few lines over something that can be called.

What a command needs it imports itself: one that reads the state file is not to wait for a planner, say.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from autoscaler_app import settings as settings_module
from autoscaler_app.cli import Helpful, doctor, explaining, process, recording, show
from autoscaler_app.cli.by_hand import creating, pausing
from autoscaler_app.cli.by_hand import nodes as by_hand
from autoscaler_app.cli.opening import Whole, as_json, opened, say, speaks, stdout
from autoscaler_app.cli.seeing import limits, queues, supposing, top
from autoscaler_app.cli.setup import in_force, init, support, validate, wiring
from autoscaler_app.cli.tables import table
from scalelib.errors import InvalidConfig, InvalidInput

DEMAND_COLUMNS = (
    "name",
    "hostname",
    "job_ids",
    "required",
    "slots",
    "vm_size",
    "vcpu_count",
    "state",
)
"""The columns of the user's own `print_demand`."""

json_option = click.option("--json", "json_", is_flag=True, help="One JSON document instead of text.")


@click.group(name="autoscaler", cls=Helpful)
def autoscaler() -> None:
    """Size the cluster that the tasks run on: look, plan, run a pass, read what passes did."""


@autoscaler.command()
@json_option
@click.option(
    "--check",
    is_flag=True,
    help="One line for monitoring: exit code 0 if all is well, 1 for a warning, 2 if passes do not work.",
)
@click.pass_context
@speaks
def status(ctx: click.Context, json_: bool, check: bool) -> None:
    """How things stand: the last pass, what waits and runs, the nodes, their price."""
    from autoscaler_app.cli import health
    from autoscaler_app.passes.journal import Journal
    from autoscaler_app.schedule import interval_of

    with closing(Journal.look()) as journal:
        worker = process.facts(process.look())
        if check:
            last = next(iter(journal.reports(1)), None)
            interval = interval_of(ctx.obj.app.conf.beat_schedule)
            code, sentence = health.check(
                last,
                journal.now(),
                interval,
                paused=journal.orders().pauses,
                paused_long=settings_module.load().autoscaler.paused_long,
                worker=worker,
            )
            say(as_json({"code": code, "sentence": sentence}) if json_ else Whole(sentence))
            ctx.exit(code)
        facts = show.status_of(journal) | {"control_worker": worker}
    say(as_json(facts) if json_ else show.status(facts))


@autoscaler.command()
@json_option
@click.option("--save", type=click.Path(path_type=Path), help="Write the snapshot to a file, for `replay`.")
@click.pass_context
@speaks
def plan(ctx: click.Context, json_: bool, save: Path | None) -> None:
    """What a pass would do now, and why. Touches nothing, and writes nothing anywhere."""
    from autoscaler_app.passes import snapshot
    from autoscaler_app.passes.one_pass import dry_run

    with opened(ctx) as control:
        other = control.lease.who()
        sight, made = dry_run(control)
        currency = control.settings.autoscaler.currency
    if other:
        click.echo(f"note: a pass here would do nothing: {other} holds the lease of this broker", err=True)
    if save is not None:
        try:
            save.write_bytes(snapshot.encode(sight.snapshot))
        except OSError as error:
            raise InvalidInput(f"{save}: cannot be written: {error.strerror}") from error
        click.echo(f"snapshot written to {save}", err=True)
    say(as_json(made) if json_ else show.plan(made, currency))


@autoscaler.command()
@json_option
@click.option(
    "--patience", default=30.0, show_default=True, help="Seconds to wait for a pass that is running."
)
@click.option("--shadow", is_flag=True, help="Decide and report, act on nothing, beside whoever acts.")
@click.pass_context
@speaks
def run(ctx: click.Context, json_: bool, patience: float, shadow: bool) -> None:
    """Make one pass here and now. Exit code 1 if anything in it failed."""
    from autoscaler_app.passes.one_pass import make_pass

    with opened(ctx, look=False, shadow=shadow) as control:
        made = make_pass(control, patience=patience, asked_by="run")
        currency = control.settings.autoscaler.currency
    say(as_json(made) if json_ else show.report(made, currency))
    ctx.exit(0 if made.ok else 1)


@autoscaler.command()
@json_option
@click.pass_context
@speaks
def nodes(ctx: click.Context, json_: bool) -> None:
    """The nodes of the cluster, and what runs on each."""
    from autoscaler_app.passes.one_pass import dry_run, saw

    with opened(ctx) as control:
        sight, made = dry_run(control)
    seen = saw(sight).nodes
    say(as_json(seen) if json_ else show.nodes(seen, made))


@autoscaler.command()
@json_option
@click.pass_context
@speaks
def buckets(ctx: click.Context, json_: bool) -> None:
    """The kinds of machine that can be launched, their prices and limits, and what machines really had."""
    from autoscaler_app.passes.observe.learnt import recall

    with opened(ctx) as control:
        cloud, sizes = control.provider.cloud(), recall(control.state).sizes
    facts = show.buckets_of(cloud, sizes)
    say(as_json(facts) if json_ else show.buckets(facts))


@autoscaler.command()
@json_option
@click.option(
    "-o",
    "--output-columns",
    default=",".join(DEMAND_COLUMNS),
    show_default=True,
    help="Columns, with commas: hostname, short@name, name[0:5]; ncpus, *ncpus (free), /ncpus (both).",
)
@click.option(
    "-C",
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE,...",
    help="Only rows with one of these values in a column; * is any text. May be repeated.",
)
@click.option("-N", "--node", multiple=True, help="Only the node of this name.")
@click.option("-H", "--hostname", multiple=True, help="Only the node of this host name.")
@click.pass_context
@speaks
def demand(
    ctx: click.Context,
    json_: bool,
    output_columns: str,
    where: tuple[str, ...],
    node: tuple[str, ...],
    hostname: tuple[str, ...],
) -> None:
    """Jobs and the machines they are on or need: the demand calculator's answer."""
    from autoscaler_app.passes.decide.situation import read
    from autoscaler_app.passes.one_pass import dry_run
    from scalelib import planner
    from scalelib.printer import demand_table, print_demand

    with opened(ctx) as control:
        sight, _ = dry_run(control)
    result = planner.calculate(read(sight.snapshot).problem)
    named = (("name", node), ("hostname", hostname))
    filters = [*where, *(f"{column}={','.join(names)}" for column, names in named if names)]
    columns = output_columns.split(",")
    if stdout().isatty() and not json_:
        titles, rows = demand_table(columns, result, where=filters)
        names = [title.lower() for title in titles]
        say(table(names, rows, empty="no nodes", spare=("hostname", "vcpu_count")))
        return
    form: Literal["json", "table"] = "json" if json_ else "table"
    print_demand(columns, result, stdout(), output_format=form, where=filters)


@autoscaler.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@speaks
def replay(file: Path, json_: bool) -> None:
    """Plan from a saved snapshot alone: no broker, no cloud, no clock."""
    from autoscaler_app.passes import snapshot
    from autoscaler_app.passes.decide.decision import decide

    seen = snapshot.load(file)
    made = decide(seen).plan
    currency = settings_module.read_autoscaler(seen.config, "the snapshot").currency
    say(as_json(made) if json_ else show.plan(made, currency))


@autoscaler.command()
@json_option
@click.option(
    *("-n", "--last"),
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many passes, newest first.",
)
@speaks
def journal(json_: bool, last: int) -> None:
    """What the last passes saw, decided and did."""
    from autoscaler_app.passes.journal import Journal

    with closing(Journal.look()) as looked:
        reports = looked.reports(last)
    say(as_json(reports) if json_ else "\n".join(map(show.journal_line, reports)) or "no pass yet")


@autoscaler.command()
@click.argument("what", metavar="NODE|PASS")
@json_option
@speaks
def why(what: str, json_: bool) -> None:
    """What became of a node, why it is still here or why it went; NODE is its name, host name or id. PASS is
    the number of one: who asked for it, what it saw that the one before did not, what it decided and did.
    """
    from autoscaler_app.cli import stories
    from autoscaler_app.cli.seeing import one_pass

    if what.isdecimal() and (told := one_pass.of(int(what))) is not None:
        currency = settings_module.load().autoscaler.currency
        say(as_json(told) if json_ else one_pass.text(told, currency))
        return
    facts = stories.why(what)
    say(as_json(facts) if json_ else stories.why_text(facts))


@autoscaler.command()
@json_option
@click.option(
    *("-n", "--last"), default=20, show_default=True, type=click.IntRange(min=1), help="How many nodes."
)
@speaks
def history(json_: bool, last: int) -> None:
    """The nodes that are there and those that went last: what they ran, why they went, what they cost."""
    from autoscaler_app.cli import stories

    told = stories.history(last)
    say(as_json(told) if json_ else stories.history_text(told))


@autoscaler.command()
@json_option
@click.option(
    "--days", default=7, show_default=True, type=click.IntRange(min=1), help="Days back; 1 is today (UTC)."
)
@click.option(
    "--by",
    default="use",
    show_default=True,
    type=click.Choice(["use", "task", "day", "nodearray", "vm_size"]),
    help="What the money is added up by; `use` is the queue whose tasks ran, `task` their name.",
)
@speaks
def cost(json_: bool, days: int, by: str) -> None:
    """What the machines have cost, at the prices of the settings, and on what it went."""
    from autoscaler_app.cli import stories

    facts = stories.cost(days, by, datetime.now(UTC))
    say(as_json(facts) if json_ else stories.cost_text(facts))


@autoscaler.command("try-again")
@click.pass_context
@speaks
def try_again(ctx: click.Context) -> None:
    """Forget what machines were seen to have, and for what they were bought in vain: the cause is mended."""
    from autoscaler_app.passes import lock
    from autoscaler_app.passes.observe.learnt import forget

    with opened(ctx, look=False) as control, lock.held(control.settings.lock_file, patience=30):
        before = forget(control.state)
    say(f"forgotten: {len(before.sizes)} sizes, {len(before.vain)} kinds of work bought for in vain")


@autoscaler.command("retry-failed")
@json_option
@click.pass_context
@speaks
def retry_failed(ctx: click.Context, json_: bool) -> None:
    """Try at once what is set aside because it failed: one node each, and all of it once that is up."""
    from autoscaler_app.passes import lock

    with opened(ctx, look=False) as control, lock.held(control.settings.lock_file, patience=30):
        tried = list(control.provider.try_again())
    lines = [f"{each}: one node may be tried from the next pass on" for each in tried]
    say(as_json({"tried": tried}) if json_ else "\n".join(lines) or "nothing is set aside because it failed")


@autoscaler.command()
@json_option
@speaks
def keys(json_: bool) -> None:
    """The public key of this control side, and which key is bound to which host."""
    from autoscaler_app.cli import keys

    facts = keys.facts()
    say(as_json(facts) if json_ else keys.text(facts))


@autoscaler.command("forget-key")
@click.argument("host")
@click.option("--reason", required=True, help="Why another key is to be believed; kept and shown by `keys`.")
@speaks
def forget_key(host: str, reason: str) -> None:
    """Bind the next key that speaks in this host's name: that of a machine that has lost its own, say."""
    from autoscaler_app.cli import keys

    say(keys.forget(host, reason))


@autoscaler.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, help="0 takes a free one.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which the last pass is old; three intervals, if not given.",
)
@click.pass_context
@speaks
def web(ctx: click.Context, host: str, port: int, max_age: float | None) -> None:
    """Serve pages, JSON, metrics and a health check; who knows the password of an operator gets buttons."""
    try:
        from autoscaler_app.web import serve
    except ModuleNotFoundError as missing:
        raise InvalidConfig(f"the web page needs {missing.name}: pip install -e '.[web]'") from missing
    age = None if max_age is None else timedelta(seconds=max_age)
    with opened(ctx) as control:
        serve(control, host, port, max_age=age, ready=lambda url: say(f"Ready: {url}"))


for each in (
    *(doctor.doctor, explaining.explain, supposing.whatif),
    *(by_hand.hold, by_hand.unhold, by_hand.drain, by_hand.undrain, by_hand.delete),
    *(creating.create, pausing.pause, pausing.resume),
    *(init.init, wiring.check, validate.validate, in_force.config, support.support),
    *(queues.queues, limits.limits, top.top),
    *(process.ping, process.stop, process.reload, recording.record),
):
    autoscaler.add_command(each)
