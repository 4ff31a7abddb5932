"""Nodes take part in a Celery cluster, on either broker: real ones, and simulated ones by the same words."""

import logging
import threading
import uuid

import pytest
import redis
from celery import Celery
from kombu import Connection, Consumer, Producer

from celery_resources.need.header import HEADER

SIZE = "Standard_F4s_v2"

# Celery's result backend still calls what redis-py 8 calls by another name.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.fixture
def app(broker_url):
    """The control side's view of the broker."""
    backend = broker_url if broker_url.startswith("redis") else None
    app = Celery("control", broker=broker_url, backend=backend, set_as_current=False)
    app.conf.broker_connection_retry_on_startup = True
    yield app
    app.close()


@pytest.fixture
def events(app):
    """Every event that is said, by the time a test looks."""
    heard, stop, ready = [], threading.Event(), threading.Event()

    def listen():
        with Connection(app.conf.broker_url) as connection:
            receiver = app.events.Receiver(connection)
            consumer = Consumer(connection.default_channel, [receiver.queue], no_ack=True, accept=["json"])
            consumer.register_callback(
                lambda body, _: heard.extend(body if isinstance(body, list) else [body])
            )
            with consumer:
                ready.set()
                while not stop.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    yield heard
    stop.set()
    thread.join()


def ask(app, command, nodenames, patience=20, **arguments):
    """Send a control command; answers by node name. It takes no longer than until all have answered."""
    # A connection of its own: a pooled one may be dead after a test that kills connections.
    with app.connection_for_write() as connection:
        replies = app.control.broadcast(
            command, arguments, reply=True, destination=nodenames, timeout=patience, connection=connection
        )
    return {name: reply for each in replies for name, reply in each.items()}


def try_to_ask(app, command, nodenames, **arguments):
    """The same of nodes that may not listen yet, and then never hear it; to be tried again."""
    return ask(app, command, nodenames, patience=1, **arguments)


def hostnames(cloud, wait_until, count):
    """Host names of the nodes, once that many are Ready."""
    wait_until(lambda: sum(node["Status"] == "Ready" for node in cloud.nodes().values()) == count)
    return [node["Hostname"] for node in cloud.nodes().values()]


def send(app, queue, seconds, requirement=None, task_id=None):
    """Send a task as `celery_resources` would."""
    headers = {} if requirement is None else {HEADER: requirement}
    return app.send_task("some.task", args=[seconds], queue=queue, headers=headers, task_id=task_id)


def depth(app, queue):
    with app.connection_for_read() as connection:
        try:
            return connection.default_channel.queue_declare(queue, passive=True).message_count
        except connection.channel_errors:
            return 0


@pytest.fixture
def simulated(start, broker_url):
    """A cloud whose nodes are simulated."""
    return start(
        kind="simulated",
        environment={"CELERY_BROKER_URL": broker_url},
        simulated_task_seconds=0.05,
        simulated_task_events=True,
        grace_seconds=0.2,
    )


def test_a_real_node_is_a_worker_that_answers_by_its_host_name_and_knows_its_size(
    start, app, broker_url, wait_until
):
    cloud = start(kind="process", environment={"CELERY_BROKER_URL": broker_url})
    cloud.create(1, size=SIZE)
    [hostname] = hostnames(cloud, wait_until, 1)
    node_id = cloud.nodes()["worker-1"]["NodeId"]
    answers = wait_until(lambda: try_to_ask(app, "resources", [f"celery@{hostname}"]), seconds=60)
    assert cloud.emulator.fleet.busy(node_id)
    told = answers[f"celery@{hostname}"]["ok"]
    assert told["hostname"] == hostname
    assert told["total"] == {"ncpus": 4, "pcpus": 2, "ngpus": 0, "memgb": 8}
    assert told["properties"]["node.vm_size"] == SIZE
    cloud.post("/clusters/celery/nodes/terminate", json={"names": ["worker-1"]})
    wait_until(lambda: cloud.nodes() == {})
    assert not cloud.emulator.fleet.busy(node_id)


