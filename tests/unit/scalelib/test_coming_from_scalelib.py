"""Every row of docs/coming-from-scalelib.md is tried by an example there, and every example runs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from autoscaler_app.cli.group import autoscaler
from scalelib import Job, MemoryNodeHistory, NodeState, demandcalculator, print_demand
from scalelib.bucket import Bucket

PAGE = (Path(__file__).parents[3] / "docs" / "coming-from-scalelib.md").read_text()
TABLE, REST = PAGE.split("## Each of them, tried")
EXAMPLES = re.findall(r"```python\n(.*?)```", REST, re.DOTALL)


def rows(text: str) -> list[tuple[str, str]]:
    """The cells of a table, without its head."""
    lines = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| ")]
    return [(first, second) for first, second in lines[1:]]


def refusal(call: Callable[..., Any], *args: Any, **named: Any) -> str:
    with pytest.raises((ValueError, AttributeError)) as caught:
        call(*args, **named)
    return str(caught.value)


def printed(columns: list[str], demand: Any) -> list[str]:
    out = io.StringIO()
    print_demand(columns, demand, out)
    return out.getvalue().splitlines()


@pytest.fixture
def names_of_the_page(world: Any, make_provider: Callable[..., Any]) -> dict[str, Any]:
    """What the examples may use."""
    provider = make_provider(world, [world.node(1), world.node(2)])
    history, changed = MemoryNodeHistory(), {}

    def buckets() -> tuple[Bucket, ...]:
        return tuple(world.bucket(size, **changed.get(size, {})) for size in world.sizes)

    provider.world.buckets = buckets

    def calculator(
        later: int = 0,
        failed: dict[str, float] | None = None,
        is_hpc: bool = True,
        deallocated: int = 0,
        **config: Any,
    ) -> Any:
        for size in world.sizes:
            changed[size] = {"makes_groups": is_hpc, "capacity_failed": (failed or {}).get(size)}
        provider.nodes += [
            replace(world.node(3 + i, "NC6", NodeState.DEALLOCATED), wanted=False, may_start_again=True)
            for i in range(deallocated)
        ]
        now = world.now + timedelta(seconds=later)
        return demandcalculator.new_demand_calculator(
            config, node_history=history, provider=provider, now=now
        )

    return {"Job": Job, "calculator": calculator, "refusal": refusal, "printed": printed}


def names(verdicts: Any) -> list[str]:
    return [verdict.node.name for verdict in verdicts]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.splitlines()[0].strip("# `"))
def test_an_example_of_the_page_runs(example: str, names_of_the_page: dict[str, Any]) -> None:
    exec(compile(example, "coming-from-scalelib.md", "exec"), {"names": names, **names_of_the_page})


@pytest.mark.parametrize("row", [first.replace("`", "") for first, _ in rows(TABLE)])
def test_a_row_of_the_page_has_its_example(row: str) -> None:
    lines = [line for text in EXAMPLES for line in text.splitlines() if line.startswith("# ")]
    tried = {line.removeprefix("# ").replace("`", "") for line in lines}
    assert tried & {row, row.split(", ")[0]}


def test_the_commands_of_the_page_are_commands() -> None:
    for _, told in rows(PAGE.split("## Commands")[1]):
        for word in [] if told.startswith("none") else re.findall(r"`([a-z-]+)(?: [^`]*)?`", told):
            assert word in autoscaler.commands
