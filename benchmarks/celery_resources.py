"""What the package costs a worker, and how well several nodes are filled, on Redis and RabbitMQ.

*No-op tasks*: a worker of plain Celery, whose app never heard of the package, and a node are both up, with
four places each and the same settings. They are given batches of `BENCH_TASKS` (3,000) in turn, as many times
as `BENCH_ROUNDS` (5) says: the plain worker, the node, the node with tasks that say what they need. The node
serves four kinds, of which two never have a task. A batch is sent while its worker consumes (*sent
meanwhile*), or waits in its queue before the worker is told to consume that (*waiting*); it ends when the
last task has run (each writes a byte).

- The first figure is the processor time of the worker's main process, its children apart, a task: what else
  the machine does changes it less than seconds on the wall, which tell something on a quiet machine only.
- Each ratio is of two batches of one round; told are the median and the two ends of all rounds.

*4 nodes, mixed tasks*: `BENCH_MIXED` (2,000) tasks that sleep 0.2 to 0.5 s, of four kinds in turn (`MIX`),
are sent to four empty nodes of 4 cpus and 16 GB. A slot is a cpu.

- Usable are all cpus of all nodes from the first start of a task until the last: before it the workers have
  nothing to do, after it nothing waits. Nothing else is left out: a cpu that idles because none of the tasks
  that wait fits beside those that run is a slot that is not used.
- Used is, of the same time, what the tasks that ran had asked for, from the first to the last line of their
  code. What the broker, the worker and its pool take before and after is not use.
- Free slot to next start: from a task's last line to the next first line on the same node.
- Given back: messages that came to a node and went back to their queues.

Brokers are found as the tests find them (`TEST_REDIS_URL`, `TEST_AMQP_URL`, else loopback); a database and a
virtual host of their own are used.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import redis

from benchmarks import Measurement
from celery_resources import Requirement, queue_name

ROOT = Path(__file__).parents[1]
TASKS = int(os.environ.get("BENCH_TASKS", "3000"))
MIXED = int(os.environ.get("BENCH_MIXED", "2000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CPUS, MEMORY = 4, 16
ONE = {"ncpus": 1}
MIX = (ONE, ONE, {"ncpus": 2, "memgb": 4}, ONE, {"ncpus": 4, "memgb": 8}, {"ncpus": 1, "memgb": 12})

WORKER = """
import json, os, time
from celery import Celery
from celery_resources import with_resources

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
if os.environ.get("BENCH_PLAIN") != "1":
    with_resources(app)
app.conf.update(
    task_default_queue=os.environ.get("BENCH_QUEUE", "celery"),
    task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)

@app.task(name="noop")
def noop():
    file = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b".")
    os.close(file)

@app.task(name="sleep", bind=True)
def sleep(self, seconds):
    start = time.time()
    time.sleep(seconds)
    line = json.dumps({
        "start": start, "end": time.time(), "node": self.request.hostname,
        "need": self.request.resources["constraints"],
    })
    file = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode() + b"\\n")
    os.close(file)
"""


def measure() -> Iterator[Measurement]:
    """Every number that was promised."""
    for broker, found in (("redis", _redis), ("rabbitmq", rabbitmq_vhost)):
        with contextlib.ExitStack() as stack:
            url = found(stack)
            if url is None:
                _tell(f"no {broker}: not measured")
                continue
            for pool in ("prefork", "threads"):
                with contextlib.ExitStack() as workers:
                    yield from _overhead(Bench(url, workers), workers, broker, pool)
            yield from _filling(Bench(url, stack), broker)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a batch of tasks took."""

    cpu: float
    """Seconds of processor time of the worker's main process, a task."""
    rate: float
    """Tasks a second."""


PLAIN, NODE, SAYING = "plain", "with resources", "with resources and constraints"
MEANWHILE, WAITING = "sent meanwhile", "waiting"


def _overhead(bench: Bench, stack: contextlib.ExitStack, broker: str, pool: str) -> Iterator[Measurement]:
    """No-op tasks on a plain worker and on a node, in turn."""
    plain, node = bench.idle_worker(stack, pool, gate=False), bench.idle_worker(stack, pool, gate=True)
    ways = {
        PLAIN: partial(plain.batch, "plain", {}),
        NODE: partial(node.batch, "gated", {}),
        SAYING: partial(node.batch, queue_name(Requirement(ONE)), {"constraints": ONE}),
    }
    for run in ways.values():
        run(100, meanwhile=True)
    for mode in (MEANWHILE, WAITING):
        rounds: list[dict[str, Batch]] = []
        for number in range(ROUNDS):
            # None of them always comes right after the same other one.
            order = list(ways)[:: -1 if number % 2 else 1]
            rounds.append({way: ways[way](TASKS, meanwhile=mode is MEANWHILE) for way in order})
            for way, batch in rounds[-1].items():
                cost = f"{batch.cpu * 1000:.3f} ms a task, {batch.rate:.0f} tasks a second"
                _tell(f"{broker}, {pool}, {mode}, {way}: {cost}")
        yield from _compared(f"no-op tasks, {mode}, {broker}, {pool}", rounds)