def test_a_simulated_node_gives_the_same_account_of_itself_as_a_real_one(start, app, broker_url, wait_until):
    """Field by field: the names and the kinds of value are those of `celery_resources`."""
    accounts = {}
    for kind in ("process", "simulated"):
        cloud = start(kind=kind, environment={"CELERY_BROKER_URL": broker_url})
        cloud.create(1, size=SIZE)
        [hostname] = hostnames(cloud, wait_until, 1)
        nodename = f"celery@{hostname}"
        wait_until(lambda: try_to_ask(app, "ping", [nodename]), seconds=60)  # noqa: B023 - called at once
        joined = ask(app, "join", [nodename], queues={"q": {"constraints": {"ncpus": 1}}})[nodename]
        fenced = ask(app, "fence", [nodename], reason="why")[nodename]
        accounts[kind] = [joined["ok"], fenced["ok"]]
        cloud.emulator.stop()
    changing = ("pid", "seq", "events", "started", "machine", "named")
    for real, simulated in zip(*accounts.values(), strict=True):
        assert real.keys() == simulated.keys()
        assert {n: v for n, v in real.items() if n not in changing} == {
            n: v for n, v in simulated.items() if n not in changing
        }
        assert {n: type(real[n]) for n in changing} == {n: type(simulated[n]) for n in changing}


def test_a_simulated_node_says_what_happens_to_it(simulated, app, events, wait_until):
    simulated.create(1, size=SIZE)
    [hostname] = hostnames(simulated, wait_until, 1)
    nodename = f"celery@{hostname}"

    def said(kind):
        return [event for event in events if event["type"] == kind and event["hostname"] == nodename]

    wait_until(lambda: said("worker-online") and said("worker-resources"))
    app.control.broadcast("heartbeat", destination=[nodename])
    wait_until(lambda: said("worker-heartbeat"))
    assert said("worker-resources")[0]["total"] == {"ncpus": 4, "pcpus": 2, "ngpus": 0, "memgb": 8}
    assert "free" in said("worker-resources")[0]
    task_id = str(uuid.uuid4())
    ask(app, "join", [nodename], queues={"q": {"constraints": {"ncpus": 1}}})
    send(app, "q", 0.05, task_id=task_id)
    wait_until(lambda: said("task-succeeded"))
    assert [said(kind)[0]["uuid"] for kind in ("task-received", "task-started", "task-succeeded")] == [
        task_id
    ] * 3
    assert ask(app, "shutdown", [nodename]) == {nodename: {"ok": "shutting down"}}
    wait_until(lambda: said("worker-offline"))


def test_tasks_run_only_where_they_fit_and_only_from_queues_that_were_joined(simulated, app, wait_until):
    """Two nodes of 4 cpus: of five tasks of 2 cpus four run at once; a queue nobody joined is left alone."""
    simulated.create(2, size=SIZE)
    nodes = [f"celery@{name}" for name in hostnames(simulated, wait_until, 2)]
    need = {"constraints": {"ncpus": 2}}
    wait_until(lambda: len(try_to_ask(app, "join", nodes, queues={"two": need})) == 2)
    for _ in range(5):
        send(app, "two", 600, need)
    send(app, "other", 0)

    def running():
        return [len(reply["ok"]["running"]) for reply in ask(app, "resources", nodes).values()]

    wait_until(lambda: running() == [2, 2])
    # A message is on RabbitMQ a moment after it was sent.
    wait_until(lambda: (depth(app, "two"), depth(app, "other")) == (1, 1))
    account = ask(app, "resources", nodes[:1])[nodes[0]]["ok"]
    assert account["free"] == {"ncpus": 0, "pcpus": 2, "ngpus": 0, "memgb": 8}
    assert account["running"][0]["requirement"] == need
    assert account["queues"] == ["two"]


def test_an_exclusive_task_has_the_node_for_itself(simulated, app, wait_until):
    simulated.create(1, size=SIZE)
    [node] = [f"celery@{name}" for name in hostnames(simulated, wait_until, 1)]
    need = {"constraints": {"ncpus": 1}, "exclusive": True}
    wait_until(lambda: try_to_ask(app, "join", [node], queues={"alone": need}))
    send(app, "alone", 600, need)
    send(app, "alone", 600, need)
    wait_until(lambda: ask(app, "resources", [node])[node]["ok"]["running"])
    account = ask(app, "resources", [node])[node]["ok"]
    assert len(account["running"]) == 1
    assert set(account["free"].values()) == {0}
    wait_until(lambda: depth(app, "alone") == 1)


