"""The CycleCloud client and provider: a status answer of 5,000 nodes, and 4,000 nodes launched and ended."""

from __future__ import annotations

import contextlib
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks import Measurement
from cyclecloud_api.inventory import cloud_from_status, inventory
from cyclecloud_api.provider import CycleCloudProvider, from_config
from cyclecloud_api.store import StateFile
from cyclecloud_api.watch import SQLiteMemory, Watch
from cyclecloud_emulator import Emulator
from cyclecloud_emulator.settings import from_mapping
from scalelib.provider import Cloud, LaunchRequest

NODES = 5000
FLEET = 4000
PHASES = ("Azure.CreateVirtualMachines", "Cloud.AwaitBootup", "Cloud.AwaitInstallation")


def measure() -> Iterator[Measurement]:
    """Reading, from bytes to what the engine plans with; then a fleet on the emulator."""
    yield from _reading()
    yield from _fleet()


def _reading() -> Iterator[Measurement]:
    """Best of five in seconds, and the peak of memory, the answer itself included."""
    answer = status_answer(NODES)
    name = f"status of {NODES} nodes"
    yield Measurement(name=name, metric="size of the answer", value=len(answer) / 1e6, unit="MB")
    seconds = min(_seconds(answer) for _ in range(5))
    yield Measurement(name=name, metric="read", value=seconds, unit="s", target=1.0)
    tracemalloc.start()
    cloud = read(bytes(bytearray(answer)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if len(cloud.nodes) != NODES or cloud.warnings:
        raise AssertionError(f"{len(cloud.nodes)} nodes read, {len(cloud.warnings)} left out")
    yield Measurement(name=name, metric="peak memory", value=peak / 1e6, unit="MB", target=200.0)
    yield Measurement(name=name, metric="remember", value=_remembering(answer), unit="s")


def _remembering(answer: bytes) -> float:
    """What the memory adds to a look: failures, clocks, the breaker, and the state file."""
    seen = inventory(msgspec.json.decode(answer), cluster="big", prices={})
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        file = StateFile(Path(folder) / "state.db")
        watch = Watch(store=SQLiteMemory(file))
        watch.look(seen, now)
        start = time.perf_counter()
        watch.look(seen, now + timedelta(seconds=15))
        seconds = time.perf_counter() - start
        file.close()
    return seconds


def _fleet() -> Iterator[Measurement]:
    """Launch, look at and end 4,000 nodes on an emulator on which nothing runs: calls and seconds."""
    tiny = {"vcpus": 2, "pcpus": 1, "memory_gib": 4, "family": "f", "price": 0.1}
    settings = from_mapping(
        {
            "clusters": {"big": {"nodearrays": {f"worker{i}": {"sizes": ["Tiny"]} for i in range(4)}}},
            "sizes": {"Tiny": tiny},
            "families": {"f": {"cores": 1_000_000}},
            "regional": {"cores": 1_000_000},
            "spot": {"cores": 1_000_000},
            "nodes": {"kind": "none", "boot_seconds": 0.0},
        }
    )
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator.start(settings, password="secret") as emulator,
        contextlib.closing(_provider(emulator, Path(folder) / "state.db")) as provider,
    ):
        provider.settle()
        provider.cloud()
        for number in range(4):
            request = LaunchRequest(
                request_id=str(number), nodearray=f"worker{number}", vm_size="Tiny", count=FLEET // 4
            )
            if provider.launch(request).added != FLEET // 4:
                raise AssertionError("the emulator added fewer than asked")
        provider.cloud()
        nodes = provider.cloud().nodes
        launched = time.perf_counter() - start
        if not all(outcome.ok for outcome in provider.terminate([n.id for n in nodes])):
            raise AssertionError("the emulator did not end every node")
        calls = emulator.calls.total
    name = f"{FLEET} nodes on the emulator"
    yield Measurement(name=name, metric="calls", value=calls, unit="calls", target=20)
    yield Measurement(name=name, metric="launch and look", value=launched, unit="s")
    yield Measurement(name=name, metric="all", value=time.perf_counter() - start, unit="s")


def _provider(emulator: Emulator, path: Path) -> CycleCloudProvider:
    config = {"url": emulator.url, "username": emulator.user, "password": "secret", "cluster_name": "big"}
    return from_config(config, state_file=path)


def read(answer: bytes) -> Cloud:
    """What the client and the provider do with an answer."""
    return cloud_from_status(msgspec.json.decode(answer), cluster="big", prices={})


def _seconds(answer: bytes) -> float:
    start = time.perf_counter()
    read(answer)
    return time.perf_counter() - start


def status_answer(nodes: int) -> bytes:
    """A cluster of ten sizes in two nodearrays, with records as full as the reference shows them."""
    sizes = [f"Standard_D{n}s_v5" for n in (2, 4, 8, 16, 32)]
    arrays = [
        {
            "name": name,
            "maxCount": 10_000,
            "maxCoreCount": 200_000,
            "nodearray": {"Name": name, "Region": "westeurope", "Interruptible": name.endswith("spot")},
            "buckets": [
                _bucket(name, size, vcpus) for size, vcpus in zip(sizes, (2, 4, 8, 16, 32), strict=True)
            ],
        }
        for name in ("worker", "worker-spot")
    ]
    return msgspec.json.encode(
        {
            "state": "Started",
            "targetState": "Started",
            "maxCount": 10_000,
            "maxCoreCount": 200_000,
            "nodearrays": arrays,
            "nodes": [_node(i, arrays[i % 2]["name"], sizes[i % 5]) for i in range(nodes)],
        }
    )


def _bucket(array: str, size: str, vcpus: int) -> dict[str, object]:
    return {
        "bucketId": f"{array}-{size}",
        "definition": {"machineType": size},
        "virtualMachine": {
            "vcpuCount": vcpus,
            "pcpuCount": vcpus // 2,
            "gpuCount": 0,
            "memory": 4.0 * vcpus,
            "infiniband": False,
        },
        "valid": True,
        "maxCount": 5000,
        "activeCount": 500,
        "availableCount": 4000,
        "familyQuotaCoreCount": 100_000,
        "familyConsumedCoreCount": 20_000,
        "regionalQuotaCoreCount": 200_000,
        "regionalConsumedCoreCount": 50_000,
        "lastCapacityFailure": -1.0,
    }


def _node(number: int, array: object, size: str) -> dict[str, object]:
    phase = {
        "Status": "Ok",
        "Message": "",
        "StartTime": "2026-03-02T08:15:34Z",
        "EndTime": "2026-03-02T08:17:02Z",
    }
    return {
        "Name": f"{array}-{number}",
        "NodeId": f"c7a0f5d2-2c1e-4a8e-8c57-{number:012x}",
        "ClusterName": "big",
        "Template": array,
        "MachineType": size,
        "Region": "westeurope",
        "Status": "Ready",
        "StatusMessage": "",
        "State": "Started",
        "TargetState": "Started",
        "Hostname": f"ip-0A{number:06X}",
        "PrivateIp": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "InstanceId": f"vmss_{number}",
        "RequestId": f"scale-up-{number // 50:06d}",
        "PlacementGroupId": None,
        "KeepAlive": False,
        "Interruptible": str(array).endswith("spot"),
        "Configuration": {"autoscale": {"enabled": True, "resources": {"ncpus": 4}}},
        "PhaseMap": dict.fromkeys(PHASES, phase),
    }
