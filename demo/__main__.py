"""`make demo`: a cluster on this machine grows with its tasks, works them off, and goes away again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autoscaler_app.brokers import BrokerError
from demo.process import DidNotStart
from demo.site import BrokerInUse, Site, Wishes

LONGEST = 170.0
"""Seconds after which the demo gives up on tasks or nodes that are still there."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the demo comes to."""

    tasks_sent: int
    tasks_finished: int
    tasks_lost: int
    tasks_run_twice: int
    nodes_launched: int
    nodes_deleted: int
    node_seconds: float
    cost: float
    seconds_to_first_launch: float | None
    seconds_to_first_task: float | None
    seconds_in_all: float
    nodes_left: int
    processes_left: int

    @property
    def is_clean(self) -> bool:
        """Every task finished exactly once, no node and no process is left."""
        return (
            self.tasks_finished == self.tasks_sent > 0
            and not self.tasks_lost
            and not self.tasks_run_twice
            and not self.nodes_left
            and not self.processes_left
        )


@click.command(help=__doc__)
@click.option("--broker", default="", help="redis://… or amqp://… instead of the embedded Valkey.")
@click.option("--tasks", type=click.IntRange(4), default=40, show_default=True, help="How many to send.")
@click.option("--seconds", default="1-5", show_default=True, help="Work in each task.")
@click.option("--seed", default=1, show_default=True, help="For the lengths of the tasks.")
@click.option("--keep", is_flag=True, help="Leave it running, and print the commands to play with.")
@click.option("--json", "json_", is_flag=True, help="Print the summary as one JSON object.")
def main(broker: str, tasks: int, seconds: str, seed: int, keep: bool, json_: bool) -> None:
    # A terminal that is closed, and a `kill`, clean up as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    console = Console(stderr=json_)
    site = Site(Wishes(broker_url=broker))
    try:
        console.print(f"Starting broker, emulator, control worker and beat (logs in {site.folder}) …")
        site.start()
        summary = _play(site, console, tasks, seconds, seed)
        _print(summary, console, json_=json_)
        if keep:
            _keep(site, console)
    except KeyboardInterrupt:
        console.print("\nInterrupted; cleaning up …")
        raise SystemExit(130) from None
    except (DidNotStart, BrokerInUse, BrokerError, TimeoutError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        raise SystemExit(1) from error
    finally:
        with _deaf_to_signals():
            site.stop()
    raise SystemExit(0 if summary.is_clean else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _deaf_to_signals:
    """While cleaning up, a second Ctrl-C must not leave half of it undone."""

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _play(site: Site, console: Console, tasks: int, seconds: str, seed: int) -> Summary:
    """Send the tasks, watch, and sum up when the last node is gone."""
    began = time.time()
    add = site.run_module(
        "add", "worker_tasks", "add", "--count", str(tasks), "--kind", "mixed", "--seconds", seconds,
        "--seed", str(seed), "--json",
    )  # fmt: skip
    if add.wait():
        raise DidNotStart(f"sending the tasks failed:\n{add.log()[-2000:]}")
    sent = [json.loads(line)["id"] for line in add.log().splitlines() if line.startswith("{")]
    with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
        while time.time() - began < LONGEST:
            finished, nodes = site.finished(), site.nodes()
            if console.is_terminal:
                live.update(_screen(site, nodes, len(sent), len(finished), began), refresh=True)
            if all(id_ in finished for id_ in sent) and not nodes:
                break
            time.sleep(0.5)
    return _sum_up(site, sent, began)


def _screen(
    site: Site, nodes: list[dict[str, Any]], sent: int, finished: int, began: float
) -> RenderableType:
    """Queues, nodes with what runs there, money per hour."""
    last = next(iter(site.reports(1)), None)
    queues = Table("queue", "waiting", "running", box=None, header_style="bold", min_width=60)
    for queue in last.saw.queues if last is not None and last.saw is not None else ():
        queues.add_row(queue.queue, str(queue.waiting), str(queue.running))
    running = Counter((run.host, run.task.rpartition(".")[2]) for run in site.runs() if run.end is None)
    table = Table("node", "state", "size", "runs", "per hour", box=None, header_style="bold", min_width=60)
    prices = {row["vm_size"]: row["price"] for row in site.ledger()["by_size"]}
    for node in nodes:
        runs = ", ".join(
            f"{count} {task}"
            for (host, task), count in sorted(running.items())
            if host == node.get("Hostname")
        )
        price = prices.get(node["MachineType"])
        table.add_row(
            node["Name"], node["Status"], node["MachineType"], runs, "" if price is None else f"{price:.2f}"
        )
    cost = float(site.ledger()["cost_per_hour"])
    elapsed = time.time() - began
    head = (
        f"{elapsed:5.0f} s   {finished} of {sent} tasks finished   {len(nodes)} nodes   {cost:.2f} per hour"
    )
    return Group(Text(head, style="bold"), Text(), queues, Text(), table)


def _sum_up(site: Site, sent: list[str], began: float) -> Summary:
    runs = [run for run in site.runs() if run.id in set(sent)]
    started, finished = Counter(run.id for run in runs), site.finished()
    ledger = site.ledger()
    creates = [c["at"] for c in site.cloud("/emulator/calls")["calls"] if c["path"].endswith("/nodes/create")]
    return Summary(
        tasks_sent=len(sent),
        tasks_finished=sum(1 for id_ in sent if finished[id_]),
        tasks_lost=sum(1 for id_ in sent if not finished[id_]),
        tasks_run_twice=sum(1 for id_ in sent if started[id_] > 1),
        nodes_launched=ledger["nodes_created"],
        nodes_deleted=ledger["nodes_removed"],
        node_seconds=round(ledger["node_seconds"], 1),
        cost=round(ledger["cost"], 5),
        seconds_to_first_launch=round(min(creates) - began, 2) if creates else None,
        seconds_to_first_task=round(min(run.start for run in runs) - began, 2) if runs else None,
        seconds_in_all=round(time.time() - began, 1),
        nodes_left=len(site.nodes()),
        processes_left=len(site.left_behind()),
    )


def _print(summary: Summary, console: Console, *, json_: bool) -> None:
    if json_:
        click.echo(json.dumps(asdict(summary)))
        return
    table = Table(box=None, show_header=False)
    for name, value in asdict(summary).items():
        table.add_row(name.replace("_", " "), "never" if value is None else str(value))
    console.print(table)
    verdict = "every task ran exactly once, nothing is left" if summary.is_clean else "NOT clean, see above"
    console.print(f"[bold]{verdict}[/bold]")


def _keep(site: Site, console: Console) -> None:
    """Leave it running until Ctrl-C."""
    python = os.path.relpath(sys.executable)
    celery = f"{python} -m celery -A autoscaler_app"
    settings = "\n".join(f"export {name}={value!r}" for name, value in sorted(site.env_of_a_shell.items()))
    console.print(
        f"\nIt is still running. In another shell, from this folder:\n\n{settings}\n\n"
        f"{python} -m worker_tasks add --count 8 --kind mixed --seconds 5\n"
        f"{python} -m worker_tasks check\n"
        f"{celery} autoscaler status\n"
        f"{celery} autoscaler plan\n"
        f"{celery} autoscaler nodes\n\nCtrl-C ends it.",
        highlight=False,
        soft_wrap=True,
    )
    with suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    main()
