#!/opt/cycle/jetpack/system/embedded/bin/python -m pytest
"""`jetpack test` on a node: its worker is up, known by its host name, says the right resources."""

import json
import os
import re
import stat
import subprocess

DATA = "/var/lib/celery-autoscaler"


def environment():
    """What the worker was started with, without the broker's address."""
    with open(DATA + "/node.env") as file:
        return dict(re.findall(r"^(\w+)='?(.*?)'?$", file.read(), re.MULTILINE))


def asks(*words):
    """What the worker of this node answers to `celery inspect`."""
    with open(DATA + "/secrets/broker-url") as file:
        url = file.read()
    known = environment()
    variables = dict(os.environ, CELERY_BROKER_URL=url, **known)
    command = ["/opt/celery-autoscaler/venv/bin/celery", "-A", known["CELERY_APP"], "inspect", "--json"]
    command += ["--timeout", "10", "--destination", "celery@" + known["NODE_HOSTNAME"], *words]
    told = subprocess.run(command, env=variables, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert told.returncode == 0, told.stderr.decode().replace(url, "<broker>")
    return json.loads(told.stdout.decode())["celery@" + known["NODE_HOSTNAME"]]


def test_the_unit_is_up_and_comes_up_at_boot():
    assert subprocess.call(["systemctl", "is-active", "--quiet", "celery-worker"]) == 0
    assert subprocess.call(["systemctl", "is-enabled", "--quiet", "celery-worker"]) == 0


def test_the_node_is_joined_and_its_resources_are_those_of_the_machine():
    account = asks("resources")
    account = account.get("ok", account)
    assert account["total"]["ncpus"] == len(os.sched_getaffinity(0))
    with open("/proc/meminfo") as file:
        mib = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) / 1024.0
    assert 0 < account["total"]["memmb"] <= mib


def test_eviction_scripts_are_in_place():
    for name in ("onPreempt.sh", "onTerminate.sh"):
        assert os.access("/opt/cycle/jetpack/scripts/" + name, os.X_OK), name


def test_secrets_are_for_root_alone():
    assert stat.S_IMODE(os.stat(DATA + "/secrets").st_mode) == 0o700
    for name in os.listdir(DATA + "/secrets"):
        found = os.stat(os.path.join(DATA, "secrets", name))
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o400), name
    with open(DATA + "/secrets/broker-url") as file:
        url = file.read()
    with open(DATA + "/node.env") as file:
        told = url in file.read()  # said apart: a failed `in` would show both sides
    assert not told
