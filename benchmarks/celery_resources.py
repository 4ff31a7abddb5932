"""What the package costs a worker, and how well several nodes are filled, on Redis and RabbitMQ.

*No-op tasks*: `BENCH_TASKS` (3,000) of one kind wait; one worker with and without the package, in turn,
`BENCH_ROUNDS` (5) times. Counted from the first hundred until the queue is empty; the ratio is of medians.

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
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

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

app = with_resources(Celery("bench", broker=os.environ["BENCH_BROKER"]))
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)

@app.task(name="noop")
def noop():
    pass

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
    for broker, target in (("redis", 0.95), ("rabbitmq", 0.9)):
        with contextlib.ExitStack() as stack:
            url = {"redis": _redis, "rabbitmq": rabbitmq_vhost}[broker](stack)
            if url is None:
                _tell(f"no {broker}: not measured")
                continue
            yield from _overhead(Bench(url, stack), broker, target)
            yield from _filling(Bench(url, stack), broker)


def _overhead(bench: Bench, broker: str, target: float) -> Iterator[Measurement]:
    """No-op tasks of one kind, with the package and without, in turn."""
    plain: list[float] = []
    gated: list[float] = []
    plain_cpu: list[float] = []
    gated_cpu: list[float] = []
    for _ in range(ROUNDS):
        for gate, rates, costs in ((False, plain, plain_cpu), (True, gated, gated_cpu)):
            rate, cpu = bench.noops(TASKS, gate)
            rates.append(rate)
            costs.append(cpu)
            _tell(f"{broker}, {'with' if gate else 'without'}: {rate:.0f} no-op tasks a second")
    ratio = statistics.median(gated) / statistics.median(plain)
    name = f"no-op tasks, {broker}"
    yield Measurement(name=name, metric="tasks per second, plain", value=statistics.median(plain), unit="1/s")
    yield Measurement(
        name=name, metric="tasks per second, with resources", value=statistics.median(gated), unit="1/s"
    )
    yield Measurement(
        name=name, metric="with over plain", value=ratio, unit="ratio", target=target, at_most=False
    )
    cpu = statistics.median(gated_cpu) - statistics.median(plain_cpu)
    yield Measurement(name=name, metric="processor time added", value=cpu * 1000, unit="ms/task")


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

    def waiting(self, connection: Any, queue: str) -> int:
        """Messages in a queue that was declared, for as little of the machine as may be."""
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:  # Redis has no empty queues
            return 0

    def noops(self, tasks: int, gate: bool) -> tuple[float, float]:
        """Tasks per second from the first hundred to the last, and seconds of the main process per task."""
        queue = queue_name(Requirement(ONE))
        with self.app.connection_for_write() as connection:
            producer = self.app.amqp.Producer(connection)
            for _ in range(tasks):
                self.app.send_task("noop", constraints=ONE, producer=producer)
        arguments = ("--resources", f"ncpus={CPUS},memgb={MEMORY}") if gate else ()
        worker = self.worker("noop", [queue], CPUS, *arguments)
        try:
            with self.app.connection_for_read() as connection:
                first = _until(lambda: _below(tasks - 100, self.waiting(connection, queue)))
                cpu = _cpu_seconds(worker.pid)
                began = time.perf_counter()
                _until(lambda: self.waiting(connection, queue) == 0)
                took = time.perf_counter() - began
                return first / took, (_cpu_seconds(worker.pid) - cpu) / first
        finally:
            worker.terminate()
            worker.wait(60)

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


def _below(limit: int, count: int) -> int:
    return count if 0 < count < limit else 0


def _until(condition: Callable[[], Any], seconds: float = 300, every: float = 0.01) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(every)
    return value


def _cpu_seconds(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


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
