"""The life of a gang on one node, and what a task finds around it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals

from celery_resources import GangRefused, Requirement, form_gang, with_resources
from celery_resources.gangs.gang import Duty, Gang, Role
from celery_resources.gangs.releasing import fail_running, release_members
from celery_resources.need.header import tell
from celery_resources.node.standing import StandingFile
from celery_resources.room.surroundings import clear_away, gpu_names, put_around, write_hostfile

GANG = Gang(id="g", members=("w@n1", "w@n2"), queue="q")
OTHER = Gang(id="other", members=("w@n3", "w@n2"), queue="q")


def test_a_head_takes_one_message_and_is_done_when_it_ends() -> None:
    duty = Duty(None)
    duty.follow(GANG)
    assert not duty.wants("q")
    duty.lead(GANG)
    assert duty.wants("q")
    assert not duty.wants("another queue")
    duty.started("request")
    assert not duty.wants("q")
    assert not duty.disband("g"), "it runs the task"
    assert not duty.ended(["somebody else's"])
    assert duty.ended(["request"])
    assert duty.role is Role.DONE
    assert not duty.wants("q")
    assert duty.disband("g")
    assert duty.told() is None


def test_to_lead_twice_takes_no_second_message() -> None:
    duty = Duty(None)
    duty.lead(GANG)
    duty.started("request")
    duty.lead(GANG)
    assert not duty.wants("q")


def test_a_node_in_a_gang_refuses_another_and_leaves_only_its_own() -> None:
    duty = Duty(None)
    duty.follow(GANG)
    for ask in (duty.follow, duty.lead):
        with pytest.raises(GangRefused, match="this node is in gang g, whose head is w@n1"):
            ask(OTHER)
    assert not duty.disband("other")
    assert duty.told() == {"id": "g", "members": ["w@n1", "w@n2"], "role": "follows"}


def test_after_a_restart_a_head_follows_and_takes_nothing(tmp_path: Path) -> None:
    StandingFile(tmp_path, "w@n1").change(gang=GANG)
    duty = Duty(StandingFile(tmp_path, "w@n1").now.gang)
    assert not duty.wants("q")
    assert duty.told() == {"id": "g", "members": ["w@n1", "w@n2"], "role": "follows"}


def test_a_task_that_lost_a_member_fails_once_however_often_that_is_said() -> None:
    failures: list[str] = []
    ended: list[Any] = []
    backend = SimpleNamespace(mark_as_failure=lambda task_id, error, **_: failures.append(str(error)))
    request: Any = SimpleNamespace(
        id="t",
        task=SimpleNamespace(backend=backend),
        store_errors=True,
        worker_pid=4711,
        acknowledge=lambda: None,
        _context=None,
        _already_revoked=False,
        _apply_result=None,
    )
    pool = SimpleNamespace(terminate_job=lambda pid, signum: ended.append(pid))
    for _ in range(3):
        fail_running(request, pool, "the gang lost its node n2")
    assert failures == ["the gang lost its node n2"]
    assert ended == [4711, 4711, 4711], "a child that has not ended is told again"


@pytest.mark.parametrize(
    ("head", "outcome", "freed"),
    [
        ("runs", None, ["w@n1"]),
        ("waits", "w@n1 did not answer lead within 5 s; none of its nodes is kept", ["w@n1", "w@n2"]),
        # It may run: unknown is not idle.
        ("silent", "w@n1 did not answer lead within 5 s; w@n1 did not acknowledge", ["w@n1"]),
    ],
)
def test_a_head_whose_answer_came_too_late_keeps_its_gang_unless_it_says_that_it_has_no_message(
    head: str, outcome: str | None, freed: list[str]
) -> None:
    told: list[str] = []

    def broadcast(command: str, arguments: Any, destination: Any, **_: Any) -> Any:
        if command == "disband":
            told.extend(destination)
        if command == "lead" or (command == "disband" and head == "silent"):
            return None
        runs = {"id": arguments["gang"], "role": "runs"} if head == "runs" and command == "disband" else None
        return [{destination[0]: {"ok": {"gang": runs}}}]

    app = SimpleNamespace(control=SimpleNamespace(broadcast=broadcast))
    pair = Requirement({"ncpus": 1}, node_count=2)
    if outcome is None:
        assert form_gang(app, "q", pair, GANG.members).startswith("q/")
    else:
        with pytest.raises(GangRefused, match=outcome):
            form_gang(app, "q", pair, GANG.members)
    assert told == freed


def test_nodes_are_asked_in_one_order_up_to_the_first_that_refuses() -> None:
    asked: list[tuple[str, str]] = []

    def broadcast(command: str, destination: Any, **_: Any) -> Any:
        [node] = destination
        asked.append((command, node))
        refuses = command == "follow" and node == "w@n2"
        return [{node: {"error": "in another gang"} if refuses else {"ok": {}}}]

    app = SimpleNamespace(control=SimpleNamespace(broadcast=broadcast))
    with pytest.raises(GangRefused, match="w@n2: in another gang"):
        form_gang(app, "q", Requirement({"ncpus": 1}, node_count=3), ("w@n3", "w@n2", "w@n1"))
    assert asked[:2] == [("follow", "w@n1"), ("follow", "w@n2")]
    assert {command for command, _ in asked[2:]} == {"disband"}


def test_the_head_is_told_who_runs_something_still() -> None:
    told: list[dict[str, Any]] = []

    def broadcast(command: str, arguments: Any, destination: Any, **_: Any) -> Any:
        told.extend([arguments] if command == "lead" else [])
        return [{destination[0]: {"ok": {"running": [{"id": "t"}] if destination == ["w@n2"] else []}}}]

    app = SimpleNamespace(control=SimpleNamespace(broadcast=broadcast))
    form_gang(app, "q", Requirement({"ncpus": 1}, node_count=2), GANG.members)
    assert [arguments["lacks"] for arguments in told] == [["w@n2"]]


def test_a_broker_that_is_gone_does_not_hold_up_the_head(caplog: pytest.LogCaptureFixture) -> None:
    with Celery(broker="redis://127.0.0.1:1/0", set_as_current=False) as app:
        told: list[str] = []
        app.control.broadcast = lambda command, **_: told.append(command)
        release_members(app, GANG, None)
    assert told == [], "that would try for ever"
    assert "gang g has ended, and its members could not be told" in caplog.text


def test_a_hosts_file_has_one_host_a_line_as_mpi_launchers_read_it() -> None:
    path = write_hostfile(GANG.hosts)
    try:
        assert path.read_text() == "n1\nn2\n"
    finally:
        path.unlink()


def test_a_task_finds_its_gpus_and_hosts_and_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "before")
    monkeypatch.delenv("CELERY_HOSTFILE", raising=False)
    request: dict[str, Any] = {"gpus": "mine, as a header"}
    tell(request, gpus=["2", "5"], hostfile="/hosts")
    put_around(task=SimpleNamespace(request=SimpleNamespace(**request)))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert os.environ["CELERY_HOSTFILE"] == os.environ["I_MPI_HYDRA_HOST_FILE"] == "/hosts"
    clear_away()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "before"
    assert "CELERY_HOSTFILE" not in os.environ


def test_a_task_that_runs_another_within_itself_keeps_its_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    # As a gate does it.
    for signal, handler in ((signals.task_prerun, put_around), (signals.task_postrun, clear_away)):
        monkeypatch.setattr(signal, "receivers", [])
        signal.connect(handler)
    with Celery(broker="memory://", set_as_current=False) as app:
        with_resources(app)

        @app.task(shared=False)
        def inner() -> str:
            return os.environ["CUDA_VISIBLE_DEVICES"]

        request: dict[str, Any] = {}
        tell(request, gpus=["1"])
        put_around(task=SimpleNamespace(request=SimpleNamespace(**request)), task_id="outer")
        assert inner.apply().get() == "1"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1", "the other GPU is another task's"
        clear_away(task_id="outer")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (2, None, ("0", "1")),
        (2, "", ("0", "1")),
        (2, "5, GPU-7a", ("5", "GPU-7a")),
        (1, "5,7", ("5",)),
        (3, "5", ("0", "1", "2")),
        (0, "5", ()),
    ],
)
def test_gpus_are_named_as_the_worker_sees_them(
    count: int, visible: str | None, names: tuple[str, ...]
) -> None:
    assert gpu_names(count, visible) == names
