#!/usr/bin/env python3
"""The users of the broker, as lines of a Redis ACL file: who may do what, and hashes of their passwords.

    redis_users.py FOLDER --queues celery,gpu

Reads `admin`, `control`, `operator`, `node` and `node.previous` in the folder of secrets. Of the two queues
of the control side, nodes may write notes and read none; only beat, operators and itself ask for passes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

CONTROL_QUEUE = "autoscale"
NOTES = "autoscale.notes"


def _queue(name: str) -> list[str]:
    """The keys of a queue: its list, and one for each higher priority (two control characters and a
    digit).
    """
    return [name, f"{name}??[0-9]"]


KOMBU = (
    "_kombu.*",  # which queues an exchange has
    "unacked*",  # what was taken and is not acknowledged
    "celery-task-meta-*",
    "celery-taskset-meta-*",
    "chord-unlock-*",
    "*.reply.celery.pidbox*",
    "*.celery.pidbox*",
    "celeryev*",
    "celery_resources.*",
    "res:*",
)
"""Keys that every Celery process works with, whatever its queues are."""

DAILY = (
    "-@all +@read +@write -function -scan -randomkey +@pubsub +@transaction +@connection "
    "+eval +evalsha +script|load +script|exists -@admin -@dangerous"
)
"""Commands of who works with queues: nothing that configures, sees or ends connections, or lists the keys of
others. A script, as kombu sends some, has the rights of who sends it; what others would run cannot be left.
"""
WAKING = "+client|id +client|unblock +client|setname +info +time"
"""A node ends its own wait for messages when it has room for another kind of work; INFO tells the version."""


def lines(secrets: Path, queues: Iterable[str]) -> Iterator[str]:
    """The whole file. The user `default`, who needs no password, may do nothing."""
    yield "user default off sanitize-payload resetchannels -@all"
    plain = [key for name in sorted(set(queues)) for key in _queue(name)]
    keys = " ".join([*(f"~{pattern}" for pattern in [*KOMBU, *plain]), f"%W~{NOTES}"])
    asking = " ".join(f"~{pattern}" for pattern in _queue(CONTROL_QUEUE))
    roles = {
        "admin": ("", "-@all +acl|load +ping", ["admin"]),  # makes this file known, and nothing else
        "control": ("~* &*", f"+@all -@admin -@dangerous +client|list {WAKING}", ["control"]),
        "operator": (f"{keys} {asking} &*", f"{DAILY} {WAKING}", ["operator"]),
        "node": (f"{keys} &*", f"{DAILY} {WAKING}", ["node", "node.previous"]),
    }
    for user, (patterns, commands, files) in roles.items():
        passwords = [text for file in files if (text := _read(secrets / file))]
        if passwords:
            hashes = " ".join(f"#{hashlib.sha256(password).hexdigest()}" for password in passwords)
            yield f"user {user} on sanitize-payload {hashes} resetchannels {patterns} {commands}"


def _read(file: Path) -> bytes:
    return file.read_bytes().strip() if file.exists() else b""


def queue_names(text: str) -> list[str]:
    """The names in `a,b c`. ValueError for one that would open the control queue, or more, to nodes."""
    names = [name for name in text.replace(",", " ").split() if name]
    for name in names:
        if set(name) & set("*?[]\\~%&") or name == CONTROL_QUEUE:
            raise ValueError(
                f"celery.queues: {name!r} is no name for a queue of nodes; letters, digits, '.', '_' and '-' "
                f"would be right, and no beginning of {CONTROL_QUEUE!r}"
            )
    return names


def main() -> None:
    """Print the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("secrets", type=Path)
    parser.add_argument("--queues", default="celery")
    options = parser.parse_args()
    try:
        print("\n".join(lines(options.secrets, queue_names(options.queues))))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