def test_a_fenced_node_takes_nothing_and_an_unfenced_one_does(simulated, app, wait_until):
    simulated.create(1, size=SIZE)
    [node] = [f"celery@{name}" for name in hostnames(simulated, wait_until, 1)]
    wait_until(lambda: try_to_ask(app, "join", [node], queues={"q": {"constraints": {"ncpus": 1}}}))
    account = ask(app, "fence", [node], reason="surplus")[node]["ok"]
    assert (account["fenced"], account["fence_reason"]) == (True, "surplus")
    send(app, "q", 600)
    wait_until(lambda: depth(app, "q") == 1)
    for _ in range(5):
        assert ask(app, "resources", [node])[node]["ok"]["running"] == []
    assert depth(app, "q") == 1
    assert ask(app, "unfence", [node])[node]["ok"]["fenced"] is False
    wait_until(lambda: ask(app, "resources", [node])[node]["ok"]["running"])


def test_a_clean_end_leaves_a_farewell_behind_and_a_crash_does_not(simulated, app, wait_until):
    simulated.create(2, size=SIZE)
    names = hostnames(simulated, wait_until, 2)
    nodes = [f"celery@{name}" for name in names]
    wait_until(lambda: len(try_to_ask(app, "ping", nodes)) == 2)
    pid = ask(app, "resources", nodes)[nodes[0]]["ok"]["pid"]
    assert (
        simulated.post("/emulator/nodes", json={"node": names[1], "action": "kill-worker"}).status_code == 200
    )
    app.control.shutdown(destination=nodes[:1])
    wait_until(lambda: depth(app, "autoscale.notes") == 1)
    with app.connection_for_read() as connection:
        message = app.amqp.queues["autoscale.notes"](connection.default_channel).get(accept=["json"])
        message.ack()
    note = message.payload
    assert (note["kind"], note["hostname"], note["nodename"], note["pid"], note["returned"]) == (
        "left", names[0], nodes[0], pid, 0,
    )  # fmt: skip
    assert try_to_ask(app, "ping", nodes) == {}
    assert {node["Status"] for node in simulated.nodes().values()} == {"Ready"}
    assert depth(app, "autoscale.notes") == 0


def test_what_ran_on_a_machine_that_is_gone_is_not_acknowledged(simulated, app, broker_url, wait_until):
    """RabbitMQ gives it to the next at once; on Redis it waits, unacknowledged, to be restored."""
    simulated.create(1, size=SIZE)
    [node] = [f"celery@{name}" for name in hostnames(simulated, wait_until, 1)]
    wait_until(lambda: try_to_ask(app, "join", [node], queues={"q": {"constraints": {"ncpus": 1}}}))
    send(app, "q", 600)
    wait_until(lambda: ask(app, "resources", [node])[node]["ok"]["running"])
    simulated.post("/emulator/nodes", json={"node": "worker-1", "action": "vanish"})
    if broker_url.startswith("amqp"):
        wait_until(lambda: depth(app, "q") == 1)
    else:
        with app.connection_for_read() as connection:
            assert connection.default_channel.client.hlen("unacked") == 1
    simulated.emulator.stop()
    wait_until(lambda: depth(app, "q") == 1, what="a clean end of the emulator gives everything back")


