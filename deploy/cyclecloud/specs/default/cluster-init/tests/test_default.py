#!/opt/cycle/jetpack/system/embedded/bin/python -m pytest
"""`jetpack test` on every node: the programs are those of this version."""

import os


def test_the_programs_are_of_this_version():
    with open("/opt/celery-autoscaler/version") as file:
        version = file.read().strip()
    with open("/opt/celery-autoscaler/venv/.complete") as file:
        assert file.read() in ("celery-broker-" + version, "celery-worker-" + version)


def test_nobody_but_root_can_change_the_programs():
    for folder in ("/opt/celery-autoscaler", "/opt/celery-autoscaler/bin", "/opt/celery-autoscaler/venv/bin"):
        found = os.stat(folder)
        assert found.st_uid == 0
        assert not found.st_mode & 0o022, folder
