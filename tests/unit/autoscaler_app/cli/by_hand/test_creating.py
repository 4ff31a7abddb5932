"""Which kind of machine `create` takes, and what it says where none can be had."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from autoscaler_app.cli.by_hand import creating
from autoscaler_app.cli.by_hand.creating import chosen
from autoscaler_app.cli.group import autoscaler
from autoscaler_app.passes.control import Control
from scalelib.errors import InvalidInput
from tests.unit.autoscaler_app.world import World


def bucket(size: str, price: float | None, **facts: Any) -> dict[str, Any]:
    return {
        "nodearray": "worker",
        "vm_size": size,
        "spot": False,
        "price_per_hour": price,
        "available": 10,
        "limit": "cluster",
        "set_aside": "",
        **facts,
    }


BUCKETS = [
    bucket("L", 4.0),
    bucket("S", 1.0, available=2),
    bucket("M", 2.0),
    bucket("X", None),
    bucket("S", 0.5, nodearray="cheap", set_aside="no capacity"),
]


@pytest.mark.parametrize(
    ("nodearray", "size", "count", "takes"),
    [("", "", 1, "S"), ("", "", 3, "M"), ("WORKER", "l", 3, "L"), ("", "X", 1, "X"), ("worker", "s", 2, "S")],
)
def test_the_cheapest_of_which_so_many_can_be_had(nodearray: str, size: str, count: int, takes: str) -> None:
    found = chosen(BUCKETS, nodearray, size, count)
    assert (found["vm_size"], found["nodearray"]) == (takes, "worker")


@pytest.mark.parametrize(
    ("nodearray", "size", "count", "says"),
    [
        ("wroker", "", 1, "did you mean worker"),
        ("", "Q", 1, "there are L, M, S, X"),
        ("cheap", "M", 1, "nodearray 'cheap' has no M"),
        ("cheap", "", 1, "no capacity"),
        ("worker", "S", 3, "3 x worker/S cannot be had: 2 are left, by the limit of cluster"),
    ],
)
def test_what_cannot_be_had_is_named(nodearray: str, size: str, count: int, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        chosen(BUCKETS, nodearray, size, count)


def test_what_they_would_cost_is_told_in_the_currency_of_the_settings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = msgspec.structs.replace(world.control.settings.autoscaler, currency="EUR")
    world.control.settings = msgspec.structs.replace(world.control.settings, autoscaler=ours)

    @contextmanager
    def opened(ctx: object) -> Iterator[Control]:
        yield world.control

    monkeypatch.setattr(creating, "opened", opened)
    words = ["create", "--count", "2", "--vm-size", "small", "--dry-run"]
    told = CliRunner().invoke(autoscaler, words, obj=SimpleNamespace(app=None))
    assert told.output == "2 x all/small, at 2.000 EUR per hour: nothing is launched (--dry-run)\n"
