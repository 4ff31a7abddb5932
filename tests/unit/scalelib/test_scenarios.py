"""The worked scenarios of `tests/scenarios/scalelib`: each says what goes in and what the plan has to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.demand import Demand
from scalelib.history import NodeTimes
from scalelib.job import Job
from scalelib.node import Node, NodeId, NodeState
from scalelib.planner import Problem, calculate
from scalelib.policy import Policy

FOLDER = Path(__file__).parents[2] / "scenarios" / "scalelib"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
FILES = sorted(FOLDER.glob("[!_]*.json"))


def cases() -> list[Any]:
    found = []
    for path in FILES:
        group = json.loads(path.read_text())
        world = {**json.loads((FOLDER / "_world.json").read_text()), **group.get("world", {})}
        for scenario in group["scenarios"]:
            found.append(pytest.param(world, scenario, id=f"{path.stem}: {scenario['name']}"))
    return found


@pytest.mark.parametrize(("world", "scenario"), cases())
def test_the_plan_is_what_the_scenario_says(world: Mapping[str, Any], scenario: Mapping[str, Any]) -> None:
    """Launches and unserved jobs exactly; nodes as far as the scenario speaks of them."""
    known = {"name", "why", "config", "jobs", "nodes", "buckets", "limits", "now"}
    assert set(scenario) <= known | {"launch", "then", "unserved", "surplus"}
    demand = calculate(problem(world, scenario))
    assert [launch_line(each) for each in demand.launches] == scenario.get("launch", [])
    assert unserved(demand, scenario.get("unserved", {})) == scenario.get("unserved", {})
    verdicts = {verdict.node.name: verdict for verdict in demand.nodes}
    for name, said in scenario.get("then", {}).items():
        assert node_line(verdicts[name]) == said, verdicts[name].detail
    if "surplus" in scenario:
        assert [v.node.name for v in demand.nodes if not v.needed] == scenario["surplus"]


def test_there_are_enough_scenarios_and_their_names_differ() -> None:
    ids = [case.id for case in cases()]
    assert len(ids) >= 60
    assert len(set(ids)) == len(ids)


# -- reading a scenario


def problem(world: Mapping[str, Any], scenario: Mapping[str, Any]) -> Problem:
    buckets = [bucket(i, each) for i, each in enumerate(scenario.get("buckets", world["buckets"]))]
    limits = {**world["limits"], **scenario.get("limits", {})}
    pools = [pool(name, each) for name, each in limits.items()]
    pools += [Pool(name=f"bucket/{b.id}", kind=PoolKind.BUCKET, nodes=most_of(b, limits)) for b in buckets]
    pools = [each for each in pools if not each.name.startswith("bucket/") or each.kind is PoolKind.BUCKET]
    unique = {each.name: each for each in pools}
    nodes = [node(each, buckets) for each in scenario.get("nodes", [])]
    now = datetime.fromisoformat(scenario["now"]) if "now" in scenario else NOW
    return Problem(
        jobs=tuple(Job(**each) for each in scenario.get("jobs", [])),
        nodes=tuple(nodes),
        buckets=tuple(replace_pools(b, [name for name in unique if applies(name, b)]) for b in buckets),
        pools=tuple(unique.values()),
        history={n.id: times(each, n, now) for n, each in zip(nodes, scenario.get("nodes", []), strict=True)},
        policy=Policy.from_config({**world.get("config", {}), **scenario.get("config", {})}),
        now=now,
        closed=frozenset(
            n.id for n, each in zip(nodes, scenario.get("nodes", []), strict=True) if each.get("fenced")
        ),
    )


def bucket(position: int, said: Mapping[str, Any]) -> Bucket:
    spot = said.get("spot", False)
    array = said.get("nodearray", "worker")
    return Bucket(
        id=said.get("id", f"{array}/{said['size']}" + "/spot" * spot),
        nodearray=array,
        vm_size=said["size"],
        spot=spot,
        location=said.get("location", "westeurope"),
        vcpu_count=said["vcpus"],
        pcpu_count=said.get("pcpus", max(said["vcpus"] // 2, 1)),
        gpu_count=said.get("gpus", 0),
        memory_gib=float(said["gib"]),
        price_per_hour=said.get("price"),
        placement_groups=said.get("placement_groups", {}),
        max_placement_group_size=said.get("group_size", 100),
        failing_groups=said.get("failing_groups", {}),
        fixed_placement_group=said.get("fixed_placement_group"),
        valid=said.get("valid", True),
        invalid_reason=said.get("invalid_reason", ""),
        set_aside=said.get("set_aside", ""),
        priority=said.get("priority", 1),
        position=position,
        resources=said.get("resources", {}),
        software_configuration=said.get("software", {}),
    )


def applies(pool_name: str, b: Bucket) -> bool:
    """Is the pool over the bucket? A family is a size without its number: `family/<region>/F`."""
    kind, _, rest = pool_name.partition("/")
    return {
        "cluster": True,
        "bucket": rest == b.id,
        "nodearray": rest == b.nodearray,
        "regional": rest == b.location,
        "spot": b.spot and rest == b.location,
        "family": not b.spot and rest == f"{b.location}/{b.vm_size.rstrip('0123456789')}",
    }[kind]


def replace_pools(b: Bucket, names: list[str]) -> Bucket:
    values = {name: getattr(b, name) for name in b.__dataclass_fields__}
    return Bucket(**{**values, "pools": dict.fromkeys(names, b.vcpu_count)})


def pool(name: str, said: Mapping[str, int]) -> Pool:
    kind = {
        "cluster": PoolKind.CLUSTER,
        "bucket": PoolKind.BUCKET,
        "nodearray": PoolKind.NODEARRAY,
        "regional": PoolKind.REGIONAL,
        "spot": PoolKind.SPOT,
        "family": PoolKind.FAMILY,
    }[name.partition("/")[0]]
    return Pool(name=name, kind=kind, nodes=said.get("nodes"), cores=said.get("cores"))


def most_of(b: Bucket, limits: Mapping[str, Mapping[str, int]]) -> int | None:
    return limits.get(f"bucket/{b.id}", {}).get("nodes", 1000)


def node(said: Mapping[str, Any], buckets: list[Bucket]) -> Node:
    array = said.get("nodearray", said["name"].rsplit("-", 1)[0])
    found = [b for b in buckets if b.vm_size == said.get("size") and b.nodearray == array]
    of = found[0] if found else None
    state = NodeState(said.get("state", "Ready"))
    return Node(
        id=NodeId(f"id-{said['name']}"),
        name=said["name"],
        nodearray=array,
        vm_size=said.get("size", "unknown"),
        bucket_id=of.id if of else "",
        state=state,
        status=state.value,
        status_message=said.get("message", ""),
        wanted=said.get("wanted", True),
        hostname=said.get("hostname", said["name"]),
        private_ip=said.get("private_ip"),
        placement_group=said.get("placement_group"),
        spot=of.spot if of else False,
        keep_alive=said.get("keep_alive", False),
        managed=said.get("managed", True),
        location=of.location if of else "",
        vcpu_count=of.vcpu_count if of else said.get("vcpus", 1),
        pcpu_count=of.pcpu_count if of else 1,
        gpu_count=of.gpu_count if of else 0,
        memory_gib=of.memory_gib if of else 0.0,
        price_per_hour=(of.price_per_hour or 0.0) if of else 0.0,
        resources=said.get("resources", {}),
        software_configuration=said.get("software", {}),
    )


def times(said: Mapping[str, Any], n: Node, now: datetime) -> NodeTimes:
    def ago(key: str, default: float) -> datetime:
        return now - timedelta(seconds=said.get(key, default))

    return NodeTimes(
        created=ago("seen", 600),
        ready=ago("seen", 600) if n.is_ready else None,
        last_active=ago("idle", 0),
        last_needed=ago("unneeded", 0),
    )


# -- writing a plan the way scenarios do


def launch_line(launch: Any) -> str:
    group = f" in {launch.placement_group}" if launch.placement_group else ""
    spot = " spot" if launch.spot else ""
    jobs = ", ".join(f"{name} x{slots}" for name, slots in sorted(launch.jobs.items()))
    return f"{launch.count} {launch.vm_size}{spot} of {launch.nodearray}{group} for {jobs}"


def node_line(verdict: Any) -> str:
    jobs = ", ".join(f"{name} x{slots}" for name, slots in sorted(verdict.jobs.items()))
    idle = " (timed out)" if verdict.idle_timed_out else ""
    return verdict.reason.value + idle + (f": {jobs}" if jobs else "")


def unserved(demand: Demand, said: Mapping[str, str]) -> dict[str, str]:
    """By job: `<count> <reason>`, with `: <text>` where the scenario asks for a text in the detail."""
    found = {}
    for each in demand.unserved:
        line = f"{each.count} {each.reason.value}"
        _, colon, text = said.get(each.job, "").partition(": ")
        found[each.job] = f"{line}: {text}" if colon and text in each.detail else line + colon * bool(colon)
        if colon and text not in each.detail:
            found[each.job] = f"{line}: {each.detail}"
    return found
