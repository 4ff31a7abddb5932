"""Celery's own integration tests, with plain apps and with every app wrapped by `with_resources`.

Celery's source distribution comes from the package index by pip and is kept in `.venv-compat`. Each run has a
Redis of its own, and on RabbitMQ a virtual host of its own. What differs is tried twice more; what still
differs and is not in tests/compat/differences.toml, each with a reason, is a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from demo import embedded
from tests.compat.comparing import Difference, different, judge, read_list, tried_again
from tests.conftest import AMQP_URL, free_port
from tests.environments import HERE, pins, run, say

BROKERS = ("redis", "rabbitmq")
QUICK = (
    "test_inspect",
    "test_serialization",
    "test_tasks",
)
"""Modules of `t/integration` that run where nothing is said; of them CI runs the first two."""
NOT_OURS = (
    "test_backend.py",  # Azure's blob store
    "test_database_backend.py",  # SQLAlchemy
    "test_events_state_memory_leak.py",  # the last three: no worker of the suite's takes part, or a memory
    "test_mem_leak_in_exception_handling.py",  # profile that depends on the load of the machine
    "test_backend_leak_in_fixture_teardown.py",
)
NEEDED = ("pydantic>=2.11",)
"""What the suite imports and this project does not."""
FOLDER = HERE / ".venv-compat"
LIBRARIES = FOLDER / "libraries"
TRIES = 2
"""How often what differs is tried again, plain and wrapped: the suite is flaky where a machine is busy."""


def main() -> int:
    """0 if nothing differs but what is listed."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat", description=__doc__)
    parser.add_argument("--whole", action="store_true", help="all modules, which takes half an hour")
    parser.add_argument("--broker", choices=BROKERS, action="append", help="one of them only")
    parser.add_argument("--jobs", type=int, default=4, help="runs at a time (4)")
    parser.add_argument("tests", nargs="*", help="as pytest names them, t/integration/…; instead of modules")
    said = parser.parse_args()
    began, known = time.monotonic(), read_list()
    suite = prepared()
    brokers = said.broker or BROKERS
    tests = {broker: said.tests or selected(broker, known, whole=said.whole) for broker in brokers}
    with ThreadPoolExecutor(said.jobs) as pool:
        runs = {
            (broker, wrap): pool.submit(outcomes, suite, broker, tests[broker], wrap=wrap)
            for broker in brokers
            for wrap in (False, True)
        }
        results = {key: future.result() for key, future in runs.items()}
    is_fine = True
    for broker in brokers:
        plain, wrapped = results[broker, False], results[broker, True]
        again(suite, broker, plain, wrapped)
        verdict = judge(broker, plain, wrapped, known)
        is_fine &= verdict.ok
        others = sorted(test for test, outcome in plain.items() if outcome == "failed" == wrapped.get(test))
        say(f"{broker}: {verdict.same} tests end alike ({verdict.passed} of them pass)")
        if others:
            say(f"{broker}: fail with plain Celery, too, and so show nothing: {', '.join(others)}")
        for test, how in verdict.unknown.items():
            say(f"{broker}: DIFFERENT (plain, wrapped: {how}): {test}")
        for test in verdict.outdated:
            say(f"{broker}: differs no more, take it off the list: {test}")
    say(f"compat: {'as plain Celery' if is_fine else 'FAILED'}, {(time.monotonic() - began) / 60:.1f} min")
    return 0 if is_fine else 1


