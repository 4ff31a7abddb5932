"""Answers that are well-formed and wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any


class LieKind(Enum):
    """What is wrong with the answer."""

    NO_NODES = "no_nodes"
    """Every list of nodes is empty."""
    HALF_NODES = "half_nodes"
    """Every second node is missing."""
    NO_NODEARRAYS = "no_nodearrays"
    """Nodearrays are missing altogether."""
    NO_BUCKETS = "no_buckets"
    """Every nodearray has no buckets."""
    NULLS = "nulls"
    """One value in ten is null."""
    MISSING = "missing"
    """One field in ten is missing."""
    STRINGS = "strings"
    """Numbers are sent as strings."""
    NEGATIVE = "negative"
    """Counts are negative."""
    HUGE = "huge"
    """Far more can be had than is true."""
    TWICE = "twice"
    """Every node is listed twice."""
    SHUFFLED_IDS = "shuffled_ids"
    """Nodes carry one another's NodeId."""
    UNKNOWN_WORDS = "unknown_words"
    """Status, State and TargetState are words that nobody has heard of."""
    ALL_TERMINATED = "all_terminated"
    """Every node is said to be on its way out."""
    FUZZ = "fuzz"
    """Any one value is replaced by any other."""
    NOT_AN_OBJECT = "not_an_object"
    """A list instead of an object."""


_Edit = Callable[[Any, random.Random], Any]


def tell(kind: LieKind, body: bytes, chance: random.Random) -> bytes:
    """The body with the lie in it; a body that is no JSON stays as it is."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_LIES[kind](value, chance)).encode()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a value, outermost first."""
    if isinstance(value, dict):
        yield value
        for part in list(value.values()):
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)


def _nodes(change: Callable[[list[Any], random.Random], list[Any]]) -> _Edit:
    """An edit of every list that is called nodes."""

    def edit(value: Any, chance: random.Random) -> Any:
        for item in _objects(value):
            if isinstance(item.get("nodes"), list):
                item["nodes"] = change(item["nodes"], chance)
        return value

    return edit


def _fields(change: Callable[[dict[str, Any], str, random.Random], None]) -> _Edit:
    """An edit of every field of every object."""

    def edit(value: Any, chance: random.Random) -> Any:
        for item in list(_objects(value)):
            for name in list(item):
                change(item, name, chance)
        return value

    return edit


def _without(name: str) -> _Edit:
    def edit(value: Any, chance: random.Random) -> Any:
        for item in _objects(value):
            item.pop(name, None)
        return value

    return edit


def _null(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if chance.random() < 0.1:
        item[name] = None


def _drop(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if chance.random() < 0.1:
        del item[name]


def _string(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if isinstance(item[name], int | float) and not isinstance(item[name], bool):
        item[name] = str(item[name])


def _negative(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if name.endswith("Count") and isinstance(item[name], int):
        item[name] = -item[name] - 1


def _huge(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if name.startswith("available") and isinstance(item[name], int):
        item[name] = 2**31 - 1


def _unknown_word(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if name in ("Status", "State", "TargetState") and isinstance(item[name], str):
        item[name] = chance.choice(("Hibernating", "", "READY?", "Pending"))


def _all_terminated(item: dict[str, Any], name: str, chance: random.Random) -> None:
    if name == "TargetState":
        item[name] = "Terminated"


def _shuffle_ids(nodes: list[Any], chance: random.Random) -> list[Any]:
    ids = [node.get("NodeId") for node in nodes if isinstance(node, dict)]
    chance.shuffle(ids)
    for node, node_id in zip((n for n in nodes if isinstance(n, dict)), ids, strict=True):
        node["NodeId"] = node_id
    return nodes


def _fuzz(value: Any, chance: random.Random) -> Any:
    places = [(item, name) for item in _objects(value) for name in item]
    if not places:
        return chance.choice(_ANYTHING)
    item, name = chance.choice(places)
    item[name] = chance.choice(_ANYTHING)
    return value


_ANYTHING: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 1.5, "", "x" * 1000, "\u0000", [], {}, [None], {"nodes": None},
)  # fmt: skip

_LIES: dict[LieKind, _Edit] = {
    LieKind.NO_NODES: _nodes(lambda nodes, _: []),
    LieKind.HALF_NODES: _nodes(lambda nodes, _: nodes[::2]),
    LieKind.NO_NODEARRAYS: _without("nodearrays"),
    LieKind.NO_BUCKETS: _without("buckets"),
    LieKind.NULLS: _fields(_null),
    LieKind.MISSING: _fields(_drop),
    LieKind.STRINGS: _fields(_string),
    LieKind.NEGATIVE: _fields(_negative),
    LieKind.HUGE: _fields(_huge),
    LieKind.TWICE: _nodes(lambda nodes, _: nodes + nodes),
    LieKind.SHUFFLED_IDS: _nodes(_shuffle_ids),
    LieKind.UNKNOWN_WORDS: _fields(_unknown_word),
    LieKind.ALL_TERMINATED: _fields(_all_terminated),
    LieKind.FUZZ: _fuzz,
    LieKind.NOT_AN_OBJECT: lambda value, _: [value],
}
