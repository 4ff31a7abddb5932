"""Workers that are killed while they work, and an account of every message afterwards.

What is killed is a real `celery worker` with a prefork pool, forked from a process that has imported Celery
already: so that two hundred of them take minutes. `python -m benchmarks._kills` does it with
a transport that only another Python has.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
from celery import Celery

ROOT = Path(__file__).resolve().parent.parent
QUEUE = "kills"
OURS, STOCK, PLUS = "redis_keeper:Transport", "redis", "celery_redis_plus.transport:Transport"
PLACES = 2
"""Tasks at a time."""
HUNGRY = 4.0
"""Seconds without enough that ends after which there is more to do."""
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def make_app(url: str, transport: str | None) -> Celery:
    """The app of sender and worker. Its one task says in a file that it has ended."""
    app = Celery("kills", broker=url)
    app.conf.update(
        broker_transport=transport,
        task_acks_late=True,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_prefetch_multiplier=4,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
    )

    # Not shared: every other app of this process would have it, and a second one would be a duplicate.
    @app.task(name="kills.work", shared=False)  # type: ignore[untyped-decorator]
    def work(number: int, seconds: float, log: str) -> None:
        time.sleep(seconds)
        with open(log, "ab", buffering=0) as file:
            file.write(b"%d\n" % number)

    return app


# -- the nursery ----------------------------------------------------------------------------------------


def nursery() -> None:
    """Read what to start from the standard input, a JSON object a line; say the number of the process."""
    for name in ("apps.worker", "bin.worker", "concurrency.prefork", "worker.consumer"):
        importlib.import_module(f"celery.{name}")
    importlib.import_module("redis_keeper.transport")

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _be_a_worker(order)
        print(child, flush=True)


def _be_a_worker(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log = os.open(order["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    app = make_app(order["url"], order["transport"])
    app.worker_main(["worker", "-c", str(PLACES), "-n", order["name"], "-l", "INFO", *order["arguments"]])
    os._exit(0)


class Nursery:
    """Starts workers quickly. Whoever starts one ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from benchmarks._kills import nursery; nursery()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def start(
        self, url: str, transport: str | None, log: Path, name: str, arguments: Sequence[str] = QUIET
    ) -> int:
        """The process, which leads a group of its own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"url": url, "transport": transport, "log": str(log), "name": name, "arguments": arguments}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """It starts no more."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


def kill(worker: int) -> None:
    """A machine without power: the worker, and its pool, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)


# -- a way that breaks ----------------------------------------------------------------------------------


class Breaking:
    """A relay that breaks every connection in the middle of the broker's next answer on it."""

    def __init__(self, url: str, chance: random.Random) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5672)
        self._server = socket.create_server(("127.0.0.1", 0))
        login = f"{parts.username}:{parts.password}@" if parts.username else ""
        port = self._server.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"{login}127.0.0.1:{port}"))
        self._chance = chance
        self._armed: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self) -> None:
        """From now on, each that is open now."""
        self._armed = set(self._open)

    def close(self) -> None:
        """And everything that is open with it."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._threads[0].join(10)
        for near in list(self._open):
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:  # the broker is down
                near.close()
                continue
            self._open.add(near)
            thread = threading.Thread(target=self._serve, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=self._pass, args=(far, near, near), daemon=True)
            back.start()
            self._pass(near, far, near)
            back.join()
        self._armed.discard(near)
        self._open.discard(near)

    def _pass(self, source: socket.socket, target: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if near in self._armed and source is not near:
                    target.sendall(data[: self._chance.randrange(len(data))])
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


# -- the account ----------------------------------------------------------------------------------------


@dataclass
class Account:
    """What became of what was sent."""

    sent: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    finished: Counter[int] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    """Neither finished nor to be found in the broker."""
    kept: int = 0
    """In the broker still, as if somebody had them: until the visibility timeout is over."""
    gave_up: int = 0
    """Workers that nobody killed, and that ended."""

    @property
    def again(self) -> int:
        """Runs beyond the first of a task."""
        return sum(self.finished.values()) - len(self.finished)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done to the workers."""

    kinds: dict[str, int]
    """How often of each: `kill`, `freeze` (and then kill), `power` (of the broker), `cut` (an answer)."""
    seconds: tuple[float, float]
    """How long a task takes: any time between these."""
    seed: int = 0


class Broker:
    """One that the workers are on. `lose_power` where it can."""

    def __init__(
        self,
        url: str,
        transport: str | None,
        waiting: Callable[[], set[int]],
        lose_power: Callable[[], None] | None = None,
    ) -> None:
        self.url = url
        self.transport = transport
        self.waiting = waiting
        """The numbers of all tasks that wait in its queue, or that somebody is said to have."""
        self.lose_power = lose_power


