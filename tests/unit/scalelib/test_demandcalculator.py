"""The demand calculator: the lines of the manual work as written, and nothing is done unasked."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from scalelib import (
    Job,
    MemoryNodeHistory,
    NodeReason,
    NodeState,
    SchedulerNode,
    SQLiteNodeHistory,
    demandcalculator,
    print_demand,
)
from scalelib import config as configuration
from scalelib.errors import InvalidConfig, InvalidJob

PadJobs = [Job(name=f"pad-{i}", constraints={"ncpus": 1}) for i in range(4)]


@dataclass
class CeleryStatus:
    """What the manual's `celery_status()` returns."""

    scheduler_nodes: list[SchedulerNode] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)


def test_the_lines_of_the_manual_work_as_written(
    world: Any,
    make_provider: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    provider = make_provider(
        world,
        [
            replace(world.node(1), hostname="ip-0A050005"),
            replace(world.node(2), hostname="ip-0A050008"),
            replace(world.node(3), hostname="ip-0A050009"),
        ],
    )
    monkeypatch.setattr(configuration, "entry_points", lambda group: FakeEntries(provider))
    CONFIG: dict[str, Any] = {"cluster_name": "celery"}
    columns = None

    def celery_status() -> CeleryStatus:
        return CeleryStatus([SchedulerNode(hostname="ip-0A050010")], list(PadJobs[:3]))

    celery_d = celery_status()
    _job = {"id": "pad-3"}
    job = Job(name=_job["id"], constraints={"ncpus": 1})
    celery_d.jobs.append(job)

    dcalc = demandcalculator.new_demand_calculator(CONFIG,
                    existing_nodes=celery_d.scheduler_nodes,
                    node_history=SQLiteNodeHistory())  # fmt: skip
    dcalc.add_jobs(celery_d.jobs)
    demand = dcalc.finish()
    print_demand(columns, demand)
    dcalc.bootup()
    dcalc.delete(dcalc.find_unmatched_for(at_least=300))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME        HOSTNAME    JOB_IDS     REQUIRED SLOTS VM_SIZE VCPU_COUNT STATE"
    assert lines[1] == "worker-1    ip-0A050005 pad-1,pad-2 True     2     F2      2          Ready"
    assert lines[4] == "ip-0A050010 ip-0A050010 pad-0       True     1     unknown 1          running"
    assert provider.launched == {}
    assert provider.ended == []


class FakeEntries(list[Any]):
    """The installed entry points, with one provider."""

    def __init__(self, provider: Any) -> None:
        super().__init__([self])
        self.name = "cyclecloud"
        self._provider = provider

    def load(self) -> Callable[[Any], Any]:
        return lambda config: self._provider


def test_idle_nodes_are_found_and_deleted_only_when_they_have_been_idle_for_so_long(
    world: Any, make_provider: Callable[..., Any]
) -> None:
    provider = make_provider(world, [world.node(1), world.node(2), replace(world.node(3), keep_alive=True)])
    history = MemoryNodeHistory()

    def look(seconds: int, *jobs: Job) -> Any:
        dcalc = demandcalculator.new_demand_calculator(
            {}, node_history=history, provider=provider, now=world.now + timedelta(seconds=seconds)
        )
        dcalc.add_jobs(jobs)
        dcalc.finish()
        return dcalc

    running = Job("r", {"ncpus": 1}, executing_hostnames=["ip-1"])
    assert look(0).find_unmatched_for(at_least=300) == []
    assert look(200, running).find_unmatched_for(at_least=300) == []
    found = look(300, running).find_unmatched_for(at_least=300)
    assert [verdict.node.name for verdict in found] == ["worker-2"]
    assert [v.node.name for v in look(599).find_unmatched_for(300)] == ["worker-2"]
    dcalc = look(600)
    assert [v.node.name for v in dcalc.find_unmatched_for(timedelta(seconds=300))] == ["worker-1", "worker-2"]
    assert [outcome.ok for outcome in dcalc.delete(dcalc.find_unmatched_for(300))] == [True, True]
    assert provider.ended == ["Id-1", "Id-2"]
    assert dcalc.delete([]) == ()


def test_an_executing_hostname_resets_the_idle_timer(world: Any, make_provider: Callable[..., Any]) -> None:
    history = MemoryNodeHistory()
    provider = make_provider(world, [world.node(1)])
    for seconds, jobs, idle in (
        (0, [], 0),
        (100, [], 100),
        (200, [Job("r", {}, executing_hostnames=["ip-1"])], None),
        (250, [], 50),
    ):
        dcalc = demandcalculator.new_demand_calculator(
            {}, node_history=history, provider=provider, now=world.now + timedelta(seconds=seconds)
        )
        dcalc.add_jobs(jobs)
        (verdict,) = dcalc.finish().nodes
        assert verdict.idle_for == (None if idle is None else timedelta(seconds=idle))


def test_bootup_launches_the_plan_once(world: Any, make_provider: Callable[..., Any]) -> None:
    provider, config = make_provider(world), {"nodearrays": {"worker": {"reserved": False}}}
    dcalc = demandcalculator.new_demand_calculator(config, provider=provider, now=world.now)
    dcalc.add_job(Job("a", {"ncpus": 1}, iterations=3))
    dcalc.add_job(Job("b", {"ngpus": 1}))
    first = dcalc.bootup()
    assert dcalc.bootup() == first
    assert [(r.vm_size, r.count) for r in provider.launched.values()] == [("NC6", 1)]


def test_booting_nodes_are_found_by_how_long_they_boot(world: Any, make_provider: Callable[..., Any]) -> None:
    provider = make_provider(world, [world.node(1, state=NodeState.PREPARING), world.node(2)])
    history = MemoryNodeHistory()
    for seconds, found in ((0, []), (600, ["worker-1"])):
        dcalc = demandcalculator.new_demand_calculator(
            {}, node_history=history, provider=provider, now=world.now + timedelta(seconds=seconds)
        )
        dcalc.finish()
        assert [v.node.name for v in dcalc.find_booting(at_least=600)] == found


def test_delete_refuses_nodes_that_are_not_to_be_ended(world: Any, make_provider: Callable[..., Any]) -> None:
    provider = make_provider(world, [world.node(1), replace(world.node(2), keep_alive=True)])
    dcalc = demandcalculator.new_demand_calculator(
        {}, existing_nodes=["desk"], provider=provider, now=world.now
    )
    dcalc.add_job(Job("r", {"ncpus": 1}, executing_hostnames=["ip-1"]))
    for verdict, why in zip(
        dcalc.finish().nodes, ("work runs on it", "to be kept", "only the scheduler"), strict=True
    ):
        with pytest.raises(InvalidConfig, match=why):
            dcalc.delete([verdict])
    assert provider.ended == []


def test_what_hosts_know_is_laid_over_what_the_cloud_says(
    world: Any, make_provider: Callable[..., Any]
) -> None:
    nodes = [world.node(1), replace(world.node(2), hostname=None, private_ip="10.0.0.9"), world.node(3)]
    hosts = [
        SchedulerNode("IP-1.example.com", {"dongle": True}),
        SchedulerNode("other-name", {"ncpus": 1}, private_ip="10.0.0.9", closed=True),
        SchedulerNode("desk", {"ncpus": 16, "memgb": 64}, closed=True),
    ]
    dcalc = demandcalculator.new_demand_calculator(
        {}, existing_nodes=hosts, provider=make_provider(world, nodes), now=world.now
    )
    dcalc.add_jobs([Job("a", {"dongle": True}), Job("b", {"ncpus": 16}), Job("c", {"ncpus": 2}, 3)])
    by_name = {verdict.node.name: dict(verdict.jobs) for verdict in dcalc.finish().nodes}
    assert by_name["worker-1"].keys() == {"a", "c"}
    assert by_name["worker-2"] == {}
    assert by_name["desk"] == {"b": 1}
    assert dcalc.problem.closed == {"Id-2", "host:desk"}


def test_a_host_claimed_by_two_nodes_belongs_to_neither(
    world: Any, make_provider: Callable[..., Any]
) -> None:
    nodes = [replace(world.node(1), hostname="same"), replace(world.node(2), hostname="same")]
    dcalc = demandcalculator.new_demand_calculator(
        {}, existing_nodes=["same"], provider=make_provider(world, nodes), now=world.now
    )
    assert [v.reason for v in dcalc.finish().nodes] == [
        NodeReason.IDLE,
        NodeReason.IDLE,
        NodeReason.UNMANAGED,
    ]


def test_a_host_claimed_by_two_nodes_makes_neither_idle_while_work_runs_there(
    world: Any, make_provider: Callable[..., Any]
) -> None:
    """The old node is on its way out when its name is given to the new one, on which the work runs."""
    old = replace(world.node(1, state=NodeState.TERMINATING), hostname="same", wanted=False)
    provider, history = (
        make_provider(world, [old, replace(world.node(2), hostname="same")]),
        MemoryNodeHistory(),
    )

    def look(seconds: int, *jobs: Job) -> Any:
        dcalc = demandcalculator.new_demand_calculator(
            {}, node_history=history, provider=provider, now=world.now + timedelta(seconds=seconds)
        )
        dcalc.add_jobs(jobs)
        dcalc.finish()
        return dcalc

    running = Job("r", {"ncpus": 1}, executing_hostnames=["same.example.com"])
    look(0, running)
    dcalc = look(301, running)
    assert dcalc.find_unmatched_for(300) == []
    with pytest.raises(InvalidConfig, match="work runs on a host of its name"):
        dcalc.delete(dcalc.cloud.nodes[1:])
    assert look(600).find_unmatched_for(300) == []
    assert [verdict.node.name for verdict in look(601).find_unmatched_for(300)] == ["worker-2"]


def test_adding_a_job_makes_a_new_plan(world: Any, make_provider: Callable[..., Any]) -> None:
    dcalc = demandcalculator.new_demand_calculator({}, provider=make_provider(world), now=world.now)
    assert dcalc.get_demand().launches == ()
    dcalc.add_job(Job("a", {"ncpus": 1}))
    assert dcalc.get_demand().new_count == 1


def test_what_cannot_be_meant_is_refused(world: Any, make_provider: Callable[..., Any]) -> None:
    provider = make_provider(world)
    with pytest.raises(InvalidConfig, match="provider: 'nimbus' is not installed"):
        demandcalculator.new_demand_calculator({"provider": "nimbus"})
    with pytest.raises(InvalidConfig, match="no time zone"):
        demandcalculator.new_demand_calculator({}, provider=provider, now=datetime(2026, 1, 1))
    with pytest.raises(InvalidConfig, match="existing_nodes: 3"):
        demandcalculator.new_demand_calculator({}, existing_nodes=[3], provider=provider)  # type: ignore[list-item]
    dcalc = demandcalculator.new_demand_calculator({}, provider=provider)
    with pytest.raises(InvalidJob, match="is no job"):
        dcalc.add_job({"name": "x"})  # type: ignore[arg-type]


def test_printing_to_a_stream_in_every_format(world: Any) -> None:
    demand = world.plan([Job("a", {"ncpus": 2}, 2), Job("g", {"ngpus": 1, "ncpus": 6})], [world.node(1)])
    table, bare, as_json = io.StringIO(), io.StringIO(), io.StringIO()
    print_demand(["name", "where@hostname:none", "job_ids", "state", "reason"], demand, table)
    assert table.getvalue() == (
        "NAME     WHERE JOB_IDS STATE   REASON\n"
        "worker-1 ip-1  a       Ready   matched\n"
        "worker-2 none  a       Planned launch\n"
        "worker-3 none  g       Planned launch\n"
    )
    print_demand(["name", "vcpu_count"], demand, bare, "table_headerless")
    assert bare.getvalue() == "worker-1 2\nworker-2 2\nworker-3 6\n"
    print_demand(["name", "job_ids", "hostname:-"], demand, as_json, "json")
    assert '"job_ids": [\n      "a"\n    ]' in as_json.getvalue()
    assert '"hostname": "-"' in as_json.getvalue()


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ((), ["worker-1", "worker-2", "worker-3"]),
        (("state=Planned",), ["worker-2", "worker-3"]),
        (("name=worker-3,WORKER-1",), ["worker-1", "worker-3"]),
        (("hostname=ip-*",), ["worker-1"]),
        (("ncpus=6",), ["worker-3"]),
        (("state=Planned", "ncpus=2"), ["worker-2"]),
    ],
)
def test_rows_are_chosen_by_what_is_in_a_column(world: Any, where: tuple[str, ...], names: list[str]) -> None:
    demand = world.plan([Job("a", {"ncpus": 2}, 2), Job("g", {"ngpus": 1, "ncpus": 6})], [world.node(1)])
    out = io.StringIO()
    print_demand(["name"], demand, out, "table_headerless", where)
    assert out.getvalue().split() == names


