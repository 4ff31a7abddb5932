"""A second cloud: a list of machines in memory. Everything that a provider owes, and nothing of CycleCloud.

It is named `machines` by a configuration, as any other; `install` puts its entry point in place for a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from scalelib import clouds
from scalelib import config as configuration
from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.node import Node, NodeId, NodeState
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome, StillThere, Swept

KEYS = {"prices": "money per hour, by size", "most": "how many machines there may be"}
CORES = {"small": 2, "large": 8}


@dataclass
class Machine:
    """One machine, as the cloud keeps it."""

    id: str
    size: str
    state: str = "Preparing"
    hostname: str = ""
    managed: bool = True
    wanted: bool = True


@dataclass
class Machines:
    """The cloud. A test is its hand: it boots and breaks machines."""

    config: Mapping[str, Any]
    machines: dict[str, Machine] = field(default_factory=dict)
    launches: dict[str, LaunchResult] = field(default_factory=dict)
    nothing_of: dict[str, str] = field(default_factory=dict)
    """Sizes that cannot be had, each with why."""
    tried: dict[str, str] = field(default_factory=dict)
    """Those of them that were asked for."""
    ended: list[str] = field(default_factory=list)
    """Every machine that was told to end, as often as it was."""
    lasting: bool = False
    """Machines stay on their way out for ever."""
    shows_an_old_list: bool = False
    """What was told to end is shown as it was."""
    no_ending: str = ""
    moved: timedelta = timedelta()

    def boot(self) -> list[str]:
        """Every machine that was asked for is up; their host names."""
        for machine in self.machines.values():
            if machine.state == "Preparing":
                machine.state, machine.hostname = "Ready", f"host-{machine.id}"
        return [machine.hostname for machine in self.machines.values() if machine.state == "Ready"]

    # -- what a provider owes

    def cloud(self) -> Cloud:
        raw = {"machines": [vars(machine) for machine in self.machines.values()]}
        return read_cloud(raw, self.config)

    def launch(self, request: LaunchRequest) -> LaunchResult:
        if request.vm_size in self.nothing_of:
            self.tried[request.vm_size] = self.nothing_of[request.vm_size]
            return LaunchResult(request_id=request.request_id, added=0, message=self.tried[request.vm_size])
        if request.request_id not in self.launches:
            # A name is that of one machine for ever, as a cloud's id is.
            so_far = max(len(self.machines), sum(launch.added for launch in self.launches.values()))
            new = [f"m{so_far + 1 + i}" for i in range(request.count)]
            self.machines |= {each: Machine(each, request.vm_size) for each in new}
            self.launches[request.request_id] = LaunchResult(
                request_id=request.request_id,
                added=len(new),
                nodes=tuple((NodeId(each), each) for each in new),
            )
        return self.launches[request.request_id]

    def find_launch(self, request_id: str) -> LaunchResult | None:
        return self.launches.get(request_id)

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        return tuple(NodeOutcome(id=each, ok=False, error="nothing is deallocated here") for each in nodes)

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        outcomes = tuple(NodeOutcome(id=each, ok=True, is_repeat=each in self.ended) for each in nodes)
        self.ended += nodes
        for each in nodes if not self.shows_an_old_list else ():
            if self.lasting:
                self.machines[each].state = "Terminating"
            else:
                self.machines.pop(each, None)
        return outcomes

    def close(self) -> None:
        self.machines.clear()

    def request_id(self, **wish: Any) -> str:
        return f"{wish['vm_size']} x {wish['count']}, {len(self.launches)} before"

    def settle(self) -> tuple[LaunchResult, ...]:
        return ()

    def sweep(self) -> tuple[Swept, ...]:
        return ()

    def still_there(self) -> tuple[StillThere, ...]:
        going = [each for each in self.machines.values() if each.state == "Terminating"]
        return tuple(StillThere(id=NodeId(each.id), name=each.id, detail="on its way out") for each in going)

    def set_aside(self) -> Mapping[str, str]:
        return dict(self.tried)

    def try_again(self) -> tuple[str, ...]:
        tried = tuple(sorted(self.tried))
        self.tried.clear()
        return tried

    def clock_was_set(self, by: timedelta, now: datetime) -> None:
        self.moved += by


def from_config(config: Mapping[str, Any], *, state_file: Path | None = None, look: bool = False) -> Machines:
    """A cloud without a machine."""
    return Machines(config)


def read_cloud(raw: Mapping[str, Any], config: Mapping[str, Any]) -> Cloud:
    """What the engine plans with."""
    prices, machines = config.get("prices", {}), raw["machines"]
    nodes = tuple(
        Node(
            id=NodeId(each["id"]),
            name=each["id"],
            nodearray="all",
            vm_size=each["size"],
            bucket_id=each["size"],
            state=NodeState(each["state"]),
            status=each["state"],
            hostname=each["hostname"] or None,
            managed=each["managed"],
            wanted=each["wanted"],
            vcpu_count=CORES[each["size"]],
            pcpu_count=CORES[each["size"]],
            memory_gib=16.0,
            price_per_hour=prices.get(each["size"], 0.0),
        )
        for each in machines
    )
    room = max(0, config.get("most", 20) - len(nodes))
    return Cloud(
        cluster="machines",
        state="Started",
        nodes=nodes,
        buckets=tuple(
            Bucket(
                id=size,
                nodearray="all",
                vm_size=size,
                vcpu_count=cores,
                pcpu_count=cores,
                memory_gib=16.0,
                price_per_hour=prices.get(size),
                pools={"cluster": cores},
            )
            for size, cores in CORES.items()
        ),
        pools=(Pool(name="cluster", kind=PoolKind.CLUSTER, nodes=room),),
        raw=raw,
    )


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of this cloud were installed beside the others."""
    entry = EntryPoint("machines", f"{__name__}:from_config", configuration.GROUP)
    monkeypatch.setattr(configuration, "entry_points", lambda group: EntryPoints([entry]))
    clouds._reader.cache_clear()
