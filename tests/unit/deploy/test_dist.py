"""What `make dist` makes of wheels: pins with hashes, the same bytes each time, one version everywhere."""

from __future__ import annotations

import hashlib
import re
import tarfile
import tomllib
from pathlib import Path

import pytest

from tests.unit.deploy.loading import load

ROOT = Path(__file__).resolve().parents[3]


dist = load("dist.py")


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    names = (
        "msgspec-1.0-cp311-cp311-any.whl",
        "msgspec-1.0-cp312-cp312-any.whl",
        "async_timeout-5.0-py3-none-any.whl",
    )
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    return [tmp_path / name for name in names]


def test_each_file_of_a_package_is_hashed_and_nothing_else_is_said(wheels: list[Path]) -> None:
    lines = dist.requirements(wheels).splitlines()
    assert lines[0] == 'async-timeout==5.0 ; python_full_version < "3.11.3" \\'
    assert lines[2] == "msgspec==1.0 \\"
    assert sum("--hash=sha256:" in line for line in lines) == 3
    assert hashlib.sha256(wheels[0].read_bytes()).hexdigest() in lines[3]
    assert not [line for line in lines if "://" in line or "index" in line]


def test_an_archive_is_the_same_whenever_it_is_made(wheels: list[Path], tmp_path: Path) -> None:
    first, second = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    dist.archive("celery-x-1", wheels, wheels[:1], first)
    dist.archive("celery-x-1", list(reversed(wheels)), wheels[:1], second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert "celery-x-1/requirements.txt" in tar.getnames()
        assert {(each.mode, each.uid, each.mtime) for each in tar.getmembers()} == {(0o644, 0, 0)}


def test_the_version_is_written_into_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("project.ini", "templates/celery.txt", "specs/default/cluster-init/files/version"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / "deploy/cyclecloud" / name).read_text())
    monkeypatch.setattr(dist, "PROJECT", tmp_path)
    dist.spread("7.8.9")
    ini = (tmp_path / "project.ini").read_text()
    assert "version = 7.8.9" in ini
    assert ini.count("-7.8.9.tar.gz") == 2
    assert (tmp_path / "templates/celery.txt").read_text().count(":7.8.9]]]") == 3
    assert (tmp_path / "specs/default/cluster-init/files/version").read_text() == "7.8.9\n"


def test_a_node_gets_what_it_needs_with_the_extras_that_are_asked_for_and_no_more() -> None:
    """Without those of `celery[redis]` a worker does not start; those of a web page it does without."""
    found = {
        "ours": [
            "celery[redis]<6,>=5.5.3",
            "httpx>=0.28",
            'starlette; extra == "web"',
            'cryptography; extra == "signed"',
            'tomli; python_version < "3"',
        ],
        "celery": ["kombu", 'kombu[redis]; extra == "redis"', 'boto3; extra == "sqs"', "Typing.Extensions"],
        "kombu": ['packaging; extra == "redis"', "vine"],
        "httpx": ["anyio"],
        "cryptography": ["cffi"],
        **{
            name: []
            for name in (
                "packaging",
                "vine",
                "anyio",
                "starlette",
                "boto3",
                "typing-extensions",
                "tomli",
                "cffi",
            )
        },
    }
    expected = {"celery", "kombu", "packaging", "vine", "typing-extensions"}
    assert dist.reached(found, "ours", {"httpx"}) == expected
    signing = dist.reached(found, "ours", {"httpx"}, dist.EXTRAS_OF_NODES)
    assert signing == expected | {"cryptography", "cffi"}
    assert "signed" in dist.EXTRAS, "the broker node signs too"


def test_every_pin_is_exact() -> None:
    assert all(version for version in dist.pinned().values())
    assert {"pip", "build", "async-timeout", "celery"} <= dist.pinned().keys()


def test_every_command_of_the_makefile_installs_an_extra_that_there_is() -> None:
    """pip only warns of an extra that it does not know, and the command then lacks what it needs."""
    wanted = set(re.findall(r"^[\w-]+: \$\(FOR\)-([\w-]+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "dist" in wanted
    assert wanted <= extras.keys()
