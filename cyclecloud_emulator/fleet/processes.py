"""Nodes that are real processes: each runs its command in a folder of its own, led by a guardian."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.fleet import guardian
from cyclecloud_emulator.fleet.machine import WORDS, Machine, WorkerExit

log = logging.getLogger(__name__)

LOG_NAME = "worker.log"
SECRETS = ("CYCLECLOUD_PASSWORD",)
"""What nodes do not inherit: the key to the cloud is not for them."""
_CLOSE_SECONDS = 10.0


@dataclass(kw_only=True, eq=False)
class _Guard:
    """One guardian and what is known of its worker."""

    node_id: str
    reads: IO[bytes] | socket.socket
    """Where it is heard."""
    writes: IO[bytes] | socket.socket
    process: subprocess.Popen[bytes] | None = None
    """None if an earlier emulator has started it."""
    ended: threading.Event = field(default_factory=threading.Event)
    worker_pid: int | None = None
    exit_code: int | None = None
    expected: bool = False
    """True as soon as we ended it ourselves, so that its end is no news."""
    text: bytes = b""


class ProcessFleet:
    """Starts, watches and ends the processes of all nodes. One thread reads what the guardians say."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        on_exit: WorkerExit,
        environment: Mapping[str, str] | None = None,
        secrets: Sequence[str] = SECRETS,
        linger: float = 0.0,
    ) -> None:
        """`linger`: seconds for which nodes go on without us, so that the next fleet can adopt them."""
        self._linger = linger
        self._command = tuple(command)
        self._folder = folder
        self._on_exit = on_exit
        self._environment = dict(environment or {})
        self._secrets = frozenset(secrets)
        self._guards: list[_Guard] = []
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="emulator-fleet", daemon=True)
        self._reader.start()

    def node_folder(self, node_id: str) -> Path:
        """Where the node's worker runs, keeps its state and writes `worker.log`."""
        return self._folder / node_id

    def start(self, machine: Machine) -> None:
        """Start the worker of a node that is up; one that an earlier emulator has started there goes on."""
        if self.adopt(machine.node_id):
            return
        folder = self.node_folder(machine.node_id)
        folder.mkdir(parents=True, exist_ok=True)
        # What it has to say itself goes to the log too: it must not hold on to our own standard error.
        with (folder / LOG_NAME).open("ab") as log_file:
            process = subprocess.Popen(
                [
                    sys.executable, "-I", "-S", guardian.__file__, str(folder / LOG_NAME), str(self._linger),
                    *fill(self._command, machine),
                ],
                cwd=folder,
                env=self._node_environment(machine, folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
            )  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        self._lead(
            _Guard(node_id=machine.node_id, process=process, reads=process.stdout, writes=process.stdin)
        )

    def adopt(self, node_id: str) -> bool:
        """Take over what an earlier emulator left running on the node; False if there is nothing."""
        if self._linger <= 0:
            return False
        try:
            door = _connected(self.node_folder(node_id))
        except OSError:
            return False
        self._lead(_Guard(node_id=node_id, reads=door, writes=door))
        return True

    def end_others(self, known: Collection[str]) -> None:
        """End what an earlier emulator left running on nodes that are not known any more, and wait for it."""
        if self._linger <= 0:
            return
        left = [path.name for path in self._folder.glob("*") if path.name not in known]
        found = [guard for node_id in left if self.adopt(node_id) for guard in self._guards_of(node_id)]
        for guard in found:
            guard.expected = True
            self._tell(guard, "end")
        for guard in found:
            guard.ended.wait(_CLOSE_SECONDS)

    def _lead(self, guard: _Guard) -> None:
        os.set_blocking(guard.reads.fileno(), False)
        with self._lock:
            self._guards.append(guard)
            self._selector.register(guard.reads, selectors.EVENT_READ, guard)
        self._wake()

    def _node_environment(self, machine: Machine, folder: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in self._secrets}
        # What the emulator could import from where it was started, its nodes can import too.
        paths = [*filter(None, inherited.get("PYTHONPATH", "").split(os.pathsep)), str(Path.cwd())]
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(paths),
            **machine.environment(str(folder)),
            **self._environment,
        }

    def stop(self, node_id: str, grace: float) -> None:
        """End everything on a node, by force after `grace` seconds."""
        for guard in self._guards_of(node_id):
            guard.expected = True
            self._tell(guard, f"stop {grace}" if grace > 0 else "kill")

    def busy(self, node_id: str) -> bool:
        """Whether a process of that node may still be there."""
        return bool(self._guards_of(node_id))

    def kill_worker(self, node_id: str) -> bool:
        """End the worker by force, as a crash would."""
        guards = self._guards_of(node_id)
        for guard in guards:
            self._tell(guard, "kill")
        return bool(guards)

    def worker_pid(self, node_id: str) -> int | None:
        """Process id of the worker that runs on the node now."""
        return next((g.worker_pid for g in self._guards_of(node_id) if g.exit_code is None), None)

    def close(self, *, keep: bool = False) -> None:
        """End everything, by force, and wait until it is gone; or let it go on, for as long as it lingers."""
        if self._closed:
            return
        with self._lock:
            guards = list(self._guards)
        for guard in guards:
            guard.expected = True
            if not keep:
                self._tell(guard, "end")
        for guard in guards if not keep else ():
            if not guard.ended.wait(_CLOSE_SECONDS) and guard.process is not None:
                guard.process.kill()
                guard.process.wait()
        self._closed = True
        self._wake()
        self._reader.join()
        for guard in guards:
            self._finish(guard)
            if keep and guard.process is not None:
                # It is left running on purpose, which is what Popen would warn of.
                guard.process.returncode = 0
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _guards_of(self, node_id: str) -> list[_Guard]:
        with self._lock:
            return [guard for guard in self._guards if guard.node_id == node_id]

    def _tell(self, guard: _Guard, line: str) -> None:
        try:
            os.write(guard.writes.fileno(), line.encode() + b"\n")
        except (OSError, ValueError):
            # The guardian has ended; the reading thread is about to notice.
            log.debug("guardian gone", extra={"node_id": guard.node_id})

    # -- the reading thread ----------------------------------------------------------------------------

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def _read(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, 4096)
                elif not self._hear(key.data):
                    self._gone(key.data)

    def _hear(self, guard: _Guard) -> bool:
        """Read what a guardian says; False when it has ended."""
        try:
            data = os.read(guard.reads.fileno(), 4096)
        except ConnectionError:
            data = b""
        *lines, guard.text = (guard.text + data).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "up":
                guard.worker_pid = int(value)
            elif word == "exit":
                guard.exit_code = int(value)
        return bool(data)

    def _gone(self, guard: _Guard) -> None:
        if guard.process is not None:
            guard.process.wait()
        if guard.exit_code is None and guard.worker_pid is not None:
            # The guardian itself was killed: do its last duty.
            try:
                os.killpg(guard.worker_pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                log.debug("group gone", extra={"node_id": guard.node_id})
        self._finish(guard)
        if not guard.expected and not self._closed:
            self._on_exit(guard.node_id, -signal.SIGKILL if guard.exit_code is None else guard.exit_code)

    def _finish(self, guard: _Guard) -> None:
        """Close the pipes of a guardian that has ended, and forget it."""
        with self._lock:
            if guard not in self._guards:
                return
            self._guards.remove(guard)
            self._selector.unregister(guard.reads)
            guard.writes.close()
            guard.reads.close()
            guard.ended.set()


def _connected(folder: Path) -> socket.socket:
    """A connection to the guardian of a node. By the folder's descriptor: the path of a socket is limited."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # first: a new node has no folder yet
    door = socket.socket(socket.AF_UNIX)
    try:
        base = Path(f"/proc/self/fd/{number}")
        door.connect(str((base if base.exists() else folder) / guardian.DOOR))
    except OSError:
        door.close()
        raise
    finally:
        os.close(number)
    return door


def fill(command: Sequence[str], machine: Machine) -> list[str]:
    """The command of a node, with the words in braces replaced by the machine's facts."""
    words = machine.words()
    return [part.format_map(words) for part in command]


def check_command(command: Sequence[str]) -> None:
    """Refuse a command with a word in braces that no machine has."""
    if not command:
        raise BadSettings("nodes.command: empty; at least a program is needed")
    for part in command:
        try:
            part.format_map(dict.fromkeys(WORDS, ""))
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise BadSettings(
                f"nodes.command: {part!r}: no such word in braces: {error}; there are {', '.join(WORDS)}"
            ) from error
