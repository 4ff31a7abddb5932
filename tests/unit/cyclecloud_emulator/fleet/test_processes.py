"""What runs on a node is led by a guardian, and nothing of it outlives whoever started it."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid

import psutil
import pytest

from cyclecloud_emulator.errors import BadSettings
from cyclecloud_emulator.fleet.machine import WORDS, Machine
from cyclecloud_emulator.fleet.processes import ProcessFleet, check_command

PRELUDE = "import json, os, signal, sys, time; "
WAIT = "time.sleep(600)"
"""A program that stays until it is ended; no test waits for it."""
FAMILY = "os.fork(); " + WAIT
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); " + WAIT

MACHINE = Machine(
    node_id="id-1", name="worker-1", hostname="ip-7F000002", private_ip="127.0.0.2", cluster="c",
    nodearray="worker", vm_size="D4", region="westeurope", zone="1", spot=True, placement_group=None,
    vcpus=4, pcpus=2, gpus=0, memory_gib=15.5, app="some_app",
)  # fmt: skip


@pytest.fixture
def make_fleet(tmp_path):
    """A fleet whose nodes run a piece of Python; ended with the test."""
    fleets = []
    exits = []

    def make(code, **options):
        command = ("{python}", "-c", PRELUDE + code)
        fleet = ProcessFleet(command, tmp_path, on_exit=lambda *exit_: exits.append(exit_), **options)
        fleets.append(fleet)
        fleet.exits = exits
        return fleet

    yield make
    for fleet in fleets:
        fleet.close()


def group_of(pid):
    """Processes that are in the group of a worker and not dead."""
    alive = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return alive


def started(fleet, wait_until, *, processes=1):
    """Start the machine; the pid of its worker once all of its processes run."""
    fleet.start(MACHINE)
    pid = wait_until(lambda: fleet.worker_pid("id-1"))
    wait_until(lambda: len(group_of(pid)) == processes)
    return pid


def test_a_node_knows_what_it_is_and_not_the_key_to_the_cloud(make_fleet, wait_until, monkeypatch):
    monkeypatch.setenv("CYCLECLOUD_PASSWORD", "secret")
    monkeypatch.setenv("OTHER_PASSWORD", "secret")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker/0")
    fleet = make_fleet(
        "json.dump([dict(os.environ), os.getcwd()], open('facts.json.new', 'w'));"
        "os.rename('facts.json.new', 'facts.json')",
        secrets=("CYCLECLOUD_PASSWORD", "OTHER_PASSWORD"),
        environment={"EXTRA": "1"},
    )
    fleet.start(MACHINE)
    file = fleet.node_folder("id-1") / "facts.json"
    wait_until(file.exists)
    environment, folder = json.loads(file.read_text())
    assert "secret" not in environment.values()
    assert environment["CELERY_BROKER_URL"] == "redis://broker/0"
    assert environment["EXTRA"] == "1"
    assert environment["CELERY_RESOURCES"] == "ncpus=4,pcpus=2,ngpus=0,memgb=15.5"
    assert environment["CELERY_RESOURCES_STATE"] == folder == str(fleet.node_folder("id-1"))
    assert json.loads(environment["CELERY_RESOURCES_PROPERTIES"]) == {
        "node.vm_size": "D4",
        "node.nodearray": "worker",
        "node.location": "westeurope",
        "node.spot": True,
        "node.placement_group": None,
    }


def test_what_a_worker_says_is_in_its_log(make_fleet, wait_until):
    fleet = make_fleet("print('hello'); print('trouble', file=sys.stderr)")
    fleet.start(MACHINE)
    wait_until(lambda: fleet.exits)
    assert sorted((fleet.node_folder("id-1") / "worker.log").read_text().split()) == ["hello", "trouble"]


def test_stop_asks_the_whole_group_first(make_fleet, wait_until):
    fleet = make_fleet(FAMILY)
    pid = started(fleet, wait_until, processes=2)
    fleet.stop("id-1", 60)
    wait_until(lambda: not fleet.busy("id-1"))
    assert group_of(pid) == []
    assert fleet.exits == [], "an end that was asked for is no news"


def test_stop_ends_by_force_what_does_not_listen(make_fleet, wait_until):
    fleet = make_fleet(DEAF)
    pid = started(fleet, wait_until)
    wait_until(lambda: "deaf" in (fleet.node_folder("id-1") / "worker.log").read_text())
    fleet.stop("id-1", 0.2)
    wait_until(lambda: not fleet.busy("id-1"))
    assert group_of(pid) == []


def test_a_stopped_process_is_ended_too(make_fleet, wait_until):
    fleet = make_fleet(WAIT)
    pid = started(fleet, wait_until)
    os.kill(pid, signal.SIGSTOP)
    fleet.stop("id-1", 0)
    wait_until(lambda: not fleet.busy("id-1"))


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(0)", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9)]
)
def test_an_end_that_nobody_asked_for_is_told_with_its_code(make_fleet, wait_until, code, expected):
    fleet = make_fleet(code)
    fleet.start(MACHINE)
    wait_until(lambda: fleet.exits)
    assert fleet.exits == [("id-1", expected)]
    assert not fleet.busy("id-1")


def test_what_a_worker_leaves_behind_is_ended_with_it(make_fleet, wait_until):
    mine = uuid.uuid4().hex  # other tests, at the same time, have workers that wait as well
    fleet = make_fleet(f"child = os.fork()\nif child: sys.exit(0)\n{WAIT}  # {mine}")
    fleet.start(MACHINE)
    wait_until(lambda: fleet.exits)
    assert [p for p in psutil.process_iter(["cmdline"]) if mine in " ".join(p.info["cmdline"] or [])] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt strays")
@pytest.mark.parametrize("how", ["stop", "close"])
def test_what_left_the_session_of_its_worker_is_ended_too(make_fleet, wait_until, how):
    """A daemon: two forks and a session of its own."""
    fleet = make_fleet(
        f"(os.fork() or os.setsid() or os.fork() or open('daemon', 'w').write(str(os.getpid())));{WAIT}"
    )
    started(fleet, wait_until)
    file = fleet.node_folder("id-1") / "daemon"
    daemon = psutil.Process(int(wait_until(lambda: file.exists() and file.read_text())))
    if how == "stop":
        fleet.stop("id-1", 60)
        wait_until(lambda: not fleet.busy("id-1"))
    else:
        fleet.close()
    assert not daemon.is_running()


def test_a_killed_worker_is_told_as_killed(make_fleet, wait_until):
    fleet = make_fleet(FAMILY)
    pid = started(fleet, wait_until, processes=2)
    assert fleet.kill_worker("id-1")
    wait_until(lambda: fleet.exits)
    assert fleet.exits == [("id-1", -9)]
    assert group_of(pid) == []
    assert not fleet.kill_worker("id-1")


def test_a_command_that_cannot_be_started_is_an_exit_with_a_reason_in_the_log(
    make_fleet, wait_until, tmp_path
):
    fleet = ProcessFleet(("/nowhere/program",), tmp_path, on_exit=lambda *e: seen.append(e))
    seen = []
    try:
        fleet.start(MACHINE)
        wait_until(lambda: seen)
    finally:
        fleet.close()
    assert seen == [("id-1", 127)]
    assert "cannot start" in (tmp_path / "id-1" / "worker.log").read_text()


def test_when_the_guardian_is_killed_the_worker_is_ended_all_the_same(make_fleet, wait_until):
    fleet = make_fleet(FAMILY)
    pid = started(fleet, wait_until, processes=2)
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    wait_until(lambda: fleet.exits)
    wait_until(lambda: group_of(pid) == [])


def test_close_ends_everything_at_once(make_fleet, wait_until):
    fleet = make_fleet(DEAF)
    pid = started(fleet, wait_until)
    fleet.close()
    assert group_of(pid) == []
    assert "emulator-fleet" not in [thread.name for thread in threading.enumerate()]


def test_a_process_number_that_is_free_again_is_never_killed(make_fleet, wait_until, monkeypatch):
    """The guardian has reaped the worker by then: the number may be anybody's."""
    killed = []
    fleet = make_fleet(DEAF)
    started(fleet, wait_until)
    monkeypatch.setattr(os, "killpg", lambda *args: killed.append(args))
    fleet.close()
    assert killed == []


