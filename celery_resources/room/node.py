"""What a worker knows of its machine: from its command line, its environment, or a look around."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from celery_resources.errors import InvalidSetting
from celery_resources.room.suiting import NODE
from scalelib.amounts import total
from scalelib.constraints.properties import PROPERTIES as NODE_PROPERTIES
from scalelib.errors import InvalidInput
from scalelib.node import ResourceValue
from scalelib.spelling import nearest

RESOURCES = "CELERY_RESOURCES"
PROPERTIES = "CELERY_RESOURCES_PROPERTIES"
STATE = "CELERY_RESOURCES_STATE"
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One machine, as its worker knows it."""

    resources: Mapping[str, float | int | str]
    """What it has: `{"ncpus": 4, "memgb": 16, "disk": "nvme"}`."""
    properties: Mapping[str, ResourceValue] = field(default_factory=dict)
    """What it is: `{"node.nodearray": "worker", "node.vm_size": "Standard_F4s_v2"}`."""
    state_folder: Path | None = None
    """Where a fence and the joined queues survive a restart; None if they do not."""


def is_node(option: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a worker is one: it is, if it was given resources."""
    return bool((option or environ.get(RESOURCES, "")).strip())


def node_facts(option: str | None, environ: Mapping[str, str] = os.environ) -> NodeFacts | None:
    """The facts from `--resources` or the environment; None for a worker that is no node."""
    if not is_node(option, environ):
        return None
    text = option or environ.get(RESOURCES, "")
    place = "--resources" if option else RESOURCES
    folder = environ.get(STATE)
    given = read_resources(text, place)
    said = {name: value for name, value in given.items() if name.startswith(NODE)}
    return NodeFacts(
        resources={name: value for name, value in given.items() if name not in said},
        properties={**_properties(environ.get(PROPERTIES, "")), **said},
        state_folder=Path(folder) if folder else None,
    )


def read_resources(text: str, place: str = "--resources") -> dict[str, float | int | str]:
    """`ncpus=4,memgb=16,disk=nvme,node.spot=true` as a mapping; `auto` adds what is found.

    InvalidSetting names the part that cannot be read.
    """
    resources: dict[str, float | int | str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == AUTO:
            resources = {**found_here(), **resources}
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
            raise InvalidSetting(f"{place}: {part!r} cannot be read; write it like ncpus=4,memgb=16, or auto")
        _check_property(name, place)
        resources[name] = _value(value)
    try:
        amounts = total({name: value for name, value in resources.items() if not name.startswith(NODE)})
    except InvalidInput as error:
        raise InvalidSetting(f"{place}: {error}") from error
    if not amounts:
        raise InvalidSetting(f"{place}: {text!r} names no amount; write it like ncpus=4,memgb=16, or auto")
    return resources


def _value(text: str) -> float | int | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_property(name: str, place: str) -> None:
    bare = name.removeprefix(NODE)
    if bare != name and bare not in NODE_PROPERTIES:
        meant = nearest(bare, NODE_PROPERTIES)
        hint = f"did you mean {NODE}{meant}?" if meant else f"there are {', '.join(NODE_PROPERTIES)}"
        raise InvalidSetting(f"{place}: a node has no property {bare!r}; {hint}")


def _properties(text: str) -> dict[str, ResourceValue]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidSetting(f"{PROPERTIES} must be a JSON object, not {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise InvalidSetting(
            f'{PROPERTIES} must be a JSON object such as {{"node.vm_size": "…"}}, not {text!r}'
        )
    for name, each in value.items():
        _check_property(name, PROPERTIES)
        if isinstance(each, list | dict):
            raise InvalidSetting(
                f"{PROPERTIES}: {name} must be text, a number, true, false or null: {each!r}"
            )
    return value


def found_here() -> dict[str, float | int | str]:
    """The cpus that this process may use, the memory (a cgroup's limit included) and the NVIDIA GPUs."""
    found: dict[str, float | int | str] = {
        "ncpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memmb": min(psutil.virtual_memory().total, _cgroup_memory()) // 2**20,
    }
    gpus = _nvidia_gpus()
    if gpus:
        found["ngpus"] = gpus
    return found


def _cgroup_memory(path: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 2**63
    return int(text) if text.isdigit() else 2**63


def _nvidia_gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InvalidSetting(
            f"nvidia-smi is here and does not answer ({error}): say the resources instead of auto"
        ) from error
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
