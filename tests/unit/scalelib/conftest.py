"""A small cloud to plan with, and a provider that keeps it in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.demand import Demand
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy
from scalelib.provider import Cloud, LaunchRequest, LaunchResult, NodeOutcome

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

SIZES: Mapping[str, tuple[int, float, int, float]] = {
    # size: vCPUs, GiB, GPUs, money per hour
    "F2": (2, 4.0, 0, 0.10),
    "F4": (4, 8.0, 0, 0.21),
    "E8": (8, 64.0, 0, 0.60),
    "NC6": (6, 56.0, 1, 0.90),
}


@dataclass(kw_only=True)
class World:
    """Builds problems: every size once in nodearray `worker`, ten nodes of each, unless told otherwise."""

    now: datetime = NOW
    sizes: Sequence[str] = tuple(SIZES)
    cluster_cores: int | None = None
    most_nodes: int | None = 10
    policy: Policy = field(default_factory=lambda: Policy(solver_seconds=60, reserved={"default": False}))
    """With patience, so that a busy machine decides nothing. Nothing is reserved: only money decides."""

    def bucket(self, size: str, **changes: Any) -> Bucket:
        vcpus, memory, gpus, price = SIZES[size]
        pools = {f"bucket/{size}": vcpus, "cluster": vcpus}
        made = Bucket(
            id=size,
            nodearray="worker",
            vm_size=size,
            vcpu_count=vcpus,
            pcpu_count=max(vcpus // 2, 1),
            gpu_count=gpus,
            memory_gib=memory,
            price_per_hour=price,
            pools=pools,
            position=list(SIZES).index(size),
        )
        return replace(made, **changes)

    def buckets(self) -> tuple[Bucket, ...]:
        return tuple(self.bucket(size) for size in self.sizes)

    def pools(self) -> tuple[Pool, ...]:
        per_bucket = [Pool(name=f"bucket/{s}", kind=PoolKind.BUCKET, nodes=self.most_nodes) for s in SIZES]
        return (*per_bucket, Pool(name="cluster", kind=PoolKind.CLUSTER, cores=self.cluster_cores))

    def node(self, number: int, size: str = "F2", state: NodeState = NodeState.READY, **changes: Any) -> Node:
        vcpus, memory, gpus, price = SIZES[size]
        made = Node(
            id=NodeId(f"Id-{number}"),
            name=f"worker-{number}",
            nodearray="worker",
            vm_size=size,
            bucket_id=size,
            state=state,
            status=state.value,
            hostname=f"ip-{number}" if state is NodeState.READY else None,
            vcpu_count=vcpus,
            pcpu_count=max(vcpus // 2, 1),
            gpu_count=gpus,
            memory_gib=memory,
            price_per_hour=price,
        )
        return replace(made, **changes)

    def problem(self, jobs: Iterable[Job], nodes: Iterable[Node] = (), **changes: Any) -> Problem:
        problem = Problem(
            jobs=tuple(jobs),
            nodes=tuple(nodes),
            buckets=self.buckets(),
            pools=self.pools(),
            now=self.now,
            policy=self.policy,
        )
        return replace(problem, **changes)

    def plan(self, jobs: Iterable[Job], nodes: Iterable[Node] = (), **changes: Any) -> Demand:
        return calculate(self.problem(jobs, nodes, **changes))


class MemoryProvider:
    """A cloud in memory."""

    def __init__(self, world: World, nodes: Iterable[Node] = ()) -> None:
        self.world = world
        self.nodes = list(nodes)
        self.launched: dict[str, LaunchRequest] = {}
        self.ended: list[NodeId] = []

    def cloud(self) -> Cloud:
        return Cloud(
            cluster="test",
            nodes=tuple(self.nodes),
            buckets=self.world.buckets(),
            pools=self.world.pools(),
        )

    def launch(self, request: LaunchRequest) -> LaunchResult:
        if request.request_id in self.launched:
            return LaunchResult(request_id=request.request_id, added=request.count)
        self.launched[request.request_id] = request
        first = len(self.nodes) + 1
        self.nodes += [
            self.world.node(first + i, request.vm_size, NodeState.ACQUIRING) for i in range(request.count)
        ]
        return LaunchResult(request_id=request.request_id, added=request.count)

    def find_launch(self, request_id: str) -> LaunchResult | None:
        request = self.launched.get(request_id)
        return LaunchResult(request_id=request_id, added=request.count) if request else None

    def start(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        again = {"state": NodeState.ACQUIRING, "wanted": True, "may_start_again": False}
        self.nodes = [replace(node, **again) if node.id in nodes else node for node in self.nodes]
        return tuple(NodeOutcome(id=each, ok=True) for each in nodes)

    def terminate(self, nodes: Sequence[NodeId]) -> tuple[NodeOutcome, ...]:
        self.ended += nodes
        return tuple(NodeOutcome(id=each, ok=True) for each in nodes)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    return World


@pytest.fixture
def make_provider() -> Callable[..., MemoryProvider]:
    return MemoryProvider