def test_a_new_node_leaves_no_connection_open(make_fleet, wait_until, recwarn):
    """With `linger` there is a look whether an earlier fleet has left something on the node."""
    fleet = make_fleet("sys.exit(0)", linger=60.0)
    fleet.start(MACHINE)
    wait_until(lambda: fleet.exits)
    assert [str(each.message) for each in recwarn if each.category is ResourceWarning] == []


def test_nothing_outlives_a_fleet_that_is_killed(tmp_path, wait_until):
    """SIGKILL leaves no chance to clean up: the guardian sees its input end and does it."""
    code = (
        "import sys, time; from pathlib import Path;"
        "from cyclecloud_emulator.fleet.machine import Machine;"
        "from cyclecloud_emulator.fleet.processes import ProcessFleet;"
        f"fleet = ProcessFleet(('{{python}}', '-c', {PRELUDE + DEAF!r}), Path({str(tmp_path)!r}),"
        " on_exit=print);"
        f"fleet.start({MACHINE!r});\n"
        "while not fleet.worker_pid('id-1'): time.sleep(0.01)\n"
        "print(fleet.worker_pid('id-1'), flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
        guardian = psutil.Process(pid).ppid()
        assert len(group_of(pid)) == 1
        owner.kill()
        owner.wait()
    wait_until(lambda: group_of(pid) == [])
    wait_until(lambda: not psutil.pid_exists(guardian))


@pytest.mark.parametrize("command", [(), ("{nothing}",), ("{",), ("{0}",), ("{app.x}",)])
def test_a_command_with_unknown_words_is_refused(command):
    with pytest.raises(BadSettings, match=r"nodes\.command"):
        check_command(command)


def test_every_fact_of_the_machine_may_stand_in_a_command():
    assert tuple(sorted(MACHINE.words())) == tuple(sorted(WORDS))
    check_command([f"{{{word}}}" for word in WORDS])
