"""What is lost when workers are killed while they work: by transport and by the length of the tasks.

Kills of a worker with all its pool (SIGKILL; SIGSTOP, then SIGKILL), of the broker (with everything on disk
before it answers), and of connections in the middle of an answer. The same seed for each. Tasks acknowledge
late. What a stock worker had when it died is not lost: it comes again when the visibility timeout is over,
and is counted as `kept`. `KILLS=50` in the environment is a short run.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Measurement
from benchmarks._kills import OURS, STOCK, Account, Broker, Plan, on_redis, run
from benchmarks.celery_resources import rabbitmq_vhost

KILLS = int(os.environ.get("KILLS", "200"))
LENGTHS = {"tasks of 1 to 10 ms": (0.001, 0.01), "tasks of 0.5 s": (0.5, 0.5)}


def measure() -> Iterator[Measurement]:
    """Messages lost, run again and kept, of so many kills."""
    for length, seconds in LENGTHS.items():
        for name, transport in (("redis_keeper", OURS), ("kombu's Redis", STOCK)):
            with (
                tempfile.TemporaryDirectory() as folder,
                on_redis(transport, Path(folder) / "data") as broker,
            ):
                account = run(
                    Plan(kinds=_kinds(power=True), seconds=seconds), broker, Path(folder), patience=30
                )
            yield from _rows(f"{name}, {length}", account, ours=transport == OURS)
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            if (url := rabbitmq_vhost(stack)) is not None:
                rabbit = Broker(url, None, set)
                account = run(
                    Plan(kinds=_kinds(power=False), seconds=seconds), rabbit, Path(folder), patience=30
                )
                yield from _rows(f"RabbitMQ, {length}", account, ours=False)


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
