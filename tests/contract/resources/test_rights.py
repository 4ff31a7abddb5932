"""The rights of the deployment, tried: each role can do its doings with them, and a node nothing else."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import amqp
import pytest
import redis
from celery import chord
from kombu import Connection
from resource_app import NEEDS, make_app
from resource_nodes import Lab, close_app

from autoscaler_app import schedule
from autoscaler_app.brokers.inbox import open_inbox
from autoscaler_app.brokers.opening import open_broker
from autoscaler_app.passes.lease.amqp import AmqpClaim
from autoscaler_app.passes.lease.claim import LEASE
from autoscaler_app.passes.lease.redis import RedisClaim
from celery_resources import queue_name
from celery_resources.need.requirement import Requirement
from celery_resources.node.eviction import EVICTION
from celery_resources.node.telling import EVENT
from celery_resources.sending.notes import notes_queue
from tests.metadata import Service, event, service
from tests.unit.deploy.rights import make_secrets, rabbitmq_permissions, redis_rules

__all__ = ["service"]

CONTROL, NOTES = schedule.CONTROL_QUEUE, notes_queue(schedule.CONTROL_QUEUE)
ROLES = ("control", "operator", "node")


@dataclass(frozen=True)
class Users:
    """A broker with one user for each role, of this test alone."""

    urls: dict[str, str]
    names: dict[str, str]
    is_redis: bool

    @property
    def claim(self) -> Any:
        """The lease on this kind of broker."""
        return RedisClaim if self.is_redis else AmqpClaim


def _as(url: str, user: str, secret: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{secret}@{parts.hostname}:{parts.port or 5672}"))


@contextmanager
def users_of_redis(url: str, folder: Path) -> Iterator[Users]:
    """The rules of the ACL file, word by word, for users with names of our own: the server is not ours."""
    mark = uuid.uuid4().hex[:8]
    names = {role: f"{role}-{mark}" for role in ROLES}
    rules = redis_rules(make_secrets(folder))
    with redis.Redis.from_url(url) as admin:
        try:
            for role, name in names.items():
                admin.execute_command("ACL", "SETUSER", name, *rules[role])
            yield Users({role: _as(url, name, f"{role}-s3cret") for role, name in names.items()}, names, True)
        finally:
            admin.execute_command("ACL", "DELUSER", *names.values())


@contextmanager
def users_of_rabbitmq(url: str, folder: Path) -> Iterator[Users]:
    """The permissions of rabbitmq.sh, in a virtual host of our own."""
    mark, vhost = uuid.uuid4().hex[:8], urlsplit(url).path.removeprefix("/")
    names = {role: f"{role}-{mark}" for role in ROLES}
    make_secrets(folder)
    given = rabbitmq_permissions(folder)
    kinds = ("configure", "write", "read")
    definitions = {
        "users": [{"name": name, "password": f"{role}-s3cret", "tags": ""} for role, name in names.items()],
        "permissions": [
            {"user": name, "vhost": vhost, **dict(zip(kinds, given[role], strict=True))}
            for role, name in names.items()
        ],
    }
    _rabbitmqctl("import_definitions", told=json.dumps(definitions))
    try:
        yield Users({role: _as(url, name, f"{role}-s3cret") for role, name in names.items()}, names, False)
    finally:
        # In one call: each starts a machine of Erlang's.
        theirs = ",".join(f'<<"{name}">>' for name in names.values())
        _rabbitmqctl(
            "eval", f'[rabbit_auth_backend_internal:delete_user(U, <<"tests">>) || U <- [{theirs}]].'
        )


def _rabbitmqctl(*words: str, told: str = "") -> None:
    command = ["rabbitmqctl", "--quiet", *words]
    subprocess.run(command, input=told, text=True, check=True, capture_output=True, timeout=60)


@pytest.fixture
def users(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Users]:
    """Users on each kind of broker in turn."""
    kind = request.param
    url = str(
        request.getfixturevalue({"redis": "redis_url", "valkey": "valkey_url", "rabbitmq": "amqp_url"}[kind])
    )
    folder = tmp_path / "rights"
    folder.mkdir()
    with (users_of_rabbitmq if kind == "rabbitmq" else users_of_redis)(url, folder) as made:
        yield made


# -- what each role has to be able to do


@pytest.mark.timeout(170)
@pytest.mark.parametrize("users", ["redis", "rabbitmq"], indirect=True)
def test_the_whole_life_of_a_node_with_the_rights_of_a_node(
    users: Users,
    make_lab: Callable[..., Lab],
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Any,
) -> None:
    """Announced, joined, at work, fenced and opened, told of its eviction, gone; each by its own user."""
    monkeypatch.setenv("RESOURCE_APP_CONTROL", CONTROL)
    lab = make_lab(users.urls["control"], RESOURCE_APP_CONTROL=CONTROL)
    kind = queue_name(Requirement.from_json(NEEDS["one"]))
    with ExitStack() as stack:
        operator, elsewhere = (_app(stack, users.urls[role]) for role in ("operator", "node"))
        lease = users.claim(lab.app, name="the test", seconds=60.0)
        assert lease.hold("the test") == ""
        stack.callback(lease.let_go, "the test")
        inbox = stack.enter_context(open_inbox(lab.app, CONTROL))
        broker = open_broker(lab.app)

        # Beat, or a person, asks for a pass; only the control side takes that.
        with lab.app.connection_for_read() as connection, connection.SimpleQueue(CONTROL) as requests:
            operator.send_task(schedule.AUTOSCALE, queue=CONTROL, ignore_result=True)
            request = requests.get(timeout=10)
            assert request.headers["task"] == schedule.AUTOSCALE
            request.ack()
        # A person's program, and a task on a node that sends another: both announce what they need.
        sent = [app.tasks["work"].apply_async((0.0,), **NEEDS["one"]) for app in (operator, elsewhere)]
        assert [note["queue"] for note in _notes(inbox, "announce", 2)] == [kind, kind]
        assert broker.depths([kind])[kind].waiting == 2
        url = {"RESOURCE_APP_BROKER": users.urls["node"], "CELERY_RESOURCES_METADATA_URL": service.url}
        node = lab.node("n1", "ncpus=2,memgb=8", **url).wait_ready()
        if users.is_redis:  # where results are messages there are no chords
            work = operator.tasks["work"]
            assert chord([work.si(0.0), work.si(0.0)])(work.si(0.0)).get(timeout=30)
        heard: list[dict[str, Any]] = []
        with lab.app.connection_for_read() as connection:
            receiver = lab.app.events.Receiver(connection, handlers={EVENT: heard.append})
            with receiver.consumer_context() as (listening, _, _):
                node.join("one")
                wait_until(lambda: _drain(listening) and heard, what="it tells what it has")
        assert [each.get(timeout=30)["node"] for each in sent] == [node.nodename] * 2

        later = lab.send("one", "work", 0.0, countdown=60)
        wait_until(lambda: node.ask("resources")["scheduled"] == 1, what="the ETA task came")
        assert node.ask("fence", reason="surplus")["scheduled"] == 0
        assert broker.depths([kind])[kind].waiting == 1
        assert node.ask("unfence")["fenced"] is False
        service.events = [event()]
        wait_until(lambda: node.ask("resources")["fence_reason"] == EVICTION, what="it fenced itself")
        assert node.stop() == 0
        assert _notes(inbox, "left", 1)[0]["nodename"] == node.nodename
        assert (broker.unacked() or 0) == 0
        with suppress(NotImplementedError):  # before Celery 5.7 this backend keeps nothing to forget
            later.forget()
    assert "ERROR" not in node.text()


def _app(stack: ExitStack, url: str) -> Any:
    app = make_app(url)
    stack.callback(close_app, app)
    return app


def _notes(inbox: Any, kind: str, count: int) -> list[dict[str, Any]]:
    """The next notes of this kind, as the control side takes them."""
    found: list[dict[str, Any]] = []
    for _ in range(20):  # each waits a second
        found += [note for note in map(json.loads, inbox.take()) if note["kind"] == kind]
        inbox.done()
        if len(found) >= count:
            return found
    raise AssertionError(f"{count} notes of the kind {kind!r} did not come: {found}")


def _drain(connection: Any) -> bool:
    try:
        connection.drain_events(timeout=1)
    except TimeoutError:
        return False
    return True


# -- what a node may not do

OTHERS = "somebody-elses"
"""A key of another program on the same server."""

REFUSED_BY_REDIS = (
    *(f"{verb} {key}" for key in (CONTROL, LEASE, OTHERS) for verb in ("RPOP", "LLEN", "DEL", "GET")),
    *(f"{verb} x" for verb in (f"LPUSH {CONTROL}", f"LPUSH {OTHERS}", f"SET {LEASE}")),
    *(f"{verb} {NOTES}" for verb in ("RPOP", "GET", "GETDEL")),
    f"RPOPLPUSH {NOTES} celery",
    f"COPY {CONTROL} celery",
    f"RENAME celery {CONTROL}",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "SHUTDOWN",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "DEBUG SLEEP 9",
    "ACL LIST",
    "ACL SETUSER node ~*",
    "ACL LOAD",
    "CLIENT KILL ID 1",
    "CLIENT LIST",
    "CLIENT PAUSE 1000",
    "MONITOR",
    "REPLICAOF 10.0.0.9 6379",
    "SAVE",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "FUNCTION LOAD x",
    "FUNCTION FLUSH",
    "FCALL x 0",
    "RESTORE celery 0 x",
    "SORT celery",
)


@pytest.mark.parametrize("users", ["redis", "valkey"], indirect=True)
def test_redis_refuses_a_node_what_is_not_its_doing(users: Users) -> None:
    with redis.Redis.from_url(_as_admin(users)) as admin:
        allowed = [
            command
            for command in REFUSED_BY_REDIS
            if admin.execute_command("ACL", "DRYRUN", users.names["node"], *command.split()) == b"OK"
        ]
        assert allowed == []
    with redis.Redis.from_url(users.urls["node"]) as node:
        assert node.lpush(NOTES, "x") == 1, "a node writes notes"
        assert node.lpush("celery", "x") == 1, "and tasks"
        for script in (f"return redis.call('RPOP', '{CONTROL}')", f"return redis.call('GET', '{OTHERS}')"):
            with pytest.raises(redis.ResponseError, match=r"(?i)permission|ACL failure|can't access"):
                node.eval(script, 0)
        with pytest.raises(redis.exceptions.NoPermissionError):
            node.lpush(CONTROL, "x")


def _as_admin(users: Users) -> str:
    parts = urlsplit(users.urls["node"])
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{parts.port}"))


@pytest.mark.parametrize("users", ["rabbitmq"], indirect=True)
def test_rabbitmq_refuses_a_node_what_is_not_its_doing(users: Users) -> None:
    """All but to publish by the default exchange: a request that a node sends is one request too many."""
    with Connection(users.urls["control"]) as control, Connection(users.urls["node"]) as node:
        for queue in (CONTROL, LEASE, NOTES):
            control.default_channel.queue_declare(queue, durable=True, auto_delete=False)
            control.default_channel.exchange_declare(queue, "direct")
            for what, deed in _deeds(queue).items():
                with pytest.raises(amqp.AccessRefused):
                    pytest.fail(f"a node may {what} {queue}: {deed(node.channel())}")


def _deeds(queue: str) -> dict[str, Callable[[Any], Any]]:
    return {
        "declare": lambda channel: channel.queue_declare(queue, durable=True, auto_delete=False),
        "consume from": lambda channel: channel.basic_consume(queue),
        "get from": lambda channel: channel.basic_get(queue),
        "purge": lambda channel: channel.queue_purge(queue),
        "delete": lambda channel: channel.queue_delete(queue),
        "bind": lambda channel: channel.queue_bind(queue, "amq.topic", "#"),
        "declare an exchange named": lambda channel: channel.exchange_declare(queue, "direct"),
        "publish to an exchange named": lambda channel: _publish(channel, queue),
    }


def _publish(channel: Any, exchange: str) -> None:
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message("x"), exchange=exchange, routing_key="x")
