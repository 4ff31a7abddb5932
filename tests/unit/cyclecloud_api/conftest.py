"""Answers of a CycleCloud made in the test: one cluster, built up from the documented shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.inventory import Inventory, inventory
from cyclecloud_api.lockout import Lockout
from cyclecloud_api.wire import Wire

Json = dict[str, Any]


def make_bucket(machine_type: str = "Standard_D4s_v5", vcpus: int = 4, **changes: Any) -> Json:
    """A bucket with every documented property and no limit near."""
    return {
        "bucketId": f"id-{machine_type}",
        "definition": {"machineType": machine_type},
        "virtualMachine": {
            "vcpuCount": vcpus,
            "pcpuCount": vcpus // 2,
            "gpuCount": 0,
            "memory": 4.0 * vcpus,
            "infiniband": False,
            "vcpuQuotaCount": vcpus,
        },
        "valid": True,
        "invalidReason": "",
        "maxCount": 100,
        "maxCoreCount": 100 * vcpus,
        "activeCount": 0,
        "activeCoreCount": 0,
        "activeNodes": [],
        "availableCount": 100,
        "availableCoreCount": 100 * vcpus,
        "quotaCount": 250,
        "quotaCoreCount": 1000,
        "consumedCoreCount": 0,
        "familyQuotaCount": 250,
        "familyQuotaCoreCount": 1000,
        "familyConsumedCoreCount": 0,
        "regionalQuotaCount": 500,
        "regionalQuotaCoreCount": 2000,
        "regionalConsumedCoreCount": 0,
        "maxPlacementGroupSize": 40,
        "maxPlacementGroupCoreSize": 40 * vcpus,
        "placementGroups": [],
        "lastCapacityFailure": -1.0,
        **changes,
    }


def make_array(name: str = "worker", *buckets: Json, spot: bool = False, **attributes: Any) -> Json:
    """A nodearray of the given buckets."""
    return {
        "name": name,
        "maxCount": 100,
        "maxCoreCount": 1000,
        "nodearray": {
            "Name": name,
            "Region": "westeurope",
            "SubnetId": "rg/vnet/subnet",
            "Interruptible": spot,
            "Configuration": {"autoscale": {"enabled": True}},
            **attributes,
        },
        "buckets": list(buckets) or [make_bucket()],
    }


def make_node(number: int = 1, **changes: Any) -> Json:
    """A Ready node of nodearray `worker`."""
    return {
        "Name": f"worker-{number}",
        "NodeId": f"node-{number}",
        "Template": "worker",
        "MachineType": "Standard_D4s_v5",
        "Status": "Ready",
        "State": "Started",
        "TargetState": "Started",
        "Hostname": f"ip-0A0102{number:02X}",
        "PrivateIp": f"10.1.2.{number}",
        "InstanceId": f"vmss_{number}",
        "Interruptible": False,
        "KeepAlive": False,
        "Configuration": {},
        **changes,
    }


def make_status(*arrays: Json, nodes: list[Any] | None = None, **changes: Any) -> Json:
    """A status answer."""
    return {
        "state": "Started",
        "targetState": "Started",
        "maxCount": 200,
        "maxCoreCount": 2000,
        "nodearrays": list(arrays) or [make_array()],
        "nodes": nodes or [],
        **changes,
    }


class Server:
    """Answers from a list of handlers, one per request, the last one for all that follow."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.now = 0.0
        self.pauses: list[float] = []
        self._answers: list[Callable[[httpx.Request], httpx.Response]] = []
        self._latest: Callable[[httpx.Request], httpx.Response] | None = None

    def then(self, status: int = 200, body: Any = None, **headers: str) -> Server:
        """Answer so next. A body that is text or bytes is sent as it is, anything else as JSON."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.doing(lambda request: httpx.Response(status, content=content, headers=named))

    def doing(self, handler: Callable[[httpx.Request], httpx.Response]) -> Server:
        """Do this next."""
        self._answers.append(handler)
        return self

    def failing(self, error: Exception) -> Server:
        """Raise this next."""

        def fail(request: httpx.Request) -> httpx.Response:
            raise error

        return self.doing(fail)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._answers:
            self._latest = self._answers.pop(0)
        assert self._latest is not None, "no answer was prepared"
        return self._latest(request)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def sent(self) -> list[str]:
        """Method and path with query of each request."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[CycleCloudClient]:
    """A client of that server, with a scripted clock."""
    wire = Wire(
        "http://127.0.0.1:1/prefix/",
        "tester",
        "s3cret-word",
        transport=httpx.MockTransport(server.handle),
        lockout=Lockout(clock=lambda: server.now),
        clock=lambda: server.now,
        sleep=server.sleep,
        jitter=lambda: 1.0,
    )
    with CycleCloudClient("", "", "", "my cluster/1", wire=wire) as made:
        yield made


@pytest.fixture(scope="session")
def bucket() -> Callable[..., Json]:
    return make_bucket


@pytest.fixture(scope="session")
def array() -> Callable[..., Json]:
    return make_array


@pytest.fixture(scope="session")
def node() -> Callable[..., Json]:
    return make_node


@pytest.fixture(scope="session")
def status() -> Callable[..., Json]:
    return make_status


@pytest.fixture
def see(
    status: Callable[..., Json], array: Callable[..., Json], bucket: Callable[..., Json]
) -> Callable[..., Inventory]:
    """A look at a regular nodearray and its spot twin."""

    def make(*nodes: dict[str, Any], spot: dict[str, Any] | None = None, **regular: Any) -> Inventory:
        raw = status(
            array("worker", bucket(**regular)),
            array("worker-spot", bucket(bucketId="spot", **(spot or {})), spot=True),
            nodes=list(nodes),
        )
        return inventory(raw, cluster="c", prices={})

    return make
