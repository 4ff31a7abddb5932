"""Makes what `cyclecloud project upload` uploads: `make dist`, or `python deploy/cyclecloud/dist.py --help`.

    dist/                         the wheel and the source distribution
    deploy/cyclecloud/blobs/      celery-broker-VERSION.tar.gz and celery-worker-VERSION.tar.gz

A blob has the wheels of one role for every Python that it is made for, and requirements.txt, in which each
of them is pinned and hashed. A node installs with `--no-index --require-hashes`: it asks nobody, and takes
no other file. The versions are those of constraints.txt; a dependency that has no pin there is an error. No
address of a registry ends up in any of this.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parent
ROOT = PROJECT.parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
"""What the images of CycleCloud have, or their package managers."""

EXTRAS = "[web,solver,demo,signed]"
"""What the broker node has beside the rest: the page, the optimal packer, a Redis, and what signs."""

EXTRAS_OF_NODES = ("", "signed")
"""What a node has: it signs what it says."""

NOT_ON_NODES = {"httpx", "rich"}
"""A node asks no cloud and draws no tables."""

OURS = "celery-cluster-autoscaler"

OLDER = {"async-timeout": 'python_full_version < "3.11.3"'}
"""Dependencies of older Pythons alone, which the Python that resolves may not see."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", help=f"a Python of the nodes; {', '.join(PYTHONS)}")
    parser.add_argument("--machine", default="x86_64", choices=("x86_64", "aarch64"))
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="folder of wheel and source distribution"
    )
    parser.add_argument("--blobs", type=Path, default=PROJECT / "blobs", help="folder of the blobs")
    options = parser.parse_args(arguments)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    spread(version)
    wheel = build(options.out, version)
    pins = pinned()
    roles = needed(wheel)
    everything = set().union(*roles.values())
    if missing := sorted(everything - pins.keys()):
        raise SystemExit(f"error: constraints.txt does not pin {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        wheels, pip = Path(folder) / "wheels", Path(folder) / "pip"
        for python in options.python or PYTHONS:
            download(
                [f"{name}=={pins[name]}" for name in sorted(everything)], wheels, python, options.machine
            )
        download([f"pip=={pins['pip']}"], pip, PYTHONS[0], options.machine)
        shutil.copy(wheel, wheels)
        options.blobs.mkdir(parents=True, exist_ok=True)
        for role, names in roles.items():
            files = [file for file in wheels.iterdir() if package(file) in {*names, OURS}]
            made = options.blobs / f"celery-{role}-{version}.tar.gz"
            archive(made.name.removesuffix(".tar.gz"), files, list(pip.iterdir()), made)
            print(f"{made}  {made.stat().st_size >> 20} MiB")


def spread(version: str) -> None:
    """The version of pyproject.toml into every place that has to have it as text."""
    places = {
        "project.ini": [
            (r"(?m)^version = .*$", f"version = {version}"),
            (r"-[\d.]+\.tar\.gz", f"-{version}.tar.gz"),
        ],
        "templates/celery.txt": [
            (r"(cluster-init celery-cluster-autoscaler:\w+:)[\w.]+", rf"\g<1>{version}"),
        ],
        "specs/default/cluster-init/files/version": [(r"^[^\n]+", version)],
    }
    for name, changes in places.items():
        text = new = (PROJECT / name).read_text()
        for pattern, replacement in changes:
            new = re.sub(pattern, replacement, new)
        if new != text:
            (PROJECT / name).write_text(new)
            print(f"{name}: version {version}")


def build(out: Path, version: str) -> Path:
    """The wheel and the source distribution; the wheel's path. Made from the latter, so that it is whole."""
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = out.glob(f"*-{version}-py3-none-any.whl")
    return wheel


def canonical(name: str) -> str:
    """A package's name as all of its spellings are."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Versions by name, from constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def needed(wheel: Path) -> dict[str, set[str]]:
    """The packages of each role, ours left out."""
    found = {
        canonical(each["metadata"]["name"]): each["metadata"].get("requires_dist", [])
        for each in _pip_report(f"{wheel}{EXTRAS}")
    }
    return {
        "broker": (found.keys() - {OURS}) | OLDER.keys(),
        "worker": reached(found, OURS, NOT_ON_NODES, EXTRAS_OF_NODES) | OLDER.keys(),
    }


def reached(
    found: Mapping[str, Iterable[str]], start: str, without: Collection[str], extras: Collection[str] = ("",)
) -> set[str]:
    """What `start` needs with these extras, and what that needs, with those that each asks of the next
    (`celery[redis]`); what `start` itself wants of `without` is left out.
    """
    seen: set[tuple[str, str]] = set()
    ahead = {(start, extra) for extra in extras}
    while ahead:
        seen.add(here := ahead.pop())
        for requirement in map(Requirement, found[here[0]]):
            name = canonical(requirement.name)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": here[1]})
            if wanted and name in found and not (here[0] == start and name in without):
                ahead |= {(name, extra) for extra in ("", *requirement.extras)} - seen
    return {name for name, _ in seen} - {start}


def _pip_report(requirement: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip("install", "--dry-run", "--ignore-installed", "--report", str(report), "--only-binary", ":all:",
             "--constraint", str(ROOT / "constraints.txt"), requirement)  # fmt: skip
        found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return found


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(f"error: pip {words[0]}: {told.stderr.strip()[-2000:]}")


def download(requirements: Sequence[str], into: Path, python: str, machine: str) -> None:
    """Wheels for a Python and a kind of machine that need not be ours. Of a package in source alone: an
    error.
    """
    platforms = [f"{name}_{machine}" for name in ("manylinux_2_28", "manylinux2014", "manylinux_2_17")]
    _pip("download", "--no-deps", "--only-binary", ":all:", "--python-version", python, "--dest", str(into),
         *(word for each in platforms for word in ("--platform", each)), *requirements)  # fmt: skip


def package(file: Path) -> str:
    """The name of a wheel's package."""
    return canonical(file.name.split("-")[0])


def requirements(wheels: Iterable[Path]) -> str:
    """A line for each package, with the hash of each of its files."""
    hashes: dict[tuple[str, str], list[str]] = {}
    for file in sorted(wheels):
        version = file.name.split("-")[1]
        hashes.setdefault((package(file), version), []).append(hashlib.sha256(file.read_bytes()).hexdigest())
    lines = []
    for (name, version), each in hashes.items():
        marker = f" ; {OLDER[name]}" if name in OLDER else ""
        lines.append(
            " \\\n    ".join([f"{name}=={version}{marker}", *(f"--hash=sha256:{one}" for one in each)])
        )
    return "\n".join(lines) + "\n"


def archive(name: str, wheels: Sequence[Path], pip: Sequence[Path], path: Path) -> None:
    """A tar that is the same byte for byte whenever and by whomever it is made."""
    content = {f"{name}/requirements.txt": requirements(wheels).encode()}
    content |= {f"{name}/wheels/{file.name}": file.read_bytes() for file in wheels}
    content |= {f"{name}/pip/{file.name}": file.read_bytes() for file in pip}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for place in sorted(content):
            entry = tarfile.TarInfo(place)
            entry.size, entry.mode = len(content[place]), 0o644
            tar.addfile(entry, io.BytesIO(content[place]))
    path.write_bytes(gzip.compress(data.getvalue(), compresslevel=1, mtime=0))


if __name__ == "__main__":
    main()
