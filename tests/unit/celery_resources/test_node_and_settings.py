"""What a worker is told about its machine, and what an app sets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from celery_resources import InvalidSetting, Requirement
from celery_resources.node.standing import Standing, StandingFile
from celery_resources.room.node import found_here, node_facts, read_resources
from celery_resources.settings import Settings, read_settings


def test_without_resources_a_worker_is_no_node() -> None:
    assert node_facts(None, {}) is None
    assert node_facts("", {"CELERY_RESOURCES": " "}) is None


def test_the_option_comes_before_the_environment(tmp_path: Path) -> None:
    environ = {
        "CELERY_RESOURCES": "ncpus=2",
        "CELERY_RESOURCES_PROPERTIES": '{"vm_size": "F2"}',
        "CELERY_RESOURCES_STATE": str(tmp_path),
    }
    facts = node_facts("ncpus=4, memgb=0.5", environ)
    assert facts is not None
    assert facts.resources == {"ncpus": 4, "memgb": 0.5}
    assert facts.properties == {"vm_size": "F2"}
    assert facts.state_folder == tmp_path
    of_environment = node_facts(None, environ)
    assert of_environment is not None
    assert of_environment.resources == {"ncpus": 2}


def test_auto_finds_cpus_and_memory() -> None:
    found = found_here()
    assert int(found["ncpus"]) >= 1
    assert int(found["memmb"]) > 100
    facts = node_facts("auto", {})
    assert facts is not None
    assert facts.resources == found


def test_text_truth_and_properties_may_stand_beside_the_amounts() -> None:
    facts = node_facts(
        "ncpus=4,disk=nvme,ssd=true,node.vm_size=F4,node.spot=false,node.vcpu_count=8",
        {"CELERY_RESOURCES_PROPERTIES": '{"node.vm_size": "F2", "node.nodearray": "worker"}'},
    )
    assert facts is not None
    assert facts.resources == {"ncpus": 4, "disk": "nvme", "ssd": True}
    assert facts.properties == {
        "node.vm_size": "F4",
        "node.nodearray": "worker",
        "node.spot": False,
        "node.vcpu_count": 8,
    }


def test_what_is_said_beside_auto_comes_before_what_is_found() -> None:
    found = found_here()
    facts = node_facts("ncpus=1000,auto,disk=nvme", {})
    assert facts is not None
    assert facts.resources == {**found, "ncpus": 1000, "disk": "nvme"}
    assert node_facts("auto", {}).resources == found  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4", "--resources: '4' cannot be read; write it like ncpus=4,memgb=16, or auto"),
        ("ncpus=-1", "--resources: ncpus: -1 is negative"),
        ("ncpus=nan", "--resources: ncpus: nan is not finite"),
        ("zone=eu", "--resources: 'zone=eu' names no amount"),
        ("node.vcpu_count=4", "--resources: 'node.vcpu_count=4' names no amount"),
        ("ncpus=4,node.vmsize=F4", "a node has no property 'vmsize'; did you mean node.vm_size?"),
    ],
)
def test_resources_that_cannot_be_read_are_named(text: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(says)):
        read_resources(text)


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_properties_must_be_a_json_object(text: str) -> None:
    with pytest.raises(InvalidSetting, match="CELERY_RESOURCES_PROPERTIES must be a JSON object"):
        node_facts("ncpus=1", {"CELERY_RESOURCES_PROPERTIES": text})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"node.vmsize": "F4"}', "a node has no property 'vmsize'; did you mean node.vm_size?"),
        ('{"rack": ["r1"]}', "rack must be text, a number, true, false or null"),
    ],
)
def test_a_property_that_nothing_could_be_compared_with_is_an_error(text: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(says)):
        node_facts("ncpus=1", {"CELERY_RESOURCES_PROPERTIES": text})


def test_every_setting_is_read() -> None:
    settings = read_settings(
        {
            "resource_queues": {"gpu": {"ngpus": 1}, "mpi": {"constraints": {"ncpus": 2}, "node_count": 2}},
            "resource_control_queue": "autoscale",
            "resource_names": ["licenses"],
            "resource_node_kinds": [{"ncpus": 4, "zone": 1}],
            "resource_too_big": "error",
            "resource_beat": 5,
        }
    )
    assert settings.queues == {
        "gpu": Requirement({"ngpus": 1}),
        "mpi": Requirement({"ncpus": 2}, node_count=2),
    }
    assert settings.control_queue == "autoscale"
    assert settings.known_names == {"licenses", "ngpus", "ncpus", "zone"}
    assert settings.too_big_is_error
    assert settings.beat == 5.0
    assert read_settings({}) == Settings()


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"resource_queues": ["gpu"]}, "resource_queues must be like {'gpu': {'ngpus': 1}}, not ['gpu']"),
        ({"resource_queues": {"gpu": {"a": {1}}}}, "resource_queues['gpu']: constraints['a'] must be"),
        ({"resource_control_queue": 4}, "resource_control_queue must be a queue's name or None, not 4"),
        ({"resource_names": "licenses"}, "resource_names must be a list of names"),
        ({"resource_node_kinds": {"ncpus": 4}}, "resource_node_kinds must be a list like"),
        ({"resource_too_big": "no"}, "resource_too_big must be one of 'warn', 'error', not 'no'"),
        ({"resource_quiet": 1}, "resource_quiet must be True or False, not 1"),
        ({"resource_beat": 0}, "resource_beat must be a number of seconds above 0, not 0"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_right(conf: dict, says: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(says)):
        read_settings(conf)


def test_a_fence_and_the_joined_queues_survive_a_restart(tmp_path: Path) -> None:
    joined = {"res:ncpus=1": Requirement({"ncpus": 1})}
    StandingFile(tmp_path, "celery@a/b").change(joined=joined, fenced=True, fence_reason="surplus")
    again = StandingFile(tmp_path, "celery@a/b")
    assert again.now == Standing(joined=joined, fenced=True, fence_reason="surplus")
    again.change(fenced=False, fence_reason="")
    assert not StandingFile(tmp_path, "celery@a/b").now.fenced
    assert StandingFile(tmp_path, "celery@other").now == Standing()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_state_file_that_cannot_be_read_counts_as_a_fence(tmp_path: Path) -> None:
    StandingFile(tmp_path, "n@h").change(fenced=True)
    (file,) = tmp_path.iterdir()
    file.write_text('{"joined": ')
    assert StandingFile(tmp_path, "n@h").now.fenced


def test_a_state_folder_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    standing = StandingFile(blocked / "folder", "n@h")
    with pytest.raises(InvalidSetting, match="the node's state cannot be written"):
        standing.change(fenced=True)
    assert not standing.now.fenced


def test_a_pool_or_a_broker_without_an_event_loop_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "loopless_app.py").write_text(
        "from celery import Celery\n"
        "from celery_resources import with_resources\n"
        'app = with_resources(Celery("loopless", broker="memory://"))\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "loopless_app", "worker", "--resources", "ncpus=1", "-c", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "with pool prefork on broker memory it has none: use the prefork, threads or solo pool" in said
    assert "Traceback" not in said
