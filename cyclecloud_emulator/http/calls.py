"""The log of calls: what clients asked, so that a test can count."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import msgspec

from cyclecloud_emulator.message import Request

KEPT = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request and how it was answered."""

    at: float
    method: str
    path: str
    query: str
    status: int
    """0 if no answer was sent."""
    seconds: float
    request_id: str | None
    fault: str = ""
    """The fault that struck, if one did."""

    def as_json(self) -> dict[str, object]:
        """The call as the admin endpoint shows it."""
        return asdict(self)


class Calls:
    """The last calls, oldest first. Calls of the admin endpoint are not among them."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self.total = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Write one down."""
        self._calls.append(call)
        self.total += 1

    def clear(self) -> None:
        """Begin anew."""
        self._calls.clear()
        self.total = 0

    def counts(self) -> dict[str, int]:
        """Calls by method and path."""
        return dict(Counter(f"{call.method} {call.path}" for call in tuple(self._calls)))


def request_id_of(request: Request) -> str | None:
    """The request id that a call carries, in its query or its body."""
    if "request_id=" in request.query:
        return request.parameters().get("request_id")
    try:
        value = msgspec.json.decode(request.body, type=_WithRequestId)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return value.requestId


class _WithRequestId(msgspec.Struct):
    requestId: str | None = None
