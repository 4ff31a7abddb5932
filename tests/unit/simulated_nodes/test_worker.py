"""A simulated worker runs what fits, and tells the truth about it."""

from dataclasses import replace

import msgspec
import pytest

from autoscaler_app.listening.activity.accounts import Account
from cyclecloud_emulator.fleet.machine import Machine
from simulated_nodes.commands import answer
from simulated_nodes.worker import SimJob, SimStanding, SimWorker, amounts_of, is_exclusive

MACHINE = Machine(
    node_id="id-1", name="worker-1", hostname="ip-7F000002", private_ip="127.0.0.2", cluster="c",
    nodearray="worker", vm_size="D4", region="westeurope", zone="1", spot=False, placement_group=None,
    vcpus=4, pcpus=2, gpus=1, memory_gib=16, app="some_app",
)  # fmt: skip


@pytest.fixture
def worker():
    return SimWorker(machine=MACHINE, standing=SimStanding(), started=1000.0)


def job(job_id="t", exclusive=False, **constraints):
    return SimJob(
        id=job_id, name="some.task", queue="q", requirement={"constraints": constraints}, delivery=None,
        amounts=amounts_of(constraints), exclusive=exclusive, seconds=1.0, started=1001.0,
    )  # fmt: skip


def fits(worker, exclusive=False, **constraints):
    return worker.has_room(amounts_of(constraints), exclusive)


@pytest.mark.parametrize(
    ("running", "more", "result"),
    [
        ([], {"ncpus": 4}, True),
        ([], {"ncpus": 5}, False),
        ([], {"memgb": 16}, True),
        ([], {"memmb": 16 * 1024 + 1}, False),
        ([], {"licences": 1}, False),
        ([], {"node.vm_size": "anything"}, True),
        ([{"ncpus": 3}], {"ncpus": 1}, True),
        ([{"ncpus": 3}], {"ncpus": 1.5}, False),
        ([{"memgb": 10}], {"memmb": 6 * 1024}, True),
        ([{"memgb": 10}], {"memmb": 6 * 1024 + 1}, False),
        ([{"ngpus": 1}], {"ngpus": 1}, False),
        ([{}, {}, {}, {}], {}, False),
        ([{"exclusive": True}], {}, False),
        ([{"ncpus": 1}], {"exclusive": True}, False),
        ([], {"exclusive": True}, True),
    ],
)
def test_only_what_fits_beside_what_runs(worker, running, more, result):
    for number, constraints in enumerate(running):
        exclusive = constraints.pop("exclusive", False)
        worker.begin(job(str(number), exclusive, **constraints))
    exclusive = more.pop("exclusive", False)
    assert fits(worker, exclusive, **more) is result


def test_what_ends_makes_room_exactly(worker):
    for _ in range(1000):
        worker.begin(job(ncpus=0.1, memgb=0.1))
        worker.end("t")
    assert fits(worker, ncpus=4, memgb=16)
    assert worker.account()["free"] == {"ncpus": 4, "pcpus": 2, "ngpus": 1, "memgb": 16}


def test_the_account_counts_what_runs(worker):
    worker.begin(job(ncpus=1.5, memgb=4))
    account = worker.account()
    assert account["free"] == {"ncpus": 2.5, "pcpus": 2, "ngpus": 1, "memgb": 12}
    assert account["running"] == [
        {
            "id": "t",
            "name": "some.task",
            "queue": "q",
            "requirement": {"constraints": {"ncpus": 1.5, "memgb": 4}},
            "started": 1001.0,
        }
    ]
    assert worker.account()["seq"] == account["seq"] + 1


def test_two_lives_of_a_worker_have_different_process_ids():
    first, second = (SimWorker(machine=MACHINE, standing=SimStanding(), started=1.0) for _ in range(2))
    assert first.pid != second.pid


def test_until_it_is_told_otherwise_it_serves_the_plain_queue(worker):
    assert worker.queues == ["celery"]
    answer(worker, "join", {"queues": {"b": {"ncpus": 1}, "a": {"constraints": {}}}})
    assert worker.queues == ["a", "b"]
    assert worker.requirement_of("b") == {"constraints": {"ncpus": 1}}
    answer(worker, "join", {"queues": {}})
    assert worker.queues == []


def test_a_fence_outlives_the_worker(worker):
    answer(worker, "fence", {"reason": "why"})
    again = SimWorker(machine=MACHINE, standing=worker.standing, started=2000.0)
    assert not again.is_open
    assert again.account()["fence_reason"] == "why"
    assert answer(again, "unfence", {})["ok"]["fenced"] is False
    assert again.is_open


def test_active_names_the_queue_that_a_task_came_from(worker):
    worker.begin(job(ncpus=1))
    [task] = answer(worker, "active", {})
    assert (task["id"], task["delivery_info"]["routing_key"]) == ("t", "q")


def test_commands_of_celery_itself_are_answered(worker):
    assert answer(worker, "ping", {}) == {"ok": "pong"}
    assert answer(worker, "reserved", {}) == answer(worker, "scheduled", {}) == []
    assert answer(worker, "active_queues", {}) == [{"name": "celery", "routing_key": "celery"}]
    assert answer(worker, "stats", {})["pool"]["max-concurrency"] == 4


@pytest.mark.parametrize(
    ("requirement", "result"),
    [
        ({"constraints": {}}, False),
        ({"constraints": {"exclusive": True}}, True),
        ({"exclusive": True}, True),
        ({"constraints": {"exclusive": "yes"}}, False),
    ],
)
def test_exclusive_is_a_flag_of_the_requirement_or_of_its_constraints(requirement, result):
    assert is_exclusive(requirement) is result


def test_what_ran_to_its_end_is_told_by_queue_and_by_name(worker):
    for name, queue, seconds in (("a", "q", 2.0), ("b", "q", 3.5), ("a", "q", 1.0), ("a", "r", 4.0)):
        worker.count(replace(job(), name=name, queue=queue), seconds)
    told = worker.account()
    assert told["ended"] == {"q": [3, 6.5], "r": [1, 4.0]}
    assert told["ended_tasks"] == {"q": {"a": [2, 3.0], "b": [1, 3.5]}, "r": {"a": [1, 4.0]}}
    read = msgspec.convert(told, Account)
    assert (read.ended["q"], read.ended_tasks["q"]["b"]) == ((3, 6.5), (1, 3.5))
