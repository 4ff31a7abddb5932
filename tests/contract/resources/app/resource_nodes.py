"""Nodes for tests: real worker processes, and a replay of what their tasks wrote down."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from resource_app import NEEDS, make_app
from resource_relay import Relay, relay_to

from celery_resources import Requirement, queue_name
from celery_resources.room.ledger import Ledger, Need
from celery_resources.sending.notes import definition

HERE = Path(__file__).parent
ROOT = HERE.parents[3]


def queues_of(*kinds: str) -> dict[str, dict[str, Any]]:
    """What a control side would say in `join` for these kinds."""
    found = {}
    for kind in kinds:
        need = Requirement.from_json(NEEDS[kind])
        found[queue_name(need)] = need.to_json()
    return found


class Node:
    """One worker process on a machine that exists by name only."""

    def __init__(self, lab: Lab, name: str, resources: str | None, arguments: list[str], env: dict[str, str]):
        self.lab = lab
        self.name = name
        self.nodename = f"worker@{name}"
        self.resources = resources
        self.arguments = arguments
        self.env = env
        self.log = lab.folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "resource_app", "worker", "-n", self.nodename]
        command += ["--loglevel", "INFO", *self.arguments]
        if self.resources is not None:
            command += ["--resources", self.resources]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **self.lab.env, **self.env},
                cwd=self.lab.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The payload of the answer; an error is raised."""
        answer = self.try_ask(command, **arguments)
        if answer is None:
            raise AssertionError(f"{self.nodename} did not answer {command}:\n{self.text()}")
        if "error" in answer:
            raise AssertionError(f"{command}: {answer['error']}")
        payload: dict[str, Any] = answer["ok"]
        return payload

    def try_ask(self, command: str, **arguments: Any) -> dict[str, Any] | None:
        replies = self.lab.app.control.broadcast(
            command, arguments=arguments, destination=[self.nodename], reply=True, timeout=5, limit=1
        )
        for reply in replies or ():
            found: dict[str, Any] = reply[self.nodename]
            return found
        return None

    def wait_ready(self) -> Node:
        self.lab.wait_until(lambda: self.is_ready(), seconds=40, what=f"{self.name} is ready")
        # It says so a moment before Redis hears that it listens.
        control = self.lab.app.control
        self.lab.wait_until(
            lambda: control.ping(destination=[self.nodename], timeout=1, limit=1), what="it answers"
        )
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.text()}")
        return f"{self.nodename} ready." in self.text()

    def join(self, *kinds: str) -> dict[str, Any]:
        return self.ask("join", queues=queues_of(*kinds))

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, seconds: float = 40) -> int:
        """Warm shutdown; the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def restart(self) -> Node:
        self.log.write_text("")
        self.start()
        return self.wait_ready()

    def kill(self) -> None:
        """The machine vanishes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


