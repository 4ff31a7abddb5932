"""Two runs of the same tests, one with plain apps and one with wrapped ones: what is different. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIST = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A test that is known to end in another way."""

    test: str
    """As pytest names it."""
    brokers: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one broker's two runs say."""

    same: int
    passed: int
    """Of those that are the same: passed in both."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Different and on no list: test -> "passed, failed" (plain, wrapped)."""
    outdated: tuple[str, ...] = ()
    """On the list, tried, and the same."""

    @property
    def ok(self) -> bool:
        """Nothing is unknown, nothing is outdated, and something was tried."""
        return bool(self.passed) and not self.unknown and not self.outdated


def read_list(path: Path = LIST) -> tuple[Difference, ...]:
    """The list. Raises ValueError that names an entry without a reason."""
    found = []
    for entry in tomllib.loads(path.read_text()).get("difference", ()):
        if not entry.get("reason", "").strip():
            raise ValueError(f"{path.name}: {entry.get('test')!r} has no reason")
        brokers = tuple(entry.get("brokers", ("redis", "rabbitmq")))
        found.append(Difference(test=entry["test"], brokers=brokers, reason=entry["reason"]))
    return tuple(found)


def different(plain: Mapping[str, str], wrapped: Mapping[str, str]) -> dict[str, str]:
    """Tests that ended in another way, or in one run only: "plain, wrapped"."""
    return {
        test: f"{plain.get(test, 'not run')}, {wrapped.get(test, 'not run')}"
        for test in sorted(plain.keys() | wrapped.keys())
        if plain.get(test) != wrapped.get(test)
    }


def tried_again(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What became of each test that was tried more than once, one way: what has passed once, passes.

    Else a test that fails both ways when it is tried again, because the machine is busy, would hide that it
    failed in one way only.
    """
    passed = {test for test, outcome in before.items() if outcome == "passed"}
    return {**before, **{test: outcome for test, outcome in now.items() if test not in passed}}


def judge(
    broker: str, plain: Mapping[str, str], wrapped: Mapping[str, str], known: Iterable[Difference]
) -> Verdict:
    """Compare the two runs on one broker."""
    found = different(plain, wrapped)
    listed = {each.test for each in known if broker in each.brokers}
    return Verdict(
        same=len(plain.keys() | wrapped.keys()) - len(found),
        passed=sum(plain.get(test) == "passed" == wrapped.get(test) for test in plain),
        unknown={test: how for test, how in found.items() if test not in listed},
        outdated=tuple(sorted(test for test in listed & plain.keys() if test not in found)),
    )
