"""One process as a consumer: its name, the sign that it lives, and what it owes the broker.

A thread listens to a channel that bears the process's name, over a connection of its own. That connection is
the sign of life: the kernel closes it the moment the process dies, and holds it while a long task, or
SIGSTOP, keeps the process from saying anything. The same thread says every second that it lives, and one
process of all looks after the others: who has been without a connection for GRACE seconds, as seen over one
unbroken connection of the watcher's, is dead, and what it had goes back. So after a restart of the broker,
which ends everybody's connection, everybody has the time to come back.

What cannot be told to the broker, because there is no connection, is owed: it is told as soon as there is
one. That counts for the answer to a fetch that was lost as well: the fetch may have been done.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import redis

from redis_keeper.giving_back import SILENCE, Shelf
from redis_keeper.layout import Layout, new_consumer
from redis_keeper.scripts import FORGET, PULSE
from redis_keeper.sentry import CHANNEL, Sentry, own_connection

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between two signs of life."""
GRACE = 3.0
"""Seconds without a connection after which a consumer is dead."""
LEASE = 4 * BEAT
"""Seconds for which one process looks after the others."""
FRESH = 30.0
"""Seconds between two refreshments of the times of delivery: a stock worker beside us puts back by time what
was delivered longer ago than its visibility timeout, and must not do so with what is running here."""
PATIENCE = 5.0
"""Seconds that an answer may take."""
TROUBLES = (redis.RedisError, OSError)

Settling = Callable[[], object]


