"""The name of the queue that a requirement gets: readable, and reversible where it is short.

    res:memgb=8:ncpus=4:x2:colocated:exclusive

One part per constraint, in order of name, then the parts without `=`. Text that would read as something
else (`"4"`, `"true"`) is marked with `~`, lists stand between `|`; every other character than letters,
digits, `_`, `-` and `.` is percent-encoded: a name is safe for Redis, for AMQP and for `worker -Q a,b`.
Nested or long requirements get `res:sha-<digits>`, which cannot be reversed: those are announced.

What is routed to a queue of the user's own, `special`, gets a queue of that one's *family*, which workers of
`special` consume and no others: `res:ncpus=4@special`.
"""

from __future__ import annotations

import hashlib
import json
import re
from urllib.parse import quote, unquote

from celery_resources.errors import InvalidRequirement
from celery_resources.need.requirement import Json, Requirement

PREFIX = "res:"
MAX_BYTES = 200
MAX_FAMILY_BYTES = 50
"""Together below the 255 bytes that AMQP allows a queue's name."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?\Z")
_FAMILY = re.compile(r"[A-Za-z0-9_.%-]{1,50}\Z")
_WORDS = {"true": True, "false": False, "null": None}


def queue_name(requirement: Requirement, family: str = "") -> str:
    """The queue of this requirement. The same requirement has the same name, on every machine.

    `family` is what `family_of_destination` gives for a queue of the user's own; empty for none.
    """
    return _base_name(requirement) + (f"@{family}" if family else "")


def _base_name(requirement: Requirement) -> str:
    parts = [
        f"{_quoted(key)}={_written(value)}"
        for key, value in sorted(requirement.constraints.items())
        if not _is_nested(value)
    ]
    if len(parts) == len(requirement.constraints):
        parts += [f"x{requirement.node_count}"] if requirement.node_count else []
        parts += ["colocated"] if requirement.colocated else []
        parts += ["exclusive"] if requirement.exclusive else []
        name = PREFIX + (":".join(parts) or "any")
        if len(name) <= MAX_BYTES:
            return name
    return f"{PREFIX}sha-{_digits(requirement.canonical)}"


def family_of_destination(queue: str) -> str:
    """How the names of derived queues tell that they belong to this queue of the user's own."""
    quoted = _quoted(queue)
    return quoted if len(quoted) <= MAX_FAMILY_BYTES else f"sha-{_digits(queue)}"


def family_of(queue: str) -> str:
    """The family that the name of a derived queue tells; empty if it tells none."""
    return queue.partition("@")[2] if is_derived(queue) else ""


def requirement_of(queue: str) -> Requirement | None:
    """The requirement that a queue name spells; None if it spells none (a plain queue, or a hash)."""
    if not queue.startswith(PREFIX) or queue.startswith(f"{PREFIX}sha-"):
        return None
    base, at, family = queue.partition("@")
    if at and not _FAMILY.match(family):
        return None
    constraints: dict[str, Json] = {}
    node_count, flags = 0, set()
    for part in base.removeprefix(PREFIX).split(":"):
        key, equals, value = part.partition("=")
        if equals:
            constraints[unquote(key)] = _read(value)
        elif re.fullmatch(r"x[1-9][0-9]*", part):
            node_count = int(part[1:])
        else:
            flags.add(part)
    if flags - {"any", "colocated", "exclusive"}:
        return None
    try:
        found = Requirement(
            constraints, node_count=node_count, colocated="colocated" in flags, exclusive="exclusive" in flags
        )
    except InvalidRequirement:
        return None
    # A name that is not the one that this requirement gets was made by somebody else: it promises nothing.
    return found if _base_name(found) == base else None


def is_derived(queue: str) -> bool:
    """True if the name was made here, from a requirement (a hashed one included)."""
    return queue.startswith(PREFIX)


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_nested(value: Json) -> bool:
    if isinstance(value, list):
        return not value or any(isinstance(item, list | dict) for item in value)
    return isinstance(value, dict)


def _written(value: Json) -> str:
    if isinstance(value, list):
        return "|" + "|".join(_written(item) for item in value) + "|"
    if isinstance(value, str):
        plain = _quoted(value)
        return f"~{plain}" if not plain or plain in _WORDS or _NUMBER.match(plain) else plain
    return json.dumps(value)


def _read(text: str) -> Json:
    if len(text) > 2 and text.startswith("|") and text.endswith("|"):
        return [_read(item) for item in text[1:-1].split("|")]
    if text.startswith("~"):
        return unquote(text[1:])
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.match(text):
        number: int | float = json.loads(text)
        return number
    return unquote(text)


def _quoted(text: str) -> str:
    # `quote` leaves letters, digits and `_.-~` alone; `~` has a meaning of its own here.
    return quote(text, safe="").replace("~", "%7E")