def prepared() -> Path:
    """The folder of the suite; it is kept until a pin changes. Beside it is what only the suite imports."""
    version = next(line.partition("==")[2] for line in pins() if line.startswith("celery=="))
    suite, stamp = FOLDER / f"celery-{version}", FOLDER / "made-of"
    wanted = "\n".join([*pins(), *NEEDED])
    if stamp.is_file() and stamp.read_text() == wanted:
        return suite
    say(f"compat: the source distribution of celery {version}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    constraint = ["--constraint", str(HERE / "constraints.txt")]
    run([*pip, "install", "--target", str(LIBRARIES), *constraint, *NEEDED])
    archive = FOLDER / "archive"
    run([*pip, "download", "--no-binary", ":all:", "--no-deps", "--dest", str(archive), f"celery=={version}"])
    unpack(next(archive.glob("*.tar.gz")), FOLDER)
    stamp.write_text(wanted)
    return suite


def unpack(archive: Path, folder: Path) -> None:
    """The suite and its configuration, and not Celery itself: that is the one which is installed."""
    with tarfile.open(archive) as packed:
        wanted = [
            member
            for member in packed.getmembers()
            if member.name.split("/")[1:2] in (["t"], ["pyproject.toml"])
        ]
        packed.extractall(folder, wanted, filter="data")


def selected(broker: str, known: Iterable[Difference], *, whole: bool) -> list[str]:
    """What to run, as pytest's arguments. What is known to differ may wait for ever: the whole run tries."""
    if not whole:
        listed = [f"--deselect={each.test}" for each in known if broker in each.brokers]
        return [*(f"t/integration/{name}.py" for name in QUICK), *listed]
    return ["t/integration", *(f"--ignore=t/integration/{name}" for name in NOT_OURS)]


def again(suite: Path, broker: str, plain: dict[str, str], wrapped: dict[str, str]) -> None:
    """Try what differs once more, both ways, each by itself."""
    for _ in range(TRIES):
        tests = list(different(plain, wrapped))
        if not tests:
            return
        say(f"{broker}: {len(tests)} differ, and are tried again: {', '.join(tests)}")
        for wrap, results in ((False, plain), (True, wrapped)):
            results.update(tried_again(results, outcomes(suite, broker, tests, wrap=wrap)))


def outcomes(suite: Path, broker: str, tests: Iterable[str], *, wrap: bool) -> dict[str, str]:
    """Run these. Raises RuntimeError, with the end of the log, if there is no outcome or nothing wrapped."""
    name = f"{broker}-{'wrapped' if wrap else 'plain'}"
    file, log = FOLDER / f"{name}.json", FOLDER / f"{name}.log"
    file.unlink(missing_ok=True)
    with own_redis(FOLDER / f"{name}-redis") as redis, own_broker(broker, redis) as url:
        env = {
            **os.environ,
            # Some of them call `celery`.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(suite), str(LIBRARIES)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "C_FORCE_ROOT": "1",
            "COMPAT_WRAP": str(int(wrap)),
            "COMPAT_OUTCOMES": str(file),
            "TEST_BROKER": url,
            "TEST_BACKEND": f"{redis}/0",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(urlsplit(redis).port),
        }
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p"]
        options = [
            "tests.compat.wrapping",
            "--continue-on-collection-errors",
            "-W",
            "ignore",
            "--timeout=120",
        ]
        with log.open("w") as out:
            subprocess.run(
                [*pytest, *options, *tests],
                cwd=suite,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
    if not file.is_file():
        raise RuntimeError(f"{name}: no outcomes; the log ends:\n{log.read_text()[-3000:]}")
    told = json.loads(file.read_text())
    if wrap and not (told["apps"] and told["gates"]):
        raise RuntimeError(f"{name}: {told['apps']} apps were wrapped and {told['gates']} workers had a gate")
    found: dict[str, str] = told["outcomes"]
    return found


@contextlib.contextmanager
def own_redis(folder: Path) -> Iterator[str]:
    """A server that nobody else uses: the suite counts the channels of a whole server.

    Where this machine has none, the embedded Valkey.
    """
    program = shutil.which("redis-server")
    if program is None:
        with embedded.running() as url:
            yield url
        return
    port = free_port()
    folder.mkdir(exist_ok=True)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def own_broker(broker: str, redis: str) -> Iterator[str]:
    """The URL of an empty broker."""
    if broker == "redis":
        yield f"{redis}/1"
        return
    parts, vhost = urlsplit(AMQP_URL), f"autoscaler-compat-{uuid.uuid4().hex[:8]}"
    rabbitmqctl = ["rabbitmqctl", "--quiet"]
    run([*rabbitmqctl, "add_vhost", vhost])
    try:
        run([*rabbitmqctl, "set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*"])
        yield urlunsplit(parts._replace(path=f"/{vhost}"))
    finally:
        run([*rabbitmqctl, "delete_vhost", vhost])


if __name__ == "__main__":
    sys.exit(main())
