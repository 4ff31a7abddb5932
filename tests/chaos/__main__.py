"""Hurt a cluster for a while, let it come to rest, and count."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import click
import httpx

from demo.process import wait_for
from demo.site import Run, Site, Wishes
from tests.chaos.brokers import BROKERS, QUORUM, broker_of
from tests.chaos.cable import Cable, why_no_cable
from tests.chaos.disk import Disk, why_no_disk
from tests.chaos.faults import FAULTS, Place
from tests.labs import relay_to
from worker_tasks import tasks
from worker_tasks.celery import app

KINDS = (tasks.work, tasks.small, tasks.wide, tasks.roomy, tasks.alone)
AROUND = 40.0
"""Seconds before and after a task that belong to its story."""
PATIENCE = 300.0
"""Seconds for everything to be finished and gone, once the last fault is over."""
ENDS_A_RUN = ("kill_a_worker", "evict_a_node")
ENDS_A_CONNECTION = (
    "cut_the_nodes", "silence_the_nodes", "kill_the_broker", "pull_the_cable_of_the_nodes", "fill_the_disk",
)  # fmt: skip
"""RabbitMQ gives back what a connection had, and so it runs once more."""
ZERO = ("tasks lost", "run twice, unexplained", "busy nodes deleted", "nodes leaked", "processes left")
"""Rows that are to be zero."""


class Chaos:
    """One run. Faults are those of the seed; what they meet is up to the processes."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._site, self._random = place, place.site, Random(seed)
        self._sent: dict[str, float] = {}
        self._struck: list[tuple[float, str, str]] = []
        """When, what, and which host or what else was hit."""
        self._odd: set[str] = set()
        """Tasks that `table` counted where there should be none."""

    def send(self, count: int) -> None:
        """Tasks of every kind."""
        for _ in range(count):
            task, seconds = self._random.choice(KINDS), self._random.choice([0.05, 0.5, 3.0])
            self._sent[task.apply_async((seconds,), ignore_result=True).id] = time.time()

    def strike(self, seconds: float) -> None:
        """Send and hurt for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.send(self._random.randint(1, 6))
            time.sleep(self._random.uniform(2, 8))  # the pace of the faults
            name = self._random.choice(sorted(FAULTS))
            with contextlib.suppress(httpx.HTTPError):
                hit = FAULTS[name](self._place, self._random)
                if hit:
                    self._struck.append((time.time(), name, hit))
                    click.echo(f"  {name} {hit}")

    def rest(self) -> None:
        """Until everything is finished and gone, or for as long as there is patience."""
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: set(self._sent) <= set(self._site.finished()), PATIENCE, "all is finished")
            self._site.wait_until_gone(PATIENCE)

    def table(self) -> dict[str, int | float]:
        """What is counted."""
        site, runs = self._site, sorted(self._site.runs(), key=lambda run: run.start)
        finished, ledger, reports = site.finished(), site.ledger(), site.reports(100_000)
        began: dict[str, float] = {}
        for run in runs:
            began.setdefault(run.id, run.start)
        twice = {run.id for run in runs if run.start > began[run.id]}
        unexplained = twice - {run.id for run in runs if self._was_hit(run) or self._was_given_back(run)}
        at_work = [run for run in runs if run.end is None and not self._was_hit(run)]
        self._odd = {*unexplained, *(run.id for run in at_work), *(self._sent.keys() - finished.keys())}
        return {
            "faults": len(self._struck),
            "tasks sent": len(self._sent),
            "tasks finished": len(self._sent.keys() & finished.keys()),
            "tasks lost": len(self._sent.keys() - finished.keys()),
            "run twice, and a fault was why": len(twice - unexplained),
            "run twice, unexplained": len(unexplained),
            "passes": len(reports),
            "passes that failed": sum(not made.ok for made in reports),
            "nodes launched": ledger["nodes_created"],
            "nodes deleted": ledger["nodes_removed"],
            "nodes leaked": len(site.nodes()),
            "busy nodes deleted": len(at_work),
            "longest wait (s)": round(max(began[id_] - at for id_, at in self._sent.items() if id_ in began)),
            "processes left": len(site.left_behind()),
        }

    def stories(self) -> Iterator[str]:
        """Of each task that was counted where there should be none: all that might have to do with it."""
        for task in sorted(self._odd):
            runs = [run for run in self._site.runs() if run.id == task]
            sent = self._sent.get(task, min((run.start for run in runs), default=0.0))
            until = max((run.end or run.start for run in runs), default=sent) + AROUND
            lines = [(sent, "sent")]
            for run in runs:
                lines.append((run.start, f"starts on {run.host}"))
                lines += [] if run.end is None else [(run.end, f"ends on {run.host}")]
            lines += [(at, f"fault: {name} {hit}") for at, name, hit in self._struck]
            for made in self._site.reports(100_000):
                done = [f"{each.kind} {each.target} {each.detail}" for each in made.actions]
                said = made.error or "; ".join(done)
                lines += [(made.started.timestamp(), f"pass {made.number}: {said}")] if said else []
            yield f"task {task}, in seconds since it was sent:"
            yield from (
                f"{at - sent:8.1f}  {what}" for at, what in sorted(lines) if sent - AROUND < at < until
            )

    def _was_hit(self, run: Run) -> bool:
        """A fault ended this run, or its worker before it could acknowledge it."""
        return any(
            name in ENDS_A_RUN and hit == run.host and at >= run.start for at, name, hit in self._struck
        )

    def _was_given_back(self, run: Run) -> bool:
        """The broker took it for unfinished, when the connection of its worker was lost."""
        return self._site.broker_url.startswith("amqp") and any(
            name in ENDS_A_CONNECTION and at >= run.start for at, name, _ in self._struck
        )


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long it is hurt.")
@click.option("--seed", type=int, help="Which faults.  [default: another one each time]")
@click.option("--broker", type=click.Choice(BROKERS), default="valkey", show_default=True)
@click.option("--pool", type=click.Choice(["prefork", "threads"]), default="prefork", show_default=True)
def main(seconds: float, seed: int | None, broker: str, pool: str) -> None:
    """A cluster of real processes, on a broker of its own, is hurt at random, and has to lose nothing."""
    seed = Random().randrange(10**6) if seed is None else seed
    click.echo(f"seed {seed}, {broker}, {pool}")
    settings = {"worker_pool": pool, **(QUORUM if broker == "quorum" else {})}
    for fault, why in (("no cable is pulled", why_no_cable()), ("no disk is full", why_no_disk())):
        if why:
            click.echo(f"{fault}: {why}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disk = None if why_no_disk() else stack.enter_context(Disk(folder / "disk"))
        on_disk = folder if disk is None else disk.path
        ours = stack.enter_context(broker_of(broker, on_disk / "broker"))
        cable = None if why_no_cable() else stack.enter_context(Cable())
        relay = stack.enter_context(
            contextlib.closing(relay_to(ours.url, None if cable is None else cable.listen()))
        )
        app.conf.update(settings, broker_url=ours.url)
        if broker in ("rabbitmq", "quorum"):
            app.conf.broker_transport = None  # that of the app's own default URL
            # Otherwise a message may be gone with the broker a moment after it was sent.
            app.conf.broker_transport_options = {"confirm_publish": True}
        site = stack.enter_context(Site(_wishes(ours.url, relay.url, settings, on_disk / "autoscaler.db")))
        chaos = Chaos(Place(site=site, relay=relay, broker=ours, cable=cable, disk=disk), seed)
        chaos.strike(seconds)
        chaos.rest()
        table = chaos.table()
        stories = list(chaos.stories())
    for row, value in table.items():
        click.echo(f"  {row:<32} {value}")
    wrong = not_zero(table)
    for line in stories if wrong else ():
        click.echo(line)
    click.echo(f"not zero: {', '.join(wrong)}" if wrong else "nothing was lost, leaked or ended at work")
    sys.exit(bool(wrong))


def not_zero(table: Mapping[str, float]) -> list[str]:
    """The rows that are to be zero and are not."""
    return [row for row in ZERO if table[row]]


def _wishes(url: str, url_of_nodes: str, settings: Mapping[str, Any], state: Path) -> Wishes:
    quick = {
        "state_file": str(state),
        "told_within": 5.0,
        "silent_timeout": 30.0,
        "give_back_after": 10.0,
        "target_drain_time": 5.0,
    }
    nodes = {
        "app": "tests.chaos.app",
        "environment": {"CELERY_BROKER_URL": url_of_nodes, "CHAOS_SETTINGS": json.dumps(settings)},
        "on_worker_exit": "restart",
    }
    return Wishes(broker_url=url, interval=2.0, boot_seconds=1.0, nodes=nodes, autoscaler=quick)


if __name__ == "__main__":
    main()
