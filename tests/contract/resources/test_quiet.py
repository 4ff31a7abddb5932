"""A node says little, because it may be one of a thousand."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from resource_nodes import Lab

from celery_resources.node.telling import EVENT


@contextlib.contextmanager
def hearing(lab: Lab) -> Iterator[list[dict[str, Any]]]:
    """Every event from now on."""
    heard: list[dict[str, Any]] = []
    ready, ended = threading.Event(), threading.Event()

    def take(event: dict[str, Any]) -> None:
        if event["type"] == "test-echo":
            ready.set()
        heard.append(event)

    def listen() -> None:
        with lab.app.connection_for_read() as connection:
            receiver = lab.app.events.Receiver(connection, handlers={"*": take})
            with receiver.consumer_context() as (own, _, _):
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        own.drain_events(timeout=0.1)

    thread = threading.Thread(target=listen)
    thread.start()

    def echoes() -> bool:
        with lab.app.events.default_dispatcher(hostname="test") as dispatcher:
            dispatcher.send("test-echo")
        return ready.wait(0.2)

    try:
        lab.wait_until(echoes, what="events are heard")
        yield heard
    finally:
        ended.set()
        thread.join()


def test_a_busy_node_speaks_no_oftener_than_its_pace_and_forgets_no_run(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one")
    assert node.ask("pace", seconds=3)["pace"] == 3
    with hearing(lab) as heard:
        lab.wait_finished([lab.send("one", "work", 0.2) for _ in range(150)])

        def told() -> list[dict[str, Any]]:
            return [event for event in heard if event["type"] == EVENT]

        queue = lab.wait_until(
            lambda: next(
                (q for each in told() for q, (runs, _) in each["ended"].items() if runs == 150), None
            ),
            what="all runs are told of",
        )
        assert queue == next(iter(node.ask("resources")["queues"]))
        runs, seconds = node.ask("resources")["ended"][queue]
        assert runs == 150
        assert 0.2 <= seconds / runs < 2
        times = [event["timestamp"] for event in told()]  # by its own clock: to hear it may take a while
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert gaps, "it spoke only once, so nothing was shown"
        assert min(gaps) > 2.5
    assert "error" in (node.try_ask("pace", seconds=-1) or {})
    assert node.ask("pace", seconds=0)["pace"] == 0


@pytest.mark.parametrize(("quiet", "steps"), [("1", []), ("0", ["Gossip", "Mingle"])])
def test_a_node_neither_gossips_nor_mingles_and_its_heart_beats_slowly(
    make_lab: Callable[..., Lab], broker_url: str, quiet: str, steps: list[str]
) -> None:
    lab = make_lab(broker_url, RESOURCE_APP_QUIET=quiet)
    with hearing(lab) as heard:
        node = lab.node("n1", "ncpus=1,memgb=1", "--loglevel", "DEBUG").wait_ready()
        lab.node("plain", None, "--loglevel", "DEBUG", "-Q", "nobodys")

        def online(name: str) -> list[float]:
            mine = [each for each in heard if each["hostname"] == f"worker@{name}"]
            return [each["freq"] for each in mine if each["type"] == "worker-online"]

        freq = lab.wait_until(lambda: online("n1"), what="it is online")[0]
        assert freq == (4.0 if quiet == "1" else 2.0), "every other beat of two seconds; Celery's own"
        assert lab.wait_until(lambda: online("plain"), what="it is online") == [2.0], "it is no node"
    started = [name for name in ("Gossip", "Heart", "Mingle") if f"Starting {name}" in node.text()]
    assert started == sorted(["Heart", *steps])