class Lab:
    """A broker, an app, and nodes on it."""

    def __init__(self, broker: str, folder: Path, wait_until: Any, **env: str) -> None:
        self.broker = broker
        self.folder = folder
        self.wait_until = wait_until
        self.log = folder / "tasks.jsonl"
        self.log.touch()
        self.env = {
            "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}",
            "RESOURCE_APP_BROKER": broker,
            "RESOURCE_APP_LOG": str(self.log),
            "CELERY_RESOURCES_STATE": str(folder / "state"),
            **env,
        }
        self.app = self._app(env)
        self.nodes: list[Node] = []
        self.relays: list[Relay] = []

    def _app(self, env: dict[str, str]) -> Any:
        before = dict(os.environ)
        os.environ.update(env)
        try:
            return make_app(self.broker)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def node(
        self, name: str, resources: str | None = "ncpus=4,memgb=16", *arguments: str, **env: str
    ) -> Node:
        """Start a node; its pool has eight places if the arguments do not say."""
        given = list(arguments)
        if "-c" not in given:
            given += ["-c", "8"]
        node = Node(self, name, resources, given, env)
        self.nodes.append(node)
        return node

    def relay(self) -> Relay:
        """A way to the broker that can be cut; it ends with the lab."""
        relay = relay_to(self.broker)
        self.relays.append(relay)
        return relay

    def send(self, kind: str, task: str = "work", *args: Any, **options: Any) -> Any:
        """One task that needs what the kind says."""
        return self.app.tasks[task].apply_async(args or (0.0,), **NEEDS[kind], **options)

    def runs(self) -> list[dict[str, Any]]:
        """Everything that tasks wrote down, in order of time."""
        # What is written while we read may be there by half: a line counts when its end is there.
        whole, _, _ = self.log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        return sorted(lines, key=lambda line: line["at"])

    def finished(self) -> Counter[str]:
        """How often each task ended."""
        return Counter(line["id"] for line in self.runs() if line["what"] == "end")

    def wait_finished(self, ids: Any, seconds: float = 60) -> Counter[str]:
        wanted = {getattr(each, "id", each) for each in ids}

        def all_there() -> bool:
            return wanted <= self.finished().keys()

        try:
            self.wait_until(all_there, seconds=seconds, every=0.1, what="all tasks ended")
        except AssertionError as error:
            missing = wanted - self.finished().keys()
            logs = "\n".join(f"== {node.name}\n{node.text()[-3000:]}" for node in self.nodes)
            raise AssertionError(f"{error}: {len(missing)} missing: {sorted(missing)[:5]}\n{logs}") from None
        return self.finished()

    def waiting(self, queue: str) -> int:
        """Messages that wait in a queue."""
        with self.app.connection_for_read() as connection:
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                return 0

    def unacknowledged(self) -> int:
        """Messages that came to a node and were not acknowledged, in the broker's own words."""
        if self.broker.startswith(("redis", "sentinel")):
            with self.app.connection_for_read() as connection:
                channel = connection.default_channel
                return int(channel.client.hlen(channel.unacked_key))
        vhost = urlsplit(self.broker).path.removeprefix("/")
        command = ["rabbitmqctl", "--quiet", "list_queues", "-p", vhost, "messages_unacknowledged"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return sum(int(line) for line in answer.splitlines() if line.isdigit())

    def notes(self) -> list[dict[str, Any]]:
        """Everything on the queue of notes, taken off it."""
        found = []
        with self.app.connection_for_read() as connection:
            bound = definition("control")(connection.default_channel)
            bound.declare()
            while (message := bound.get(no_ack=True)) is not None:
                found.append(message.payload)
        return found

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
        for relay in self.relays:
            relay.close()
        close_app(self.app)


def close_app(app: Any) -> None:
    """Close it, and leave no result behind that would connect anew."""
    results = getattr(app.backend, "result_consumer", None)
    with contextlib.suppress(AttributeError):  # Celery's stops only what a result was asked of
        results.stop()
    if app.conf.broker_url.startswith("redis"):
        # A result that is dropped after this would unsubscribe, and connect anew for that.
        results._pubsub = None
        app.backend.client.close()
        app.backend.client.connection_pool.disconnect()
    app.close()


def replay(runs: list[dict[str, Any]], totals: dict[str, dict[str, Any]]) -> list[str]:
    """What went wrong on the nodes, by what the tasks wrote down: empty if no node ever ran more than it has.

    The sums are made here, not by the books that are tested; those only turn units into amounts. A run that
    has no end was killed, nobody knows when: it is left out.
    """
    ledgers = {node: Ledger(resources, 1000) for node, resources in totals.items()}
    wrong = []
    running: dict[str, dict[int, Need]] = {node: {} for node in totals}
    ends = {(line["pid"], line["id"], line["retries"]) for line in runs if line["what"] == "end"}
    for line in runs:
        node, place = line["node"], line["pid"]
        if line["what"] == "end":
            del running[node][place]
            continue
        if (place, line["id"], line["retries"]) not in ends:
            continue
        need = ledgers[node].need(Requirement.from_json(line["need"] or {"ncpus": 1}))
        assert place not in running[node], "a process runs one task at a time"
        running[node][place] = need
        if not _fits(list(running[node].values()), ledgers[node].total):
            beside = [each.requirement.canonical for each in running[node].values()]
            wrong.append(f"{node} at {line['at']}: {need.requirement.canonical} makes {beside}")
    return wrong


def _fits(needs: list[Need], total: Mapping[str, int]) -> bool:
    taken: Counter[str] = Counter()
    for need in needs:
        taken.update(need.amounts)
    alone = any(need.exclusive for need in needs)
    return (
        not any(need.unfit for need in needs)
        and all(amount <= total.get(counter, 0) for counter, amount in taken.items())
        and (len(needs) == 1 or not alone)
    )
