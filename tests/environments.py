"""The tests in environments of their own: other versions of the dependencies, of Celery and of Python.

python tests/environments.py oldest|newest|celery|python

Each environment is a folder `.venv-NAME` beside `.venv`, made anew. Needs pip and nothing else: the standard
library must do, since this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
QUICK = ["tests/unit"]
OF_NODES = ["tests/unit/celery_resources", "tests/contract/resources"]
BROKERS = ["redis", "rabbitmq"]
"""How the tests that are run on several brokers name them."""
CELERY_MINORS = ["5.5", "5.6", "5.7"]
"""Every minor of Celery that is promised; README and docs/celery_resources.md name the same."""
NOISE = ["Call to deprecated setex"]
"""What redis-py 8 says of the result backends of Celery before 5.7: beyond our reach, and harmless."""
FAMILY = {"celery", "kombu", "billiard", "amqp", "vine", "redis"}
"""What one release of Celery says the versions of: not ours to pin where another release is tried."""


def requirements() -> Iterator[str]:
    """Every requirement of pyproject.toml on somebody else's package, all extras included."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from (line for line in group if not line.startswith(project["name"]))


def floor_of(requirement: str) -> str:
    """`name==oldest` of a requirement `name>=oldest`. Raises ValueError where it names no oldest version."""
    found = re.match(
        r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?\s*>=\s*(?P<floor>[0-9][0-9A-Za-z.]*)", requirement
    )
    if found is None:
        raise ValueError(
            f"pyproject.toml: {requirement!r} names no oldest version; 'name>=1.2' would be right"
        )
    return f"{found['name']}=={found['floor']}"


def pins(without: Iterable[str] = ()) -> list[str]:
    """The lines of constraints.txt, but for these packages."""
    lines = (HERE / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0].lower() not in set(without)]


class Environment:
    """A virtual environment of the project, with versions of its own."""

    def __init__(self, name: str, python: str = sys.executable) -> None:
        self.name = name
        self.folder = HERE / f".venv-{name}"
        self._base = python
        self.python = str(self.folder / "bin" / "python")

    def install(self, constraints: Iterable[str], extra: Iterable[str] = ()) -> None:
        """Make it anew. Raises CalledProcessError if pip finds no versions that go together."""
        say(f"{self.name}: installing")
        shutil.rmtree(self.folder, ignore_errors=True)
        run([self._base, "-m", "venv", str(self.folder)])
        file = self.folder / "constraints.txt"
        file.write_text("\n".join(constraints) + "\n")
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--constraint", str(file), "--editable", ".[all]", *extra])

    def test(self, paths: Iterable[str], jobs: str, *ignored: str) -> None:
        """Run these tests; warnings that begin so are no errors. Raises CalledProcessError if one fails."""
        say(f"{self.name}: {self.versions()}")
        test = [
            self.python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not by_hand and not many_worlds",
            "-n",
            jobs,
            "--dist",
            "worksteal",
        ]
        run([*test, *(word for text in ignored for word in ("-W", f"ignore:{text}")), *paths])

    def versions(self) -> str:
        """What was installed of what matters most, for whoever reads the log."""
        code = (
            "import sys; from importlib.metadata import version as v; "
            "print('Python', sys.version.split()[0], *(f'{n} {v(n)}' for n in "
            "('celery', 'kombu', 'redis', 'httpx', 'highspy', 'pytest')), sep=', ')"
        )
        found = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True)
        return found.stdout.strip()


def oldest(jobs: str) -> None:
    """The quick tests with the oldest version of every dependency that pyproject.toml admits."""
    environment = Environment("oldest")
    environment.install(sorted({floor_of(line) for line in requirements()}))
    environment.test(QUICK, jobs)


def newest(jobs: str) -> None:
    """The quick tests with the newest version of everything that pyproject.toml admits."""
    environment = Environment("newest")
    environment.install([])
    environment.test(QUICK, jobs)


def celery(jobs: str, *, on_one_broker: bool = False) -> None:
    """The tests of what runs on nodes, against each minor of Celery but the one of constraints.txt."""
    pinned = next(line.partition("==")[2] for line in pins() if line.startswith("celery=="))
    for minor, other in zip(CELERY_MINORS, cycle(BROKERS), strict=False):
        if pinned.startswith(f"{minor}."):
            say(f"celery {minor}: {pinned} is what `make test` runs with")
            continue
        environment = Environment(f"celery-{minor}")
        environment.install([*pins(without=FAMILY), f"celery=={minor}.*"])
        environment.test([*OF_NODES, *(("-k", f"not {other}") if on_one_broker else ())], jobs, *NOISE)


def python(jobs: str) -> None:
    """The quick tests on the newest Python of this machine."""
    path, version = newest_python()
    if version <= sys.version_info[:2]:
        say(
            f"python: this one, {version[0]}.{version[1]}, is the newest of this machine; nothing more to try"
        )
        return
    environment = Environment(f"python-{version[0]}.{version[1]}", path)
    environment.install(pins())
    environment.test(QUICK, jobs)


def newest_python() -> tuple[str, tuple[int, int]]:
    """The newest Python that starts and can make environments, and its minor version."""
    patterns = [f"{folder}/python3.*" for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    patterns.append(f"{os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')}/versions/*/bin/python3.*")
    candidates = {sys.executable}
    for pattern in patterns:
        candidates |= {name for name in glob.glob(pattern) if re.fullmatch(r"python3\.\d+", Path(name).name)}
    starting = {version: path for path in sorted(candidates) if (version := _version(path)) is not None}
    newest = max(starting)
    return starting[newest], newest


def _version(path: str) -> tuple[int, int] | None:
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        found = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = found.stdout.split()
    return int(major), int(minor)


def run(command: list[str]) -> None:
    """Run it in the project's folder, its output ours. Raises CalledProcessError if it fails."""
    subprocess.run(command, cwd=HERE, check=True, stdin=subprocess.DEVNULL)


def say(text: str) -> None:
    """One line, at once: what follows may take minutes."""
    sys.stdout.write(f"== {text}\n")
    sys.stdout.flush()


WAYS: dict[str, Callable[[str], None]] = {
    "oldest": oldest,
    "newest": newest,
    "celery": celery,
    "python": python,
}


def main() -> int:
    """Try the environments that were asked for; 1 if one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="+", choices=WAYS)
    parser.add_argument("--jobs", default="4", help="tests at a time (4)")
    parser.add_argument(
        "--on-one-broker",
        action="store_true",
        help="celery: each version on Redis or on RabbitMQ, by turns, in half the time",
    )
    said = parser.parse_args()
    failed = []
    for way in said.ways:
        began = time.monotonic()
        try:
            if way == "celery":
                celery(said.jobs, on_one_broker=said.on_one_broker)
            else:
                WAYS[way](said.jobs)
        except (subprocess.CalledProcessError, ValueError) as error:
            say(f"{way}: FAILED: {error}")
            failed.append(way)
        say(f"{way}: {(time.monotonic() - began) / 60:.1f} min")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
