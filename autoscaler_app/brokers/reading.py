"""A message from anybody, read as JSON or not at all. Never anything that could run code."""

from __future__ import annotations

from typing import Any

ACCEPT = frozenset({"application/json"})


def json_of(message: Any) -> Any:
    """The body of a kombu message. Raises ValueError for one that is not JSON, whatever is wrong with it."""
    message.accept = ACCEPT
    try:
        return message.decode()
    # Serializers and compressions raise errors of every class, and no more than this is to be learnt of them.
    except Exception as error:
        raise ValueError(f"no JSON ({type(error).__name__}: {error})") from error