def test_a_gang_of_simulated_nodes_is_reserved_runs_one_task_and_is_free_again(simulated, app, wait_until):
    """Two nodes for one task; meanwhile neither takes anything else."""
    simulated.create(2, size=SIZE)
    nodes = [f"celery@{name}" for name in hostnames(simulated, wait_until, 2)]
    need = {"constraints": {"ncpus": 4}, "node_count": 2}
    queues = {"gang": need, "plain": {"constraints": {"ncpus": 1}}}
    wait_until(lambda: len(try_to_ask(app, "join", nodes, queues=queues)) == 2)
    send(app, "gang", 600, need)

    def told(what):
        return [reply["ok"][what] for _, reply in sorted(ask(app, "resources", nodes).items())]

    assert told("running") == [[], []], "nobody leads yet"
    assert len(ask(app, "follow", nodes, gang="g", members=nodes)) == 2
    assert "is in gang g" in ask(app, "follow", nodes[:1], gang="other", members=nodes)[nodes[0]]["error"]
    arguments = {"gang": "g", "queue": "gang", "members": nodes, "requirement": need}
    assert ask(app, "lead", nodes[:1], **arguments)[nodes[0]]["ok"]["gang"]["role"] == "waits"
    wait_until(lambda: any(told("running")))
    send(app, "plain", 600)
    assert sorted(gang["role"] for gang in told("gang")) == ["follows", "runs"]
    assert sum(len(running) for running in told("running")) == 1
    assert ask(app, "disband", nodes[:1], gang="g")[nodes[0]]["ok"]["gang"]["role"] == "runs"
    assert "ok" in ask(app, "member_lost", nodes[:1], gang="g", host="gone")[nodes[0]]
    wait_until(lambda: told("gang") == [None, None])
    wait_until(lambda: any(running and running[0]["queue"] == "plain" for running in told("running")))
    wait_until(
        lambda: depth(app, "autoscale.notes") == 1, what="the control side is told that the gang has ended"
    )


def test_results_are_kept(start, redis_url, wait_until):
    cloud = start(kind="simulated", environment={"CELERY_BROKER_URL": redis_url})
    app = Celery("client", broker=redis_url, backend=redis_url, set_as_current=False)
    cloud.create(1, size=SIZE)
    [hostname] = hostnames(cloud, wait_until, 1)
    result = send(app, "celery", 0.01).get(timeout=20)
    assert (result["simulated"], result["host"]) == (True, f"celery@{hostname}")
    app.close()


def test_simulated_nodes_come_back_when_the_broker_does(start, valkey_server, valkey_url, wait_until, caplog):
    """What ran is run again by whoever takes it: without its connection a node may not acknowledge."""
    app = Celery("client", broker=valkey_url, set_as_current=False)
    cloud = start(kind="simulated", environment={"CELERY_BROKER_URL": valkey_url})
    cloud.create(1, size=SIZE)
    [node] = [f"celery@{name}" for name in hostnames(cloud, wait_until, 1)]
    wait_until(lambda: try_to_ask(app, "join", [node], queues={"q": {"constraints": {"ncpus": 1}}}))
    send(app, "q", 600)
    wait_until(lambda: ask(app, "resources", [node])[node]["ok"]["running"])
    with redis.Redis.from_url(valkey_server) as server, caplog.at_level(logging.WARNING):
        for kind in ("normal", "pubsub"):
            server.client_kill_filter(_type=kind, skipme=True)
        wait_until(lambda: "lost the broker" in caplog.text)
    account = wait_until(lambda: try_to_ask(app, "resources", [node]))[node]["ok"]
    assert account["queues"] == ["q"]
    app.close()


def test_an_unknown_command_is_an_error_of_that_worker(simulated, app, wait_until):
    simulated.create(1, size=SIZE)
    [node] = [f"celery@{name}" for name in hostnames(simulated, wait_until, 1)]
    wait_until(lambda: try_to_ask(app, "ping", [node]))
    assert "does not know" in ask(app, "explode", [node])[node]["error"]
    assert "join: queues must be" in ask(app, "join", [node], queues=[])[node]["error"]
    assert "error" in ask(app, "lead", [node], gang="g", queue="q", members=[], requirement=3)[node]
    with app.connection_for_write() as connection:
        producer = Producer(connection)
        for nonsense in (
            [1],
            {"method": 1},
            {"method": "ping", "destination": 3},
            {"method": "ping", "arguments": 3},
        ):
            producer.publish(
                nonsense, exchange=app.control.mailbox.exchange, declare=[app.control.mailbox.exchange]
            )
    assert "unexpected keyword" in ask(app, "ping", [node], loudly=True)[node]["error"]
