"""Redis and Valkey.

Layout (kombu 5.7, `kombu/transport/redis.py`): a queue is one list per priority step, newest on the left,
next on the right; an empty list does not exist. What was delivered and not acknowledged: see `unacked.py`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis
from celery import Celery

from autoscaler_app.brokers.broker import SENT_AT, Consumers, Depth, InLine
from autoscaler_app.brokers.connection import Deadline, brief_connection
from autoscaler_app.brokers.unacked import Unacked

_OF_ONE_KEY = (redis.exceptions.NoPermissionError,)
"""Refusals that concern one key: others can be read all the same."""

BATCH = 200
"""Queues asked for in one round trip."""
PAGE = 500
"""Messages read in one round trip, when one is looked for."""
LOOKING_FOR_ONE = 20.0
"""Seconds."""
CLOCKS_DIFFER = 2.0
"""Seconds by which the server's clock may be off before it is said."""
_CLOCK = "the clock of Redis is {ahead:+.0f} s off ours: keep both in step (NTP), or ages and ETAs are wrong"
_UNREADABLE = (
    "this user may not read the settings of Redis (CONFIG GET): whether it loses messages is unknown"
)
_EVICTS = (
    "Redis has a maxmemory and the policy {policy}: where memory is short it drops queues; set "
    "maxmemory-policy noeviction"
)
_FORGETS = "Redis writes nothing to disk: a restart loses every message; set appendonly yes"
_FORGETS_SOME = (
    "Redis writes to disk only now and then (save, without appendonly): a crash loses the messages since; "
    "set appendonly yes"
)
LATEST = 1e11
"""Seconds since the epoch, in the year 5138."""


class RedisBroker:
    """A Redis or Valkey server (or one found by Sentinel), read by its lists."""

    def __init__(self, app: Celery, *, timeout: float) -> None:
        self._app = app
        self._timeout = timeout

    def depths(self, queues: Collection[str]) -> Mapping[str, Depth]:
        """List lengths over all priorities, and the age of the message that is next in line."""
        deadline = Deadline(self._timeout, f"reading the length of {len(queues)} queues")
        found: dict[str, Depth] = {}
        with brief_connection(self._app, deadline) as connection:
            channel = connection.default_channel
            client = _client(channel)
            for names in _batches(list(queues), BATCH):
                deadline.check()
                found |= _depths(client, {name: _lists(channel, name) for name in names})
        return found

    def in_line(self, task_id: str, queues: Collection[str]) -> InLine | None:
        """Read the queues, page by page, from the message that is next in line."""
        deadline = Deadline(LOOKING_FOR_ONE, f"looking for task {task_id} in {len(queues)} queues")
        with brief_connection(self._app, deadline) as connection:
            channel = connection.default_channel
            client = _client(channel)
            for queue in queues:
                messages = _messages(client, _lists(channel, queue), deadline)
                for before, message in enumerate(messages):
                    if _id_of(message) == task_id:
                        return InLine(queue=queue, before=before)
        return None

    def dangers(self) -> tuple[str, ...]:
        """A server that evicts keys or writes nothing to disk, and a clock that is not ours."""
        deadline = Deadline(self._timeout, "reading the settings of the broker")
        with brief_connection(self._app, deadline) as connection:
            client = _client(connection.default_channel)
            seconds, micros = client.time()
            ahead = seconds + micros / 1e6 - time.time()
            found = [] if abs(ahead) < CLOCKS_DIFFER else [_CLOCK.format(ahead=ahead)]
            try:
                settings = {**client.config_get("maxmemory*"), **client.config_get("appendonly")}
                settings |= client.config_get("save")
            except redis.exceptions.ResponseError:
                found.append(_UNREADABLE)
                return tuple(found)
        policy = settings.get("maxmemory-policy", "noeviction")
        if settings.get("maxmemory", "0") != "0" and policy != "noeviction":
            found.append(_EVICTS.format(policy=policy))
        if settings.get("appendonly") == "no":
            found.append(_FORGETS if not settings.get("save") else _FORGETS_SOME)
        return tuple(found)

    def unacked(self) -> int | None:
        """Length of the hash of unacknowledged messages."""
        with self._unacked("counting unacknowledged messages") as unacked:
            return unacked.count()

    def unacked_tags(self) -> frozenset[str]:
        """Keys of that hash."""
        with self._unacked("listing unacknowledged messages") as unacked:
            return unacked.tags()

    def task_ids(self, tags: Collection[str]) -> Mapping[str, str]:
        """Read the messages of these tags."""
        if not tags:
            return {}
        with self._unacked(f"reading {len(tags)} unacknowledged messages") as unacked:
            return unacked.task_ids(tags)

    def give_back(self, tags: Collection[str], queues: Mapping[str, Collection[str]] | None = None) -> int:
        """Put these messages at the head of their queues, marked as redelivered, each in one step."""
        if not tags:
            return 0
        with self._unacked(f"giving back {len(tags)} messages") as unacked:
            return unacked.give_back(tags, queues or {})

    def consumers(self) -> Consumers | None:
        """Connections to this database whose last command was the blocking pop, and the names of all; None if
        it is not allowed to list connections.
        """
        deadline = Deadline(self._timeout, "counting consumers")
        with brief_connection(self._app, deadline) as connection:
            client = _client(connection.default_channel)
            database = str(client.connection_pool.connection_kwargs.get("db", 0))
            try:
                clients = client.client_list()
            except redis.exceptions.ResponseError:
                return None
        return Consumers(
            count=sum(each["cmd"] == "brpop" and each["db"] == database for each in clients),
            names=frozenset(name for each in clients if (name := each.get("name"))),
        )

    def give_back_tasks(
        self, task_ids: Collection[str], queues: Mapping[str, Collection[str]] | None = None
    ) -> int:
        """Put the messages of these tasks at the head of their queues, marked as redelivered.

        Redis does not know that a worker died: without this they wait for the visibility timeout.
        """
        wanted = frozenset(task_ids)
        if not wanted:
            return 0
        with self._unacked(f"giving back {len(wanted)} tasks") as unacked:
            tags, queues = unacked.of_tasks(wanted), queues or {}
            return unacked.give_back(tags, {tag: queues.get(task, ()) for tag, task in tags.items()})

    @contextmanager
    def _unacked(self, what: str) -> Iterator[Unacked]:
        deadline = Deadline(self._timeout, what)
        with brief_connection(self._app, deadline) as connection:
            yield Unacked(self._app, connection.default_channel, deadline)