@pytest.mark.parametrize(
    ("where", "words"), [("stat=x", "did you mean 'state'"), ("state", "as in 'state=Ready'")]
)
def test_a_filter_that_is_none_is_refused(world: Any, where: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        print_demand(None, world.plan([]), where=[where])


@pytest.mark.parametrize(
    ("columns", "words"),
    [(["hostnam"], "did you mean 'hostname'"), (["zzz"], "there are name"), ([3], "is no column")],
)
def test_a_column_that_does_not_exist_is_refused(world: Any, columns: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        print_demand(columns, world.plan([]))


def test_a_format_that_does_not_exist_is_refused(world: Any) -> None:
    with pytest.raises(ValueError, match="output_format: 'xml'"):
        print_demand(None, world.plan([]), output_format="xml")  # type: ignore[arg-type]


def test_the_provider_is_found_by_the_name_of_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, world: Any, make_provider: Callable[..., Any]
) -> None:
    entry = EntryPoint("here", f"{__name__}:made", "scalelib.providers")
    monkeypatch.setattr(configuration, "entry_points", lambda group: EntryPoints([entry]))
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda config: make_provider(config["world"]))
    dcalc = demandcalculator.new_demand_calculator({"provider": "here", "world": world})
    assert dcalc.cloud.cluster == "test"


def test_read_only_plans_and_does_nothing(world: Any, make_provider: Callable[..., Any]) -> None:
    provider = make_provider(world, [world.node(1)])
    dcalc = demandcalculator.new_demand_calculator({"read_only": True}, provider=provider, now=world.now)
    dcalc.add_job(Job("g", {"ngpus": 1}))
    (launched,) = dcalc.bootup()
    (ended,) = dcalc.delete(dcalc.find_unmatched_for(0))
    assert (launched.added, ended.ok) == (0, False)
    assert "read_only" in launched.message
    assert "read_only" in ended.error
    assert dcalc.provider.find_launch(launched.request_id) is None
    assert (provider.launched, provider.ended) == ({}, [])


def test_the_history_file_may_be_named_in_the_configuration(
    world: Any, make_provider: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "times.db"
    dcalc = demandcalculator.new_demand_calculator(
        {"nodehistorydb": str(path)}, provider=make_provider(world, [world.node(1)]), now=world.now
    )
    dcalc.finish()
    with SQLiteNodeHistory(path) as history:
        assert set(history.times()) == {"Id-1"}
    dcalc.history.close()  # type: ignore[attr-defined]
