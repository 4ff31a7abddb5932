"""Problems for the planner, drawn by hypothesis: jobs of every shape, and the nodes and limits they meet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scalelib.bucket import Bucket, Pool, PoolKind
from scalelib.job import Job
from scalelib.node import NodeState

SIZES = ("F2", "F4", "E8", "NC6")
GROUPS = ("pg1", "pg3", "F2_pg0", "E8_pg1")

amounts = st.fixed_dictionaries(
    {},
    optional={
        "ncpus": st.sampled_from([0.5, 1, 2, 3, 4, 9]),
        "memgb": st.sampled_from([0.5, 1, 3, 10, 60, 600]),
        "ngpus": st.sampled_from([0, 1]),
    },
)
choices = st.one_of(
    st.just({}),
    st.just({"node.vm_size": ["F4", "F2"]}),
    st.just({"or": [{"node.vm_size": "E8"}, {"ncpus": 2}]}),
    st.just({"exclusive": True}),
    st.just({"exclusive-task": True}),
    st.just({"in-a-placement-group": True}),
    st.just({"node.placement_group": None}),
    st.just({"not": {"node.vm_size": "F2"}}),
    st.just({"shared-consumable-constraint": {"name": "licence", "total": 5, "amount": 1}}),
)


@st.composite
def jobs(draw: st.DrawFn, prefix: str = "j", most: int = 6, running: bool = True) -> tuple[Job, ...]:
    made = []
    for i in range(draw(st.integers(0, most))):
        hosts = (
            draw(st.lists(st.integers(1, 6), max_size=2)) if running and draw(st.integers(0, 3)) == 0 else []
        )
        made.append(
            Job(
                f"{prefix}{i}",
                {**draw(amounts), **draw(choices)},
                iterations=draw(st.integers(1, 12)),
                node_count=draw(st.sampled_from([0, 0, 0, 1, 2, 3, 5])),
                colocated=draw(st.booleans()) and draw(st.booleans()),
                exclusive=draw(st.integers(0, 5)) == 0,
                executing_hostnames=[f"ip-{n}" for n in hosts],
                priority=draw(st.sampled_from([0, 0, 1, 7])),
            )
        )
    return tuple(made)


@st.composite
def worlds(draw: st.DrawFn, world: Any) -> dict[str, Any]:
    """Nodes, buckets and pools of a problem."""
    states = st.sampled_from(
        [NodeState.READY] * 4 + [NodeState.ACQUIRING, NodeState.FAILED, NodeState.STOPPING]
    )
    count = draw(st.integers(0, 6))
    nodes = tuple(
        world.node(
            i + 1,
            draw(st.sampled_from(SIZES)),
            draw(states),
            hostname=f"ip-{i + 1}",
            placement_group=draw(st.sampled_from([None, None, "pg1", "pg2"])),
        )
        for i in range(count)
    )
    size_limit = st.one_of(st.none(), st.integers(0, 6))
    pools = [Pool(name=f"bucket/{s}", kind=PoolKind.BUCKET, nodes=draw(st.integers(0, 6))) for s in SIZES]
    pools += [
        Pool(name="cluster", kind=PoolKind.CLUSTER, cores=draw(st.one_of(st.none(), st.integers(0, 40)))),
        Pool(name="nodearray/worker", kind=PoolKind.NODEARRAY, nodes=draw(size_limit)),
        Pool(name="family/here/F", kind=PoolKind.FAMILY, cores=draw(st.integers(0, 16))),
    ]
    buckets = []
    for size in draw(st.lists(st.sampled_from(SIZES), unique=True)):
        bucket: Bucket = world.bucket(size)
        more = {"nodearray/worker": bucket.vcpu_count}
        if size.startswith("F"):
            more["family/here/F"] = bucket.vcpu_count
        groups = draw(st.dictionaries(st.sampled_from(["pg1", "pg3"]), st.integers(0, 3)))
        buckets.append(
            replace(
                bucket,
                pools={**bucket.pools, **more},
                placement_groups=groups,
                max_placement_group_size=draw(st.sampled_from([2, 4, 100])),
                set_aside=draw(st.sampled_from(["", "", "", "no capacity"])),
                failing_groups=dict.fromkeys(draw(st.sets(st.sampled_from(GROUPS))), "no capacity"),
            )
        )
    closed = frozenset(node.id for node in nodes if draw(st.integers(0, 4)) == 0)
    return {"nodes": nodes, "buckets": tuple(buckets), "pools": tuple(pools), "closed": closed}
