"""Many reports in little room: the first whole, of each other what changed. Pure.

What is different at every pass and says nothing later is left out (`settled`): when each host was heard, how
long a node has been idle. Everything else comes back as it was.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from autoscaler_app.passes.report import Report, summary

Change = list[Any]
"""`[SET, value]`; `[FIELDS, by key a change, keys that are gone]`; `[ENTRIES, places that are gone, [place,
entry] of new ones, by place a change]`."""

SET, FIELDS, ENTRIES = 0, 1, 2

WHOLE, IN_SHORT = 0, 1
"""Of an entry of a pack: changes are told of the last one before it that was kept in the same way."""

IDENTITIES = ("node_id", "queue", "job", "hostname", "node")
"""What tells the entries of a list apart: the first of these that each has, and no two the same."""

_SMALL = [{"id": lzma.FILTER_LZMA2, "preset": 2, "dict_size": 1 << 21}]
_QUICK = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 18}]


def packed(number: int, report: bytes, before: bytes | None = None) -> bytes:
    """A pack of one report; or, with the whole report `before` it, what is put at the end of the pack that
    ends with that one.
    """
    last = None if before is None else settled(msgspec.json.decode(before))
    return _compressed([[number, changed(last, settled(msgspec.json.decode(report))), WHOLE]])


def closed(pack: bytes) -> bytes:
    """A pack to which nothing is put any more, in less room."""
    return _compress(lzma.decompress(pack), _SMALL)


def unpacked(pack: bytes) -> list[tuple[int, bytes]]:
    """The reports that were packed, oldest first, but for what `settled` leaves out."""
    return [(number, msgspec.json.encode(report)) for number, report, _ in _unpack(pack)]


def thinned(pack: bytes, every: timedelta, onto: bytes = b"") -> bytes:
    """What is put at the end of the pack `onto`: of passes long ago one in so much time, and in short those
    in which something was done or failed.
    """
    before: list[Any] = [None, None]
    for _, now, way in _unpack(onto):
        before[way] = now
    last = None if before[WHOLE] is None else datetime.fromisoformat(before[WHOLE]["started"])
    entries = []
    for number, report, _ in _unpack(pack):
        started = datetime.fromisoformat(report["started"])
        is_due = last is None or started - last >= every
        if is_due and not report.get("said"):
            way, now, last = WHOLE, report, started
        elif report.get("actions") or report.get("error") or not report.get("ok", True):
            way, now = IN_SHORT, in_short(report)
        else:
            continue
        entries.append([number, changed(before[way], now), way])
        before[way] = now
    return _compressed(entries) if entries else b""


def in_short(report: dict[str, Any]) -> dict[str, Any]:
    """What was done, decided and said, without what was seen, which nodes stayed, and who was told queues.

    A report of another version that cannot be read stays as it is.
    """
    try:
        said = report.get("said") or summary(msgspec.convert(report, Report))
    except msgspec.ValidationError:
        return report
    actions = report.get("actions", ())
    joined = [action for action in actions if action["kind"] == "join" and action["ok"]]
    others = [action for action in actions if action not in joined]
    if joined:
        told = sum(action.get("count", 1) for action in joined)
        others.append({"kind": "join", "target": f"{told} hosts", "ok": True, "detail": "", "count": told})
    plan = report.get("plan")
    if plan is not None:
        plan = {**plan, "keep": [], "join": []}
    return {**report, "actions": others, "plan": plan, "saw": None, "said": said}


def _compressed(entries: list[Any]) -> bytes:
    """Lines, by themselves: what is compressed may be put one behind the other."""
    return _compress(msgspec.json.Encoder().encode_lines(entries), _QUICK)


def _compress(text: bytes, how: list[dict[str, int]]) -> bytes:
    return lzma.compress(text, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=how)


def _unpack(pack: bytes) -> Iterator[tuple[int, Any, int]]:
    """Number, report and way of each."""
    now: list[Any] = [None, None]
    for number, change, *ways in _entries(pack):
        way = ways[0] if ways else WHOLE  # packs of an earlier version do not say
        now[way] = now[way] if change is None else applied(now[way], change)
        yield number, now[way], way


def _entries(pack: bytes) -> list[Any]:
    text = lzma.decompress(pack) if pack else b""
    if text.startswith(b"[["):  # of an earlier version: one list
        found: list[Any] = msgspec.json.decode(text)
        return found
    return msgspec.json.Decoder().decode_lines(text)


def settled(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what changes at every pass and says nothing later."""
    saw, plan = report.get("saw"), report.get("plan")
    if saw is not None:
        saw = {
            **saw,
            "nodes": [{**node, "heard_seconds_ago": None} for node in saw.get("nodes", ())],
            "queues": [_rounded(queue) for queue in saw.get("queues", ())],
        }
    if plan is not None:
        keep = [
            {**entry, "detail": ""} if entry["reason"] == "idle-not-long-enough" else entry
            for entry in plan.get("keep", ())
        ]
        plan = {**plan, "keep": keep}
    return {**report, "saw": saw, "plan": plan}


def _rounded(queue: dict[str, Any]) -> dict[str, Any]:
    """Whole seconds of waiting; hundredths of run time."""
    places = {"oldest_seconds": 0, "run_seconds": 2}
    return {
        key: round(value, places[key]) if key in places and value is not None else value
        for key, value in queue.items()
    }


# -- changes


def changed(before: Any, now: Any) -> Change | None:
    """What makes `now` of `before`; None: they are the same."""
    if before is now or (before == now and type(before) is type(now)):
        return None
    if isinstance(before, dict) and isinstance(now, dict):
        fields = {key: change for key in now if (change := _of_field(before, now, key)) is not None}
        return [FIELDS, fields, [key for key in before if key not in now]]
    if isinstance(before, list) and isinstance(now, list):
        return _of_entries(before, now) or [SET, now]
    return [SET, now]


def applied(before: Any, change: Change) -> Any:
    """`before`, changed."""
    if change[0] == SET:
        return change[1]
    if change[0] == FIELDS:
        gone = set(change[2])
        after = {key: value for key, value in before.items() if key not in gone}
        return after | {key: applied(before.get(key), each) for key, each in change[1].items()}
    _, gone_places, new, changes = change
    gone = set(gone_places)
    entries = [entry for place, entry in enumerate(before) if place not in gone]
    for place, entry in new:
        entries.insert(place, entry)
    for place, each in changes.items():
        entries[int(place)] = applied(entries[int(place)], each)
    return entries


def _of_field(before: dict[str, Any], now: dict[str, Any], key: str) -> Change | None:
    return changed(before[key], now[key]) if key in before else [SET, now[key]]


def _of_entries(before: list[Any], now: list[Any]) -> Change | None:
    """A change of a list entry by entry; None where it has to be said whole."""
    ids, ids_now = _identities(before), _identities(now)
    if ids is None or ids_now is None:
        return None
    there, there_now = set(ids), set(ids_now)
    if [i for i in ids if i in there_now] != [i for i in ids_now if i in there]:
        return None  # in another order
    was = dict(zip(ids, before, strict=True))
    new = [[place, now[place]] for place, i in enumerate(ids_now) if i not in there]
    changes = {
        str(place): change
        for place, i in enumerate(ids_now)
        if i in there and (change := changed(was[i], now[place])) is not None
    }
    return [ENTRIES, [place for place, i in enumerate(ids) if i not in there_now], new, changes]


def _identities(entries: list[Any]) -> list[Any] | None:
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    for key in IDENTITIES:
        values = [entry.get(key) for entry in entries]
        if all(isinstance(value, str) for value in values) and len(set(values)) == len(values):
            return values
    return None
