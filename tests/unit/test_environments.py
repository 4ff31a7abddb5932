"""What `make oldest` and its sisters try is what pyproject.toml, the README and the docs promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environments

ROOT = Path(__file__).resolve().parents[2]


def test_every_dependency_says_from_which_version_on() -> None:
    floors = [environments.floor_of(requirement) for requirement in environments.requirements()]
    assert len(floors) > 15
    assert any(re.fullmatch(r"celery==5\.\d+\.\d+", floor) for floor in floors)


def test_a_dependency_without_an_oldest_version_is_named() -> None:
    with pytest.raises(ValueError, match=r"'httpx<1' names no oldest version; 'name>=1\.2' would be right"):
        environments.floor_of("httpx<1")


def test_every_minor_of_celery_that_is_promised_is_tried_and_in_the_docs() -> None:
    floor = next(environments.floor_of(line) for line in environments.requirements() if "celery[" in line)
    assert floor.startswith(f"celery=={environments.CELERY_MINORS[0]}.")
    pinned = next(line for line in environments.pins() if line.startswith("celery=="))
    assert pinned.startswith(f"celery=={environments.CELERY_MINORS[-1]}.")
    table = (ROOT / "docs" / "celery_resources.md").read_text()
    assert re.findall(r"^\| (5\.\d+)\.\d+ \|", table, re.MULTILINE) == environments.CELERY_MINORS[::-1]


def test_pins_of_another_celery_leave_its_family_free() -> None:
    free = environments.pins(without=environments.FAMILY)
    assert not [line for line in free if line.partition("==")[0] in environments.FAMILY]
    assert "httpx==" in "".join(free)


def test_the_newest_python_is_at_least_this_one() -> None:
    path, version = environments.newest_python()
    assert version >= sys.version_info[:2]
    code = "import sys; print(*sys.version_info[:2])"
    found = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert tuple(map(int, found.stdout.split())) == version