def run(plan: Plan, broker: Broker, folder: Path, *, patience: float = 60.0) -> Account:
    """Do all of it, then let one worker finish what is left. `patience`: seconds for any one step."""
    chance = random.Random(plan.seed)
    account, log = Account(), folder / "ended"
    log.touch()
    app = make_app(broker.url, broker.transport)
    nursery, ways = Nursery(), Breaking(broker.url, chance)
    workers: list[int] = []
    slow = plan.seconds[1] >= 0.1
    backlog = 4 * PLACES if slow else 200
    worker = 0

    def ended() -> int:
        return log.read_bytes().count(b"\n")

    def send(backlog: int) -> None:
        while account.sent - ended() < backlog:
            seconds = chance.uniform(*plan.seconds)
            app.send_task("kills.work", (account.sent, seconds, str(log)))
            account.sent += 1

    def start(url: str) -> int:
        name = f"w{len(workers)}@kills"
        workers.append(nursery.start(url, broker.transport, folder / "worker.log", name))
        return workers[-1]

    def work_on(more: int) -> None:
        nonlocal worker, backlog
        before, began = ended(), time.monotonic()
        until, hungry = began + patience, began + HUNGRY
        while ended() < before + more:
            send(backlog)
            if time.monotonic() > hungry:  # what there is may be said to be had by workers that are dead
                backlog, hungry = backlog + 2 * PLACES, time.monotonic() + HUNGRY
            if not psutil.pid_exists(worker):
                worker = start(ways.url)
                account.gave_up += 1
            if time.monotonic() > until:
                raise AssertionError(f"nothing ended in {patience} s:\n{_tail(folder / 'worker.log')}")
            time.sleep(0.002)

    try:
        deeds = [kind for kind, count in plan.kinds.items() for _ in range(count)]
        chance.shuffle(deeds)
        for deed in deeds:
            if not worker:
                worker = start(ways.url)
            work_on(chance.randint(1, 3) if slow else chance.randint(5, 40))
            time.sleep(chance.uniform(0, plan.seconds[1] + 0.02))
            account.kills[deed] += 1
            if deed == "power":
                assert broker.lose_power is not None
                broker.lose_power()
            elif deed == "cut":
                ways.arm()
            else:
                if deed == "freeze":
                    os.killpg(worker, signal.SIGSTOP)
                    time.sleep(chance.uniform(0, 0.1))
                kill(worker)
                worker = 0
        worker = worker or start(ways.url)
        _finish(account, broker, ended, log, patience)
    finally:
        for each in workers:
            kill(each)
        nursery.close()
        ways.close()
        app.close()
    return account


def _finish(account: Account, broker: Broker, ended: Callable[[], int], log: Path, patience: float) -> None:
    """Until all is finished, or nothing has changed for so long."""
    before, until = ended(), time.monotonic() + patience
    while True:
        account.finished = Counter(int(line) for line in log.read_bytes().split())
        missing = set(range(account.sent)) - account.finished.keys()
        if not missing:
            break
        if (now := ended()) != before:
            before, until = now, time.monotonic() + patience
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    there = broker.waiting() if missing else set()
    account.finished = Counter(int(line) for line in log.read_bytes().split())
    missing = set(range(account.sent)) - account.finished.keys()
    account.kept = len(missing & there)
    account.lost = sorted(missing - there)


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-6000:] if path.exists() else "(no log)"


def in_redis(client: Any) -> set[int]:
    """The numbers of the tasks that stand in the queue's lists, or in the hash of what somebody has."""
    elements = [each for key in client.scan_iter(f"{QUEUE}*") for each in client.lrange(key, 0, -1)]
    entries = [json.loads(each)[0] for each in client.hvals("unacked")]
    return {_number(message) for message in (*map(json.loads, elements), *entries)}


def in_plus(client: Any) -> set[int]:
    """The same in the layout of celery-redis-plus: what its queue, or its index of deadlines, names."""
    tags = {*client.zrange(f"queue:{QUEUE}", 0, -1), *client.zrange(f"messages_index:{QUEUE}", 0, -1)}
    found = (client.hget(f"message:{tag.decode()}", "payload") for tag in tags)
    return {_number(json.loads(payload)) for payload in found if payload}


def _number(message: Any) -> int:
    return int(json.loads(base64.b64decode(message["body"]))[0][0])


@contextmanager
def on_redis(transport: str, folder: Path) -> Iterator[Broker]:
    """A server of its own that writes down everything before it answers."""
    import redis

    from tests.durable import DurableBroker

    server = DurableBroker(folder)

    def lose_power() -> None:
        server.lose_power()
        server.start_again()

    try:
        with redis.Redis.from_url(server.url) as client:
            look = in_plus if transport == PLUS else in_redis
            yield Broker(server.url, transport, lambda: look(client), lose_power)
    finally:
        server.stop()


def run_on_redis(plan: Plan, transport: str, *, patience: float, python: str = sys.executable) -> Account:
    """`run` on a server of its own, by another Python where only that one has the transport."""
    if python == sys.executable:
        with tempfile.TemporaryDirectory() as folder, on_redis(transport, Path(folder) / "data") as broker:
            return run(plan, broker, Path(folder), patience=patience)
    words = json.dumps({"plan": asdict(plan), "transport": transport, "patience": patience})
    done = subprocess.run(
        [python, "-m", "benchmarks._kills", words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    finished = Counter({int(number): runs for number, runs in said.pop("finished").items()})
    return Account(**{**said, "kills": Counter(said["kills"]), "finished": finished})


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(vars(run_on_redis(Plan(**asked.pop("plan")), **asked))))
