"""Everything that a cluster needs, started on loopback: broker, emulator, control worker, beat."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from celery import Celery

from autoscaler_app.brokers import open_broker
from autoscaler_app.memory.state import State
from autoscaler_app.passes import report
from autoscaler_app.passes.report import Report
from celery_resources import Requirement, queue_name
from demo.process import MARK, Process, kill_marked, marked, wait_for

QUEUES = ("celery", "autoscale")
"""The queues that every site uses; those of derived requirements come to them."""

KINDS = (
    Requirement({"ncpus": 1}),
    Requirement({"ncpus": 4}),
    Requirement({"ncpus": 1, "memgb": 12}),
    Requirement({"ncpus": 1}, exclusive=True),
)
"""What the tasks of `worker_tasks` need."""

STATE_FILE = "autoscaler.db"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What may differ from site to site. Durations are seconds."""

    broker_url: str = ""
    """Empty: an embedded broker."""
    interval: float = 3.0
    idle_timeout: float = 8.0
    boot_seconds: float = 4.0
    terminate_seconds: float = 1.0
    autoscaler: Mapping[str, Any] = field(default_factory=dict)
    """Keys of `"autoscaler"` in `autoscale.json`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of `autoscale.json`."""
    nodes: Mapping[str, Any] = field(default_factory=dict)
    """Keys of `[nodes]` in the emulator's settings."""
    most_nodes: int = 10
    """Ceiling of the cluster: a small machine boots ten nodes sooner than forty."""
    beat: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one task, from the ledger that the tasks write."""

    id: str
    task: str
    host: str
    start: float
    end: float | None


class Site:
    """A cluster on this machine. Use as a context manager: at its end no process is left."""

    def __init__(self, wishes: Wishes = Wishes()) -> None:
        self.wishes = wishes
        self.mark = uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="autoscaler-"))
        self.password = secrets.token_urlsafe(12)
        self.broker_url = wishes.broker_url
        self.processes: dict[str, Process] = {}
        self._admin: httpx.Client | None = None
        self._made_queues: set[str] = set()
        """Queues that were not there before us on a RabbitMQ that is somebody's."""

    # -- up and down

    def __enter__(self) -> Site:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Broker, emulator, control worker, beat, each ready before the next is started."""
        self.start_cloud()
        self.start_control()
        if self.wishes.beat:
            self.start_beat()

    def start_cloud(self) -> None:
        """The broker, if none was named, and the emulator; and the settings that name both."""
        if self.broker_url:
            refuse_if_in_use(self.broker_url)
            if self.broker_url.startswith("amqp"):
                mine = queues_of_a_site()
                self._made_queues = mine - existing_queues(self.broker_url, mine)
        else:
            broker = self.run_module("broker", "demo.embedded", "--port", "0")
            self.broker_url = self._ready_url(broker, "Ready: ")
        emulator = self.run_module(
            "emulator", "cyclecloud_emulator", "--port", "0", "--config", str(self._emulator_settings())
        )
        self.cloud_url = self._ready_url(emulator, "Ready: ")
        self._admin = httpx.Client(base_url=self.cloud_url, auth=("emulator", self.password), timeout=10)
        (self.folder / "autoscale.json").write_text(json.dumps(self._autoscale_json(), indent=1))

    def start_control(self) -> Process:
        """The control worker."""
        worker = self.run_module(
            "control", "celery", "-A", "autoscaler_app", "worker", "-l", "INFO", "-n", "control@%h"
        )
        worker.wait_for_line("ready.")
        return worker

    def start_beat(self, name: str = "beat") -> Process:
        """celery beat."""
        schedule = str(self.folder / f"{name}-schedule")
        return self.run_module(name, "celery", "-A", "autoscaler_app", "beat", "-l", "INFO", "-s", schedule)

    def run_module(self, name: str, module: str, *words: str) -> Process:
        """Start `python -m module words` as a process of the site."""
        self.processes[name] = Process(
            name, [sys.executable, "-m", module, *words], folder=self.folder, cwd=ROOT, env=self.env
        )
        return self.processes[name]

    def stop(self) -> None:
        """End everything, nodes included, and remove the folder. Safe to call at any moment and twice."""
        for name in ("beat", "control", "emulator", *reversed(list(self.processes))):
            if name in self.processes:
                self.processes.pop(name).stop()
        kill_marked(self.mark)
        if self._admin is not None:
            self._admin.close()
        if self._made_queues:
            delete_empty_queues(self.broker_url, self._made_queues)
            self._made_queues = set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_behind(self) -> list[str]:
        """Command lines of processes of this site that outlived the emulator and the nodes."""
        ours = {process.pid for process in self.processes.values()}
        return [" ".join(p.cmdline()[:6]) for p in marked(self.mark) if os.getpgid(p.pid) not in ours]

    # -- what it was told

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process of the site."""
        env = {
            MARK: self.mark,
            "AUTOSCALER_CONFIG": str(self.folder / "autoscale.json"),
            "AUTOSCALER_INTERVAL": str(self.wishes.interval),
            "CYCLECLOUD_PASSWORD": self.password,
            "WORKER_TASKS_LEDGER": str(self.ledger_file),
            "WORKER_TASKS_SENT": str(self.folder / "sent.jsonl"),
            "PYTHONUNBUFFERED": "1",
            # What a killed worker leaves in the temporary folder goes with the site.
            "TMPDIR": str(self._temporary()),
        }
        if self.wishes.autoscaler.get("signing"):
            env["CELERY_RESOURCES_SIGNING"] = "on"
        if self.broker_url:
            env["CELERY_BROKER_URL"] = self.broker_url
            # A broker of yours is not filled with results of ours.
            env["CELERY_RESULT_BACKEND"] = (
                f"file://{self._results()}" if self.wishes.broker_url else self.broker_url
            )
        return env

    @property
    def env_of_a_shell(self) -> dict[str, str]:
        """What a shell of a person needs to talk to the site.

        Without the mark: whatever the person starts there, an editor say, would be killed with the site. And
        without the temporary folder, which is gone then.
        """
        return {name: value for name, value in self.env.items() if name not in (MARK, "TMPDIR")}

    @property
    def ledger_file(self) -> Path:
        """Where every run of a task is written down."""
        return self.folder / "runs.jsonl"

    def _temporary(self) -> Path:
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _results(self) -> Path:
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        return folder

    def _emulator_settings(self) -> Path:
        from cyclecloud_emulator import settings

        default = settings.load()
        changed = settings.replace(
            default,
            clusters={
                name: msgspec.structs.replace(cluster, max_count=self.wishes.most_nodes)
                for name, cluster in default.clusters.items()
            },
            nodes={
                "boot_seconds": self.wishes.boot_seconds,
                "terminate_seconds": self.wishes.terminate_seconds,
                **self.wishes.nodes,
            },
        )
        path = self.folder / "emulator.json"
        path.write_bytes(msgspec.json.encode(changed))
        return path

    def _autoscale_json(self) -> dict[str, Any]:
        from cyclecloud_emulator import settings

        prices: dict[str, float] = {}
        for name, size in settings.load().sizes.items():
            prices[name], prices[f"{name}/spot"] = size.price, size.spot_price
        return {
            "url": self.cloud_url,
            "username": "emulator",
            "cluster_name": "celery",
            "idle_timeout": self.wishes.idle_timeout,
            "boot_timeout": 60,
            "prices": prices,
            **self.wishes.config,
            "autoscaler": {"state_file": STATE_FILE, **self.wishes.autoscaler},
        }

    def _ready_url(self, process: Process, prompt: str) -> str:
        process.wait_for_line(prompt)
        line = next(line for line in process.log().splitlines() if prompt in line)
        return line.partition(prompt)[2].split()[0]

    # -- what can be seen

    def cloud(self, path: str) -> Any:
        """Ask the emulator (`/emulator/...` and the real API)."""
        assert self._admin is not None
        answer = self._admin.get(path)
        answer.raise_for_status()
        return answer.json()

    def tell_cloud(self, path: str, body: Any) -> Any:
        """Tell the emulator something (`/emulator/...`)."""
        assert self._admin is not None
        answer = self._admin.post(path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def nodes(self) -> list[dict[str, Any]]:
        """The node records of the cluster, without the head node."""
        return list(self.cloud("/clusters/celery/status?nodes=true")["nodes"])

    def bound_hosts(self, settled: float = 0.0) -> list[str]:
        """Hosts whose key is known, for so many seconds."""
        with contextlib.closing(State.look(self.state_file)) as state:
            bindings = state.key_bindings().values()
        now = datetime.now(UTC)
        return [each.hostname for each in bindings if (now - each.bound).total_seconds() > settled]

    def ledger(self) -> dict[str, Any]:
        """What the machines cost."""
        return dict(self.cloud("/emulator/ledger"))

    def runs(self) -> list[Run]:
        """Every run of every task so far."""
        if not self.ledger_file.exists():
            return []
        open_runs: dict[tuple[str, int], dict[str, Any]] = {}
        runs: list[Run] = []
        # What is written while we read may be there by half: a line counts when its end is there.
        whole, _, _ = self.ledger_file.read_text().rpartition("\n")
        for line in whole.splitlines():
            entry = json.loads(line)
            key = (entry["id"], entry["pid"])
            if entry["what"] == "start":
                if key in open_runs:
                    runs.append(_run(open_runs.pop(key), None))
                open_runs[key] = entry
            elif key in open_runs:
                runs.append(_run(open_runs.pop(key), entry["at"]))
        return runs + [_run(entry, None) for entry in open_runs.values()]

    def finished(self) -> Counter[str]:
        """How often each task was run to its end."""
        return Counter(run.id for run in self.runs() if run.end is not None)

    @property
    def state_file(self) -> Path:
        """The control side's memory."""
        return self.folder / str(self.wishes.autoscaler.get("state_file", STATE_FILE))

    def reports(self, last: int = 1000, database: str = "") -> list[Report]:
        """The journal of the control side, newest first."""
        path = self.folder / database if database else self.state_file
        if not path.exists():
            return []
        state = State(path)
        try:
            return [report.decode(text, number) for number, text in state.reports(last)]
        finally:
            state.close()

    def wait_until_gone(self, seconds: float) -> None:
        """Wait until the cluster has no node."""
        wait_for(lambda: not self.nodes(), seconds, "the last node is gone")


class BrokerInUse(RuntimeError):
    """There are messages on the broker that are not ours."""


def queues_of_a_site() -> set[str]:
    """Every queue that the nodes of a site consume, and the control queue."""
    return {*QUEUES, *(queue_name(requirement) for requirement in KINDS)}


def refuse_if_in_use(broker_url: str) -> None:
    """Raises BrokerInUse if the queues of the site hold messages, BrokerError if nobody answers.

    Those of requirements too: our nodes would take tasks of another app, do not know them, and discard them.
    """
    depths = open_broker(Celery(broker=broker_url)).depths(sorted(queues_of_a_site()))
    busy = [f"{queue} ({depth.waiting})" for queue, depth in depths.items() if depth.waiting]
    if busy:
        raise BrokerInUse(
            f"there are messages in {', '.join(busy)} already; name another database (redis://host/5) or "
            "virtual host, or empty these queues"
        )


def existing_queues(broker_url: str, queues: Iterable[str]) -> set[str]:
    """Those of the queues that are there, on a broker where a queue is something that is there (AMQP)."""
    found = set()
    with Celery(broker=broker_url).connection_for_write(connect_timeout=5) as connection:
        for name in queues:
            with contextlib.suppress(*connection.channel_errors):
                connection.channel().queue_declare(name, passive=True)
                found.add(name)
    return found


def delete_empty_queues(broker_url: str, queues: Iterable[str]) -> None:
    """Leave nothing of ours on somebody's RabbitMQ; what holds a message stays."""
    with Celery(broker=broker_url).connection_for_write(connect_timeout=5) as connection:
        for name in sorted(queues):
            with contextlib.suppress(*connection.channel_errors, *connection.connection_errors):
                connection.channel().queue_delete(name, if_empty=True)


def _run(entry: Mapping[str, Any], end: float | None) -> Run:
    host = str(entry["host"]).rpartition("@")[2]
    return Run(id=entry["id"], task=entry["task"], host=host, start=entry["at"], end=end)


def now() -> float:
    """Seconds since the epoch, as the ledger counts them."""
    return time.time()
