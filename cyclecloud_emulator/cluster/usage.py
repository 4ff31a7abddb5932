"""`GET …/usage`: core-hours and cost of a cluster, over a window cut into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from cyclecloud_emulator.cluster.costs import Costs, Entry
from cyclecloud_emulator.errors import BadQuery

TIMEFRAMES = ("monthToDate", "lastMonth", "weekToDate", "custom")
GRANULARITIES = {"total": None, "daily": timedelta(days=1), "hourly": timedelta(hours=1)}
MOST_PIECES = 10_000
LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


def report(
    ledger: Costs,
    cluster: str,
    parameters: Mapping[str, str],
    now: float,
    iso: Callable[[float], str],
) -> dict[str, object]:
    """ClusterUsage for the query."""
    start, end = _window(parameters, now)
    granularity = parameters.get("granularity", "total")
    if granularity not in GRANULARITIES:
        raise BadQuery(f"granularity={granularity}: not one of {', '.join(GRANULARITIES)}")
    entries = [entry for entry in ledger.entries if entry.cluster == cluster]
    return {
        "usage": [
            _piece(entries, begin, finish, now, iso)
            for begin, finish in _pieces(start, end, GRANULARITIES[granularity])
        ]
    }


def _window(parameters: Mapping[str, str], now: float) -> tuple[float, float]:
    timeframe = parameters.get("timeframe", "monthToDate")
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    if timeframe == "monthToDate":
        return first.timestamp(), now
    if timeframe == "weekToDate":
        return (today - timedelta(days=today.weekday())).timestamp(), now
    if timeframe == "lastMonth":
        return (first - timedelta(days=1)).replace(day=1).timestamp(), first.timestamp()
    if timeframe == "custom":
        start, end = _instant(parameters, "from"), _instant(parameters, "to")
        if start >= end:
            raise BadQuery("from is not before to")
        return start, end
    raise BadQuery(f"timeframe={timeframe}: not one of {', '.join(TIMEFRAMES)}")


def _instant(parameters: Mapping[str, str], name: str) -> float:
    text = parameters.get(name, "")
    try:
        instant = datetime.fromisoformat(text)
        at = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadQuery(f"{name}={text}: not a date and time in ISO 8601") from error
    if not 0 <= at <= LATEST:
        raise BadQuery(f"{name}={text}: not between 1970 and 2100")
    return at


def _pieces(start: float, end: float, step: timedelta | None) -> Iterator[tuple[float, float]]:
    if step is None:
        yield start, end
        return
    seconds = step.total_seconds()
    if (end - start) / seconds > MOST_PIECES:
        raise BadQuery(f"More than {MOST_PIECES} pieces: choose a shorter window or a coarser granularity")
    while start < end:
        yield start, min(start + seconds, end)
        start += seconds


def _piece(
    entries: list[Entry], start: float, end: float, now: float, iso: Callable[[float], str]
) -> dict[str, object]:
    used = [entry for entry in entries if entry.seconds(now, since=start, until=end) > 0]
    by_array: dict[str, list[Entry]] = {}
    for entry in used:
        by_array.setdefault(entry.nodearray, []).append(entry)

    def item(category: str, members: list[Entry], **more: object) -> dict[str, object]:
        return {
            "category": category,
            **more,
            "hours": sum(_core_hours(entry, start, end, now) for entry in members),
            "cost": sum(entry.cost(now, since=start, until=end) for entry in members),
            "details": _details(members, start, end, now),
        }

    arrays = [item("nodearray", members, node=name) for name, members in sorted(by_array.items())]
    return {
        "start": iso(start),
        "end": iso(end),
        "total": item("cluster", used),
        "breakdown": arrays,
    }


def _details(members: list[Entry], start: float, end: float, now: float) -> list[dict[str, object]]:
    kinds: dict[tuple[str, str, bool], list[Entry]] = {}
    for entry in members:
        kinds.setdefault((entry.vm_size, entry.region, entry.spot), []).append(entry)
    return [
        {
            "vm_size": vm_size,
            "hours": sum(_core_hours(entry, start, end, now) for entry in entries),
            "core_count": entries[0].cores,
            "region": region,
            "priority": "Spot" if spot else "Regular",
            "os": "linux",
            "cost": sum(entry.cost(now, since=start, until=end) for entry in entries),
        }
        for (vm_size, region, spot), entries in sorted(kinds.items())
    ]


def _core_hours(entry: Entry, start: float, end: float, now: float) -> float:
    return entry.seconds(now, since=start, until=end) * entry.cores / 3600
