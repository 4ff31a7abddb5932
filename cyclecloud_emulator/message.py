"""A request and an answer, free of sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

import msgspec

from cyclecloud_emulator.errors import BadQuery


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    """As it came, without the base path; still percent-encoded."""
    query: str = ""
    body: bytes = b""
    authorization: str | None = None
    metadata: str | None = None
    """The header `Metadata`, which the metadata service asks for."""
    content_type: str = ""
    base_url: str = ""
    """Scheme, host and base path that the client used."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The path in parts, each decoded: a name may hold an encoded slash."""
        return tuple(unquote(part) for part in self.path.strip("/").split("/"))

    def parameters(self) -> dict[str, str]:
        """The query; of a repeated name the last counts."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def flag(self, name: str) -> bool:
        """A boolean of the query, false if it is not there."""
        text = self.parameters().get(name, "false")
        if text.lower() not in ("true", "false"):
            raise BadQuery(f"{name}={text}: neither true nor false")
        return text.lower() == "true"

    def whole_number(self, name: str) -> int | None:
        """A whole number of the query, None if it is not there."""
        text = self.parameters().get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise BadQuery(f"{name}={text}: not a whole number of at most nine digits")
        return int(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What goes out, and how badly."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Wait so long before the first byte."""
    cut: int | None = None
    """Send only so many bytes of the body that was announced, then close the connection."""
    drop: bool = False
    """Close the connection without a byte."""


def as_json(status: int, value: object, headers: dict[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    return Answer(status=status, body=msgspec.json.encode(value), headers=headers or {})