def _compared(name: str, rounds: list[dict[str, Batch]]) -> Iterator[Measurement]:
    for way in (NODE, SAYING):
        ratios = [each[way].cpu / each[PLAIN].cpu for each in rounds]
        yield from _spread(name, f"main process, {way}, over plain", ratios, 1.1, at_most=True)
    for way in (PLAIN, NODE, SAYING):
        cpu = statistics.median(each[way].cpu for each in rounds)
        yield Measurement(name=name, metric=f"main process, {way}", value=cpu * 1000, unit="ms/task")
    for way in (NODE, SAYING):
        ratios = [each[way].rate / each[PLAIN].rate for each in rounds]
        yield from _spread(name, f"tasks a second, {way}, over plain", ratios, 0.97, at_most=False)


def _spread(
    name: str, metric: str, ratios: list[float], target: float, *, at_most: bool
) -> Iterator[Measurement]:
    median = statistics.median(ratios)
    yield Measurement(name=name, metric=metric, value=median, unit="ratio", target=target, at_most=at_most)
    for end, value in (("least", min(ratios)), ("most", max(ratios))):
        yield Measurement(name=name, metric=f"{metric}: {end}", value=value, unit="ratio")


def _filling(bench: Bench, broker: str) -> Iterator[Measurement]:
    """Four nodes and mixed tasks."""
    runs, returned = bench.mixed(nodes=4, tasks=MIXED)
    gaps = _gaps(runs)
    name = f"4 nodes, {len(runs)} mixed tasks, {broker}"
    yield Measurement(
        name=name,
        metric="slots used over usable",
        value=_used(runs, 4 * CPUS),
        unit="ratio",
        target=0.9,
        at_most=False,
    )
    for metric, value in (
        ("free slot to next start, median", statistics.median(gaps)),
        ("free slot to next start, 95th percentile", statistics.quantiles(gaps, n=20)[-1]),
    ):
        yield Measurement(name=name, metric=metric, value=value * 1000, unit="ms")
    yield Measurement(name=name, metric="messages given back", value=returned, unit="messages")


