"""Rules by which things go wrong: tried in order, the first that fits strikes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct


class Rule(Struct, kw_only=True, forbid_unknown_fields=True):
    """How often a rule strikes; what it is about, and what happens then, is added by kind."""

    skip: Annotated[int, Meta(ge=0)] = 0
    """So often it fits and does not strike first."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """How often it strikes before it is spent; None: until it is removed."""
    chance: Annotated[float, Meta(ge=0, le=1)] = 1.0


R = TypeVar("R", bound=Rule)


class Rules(Generic[R]):
    """The rules in force. Chances are drawn from a seeded generator, so that a run can be repeated."""

    def __init__(self, seed: int = 0, rules: Iterable[R] = ()) -> None:
        self._rules: list[R] = []
        self.random = random.Random(seed)
        for rule in rules:
            self.add(rule)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rules)

    def add(self, rule: R) -> None:
        """Put a rule behind the others. What it has left is counted here; the one given stays as it is."""
        self._rules.append(msgspec.structs.replace(rule))

    def clear(self) -> None:
        """Remove every rule."""
        self._rules.clear()

    def reseed(self, seed: int) -> None:
        """Begin the chances anew."""
        self.random = random.Random(seed)

    def first(self, fits: Callable[[R], bool]) -> R | None:
        """The rule that strikes here, if one does. Uses up one of its times."""
        for rule in self._rules:
            if not fits(rule):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.chance < 1.0 and self.random.random() >= rule.chance:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
            return rule
        return None