def _client(channel: Any) -> Any:
    """A plain client over the connections of a channel: keys are prefixed here, not by kombu."""
    return redis.Redis(connection_pool=channel.pool)


def _lists(channel: Any, queue: str) -> list[str]:
    """The names of the lists that make up a queue, most urgent first."""
    prefix = channel.global_keyprefix
    return [
        f"{prefix}{queue}{channel.sep}{step}" if step else f"{prefix}{queue}"
        for step in channel.priority_steps
    ]


def _depths(client: Any, lists: Mapping[str, Sequence[str]]) -> dict[str, Depth]:
    keys = [key for each in lists.values() for key in each]
    lengths = _read(zip(keys, _ask(client, "LLEN", keys), strict=True))
    filled = [key for key, length in lengths.items() if length]
    heads = dict(zip(filled, _ask(client, "LINDEX", filled, -1), strict=True))
    now = time.time()
    return {
        queue: Depth(
            waiting=sum(lengths[key] for key in each),
            oldest=_oldest((heads[key] for key in each if heads.get(key)), now),
        )
        for queue, each in lists.items()
        if lengths.keys() >= set(each)
    }


def _messages(client: Any, lists: Sequence[str], deadline: Deadline) -> Iterator[bytes]:
    """Every message of a queue in its order. What is taken meanwhile shifts the pages: some come twice."""
    for key in lists:
        for end in range(-1, -sys.maxsize, -PAGE):
            deadline.check()
            page = client.lrange(key, end - PAGE + 1, end)
            yield from reversed(page)
            if len(page) < PAGE:
                break


def _id_of(message: bytes) -> str | None:
    try:
        found = json.loads(message)["headers"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # no Celery message of protocol 2
    return found if isinstance(found, str) else None


def _read(answers: Iterable[tuple[str, Any]]) -> dict[str, int]:
    """Lengths by key, without keys that cannot be read; what is wrong with more than one is raised."""
    found = {}
    for key, answer in answers:
        if isinstance(answer, _OF_ONE_KEY):
            continue
        if isinstance(answer, redis.ResponseError) and str(answer).startswith("WRONGTYPE"):
            continue
        if isinstance(answer, Exception):
            raise answer
        found[key] = answer
    return found


def _ask(client: Any, command: str, keys: Sequence[str], *arguments: object) -> list[Any]:
    """One answer per key, in one round trip."""
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command(command, key, *arguments)
    return pipe.execute(raise_on_error=False)


def _oldest(messages: Iterable[bytes], now: float) -> timedelta | None:
    sent = [moment for message in messages if (moment := _sent_at(message)) is not None]
    # A producer's clock may be ahead of ours.
    return timedelta(seconds=max(0.0, now - min(sent))) if sent else None


def _sent_at(message: bytes) -> float | None:
    try:
        value = json.loads(message)["headers"][SENT_AT]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # not stamped by us, or not a Celery message: its age is unknown
    # What is no moment since the epoch was sent by nobody's clock.
    return float(value) if isinstance(value, int | float) and 0 <= value <= LATEST else None


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
