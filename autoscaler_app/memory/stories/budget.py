"""What may be spent in a day and in a month, and how that stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import msgspec

Span = Literal["day", "month"]
SPANS: tuple[Span, ...] = ("day", "month")

NEARLY = 0.8
"""From this share on it is said that little is left."""


class Allowed(Protocol):
    """The settings of it."""

    @property
    def budget_per_day(self) -> float | None: ...
    @property
    def budget_per_month(self) -> float | None: ...
    @property
    def budget_stops(self) -> bool: ...
    @property
    def currency(self) -> str: ...


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """How one of them stands."""

    span: Span
    allowed: float
    spent: float
    until: datetime
    """When the next begins."""
    stops: bool
    """Nothing is launched while it is used up."""
    currency: str = ""

    @property
    def is_used_up(self) -> bool:
        """Nothing is left of it."""
        return self.spent >= self.allowed

    @property
    def is_nearly(self) -> bool:
        """Little is left of it."""
        return self.spent >= NEARLY * self.allowed

    @property
    def sentence(self) -> str:
        """What it is, and what ends it."""
        what = f"{self.spent:.2f} of {money(self.allowed, self.currency)} are spent this {self.span} (UTC)"
        if not self.is_used_up:
            return f"the budget is nearly used up: {what}"
        name, then = f"budget_per_{self.span}", f"{self.until:%Y-%m-%d}"
        if self.stops:
            return f"the budget is used up: {what}; nothing is launched before {then} unless {name} is raised"
        return f"the budget is used up: {what}; machines are launched all the same (budget_stops is false)"


def begins(span: Span, now: datetime) -> datetime:
    """When the day or month began that it is now (UTC)."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if span == "day" else day.replace(day=1)


def ends(span: Span, now: datetime) -> datetime:
    """When the next one begins."""
    began = begins(span, now)
    return began + timedelta(days=1) if span == "day" else begins("month", began + timedelta(days=32))


def spendings(allowed: Allowed, spent: Mapping[Span, float], now: datetime) -> Iterator[Spending]:
    """Those that the settings name; `spent` by span, nothing where it is not known."""
    most_in: dict[Span, float | None] = {"day": allowed.budget_per_day, "month": allowed.budget_per_month}
    for span, most in most_in.items():
        if most is not None:
            yield Spending(
                span=span,
                allowed=most,
                spent=spent.get(span, 0.0),
                until=ends(span, now),
                stops=allowed.budget_stops,
                currency=allowed.currency,
            )


def money(amount: float, currency: str = "", *, is_estimated: bool = False, places: int = 2) -> str:
    """As people read it; `~` before what rests on a price that nobody gave."""
    return f"{'~' if is_estimated else ''}{amount:.{places}f}{' ' if currency else ''}{currency}"
