"""Sealing what is said: the fields as they are, and beside them who says it, when, and a signature over all.

    {"fenced": true, ..., "signed": {"node": "celery@n1", "pid": 7, "life": 1.5, "count": 3, "at": 9.25,
                                     "re": "", "key": "...", "mark": "..."}}

What is signed is one text of the fields (JSON, keys in order) behind a word for its kind: an account is no
answer and no farewell, whatever it says. JSON brings numbers back as they were, so the text is made again of
what arrived. What carries a message may add fields of its own; those are named by `also`, and not believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from celery_resources.trust.keys import KeyPair, from_text, has_signed, to_text

SIGNED = "signed"
"""The field that holds the seal."""
MOST = 2**53
"""No number of a seal is greater: JSON brings it back exactly, wherever it is read."""
_PREFIX = b"celery-resources 1 "


class Kind(Enum):
    """What a message is: a signature for one kind is none for another."""

    ACCOUNT = "account"
    ANSWER = "answer"
    FAREWELL = "farewell"
    COMMAND = "command"


class NotSealed(Exception):
    """What was said bears no seal that holds; the text says what is wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Who said something and when: everything about it but the words."""

    node: str
    """Node name of the worker; of the control side, the name of its command."""
    pid: int
    life: float
    """Start of that process, seconds since the epoch."""
    count: int
    """Grows with everything that is sealed in this life."""
    at: float
    """When it was sealed, seconds since the epoch by the clock of who sealed it."""
    re: str = ""
    """The question that is answered; empty for what was said unasked."""
    key: str = ""
    """Public key of who sealed it."""


def seal(key: KeyPair, kind: Kind, body: Mapping[str, Any], said: Said) -> dict[str, Any]:
    """The body with a seal. Raises TypeError or ValueError for what is no JSON."""
    facts = {**_facts(said), "key": key.public}
    return {**body, SIGNED: {**facts, "mark": to_text(key.sign(_text(kind, body, facts)))}}


def opened(
    kind: Kind, sealed: Mapping[str, Any], also: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], Said]:
    """The body and who said it, if the seal holds; fields named by `also` are none of the body.

    That it holds says that the owner of `Said.key` said it. Whose key that is, and whether it was said just
    now, is for the caller to know. Raises NotSealed.
    """
    facts = sealed.get(SIGNED)
    if facts is None:
        raise NotSealed("it is not signed")
    said = _said(facts)
    body = {name: value for name, value in sealed.items() if name != SIGNED and name not in also}
    mark = from_text(facts["mark"])
    try:
        message = _text(kind, body, _facts(said))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSealed(f"its fields cannot be read: {error}") from error
    if mark is None or not has_signed(said.key, message, mark):
        raise NotSealed("its signature does not hold")
    return body, said


def _facts(said: Said) -> dict[str, Any]:
    return {name: getattr(said, name) for name in Said.__slots__}


def _text(kind: Kind, body: Mapping[str, Any], facts: Mapping[str, Any]) -> bytes:
    whole = {"body": body, "said": facts}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return _PREFIX + kind.value.encode() + b" " + text.encode()


_TEXTS, _WHOLE, _NUMBERS = ("node", "re", "key", "mark"), ("pid", "count"), ("life", "at")


def _said(facts: object) -> Said:
    """The seal's fields, each of its type and within its bounds, and no other."""
    if not isinstance(facts, Mapping) or facts.keys() != {*_TEXTS, *_WHOLE, *_NUMBERS}:
        raise NotSealed("its seal has not the fields of one")
    for name in _TEXTS:
        if not isinstance(facts[name], str):
            raise NotSealed(f"{name} of its seal is no text")
    for name in (*_WHOLE, *_NUMBERS):
        value = facts[name]
        if isinstance(value, bool) or not isinstance(value, int if name in _WHOLE else int | float):
            raise NotSealed(f"{name} of its seal is no number of its kind")
        if not 0 <= value <= MOST:  # also for what is no number
            raise NotSealed(f"{name} of its seal is out of bounds")
    return Said(**{name: value for name, value in facts.items() if name != "mark"})
