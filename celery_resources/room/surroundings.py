"""What a task finds around it on a node: its GPUs and, for a gang, its hosts.

The worker's main process decides and sends its decision along with the request; the process that runs the
task puts it into the environment for as long as the task runs. With the threads pool all tasks share one
environment, so there a task reads `task.request.gpus` and `task.request.hosts`.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from celery_resources.need.header import GPUS, HOSTFILE, told

VISIBLE = "CUDA_VISIBLE_DEVICES"
HOSTFILE_VARIABLES = (
    "CELERY_HOSTFILE",
    "OMPI_MCA_orte_default_hostfile",
    "PRTE_MCA_prte_default_hostfile",
    "HYDRA_HOST_FILE",
    "I_MPI_HYDRA_HOST_FILE",
)
"""Where MPI launchers look for the file that names the hosts, one a line; ours first."""

_before: dict[str | None, dict[str, str | None]] = {}
"""Task id -> what stood in the environment before: a task may run another one within itself (`apply`)."""


def gpu_names(count: int, visible: str | None) -> tuple[str, ...]:
    """The names of this node's GPUs: those that the worker itself may see, else 0, 1, 2 and so on."""
    named = tuple(name.strip() for name in visible.split(",") if name.strip()) if visible else ()
    return named[:count] if len(named) >= count else tuple(str(index) for index in range(count))


def write_hostfile(hosts: Sequence[str]) -> Path:
    """A file with one host a line. Whoever asked for it removes it."""
    handle, path = tempfile.mkstemp(prefix="celery-hosts-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{host}\n" for host in hosts)
    return Path(path)


def put_around(task: Any = None, task_id: str | None = None, **kwargs: Any) -> None:
    """Handler of `task_prerun`: what this task may use, into the environment."""
    if threading.current_thread() is not threading.main_thread():
        return
    gpus, hostfile = told(task.request, GPUS), told(task.request, HOSTFILE)
    if gpus is not None:
        _set(task_id, (VISIBLE,), ",".join(gpus))
    if hostfile is not None:
        _set(task_id, HOSTFILE_VARIABLES, hostfile)


def clear_away(task_id: str | None = None, **kwargs: Any) -> None:
    """Handler of `task_postrun`: the environment as it was before this task."""
    for name, value in _before.pop(task_id, {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _set(task_id: str | None, names: Iterable[str], value: str) -> None:
    before = _before.setdefault(task_id, {})
    for name in names:
        before.setdefault(name, os.environ.get(name))
        os.environ[name] = value
