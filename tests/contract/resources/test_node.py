"""A node on each broker: what it admits, what it obeys, what it tells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from resource_app import make_app
from resource_nodes import Lab, queues_of, replay

from celery_resources.sending.notes import PATIENT, send_note

NODE = {"ncpus": 4, "memgb": 16}
ALL = ("one", "two", "four", "roomy", "half", "alone")


def test_a_node_runs_everything_and_never_more_than_it_has(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    sent = [lab.send(kind, "work", 0.05) for kind in ALL * 5]
    node.join(*ALL)
    finished = lab.wait_finished(sent)
    assert set(finished.values()) == {1}
    assert replay(lab.runs(), {node.nodename: NODE}) == []
    at_once = max(_at_once(lab))
    assert at_once > 1, "nothing ran side by side, so nothing was shown"


def test_quorum_queues_keep_every_promise(make_lab: Callable[..., Lab], amqp_url: str) -> None:
    lab = make_lab(amqp_url, RESOURCE_APP_QUORUM="1")
    nodes = [lab.node(name).wait_ready() for name in ("n1", "n2")]
    sent = [lab.send(kind, "work", 0.05) for kind in ALL * 8]
    for node in nodes:
        node.join(*ALL)
    assert set(lab.wait_finished(sent).values()) == {1}
    assert replay(lab.runs(), {node.nodename: NODE for node in nodes}) == []
    assert max(_at_once(lab)) > 2
    later = lab.send("one", "work", 0.0, countdown=60)
    lab.wait_until(lambda: sum(node.ask("resources")["scheduled"] for node in nodes) == 1, what="it came")
    for node in nodes:
        assert node.ask("fence")["scheduled"] == 0
        assert node.stop() == 0
    (queue,) = queues_of("one")
    assert lab.waiting(queue) == 1
    lab.app.control.revoke(later.id)


def _at_once(lab: Lab) -> list[int]:
    count, counts = 0, [0]
    for line in lab.runs():
        count += 1 if line["what"] == "start" else -1
        counts.append(count)
    return counts


def test_a_node_serves_the_plain_queue_until_it_joins_and_then_only_what_it_joined(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    assert node.ask("resources")["queues"] == ["celery"]
    lab.wait_finished([lab.app.tasks["work"].delay()])
    assert node.join("one")["queues"] == list(queues_of("one"))
    lab.wait_finished([lab.send("one")])
    left = lab.app.tasks["work"].delay()
    lab.wait_finished([lab.send("one")])
    assert left.id not in lab.finished()
    assert lab.waiting("celery") == 1


def test_a_kind_that_does_not_fit_the_node_stays_in_its_queue(lab: Lab) -> None:
    node = lab.node("small", "ncpus=2,memgb=8").wait_ready()
    node.join("one", "four", "roomy")
    big = [lab.send("four"), lab.send("roomy")]
    lab.wait_finished([lab.send("one")])
    assert not {each.id for each in big} & lab.finished().keys()
    assert [lab.waiting(queue) for queue in queues_of("four", "roomy")] == [1, 1]


def test_a_fenced_node_starts_nothing_gives_back_everything_and_stays_so_over_a_restart(lab: Lab) -> None:
    node = lab.node("n1", "ncpus=2,memgb=8").wait_ready()
    node.join("one", "two")
    (queue_one,) = queues_of("one")
    running = lab.send("one", "work", 5.0)
    lab.wait_until(lambda: any(line["id"] == running.id for line in lab.runs()), what="it runs")
    later = lab.send("one", "work", 0.0, countdown=60)
    lab.wait_until(lambda: node.ask("resources")["scheduled"] == 1, what="the ETA task came")

    told = node.ask("fence", reason="surplus")
    assert told["fenced"] is True
    assert told["fence_reason"] == "surplus"
    assert [each["id"] for each in told["running"]] == [running.id]
    assert told["held"] == []
    assert told["scheduled"] == 0
    after = [lab.send("one") for _ in range(5)]
    lab.wait_finished([running])
    lab.wait_until(lambda: lab.waiting(queue_one) == 6, what="everything is back")
    assert node.stop() == 0

    node.restart()
    assert node.ask("resources")["fenced"] is True
    assert not {each.id for each in after} & lab.finished().keys()
    assert node.ask("unfence")["fenced"] is False
    lab.wait_finished(after)
    lab.app.control.revoke(later.id)


def test_a_clean_shutdown_says_farewell_after_everything_is_back(lab: Lab) -> None:
    node = lab.node("n1", "ncpus=4").wait_ready()
    node.join("one")
    lab.notes()
    (queue,) = queues_of("one")
    running = lab.send("one", "work", 1.0)
    lab.wait_until(lambda: bool(lab.runs()), what="it runs")
    waiting = [lab.send("one", "work", 0.0, countdown=300) for _ in range(3)]
    lab.wait_until(lambda: node.ask("resources")["scheduled"] == 3, what="the ETA tasks came")
    assert node.stop() == 0
    (note,) = [note for note in lab.notes() if note["kind"] == "left"]
    assert note["hostname"] == "n1"
    assert note["nodename"] == node.nodename
    assert note["pid"] == node.process.pid
    assert note["returned"] == 3
    assert lab.finished()[running.id] == 1
    assert lab.waiting(queue) == len(waiting)


def test_a_farewell_waits_for_a_broker_that_restarts(lab: Lab) -> None:
    relay = lab.relay()
    relay.refuses = True
    far = make_app(relay.url)
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(send_note, far, "control", policy=PATIENT, kind="left", hostname="n1")
        lab.wait_until(lambda: relay.refused > 5 or said.done(), seconds=60, what="it tried in vain")
        relay.refuses = False
        said.result(60)
    assert [note["hostname"] for note in lab.notes()] == ["n1"]
    far.close()


def test_a_killed_node_says_no_farewell(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one")
    lab.send("one", "work", 5.0)
    lab.wait_until(lambda: bool(lab.runs()), what="it runs")
    node.kill()
    assert [note for note in lab.notes() if note["kind"] == "left"] == []


def test_a_cold_shutdown_says_no_farewell(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    node.join("one")
    lab.send("one", "work", 20.0)
    lab.wait_until(lambda: bool(lab.runs()), what="it runs")
    node.process.terminate()
    lab.wait_until(lambda: "Warm shutdown" in node.text(), what="the warm shutdown began")
    node.process.send_signal(3)
    node.process.wait(30)
    assert [note for note in lab.notes() if note["kind"] == "left"] == []


def test_a_node_tells_what_it_runs_on_change(lab: Lab) -> None:
    node = lab.node("n1", "ncpus=4,memgb=16", CELERY_RESOURCES_PROPERTIES='{"vm_size": "F4"}').wait_ready()
    events: list[dict[str, Any]] = []
    with lab.app.connection_for_read() as connection:
        receiver = lab.app.events.Receiver(connection, handlers={"worker-resources": events.append})
        listener = threading.Thread(target=receiver.capture, kwargs={"wakeup": False}, daemon=True)
        listener.start()
        lab.wait_until(lambda: events, what="the beat is heard")
        node.join("two")
        sent = lab.send("two", "work", 1.0)
        event: dict[str, Any] = lab.wait_until(
            lambda: next((event for event in events if event["running"]), None),
            what="it shows the running task",
        )
        lab.wait_until(lambda: events[-1]["free"] == {"ncpus": 4, "memgb": 16}, what="it shows the end")
        receiver.should_stop = True
        listener.join(20)
    assert event["hostname"] == event["nodename"] == node.nodename
    assert event["total"] == {"ncpus": 4, "memgb": 16}
    assert event["free"] == {"ncpus": 2, "memgb": 12}
    assert event["properties"] == {"vm_size": "F4"}
    (running,) = event["running"]
    assert running["id"] == sent.id
    assert running["queue"] in queues_of("two")
    assert running["requirement"] == queues_of("two")[running["queue"]]
    assert [one["seq"] for one in events] == sorted({one["seq"] for one in events})


def test_a_worker_without_resources_is_plain_celery(lab: Lab) -> None:
    node = lab.node("plain", None).wait_ready()
    answer = node.try_ask("resources")
    assert answer is not None
    assert "was given no resources" in answer["error"]
    lab.wait_finished([lab.app.tasks["work"].delay(0.0) for _ in range(5)])
    assert node.stop() == 0
    assert lab.notes() == []


def test_a_bad_join_is_an_error_and_changes_nothing(lab: Lab) -> None:
    node = lab.node("n1").wait_ready()
    answer = node.try_ask("join", queues={"q": {"constraints": {"ncpus": 1}, "nodes": 2}})
    assert answer is not None
    assert "'nodes' is no part of a requirement" in answer["error"]
    assert node.ask("resources")["queues"] == ["celery"]


def test_a_node_that_loses_redis_while_it_ends_sends_no_farewell(
    make_lab: Callable[..., Lab], redis_url: str
) -> None:
    """What it could not give back stays in Redis under its name. RabbitMQ takes everything back by itself."""
    lab = make_lab(redis_url)
    relay = lab.relay()
    node = lab.node("n1", RESOURCE_APP_BROKER=relay.url).wait_ready()
    node.join("one")
    lab.send("one", "work", 10.0)
    lab.wait_until(lambda: lab.runs(), what="the task runs")
    node.process.terminate()
    lab.wait_until(lambda: "Warm shutdown" in node.text(), what="it ends")
    lab.wait_until(
        lambda: not lab.app.control.ping(destination=[node.nodename], timeout=0.5, limit=1),
        what="its event loop has ended",
    )
    relay.refuses = True
    relay.cut()
    lab.wait_until(lambda: "unacknowledged message(s)" in node.text(), what="it gives back what it can")
    relay.refuses = False
    node.process.wait(90)
    assert [note for note in lab.notes() if note["kind"] == "left"] == []