class Pulse:
    """This process, as the consumers of one broker know it. Its thread runs while it is of use to anybody."""

    def __init__(self, layout: Layout, pool: Any) -> None:
        self.consumer = new_consumer()
        self.process = os.getpid()
        self.layout = layout
        self._pool = pool
        self._client: Any = redis.Redis(connection_pool=pool)
        self.shelf = Shelf(layout, lambda: self._client)
        self._sentry = Sentry(layout, pool, self.consumer)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._held: set[str] = set()
        self._asked: dict[str, Callable[[], bool]] = {}
        self._owed: dict[str, Settling] = {}
        self._thread: threading.Thread | None = None
        self._listening: Any = None
        self._hurry = threading.Event()
        self._absent: dict[str, float] = {}
        self._refreshed = time.monotonic()

    # -- what channels say ------------------------------------------------------------------------------

    def serve(self, channel: Any) -> None:
        """This channel consumes. The first time, wait until the broker knows of us; raises what redis-py
        raises, and so an error about rights where the channel of our name is forbidden.
        """
        with self._lock:
            self._users.add(channel)
            if self._thread is None:
                self._listen()
                self._start()

    def leave(self, channel: Any) -> None:
        """It does not any more."""
        self._users.discard(channel)
        self._hurry.set()

    def ask(self, waits: Callable[[], bool]) -> str:
        """A new tag, for a fetch that is about to be sent. `waits` says whether its answer may still come."""
        tag = f"{self.consumer}:{next(self._numbers)}"
        self._asked[tag] = waits
        return tag

    def answered(self, tag: str, *, holds: bool) -> None:
        """The answer came: with a message that is to be settled, or without."""
        if holds:
            self._held.add(tag)
        self._asked.pop(tag, None)

    def holds(self, tag: str) -> bool:
        """Whether it was written down under our name, and is not settled."""
        return tag in self._held

    def settled(self, tag: str) -> None:
        """The broker knows what became of it."""
        self._held.discard(tag)
        self._owed.pop(tag, None)

    def owe(self, tag: str, settle: Settling) -> None:
        """The broker could not be told: do it when it can."""
        self._owed[tag] = settle
        self._held.discard(tag)
        self._hurry.set()
        with self._lock:
            if self._thread is None:
                self._start()

    # -- the thread -------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="redis-keeper", daemon=True)
        self._thread.start()

    @property
    def _is_of_use(self) -> bool:
        return bool(self._users or self._held or self._owed or self._asked)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._is_of_use:
                    self._thread = None
                    self._stop_listening()
                    self._pool.disconnect()
                    return
            try:
                self._beat()
                self._wait(BEAT)
            except TROUBLES as error:
                log.info("no sign of life can be given: %s", error)
                self._lost()
            # A thread that ended would have us taken for dead, with all that runs here.
            except Exception:
                log.exception("the sign of life failed")
                self._lost()

    def _lost(self) -> None:
        """Whoever was absent may have been cut off as we were."""
        self._absent.clear()
        self._stop_listening()
        self._hurry.wait(BEAT / 4)
        self._hurry.clear()

    def _wait(self, seconds: float) -> None:
        """Until it is time, or somebody leaves; a connection that is lost is noticed at once."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._hurry.is_set():
            if (said := self._listening.get_message(timeout=min(left, 0.25))) and said["type"] == "message":
                self._sentry.look()
        self._hurry.clear()

    def _listen(self) -> None:
        if self._listening is not None:
            return
        listening = self._client.pubsub()
        connection = listening.connection = own_connection(self._pool)
        try:
            connection.connect()
            connection.send_command("CLIENT", "ID")
            number = int(connection.read_response())
            _subscribe(listening, self.layout.alive(self.consumer))
            try:
                _subscribe(listening, CHANNEL)
            except redis.exceptions.NoPermissionError as error:
                log.info("we may not hear of changes (%s): who waits looks once a second", error)
            else:
                self._sentry.mount(number)
        except BaseException:
            connection.disconnect()
            raise
        self._listening = listening

    def _stop_listening(self) -> None:
        self._sentry.close()
        if self._listening is not None:
            with contextlib.suppress(*TROUBLES):
                self._listening.connection.disconnect()
            self._listening = None

    def _beat(self) -> None:
        self._listen()
        keys = [self.layout.consumers, self.layout.watcher]
        arguments = [self.consumer, int(LEASE * 1000), SILENCE, self.layout.alive()]
        heard, *seem_dead = PULSE(self._client, keys, arguments)
        if not heard:
            # This server is another one than that which we listen to.
            raise redis.ConnectionError("the server does not know that we listen")
        self._pay()
        self._refresh()
        self._sentry.stand(self._client, self._queues(), 3 * BEAT)
        self._bury(dict(zip(seem_dead[::2], seem_dead[1::2], strict=True)))

    def _queues(self) -> list[str]:
        """That are consumed here."""
        return sorted({queue for channel in list(self._users) for queue in channel.active_queues})

    def _pay(self) -> None:
        for tag, waits in list(self._asked.items()):
            if not waits() and self._asked.get(tag) is waits:
                if self.shelf.refuse(tag):
                    log.warning("gave back the message %s, of which the answer was lost", tag)
                self._asked.pop(tag, None)
        for tag, settle in list(self._owed.items()):
            try:
                settle()
            except redis.ResponseError as error:
                # A full server, say: it may take it later, and others are to be told meanwhile.
                log.warning("owed still: what became of %s (%s)", tag, error)
                continue
            self._owed.pop(tag, None)

    def _refresh(self) -> None:
        if time.monotonic() - self._refreshed < FRESH:
            return
        tags, now = list(self._held), time.time()
        for batch in _batches(tags, 500):
            self._client.zadd(self.layout.index, dict.fromkeys(batch, now), xx=True)
        self._refreshed = time.monotonic()

    def _bury(self, seem_dead: dict[bytes, bytes]) -> None:
        now = time.monotonic()
        names = {name.decode(): said for name, said in seem_dead.items()}
        self._absent = {name: self._absent.get(name, now) for name in names}
        for name, said in names.items():
            if now - self._absent[name] < GRACE or name == self.consumer:
                continue
            given = [self.shelf.give_back(tag, dead=name) for tag in self.shelf.tags_of(name)]
            arguments = [name, said, self.layout.alive(name), SILENCE]
            FORGET(self._client, [self.layout.consumers], arguments)
            if back := given.count(1):
                log.warning("the consumer %s is gone: gave back the %d messages that it had", name, back)

    def abandon(self) -> None:
        """In a child of a fork: this is our parent's. Close the copies of its sockets, without a word."""
        ours = (getattr(self._listening, "connection", None), *self._sentry.connections)
        for connection in (*ours, *_connections(self._pool)):
            sock = getattr(connection, "_sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    os.close(sock.detach())


def _subscribe(listening: Any, channel: str) -> None:
    listening.subscribe(channel)
    if listening.get_message(timeout=PATIENCE) is None:
        raise redis.TimeoutError("the server does not confirm a subscription")


def _connections(pool: Any) -> Iterator[Any]:
    yield from getattr(pool, "_available_connections", ())
    yield from getattr(pool, "_in_use_connections", ())


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


# -- one for each broker --------------------------------------------------------------------------------

_pulses: dict[object, Pulse] = {}
_making = threading.Lock()


def pulse_of(key: object, make: Callable[[], Pulse]) -> Pulse:
    """This process's, for the broker that is called so."""
    with _making:
        if key not in _pulses:
            _pulses[key] = make()
        return _pulses[key]


def _in_a_child() -> None:
    global _making
    _making = threading.Lock()
    for pulse in _pulses.values():
        pulse.abandon()
    _pulses.clear()


os.register_at_fork(after_in_child=_in_a_child)
