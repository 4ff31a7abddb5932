#!/opt/cycle/jetpack/system/embedded/bin/python -m pytest
"""`jetpack test` on the broker node: it is as the template says, a pass can be made, a task goes through."""

import json
import os
import stat
import subprocess
import time

import pytest

BASH = "source /opt/cycle/scalelib/venv/celery/bin/activate && cd /root && "
DATA = "/var/lib/celery-autoscaler"
ETC = "/etc/celery-autoscaler"


def run(command, seconds=120):
    """The output of a command in a shell that is set up as the docs say."""
    told = subprocess.run(
        ["bash", "-c", BASH + command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds
    )
    assert told.returncode == 0, told.stderr.decode()
    return told.stdout.decode()


UNITS = ["celery-control", "celery-beat", "celery-page"]
if os.path.exists("/etc/systemd/system/celery-broker.service"):  # not where the broker is elsewhere
    UNITS.append("celery-broker")
if os.path.exists("/etc/systemd/system/rabbitmq-server.service.d/celery-autoscaler.conf"):
    UNITS.append("rabbitmq-server")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_up_and_comes_up_at_boot(unit):
    assert subprocess.call(["systemctl", "is-active", "--quiet", unit]) == 0
    assert subprocess.call(["systemctl", "is-enabled", "--quiet", unit]) == 0


def test_the_broker_answers():
    """Whatever it is, and wherever."""
    ask = "app.connection_for_write().ensure_connection(max_retries=2, timeout=10)"
    run("python -c 'from worker_tasks import app; %s'" % ask)


def test_a_pass_is_made():
    run("python autoscale.py")
    status = json.loads(run("autoscaler status --json"))
    assert status


def test_a_task_goes_through():
    """Where a node is up. None is launched for a test."""
    nodes = json.loads(run("autoscaler nodes --json"))
    if "Ready" not in json.dumps(nodes):
        # A test of an installation is not to spend money: it starts no machine.
        pytest.skip("no node is up; add a task, wait for one, and test again")
    before = time.time()
    run("python add_task.py --seconds 0.1 --file /root/.jetpack-test.jsonl")
    run("python check_tasks.py --wait --timeout 120 --file /root/.jetpack-test.jsonl", 180)
    os.remove("/root/.jetpack-test.jsonl")
    assert time.time() - before < 180


@pytest.mark.parametrize(
    "script", ["add_task.py", "autoscale.py", "check_tasks.py", "tasks.py", "test_broker.py"]
)
def test_the_scripts_are_in_root(script):
    assert os.access("/root/" + script, os.R_OK)


def test_secrets_are_for_root_alone():
    assert stat.S_IMODE(os.stat(DATA + "/secrets").st_mode) == 0o700
    for name in os.listdir(DATA + "/secrets"):
        found = os.stat(os.path.join(DATA, "secrets", name))
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o400), name
    assert stat.S_IMODE(os.stat(ETC + "/secrets.env").st_mode) == 0o600
    for name in {"autoscale.json", "redis-users.acl", "redis.conf"} & set(os.listdir(ETC)):
        assert stat.S_IMODE(os.stat(os.path.join(ETC, name)).st_mode) & 0o007 == 0, name


def test_the_key_of_the_control_side_is_for_it_alone():
    if json.loads(run("autoscaler keys --json"))["signing"]:
        assert stat.S_IMODE(os.stat(DATA + "/state/autoscaler.key").st_mode) == 0o600


@pytest.mark.skipif(
    "celery-broker" not in UNITS, reason="the users of a broker elsewhere are not listed here"
)
def test_no_password_of_the_list_of_users_is_in_the_clear():
    with open(ETC + "/redis-users.acl") as file:
        users = file.read()
    for name in ("control", "operator", "node", "admin"):
        path = os.path.join(DATA, "secrets", name)
        if os.path.exists(path):
            with open(path) as file:
                told = file.read().strip() in users  # said apart: a failed `in` would show both sides
            assert not told, name
