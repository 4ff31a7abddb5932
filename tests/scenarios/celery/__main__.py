"""Run every scenario on a worker, plain and wrapped, on both brokers; write the table to docs/scenarios.md.

`client` runs them against the worker that is up, and prints what came of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.compat.__main__ import own_broker, own_redis
from tests.environments import HERE

TABLE = HERE / "docs" / "scenarios.md"
BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ"}
MODULE = "tests.scenarios.celery.app"
HEAD = """# What Celery does, with and without resources

Made by `make scenarios`, which runs each on a worker of four processes and writes down what came of it: with
plain Celery, and with the same app after `with_resources` on a node of four cpus, where calls, tasks and
parts of a canvas say what they need. "yes": it is what the scenario has to give; else what came instead.

| | Redis, plain | Redis, wrapped | RabbitMQ, plain | RabbitMQ, wrapped |
|---|---|---|---|---|
"""


def main() -> int:
    """0 if a wrapped app does what a plain one does, everywhere."""
    if sys.argv[1:] == ["client"]:
        return _client()
    with ThreadPoolExecutor(4) as pool:
        runs = {
            (broker, wrap): pool.submit(_run, broker, wrap=wrap)
            for broker in BROKERS
            for wrap in (False, True)
        }
        found = {key: run.result() for key, run in runs.items()}
    names = list(found["redis", False])
    rows = [f"| {name} | {' | '.join(outcomes[name] for outcomes in found.values())} |" for name in names]
    TABLE.write_text(HEAD + "\n".join(rows) + "\n")
    worse = [
        (broker, name, found[broker, True][name])
        for broker in BROKERS
        for name in names
        if found[broker, True][name] != found[broker, False][name]
    ]
    for broker, name, outcome in worse:
        print(f"DIFFERENT on {broker}: {name}: plain {found[broker, False][name]}, wrapped {outcome}")
    print(f"{len(names)} scenarios, written to {TABLE.relative_to(HERE)}")
    return 1 if worse else 0


def _run(broker: str, *, wrap: bool) -> dict[str, str]:
    print(f"== {broker}, {'wrapped' if wrap else 'plain'}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        own_redis(Path(folder) / "redis") as redis,
        own_broker(broker, redis) as url,
        open(Path(folder) / "worker.log", "w+") as log,
    ):
        env = {
            **os.environ,
            "SCENARIO_BROKER": url,
            "SCENARIO_BACKEND": f"{redis}/0",
            "SCENARIO_WRAP": str(int(wrap)),
            "C_FORCE_ROOT": "1",
        }
        worker = [sys.executable, "-m", "celery", "-A", MODULE, "worker", "-c", "4", "-l", "INFO"]
        more = ["--resources", "ncpus=4,memgb=8"] if wrap else []
        process = subprocess.Popen([*worker, *more], cwd=HERE, env=env, stdout=log, stderr=log)
        try:
            _wait_ready(Path(log.name), process)
            client = [sys.executable, "-m", "tests.scenarios.celery", "client"]
            done = subprocess.run(client, cwd=HERE, env=env, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            process.terminate()
            process.wait(60)
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


def _wait_ready(log: Path, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 60
    while " ready." not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the worker did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)  # between two looks


def _client() -> int:
    from tests.scenarios.celery.scenarios import SCENARIOS

    outcomes = {}
    for name, (do, expected) in SCENARIOS.items():
        try:
            found = do()
        except Exception as error:  # noqa: BLE001 - it is what came of it
            found = type(error).__name__
        outcomes[name] = "yes" if found == expected else f"no: {found!r:.60}".replace("|", "/")
        print(f"{name}: {outcomes[name]}", file=sys.stderr, flush=True)
    print(json.dumps(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
