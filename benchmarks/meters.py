"""Counting every message on a broker that is not a task or its result, by what it is.

On Valkey published events and commands are counted by subscribing to all of them, which is held against the
server's own count; what goes through lists by the server's notices; how often the depth of a queue was asked
for by the server's count of commands. On RabbitMQ the server's tracer (the "firehose") gives a copy of
everything that is published; to ask for a depth is no message there.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections import Counter
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import redis
from kombu import Connection, Consumer, Exchange, Queue

STEPS = 4
"""Lists that make up a queue of kombu's: the depth of a queue is their lengths."""

ACCOUNTS, HEARTBEATS = "accounts of nodes", "heartbeats of nodes"
COMMANDS, ANSWERS, REQUESTS = "commands", "answers of nodes", "requests for passes and notes"
ECHOES, DEPTHS, OTHER = "the listener's echo", "depths asked for", "other"


class Meter(Protocol):
    """Counts from when it is entered until it is left."""

    counts: Counter[str]

    def __enter__(self) -> Meter: ...

    def __exit__(self, *_: object) -> None: ...

    def server(self) -> Counter[str]:
        """What the server itself counts, where it does."""

    def complete(self, counts: Counter[str], server: Counter[str]) -> None:
        """Add to the counts of a while what only the server knows.

        Raises AssertionError if messages escaped the count.
        """


def meter_for(url: str) -> Meter:
    """The meter for the broker at this URL."""
    return RabbitMeter(url) if url.startswith("amqp") else ValkeyMeter(url)


def kind_of_event(routing_key: str) -> str:
    """What an event is."""
    if routing_key == "worker.resources":
        return ACCOUNTS
    if routing_key.startswith("worker."):
        return HEARTBEATS
    return ECHOES if routing_key == "autoscale.echo" else OTHER


class ValkeyMeter:
    """On a Valkey server of which nobody else makes use."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._ear = self._client.pubsub()
        self.counts: Counter[str] = Counter()
        self._thread: Any = None

    def __enter__(self) -> ValkeyMeter:
        # Notices of pushes to lists; the server does not count them as published.
        self._client.config_set("notify-keyspace-events", "Kl")
        self._ear.psubscribe(**{"*": self._heard})
        self._thread = self._ear.run_in_thread(sleep_time=1.0, daemon=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
        self._thread.join()
        self._ear.close()
        self._client.close()

    def _heard(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        if channel.startswith("__keyspace@"):
            self._pushed(channel.partition(":")[2], message["data"])
            return
        self.counts["published"] += 1
        self.counts[COMMANDS if "pidbox" in channel else kind_of_event(channel.rpartition("/")[2])] += 1

    def _pushed(self, key: str, what: bytes) -> None:
        if what not in (b"lpush", b"rpush"):
            return
        if key.endswith(".reply.celery.pidbox"):
            self.counts[ANSWERS] += 1
        elif key.startswith("autoscale"):
            self.counts[REQUESTS] += 1

    def server(self) -> Counter[str]:
        """Calls of commands since the server started, by its own count."""
        found: Any = self._client.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in found.items()})

    def complete(self, counts: Counter[str], server: Counter[str]) -> None:
        """How many depths were asked for."""
        if abs(server["publish"] - counts["published"]) > max(50, 0.02 * server["publish"]):
            raise AssertionError(f"{server['publish']} were published, {counts['published']} counted")
        counts[DEPTHS] = server["llen"] // STEPS


class RabbitMeter:
    """On a virtual host of which nobody else makes use (needs rabbitmqctl)."""

    KINDS = {"celery.pidbox": COMMANDS, "reply.celery.pidbox": ANSWERS}  # noqa: RUF012 (read only)
    """By exchange. Tasks and requests go through that without a name, or one called as their queue."""

    def __init__(self, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self._vhost = unquote(urlsplit(url).path[1:]) or "/"
        self._connection = Connection(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> RabbitMeter:
        self._trace("on")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._trace("off")

    def _trace(self, what: str) -> None:
        subprocess.run(
            ["rabbitmqctl", "--quiet", f"trace_{what}", "--vhost", self._vhost],
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _listen(self) -> None:
        with self._connection as connection:
            channel = connection.default_channel
            tracer = Exchange("amq.rabbitmq.trace", type="topic", no_declare=True)
            keys = [f"publish.{exchange}" for exchange in ("celeryev", "autoscale", "", *self.KINDS)]
            queue = Queue("meter", tracer, routing_key=keys[0], exclusive=True)(channel)
            queue.declare()
            for key in keys[1:]:
                queue.bind_to(tracer, routing_key=key)
            with Consumer(channel, [queue], on_message=self._heard, no_ack=True, auto_declare=False):
                while not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=0.5)

    def _heard(self, message: Any) -> None:
        exchange, key = message.headers["exchange_name"], message.headers["routing_keys"][0]
        if exchange == "celeryev":
            self.counts[kind_of_event(key)] += 1
        elif exchange in self.KINDS:
            self.counts[self.KINDS[exchange]] += 1
        elif key == "autoscale":
            self.counts[REQUESTS] += 1

    def server(self) -> Counter[str]:
        """It tells nothing without a plugin."""
        return Counter()

    def complete(self, counts: Counter[str], server: Counter[str]) -> None:
        """Nothing is added; the control side cannot have been silent."""
        if not counts[ECHOES]:
            raise AssertionError("not even the listener's echo was heard: is the tracer on?")
