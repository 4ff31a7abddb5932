"""A child process with its own group, its log in a file, and an end that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "AUTOSCALER_DEMO"
"""Environment variable by which every process that was started for a site is found again."""


class DidNotStart(RuntimeError):
    """A process ended, or did not get ready in time; the message has the end of its log."""


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until the condition holds. Raises TimeoutError saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Process:
    """One program of the site. Started at once; `stop` ends it and its whole group."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self.name, self._command, self._cwd, self._env = name, list(command), cwd, dict(env)
        self.log_file = folder / f"{name}.log"
        self._from = 0
        self._popen = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._from = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env={**os.environ, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def log(self) -> str:
        """What it has printed since it was started last."""
        with self.log_file.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def wait_for_line(self, text: str, seconds: float = 60) -> None:
        """Wait until it has printed this. Raises DidNotStart with the end of its log."""
        try:
            wait_for(
                lambda: text in self.log() or self.exit_code is not None,
                seconds,
                f"{self.name} says {text!r}",
            )
        except TimeoutError as error:
            raise DidNotStart(f"{error}:\n{self.log()[-3000:]}") from None
        if text not in self.log():
            raise DidNotStart(f"{self.name} ended with code {self.exit_code}:\n{self.log()[-3000:]}")

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end; its exit code. Raises TimeoutError."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(
                f"{self.name} still runs after {seconds:g} s:\n{self.log()[-2000:]}"
            ) from error

    def kill(self) -> None:
        """SIGKILL to the whole group, as when a machine loses power."""
        self._signal(signal.SIGKILL)
        self._popen.wait(10)

    def start_again(self) -> None:
        """The same program once more; the old one must have ended."""
        self._popen = self._start()

    def stop(self, grace: float = 15) -> None:
        """SIGTERM, then SIGKILL to what is left of the group after `grace` seconds."""
        if self.exit_code is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self._signal(signal.SIGKILL)
        self._popen.wait(10)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def marked(mark: str) -> list[psutil.Process]:
    """Every live process that was started for the site with this mark, wherever it hangs now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_marked(mark: str) -> None:
    """End every process that was started for the site with this mark, until none is found any more.

    One look more than needed: a child between fork and exec does not bear the mark yet.
    """
    clean_looks = 0
    while clean_looks < 2:
        left = marked(mark)
        clean_looks = 0 if left else clean_looks + 1
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)
