"""Labs of real worker processes as nodes, for the tests of `celery_resources`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Nodes load the app of the lab by its plain name, from this folder; so do its tests.
sys.path.insert(0, str(Path(__file__).parent / "contract" / "resources" / "app"))

from resource_nodes import Lab
from resource_relay import Relay, relay_to

__all__ = ["Lab", "Relay", "make_lab", "pytest_runtest_makereport", "relay_to"]

_LABS = pytest.StashKey[list[Lab]]()
_LINES, _WIDTH = 25, 300


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test tells what its nodes looked like: they are gone a moment later."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and call.when == "call":
        for lab in item.stash.get(_LABS, []):
            report.sections.append(("a lab", "\n".join(line[:_WIDTH] for line in _evidence(lab))))


def _evidence(lab: Lab) -> Iterator[str]:
    """What waits, the last that tasks wrote down, what each node says of itself, and the end of its log."""
    told: list[dict[str, Any]] = []
    for node in lab.nodes:
        with contextlib.suppress(Exception):  # the broker may be gone, and what else is known still helps
            told.append({node.name: node.try_ask("resources")})
    queues = {queue for each in told for answer in each.values() for queue in _queues(answer)}
    with contextlib.suppress(Exception):
        yield f"waiting: { {queue: lab.waiting(queue) for queue in sorted(queues)} }"
    for line in lab.runs()[-_LINES:]:
        yield json.dumps(line)
    for node in lab.nodes:
        yield f"-- {node.name}, exit code {node.process.poll()}"
        yield from (json.dumps(each[node.name]) for each in told if node.name in each)
        yield from node.text().splitlines()[-_LINES:]


def _queues(answer: dict[str, Any] | None) -> list[str]:
    return list(((answer or {}).get("ok") or {}).get("queues", []))


@pytest.fixture
def make_lab(request: pytest.FixtureRequest, tmp_path: Path, wait_until: Any) -> Iterator[Callable[..., Lab]]:
    """Labs of this test; their nodes end with it."""
    labs: list[Lab] = request.node.stash.setdefault(_LABS, [])

    def make(broker: str, **env: str) -> Lab:
        lab = Lab(broker, tmp_path, wait_until, **env)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.close()
