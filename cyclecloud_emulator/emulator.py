"""The emulator, put together: state, life, fleet and server around one lock.

with Emulator.start(settings, password="secret") as emulator:
    httpx.get(emulator.url + "/clusters/celery/status", auth=emulator.auth)
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import secrets
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cyclecloud_emulator.clock import Clock
from cyclecloud_emulator.cluster.life import Life
from cyclecloud_emulator.cluster.memory import Memory
from cyclecloud_emulator.cluster.node import Node, Phase
from cyclecloud_emulator.cluster.state import State
from cyclecloud_emulator.errors import ApiError, BadSettings, TooManyRequests
from cyclecloud_emulator.fleet.machine import Fleet, NoFleet
from cyclecloud_emulator.fleet.processes import SECRETS, ProcessFleet, check_command
from cyclecloud_emulator.http import metadata
from cyclecloud_emulator.http.admin import Admin
from cyclecloud_emulator.http.api import Api, error_answer
from cyclecloud_emulator.http.auth import Gate
from cyclecloud_emulator.http.calls import Call, Calls, request_id_of
from cyclecloud_emulator.http.server import Server
from cyclecloud_emulator.http.views import Views
from cyclecloud_emulator.message import Answer, Request
from cyclecloud_emulator.settings import Settings, load
from cyclecloud_emulator.trouble.faults import Faults
from cyclecloud_emulator.trouble.mishaps import Mishaps

log = logging.getLogger(__name__)

SIMULATED = "simulated_nodes"
"""The module that makes simulated nodes, where there is one."""
RESTART_AFTER_SECONDS = 0.05
ADMIN = "emulator"
"""First part of the paths of the admin endpoint."""


class Emulator:
    """A CycleCloud of one's own. Ends everything that it started when it is stopped."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        password: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        folder: Path | None = None,
        seed: int = 0,
        tls: ssl.SSLContext | None = None,
        hide: Sequence[str] = SECRETS,
        clock: Callable[[], float] | None = None,
        state_file: Path | None = None,
        forget: bool = False,
    ) -> None:
        """`state_file`: what is remembered across restarts; `forget`: begin anew, and end what is left of
        before. BadSettings if the file cannot be used.
        """
        self.settings = settings or load()
        self.user = self.settings.user
        self.password = password or self.settings.password or secrets.token_urlsafe(16)
        self.lock = threading.Condition(threading.RLock())
        """Held by whoever looks at the state or changes it."""
        self.state = State(settings=self.settings, mishaps=Mishaps(seed, self.settings.mishaps))
        self.calls = Calls()
        self.faults = Faults(seed, self.settings.faults)
        if self.settings.schedule is not None:
            self.faults.follow(self.settings.schedule)
        self._clock = clock or Clock()
        check_command(self.settings.nodes.command)
        self._stopping = False
        self._restarts: list[threading.Thread] = []
        self._restarting = threading.Lock()
        """Held by the one restart that is under way."""
        self._ticker = threading.Thread(target=self._tick, name="emulator-life", daemon=True)
        with contextlib.ExitStack() as undo:
            # What fails half way leaves nothing behind.
            self._memory = None if state_file is None else Memory(state_file)
            if self._memory is not None:
                undo.callback(self._memory.close)
            self._server = Server(
                host,
                port,
                self.answer,
                base_path=self.settings.base_path,
                tls=tls,
                clock=lambda: self.now() + self.views.skew,
            )
            undo.callback(self._server.stop)
            if state_file is not None and folder is None:
                folder = state_file.with_name(f"{state_file.name}.nodes")
            self._own_folder = folder is None
            self.folder = folder or Path(tempfile.mkdtemp(prefix="cyclecloud-emulator-"))
            """Holds a folder for each node, with its log."""
            self.fleet = self._make_fleet(hide)
            undo.callback(self.fleet.close, keep=True)
            self.life = Life(self.state, self.fleet)
            self.views = Views(self.state)
            self.gate = Gate(self.user, self.password)
            self._api = Api(self.state, self.life, self.views)
            self._admin = Admin(self)
            if tls is None:
                # Nodes could not check a certificate of our own; Azure's service has none either.
                self.state.metadata_url = f"{self.url}/{ADMIN}/{metadata.PATH}"
            with self.lock:
                self._begin(forget)
            undo.pop_all()

    def _begin(self, forget: bool) -> None:
        """From what was written down, or from nothing."""
        working = None
        if self._memory is not None:
            if forget:
                self._memory.forget()
            working = self._memory.restore(self.state, self.life)
        if working is None:
            self._add_head_nodes()
        self.fleet.end_others(self.state.nodes.keys())
        self.life.resume(working or (), self.now())
        self._save()

    def _save(self) -> None:
        """Write down what is remembered. The caller holds the lock."""
        if self._memory is not None:
            working = [node_id for node_id in self.state.nodes if self.fleet.busy(node_id)]
            self._memory.save(self.state, self.life, working)

    @classmethod
    def start(cls, settings: Settings | None = None, **options: object) -> Self:
        """An emulator that answers already. Use it in a `with` statement."""
        emulator = cls(settings, **options)  # type: ignore[arg-type]
        emulator._server.start()
        emulator._ticker.start()
        return emulator

    def stop(self) -> None:
        """Close the port, end every process, remove the folder if it was made here.

        With a state file, nodes go on for `linger_seconds`, so that the next emulator finds them.
        """
        with self.lock:
            if self._stopping:
                return
            self._stopping = True
            self.lock.notify_all()
        for thread in self._restarts:
            thread.join()
        self._server.stop()
        self._ticker.join()
        with self.lock:
            self._save()
        self.fleet.close(keep=self._memory is not None)
        if self._memory is not None:
            self._memory.close()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._server.url

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return self._server.port

    @property
    def auth(self) -> tuple[str, str]:
        """User name and password."""
        return (self.user, self.password)

    @property
    def cluster(self) -> str:
        """Name of the first cluster."""
        return next(iter(self.settings.clusters))

    def now(self) -> float:
        """The time: seconds since the epoch, never going back."""
        return self._clock()

    def nodes(self) -> list[Node]:
        """Nodes that exist, oldest first; head nodes are left out."""
        with self.lock:
            self.life.advance(self.now())
            return [node for node in self.state.nodes.values() if node.nodearray]

    def ledger(self) -> dict[str, object]:
        """Machines, node-seconds and money so far."""
        with self.lock:
            self.life.advance(self.now())
            return self.state.ledger.summary(self.now())

    # -- answering -------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request, faults included, and write the call down."""
        began = self.now()
        if request.segments[:2] == (ADMIN, metadata.PATH):
            return self._of_metadata(request)
        if request.segments[0] == ADMIN:
            return self._guarded(request, self._admin.answer)
        with self.lock:
            fault = self.faults.pick(request)
        if fault is None:
            answer = self._guarded(request, self._api.answer)
        else:
            answer = self.faults.apply(fault, request, lambda r: self._guarded(r, self._api.answer))
        self.calls.add(
            Call(
                at=began,
                method=request.method,
                path=request.path,
                query=request.query,
                status=0 if answer.drop else answer.status,
                seconds=self.now() - began,
                request_id=request_id_of(request),
                fault="" if fault is None else fault.kind.value,
            )
        )
        return answer

    def _guarded(self, request: Request, handler: Callable[[Request, float], Answer]) -> Answer:
        with self.lock:
            now = self.now()
            quirks = self.state.settings.quirks
            try:
                self.gate.check(request.authorization, now, lock=quirks.lock_accounts)
                if request.segments[0] != ADMIN:
                    self._limit_rate(now)
                moved = self.life.advance(now)
                try:
                    return handler(request, now)
                finally:
                    if moved or request.method != "GET":
                        self._save()
            except ApiError as error:
                return error_answer(error, quirks)
            finally:
                self.lock.notify_all()

    def _of_metadata(self, request: Request) -> Answer:
        """What a machine asks about itself: without a password, and no call of a client."""
        with self.lock:
            try:
                if self.life.advance(self.now()):
                    self._save()
                return metadata.answer(self.state, request)
            except ApiError as error:
                return error_answer(error, self.state.settings.quirks)

    def _limit_rate(self, now: float) -> None:
        most = self.state.settings.quirks.rate_limit_per_minute
        if most and sum(now - call.at < 60 for call in self.calls) >= most:
            raise TooManyRequests(f"More than {most} requests within a minute")

    # -- living ----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Let nodes live between requests."""
        with self.lock:
            while not self._stopping:
                if self.life.advance(self.now()):
                    self._save()
                due = self.life.next_due()
                self.lock.wait(None if due is None else max(0.001, due - self.now()))

    def worker_exited(self, node_id: str, code: int) -> None:
        """Called by the fleet."""
        with self.lock:
            if not self._stopping:
                self.life.worker_exited(node_id, code, self.now())
                self._save()
                self.lock.notify_all()

    def restart_soon(self, *, memory: str, down_seconds: float) -> None:
        """Go down in a moment, so that whoever asked for it gets an answer, and come back."""
        thread = threading.Thread(
            target=self._restart, args=(memory, down_seconds), name="emulator-restart", daemon=True
        )
        self._restarts.append(thread)
        thread.start()

    def _restart(self, memory: str, down_seconds: float) -> None:
        with self.lock:
            self._wait(RESTART_AFTER_SECONDS)
        with self._restarting:
            if self._stopping:
                return
            self._server.stop()
            with self.lock:
                self._forget(memory)
                self._save()
                self._wait(down_seconds)
            self._server.reopen()

    def _forget(self, memory: str) -> None:
        if memory != "all":
            self.state.operations.clear()
            self.state.requests.clear()
        if memory == "nothing":
            for node in [node for node in self.state.nodes.values() if node.nodearray]:
                self.life.vanish(node, self.now())
            self.state.capacity_failures.clear()

    def _wait(self, seconds: float) -> None:
        """Wait with the lock let go, but not longer than the emulator lives."""
        deadline = self.now() + seconds
        while not self._stopping and (left := deadline - self.now()) > 0:
            self.lock.wait(left)

    # -- putting together ------------------------------------------------------------------------------

    def _make_fleet(self, hide: Sequence[str]) -> Fleet:
        nodes = self.settings.nodes
        if nodes.kind == "none":
            return NoFleet()
        if nodes.kind == "simulated":
            return self._make_simulated_fleet()
        return ProcessFleet(
            nodes.command,
            self.folder,
            on_exit=self.worker_exited,
            environment=nodes.environment,
            secrets=(*SECRETS, *hide),
            linger=0.0 if self._memory is None else nodes.linger_seconds,
        )

    def _make_simulated_fleet(self) -> Fleet:
        # By its name: it is a tool of tests and benchmarks, and no part of what is installed.
        try:
            simulated = importlib.import_module(SIMULATED)
        except ModuleNotFoundError as error:
            raise BadSettings(
                f"nodes.kind is 'simulated': {error}. Simulated nodes are not part of the package; "
                f"start the emulator in a clone of the project, or say 'process'."
            ) from error
        fleet: Fleet = simulated.open_fleet(self.settings.nodes, on_exit=self.worker_exited)
        return fleet

    def _add_head_nodes(self) -> None:
        for name, cluster in self.settings.clusters.items():
            if not cluster.started:
                self.state.stopped_clusters.add(name)
            if cluster.head_node:
                vm_size, size = next(iter(self.settings.sizes.items()))
                now = self.now()
                node = Node(
                    id=f"00000000-0000-4000-8000-{len(self.state.nodes):012d}",
                    name=cluster.head_node,
                    cluster=name,
                    nodearray="",
                    vm_size=vm_size,
                    size=size,
                    spot=False,
                    zone="1",
                    created_at=now,
                    changed_at=now,
                    phase=Phase.READY,
                    fixed=True,
                    instance_id=f"{cluster.head_node}-vm",
                    private_ip="127.0.0.1",
                    hostname=cluster.head_node,
                )
                self.state.add(node)
                self.state.ledger.created -= 1