class Bench:
    """An app for sending, and worker processes."""

    def __init__(self, url: str, stack: contextlib.ExitStack) -> None:
        self.url = url
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "bench_worker.py").write_text(WORKER)
        self.log = self.folder / "log"
        self.env = {
            **os.environ,
            "BENCH_BROKER": url,
            "BENCH_LOG": str(self.log),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
        }
        os.environ.update({"BENCH_BROKER": url, "BENCH_LOG": str(self.log)})
        space: dict[str, Any] = {}
        exec(compile(WORKER, "bench_worker.py", "exec"), space)
        self.app = space["app"]
        stack.callback(self.app.close)

    def worker(self, name: str, queues: list[str], pool: int, *arguments: str) -> subprocess.Popen[bytes]:
        """A worker without chatter."""
        command = [sys.executable, "-m", "celery", "-A", "bench_worker", "worker", "-n", f"bench@{name}"]
        command += ["-c", str(pool), "-Q", ",".join(queues), "-l", "WARNING", "--without-heartbeat"]
        command += ["--without-gossip", "--without-mingle", *arguments]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.env, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )

    def idle_worker(self, stack: contextlib.ExitStack, pool: str, *, gate: bool) -> Idle:
        """A worker of the no-op tasks, with the package or without, that consumes nothing yet."""
        name = "gated" if gate else "plain"
        log = self.folder / f"{name}.done"
        log.touch()
        resources = ("--resources", f"ncpus={CPUS},memgb={MEMORY}") if gate else ()
        queues = [name, queue_name(Requirement(ONE))] if gate else [name]
        larger = [queue_name(Requirement({"ncpus": cpus})) for cpus in (2, 3)] if gate else []
        self.env.update({"BENCH_PLAIN": str(int(not gate)), "BENCH_QUEUE": name, "BENCH_LOG": str(log)})
        worker = self.worker(name, queues + larger, CPUS, "-P", pool, *resources)
        stack.callback(worker.wait, 60)
        stack.callback(worker.terminate)
        idle = Idle(self.app, f"bench@{name}", worker.pid, log)
        for queue in queues:
            _until(partial(idle.told, "cancel_consumer", queue))
        return idle

    def mixed(self, nodes: int, tasks: int) -> tuple[list[dict[str, Any]], int]:
        """What the tasks wrote down, and how many messages were given back."""
        self.log.unlink(missing_ok=True)
        queues = sorted({queue_name(Requirement(need)) for need in MIX})
        resources = ("--resources", f"ncpus={CPUS},memgb={MEMORY}")
        workers = [self.worker(f"n{number}", queues, CPUS, *resources) for number in range(nodes)]
        try:
            names = [f"bench@n{number}" for number in range(nodes)]
            _until(lambda: len(self.app.control.inspect(names, timeout=2).ping() or {}) == nodes)
            began = time.monotonic()
            for number in range(tasks):
                need = MIX[number % len(MIX)]
                self.app.send_task("sleep", (0.2 + 0.3 * (number % 7) / 6,), constraints=need)
            for part in range(1, 11):
                _until(partial(self.has_ended, tasks * part // 10), every=0.2)
                took = time.monotonic() - began
                _tell(f"{part * 10} % of the mixed tasks ended, {took:.0f} s")
            told = self.app.control.inspect(names, timeout=5)._request("resources") or {}
            returned = sum(each["ok"]["returned"] for each in told.values())
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(60)
        return [json.loads(line) for line in self.log.read_text().splitlines()], returned

    def has_ended(self, count: int) -> bool:
        """Have so many mixed tasks written down their end?"""
        return self.log.exists() and len(self.log.read_text().splitlines()) >= count


class Idle:
    """A worker that consumes a queue only while a batch is measured."""

    def __init__(self, app: Any, name: str, pid: int, done: Path) -> None:
        self._app = app
        self._name = name
        self._process = psutil.Process(pid)
        self._done = done

    def told(self, command: str, queue: str) -> bool:
        """Tell it to consume a queue, or to stop. Whether it answered."""
        reply = self._app.control.broadcast(
            command, {"queue": queue}, destination=[self._name], reply=True, timeout=2
        )
        return bool(reply)

    def batch(self, queue: str, says: dict[str, Any], tasks: int, *, meanwhile: bool) -> Batch:
        """Have so many tasks run that come by this queue: sent while it is consumed, or before."""
        until = self._done.stat().st_size + tasks
        if not meanwhile:
            self._send(says or {"queue": queue}, tasks)
        cpu, began = self._cpu(), time.perf_counter()
        _until(partial(self.told, "add_consumer", queue))
        if meanwhile:
            self._send(says or {"queue": queue}, tasks)
        _until(lambda: self._done.stat().st_size >= until)
        took = time.perf_counter() - began
        cpu = self._cpu() - cpu
        _until(partial(self.told, "cancel_consumer", queue))
        return Batch(cpu=cpu / tasks, rate=tasks / took)

    def _send(self, to: dict[str, Any], tasks: int) -> None:
        with self._app.connection_for_write() as connection:
            producer = self._app.amqp.Producer(connection)
            for _ in range(tasks):
                self._app.send_task("noop", producer=producer, **to)

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _used(runs: list[dict[str, Any]], cpus: int) -> float:
    """Of the cpus' time from the first start to the last."""
    begin, end = min(run["start"] for run in runs), max(run["start"] for run in runs)
    used = sum(run["need"]["ncpus"] * (min(run["end"], end) - run["start"]) for run in runs)
    return float(used / (cpus * (end - begin)))


def _gaps(runs: list[dict[str, Any]]) -> list[float]:
    """Seconds from each end to the next start on the same node."""
    starts: dict[str, list[float]] = {}
    for run in runs:
        starts.setdefault(run["node"], []).append(run["start"])
    gaps = []
    for times in starts.values():
        times.sort()
    for run in runs:
        times = starts[run["node"]]
        at = bisect.bisect_left(times, run["end"])
        gaps += [start - run["end"] for start in times[at : at + 1]]
    return gaps


def _tell(progress: str) -> None:
    print(f"# {progress}", file=sys.stderr, flush=True)


def _until(condition: Callable[[], Any], seconds: float = 300, every: float = 0.01) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(every)
    return value


def _redis(stack: contextlib.ExitStack) -> str | None:
    base = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
    try:
        with redis.Redis.from_url(base) as client:
            client.ping()
    except redis.ConnectionError:
        return None
    for number in range(15, 0, -1):
        client = redis.Redis.from_url(f"{base}/{number}")
        if client.dbsize() == 0:
            stack.callback(client.close)
            stack.callback(client.flushdb)
            return f"{base}/{number}"
        client.close()
    raise RuntimeError(f"no empty database at {base}")


def rabbitmq_vhost(stack: contextlib.ExitStack) -> str | None:
    """The URL of a virtual host until the stack is closed; None if there is no RabbitMQ."""
    parts = urlsplit(os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"))
    vhost = f"bench-{os.getpid()}"
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5672), 2).close()
        _rabbitmqctl("add_vhost", vhost)
    except OSError:
        return None
    stack.callback(_rabbitmqctl, "delete_vhost", vhost)
    _rabbitmqctl("set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*")
    return urlunsplit(parts._replace(path=f"/{vhost}"))


def _rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *words], check=True, capture_output=True, timeout=60)
