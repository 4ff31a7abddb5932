"""Every private or unpromised name of Celery's family that is reached into: where it is, and of what shape.

A release that moves one makes a test red here, and not a worker dead there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import kombu
import pytest
from kombu.asynchronous import Hub

from celery_resources.insides import waker

ROOT = Path(__file__).resolve().parents[4]
HOMES = ("celery_resources/insides", "autoscaler_app/brokers/insides.py")
"""Where private names may be reached into."""

METHODS = [
    # where, name, the parameters that are given by name or position (self apart)
    ("celery.app.task:Task", "apply", ("args", "kwargs", "headers")),
    ("celery.concurrency.asynpool:AsynPool", "flush", ()),
    ("celery.worker.state", "task_ready", ("request",)),
    ("celery.worker.consumer.consumer:Consumer", "create_task_handler", ()),
    ("celery.worker.consumer.consumer:Consumer", "_limit_task", ("request", "bucket", "tokens")),
    ("celery.worker.consumer.consumer:Consumer", "_limit_post_eta", ("request", "bucket", "tokens")),
    ("celery.worker.consumer.consumer:Consumer", "apply_eta_task", ("task",)),
    ("kombu.asynchronous.timer:Timer", "call_at", ("eta", "fun", "args")),
    ("celery.worker.request:Request", "revoked", ()),
    ("celery.app.amqp:Queues", "select_add", ("queue",)),
    ("celery.app.amqp:Queues", "deselect", ("exclude",)),
    ("billiard.pool:ApplyResult", "ready", ()),
    ("billiard.pool:ApplyResult", "terminate", ("signum",)),
    ("kombu.transport.virtual:QoS", "ack", ("delivery_tag",)),
    ("kombu.transport.virtual:QoS", "append", ("message", "delivery_tag")),
    ("kombu.transport.redis:QoS", "ack", ("delivery_tag",)),
    ("kombu.transport.redis:QoS", "reject", ("delivery_tag", "requeue")),
    ("kombu.transport.redis:Channel", "_connparams", ()),
    ("celery.backends.redis:RedisBackend", "_get_pool", ()),
    ("kombu.transport.pyamqp:Transport", "establish_connection", ()),
    ("kombu.connection:ConnectionPool", "resize", ("limit", "force", "ignore_errors", "reset")),
    ("celery.worker.consumer.consumer:Consumer", "on_connection_error_after_connected", ("exc",)),
    ("kombu.pidbox:Mailbox", "_publish_reply", ("reply", "exchange", "routing_key", "ticket", "channel")),
    ("kombu.pidbox:Mailbox", "Node", ("hostname", "state")),
    ("kombu.pidbox:Node", "handle_message", ("body", "message")),
    ("kombu.pidbox:Node", "reply", ("data", "exchange", "routing_key", "ticket")),
    ("kombu.transport.redis:QoS", "restore_by_tag", ("tag", "leftmost")),
    ("kombu.transport.redis:Channel", "conn_or_acquire", ()),
    ("kombu.transport.redis:Channel", "_disconnect_pools", ()),
    ("kombu.transport.redis:Channel", "_create_client", ("asynchronous",)),
    ("kombu.transport.redis:Channel", "_q_for_pri", ("queue", "pri")),
    ("kombu.transport.redis:Channel", "_lookup", ("exchange", "routing_key")),
    ("kombu.transport.redis:Channel", "get_table", ("exchange",)),
    ("kombu.transport.redis:Channel", "_get_message_priority", ("message", "reverse")),
    ("kombu.messaging:Consumer", "add_queue", ("queue",)),
    ("kombu.messaging:Consumer", "cancel_by_queue", ("queue",)),
    ("kombu.common:QoS", "update", ()),
    ("kombu.asynchronous.hub:Hub", "add_reader", ("fds", "callback")),
    ("kombu.asynchronous.hub:Hub", "call_later", ("delay", "callback")),
    ("kombu.asynchronous.hub:Hub", "call_repeatedly", ("delay", "callback")),
    ("kombu.asynchronous.hub:Hub", "call_soon", ("callback",)),
    ("amqp.channel:Channel", "basic_cancel", ("consumer_tag", "nowait")),
    ("amqp.channel:Channel", "basic_consume", ("queue", "consumer_tag", "nowait", "on_cancel")),
    ("amqp.channel:Channel", "basic_qos", ("prefetch_size", "prefetch_count", "a_global")),
    ("amqp.channel:Channel", "flow", ("active",)),
    ("amqp.channel:Channel", "send_method", ("sig", "format", "args")),
    ("amqp.serialization", "decode_properties_basic", ("buf", "offset")),
    ("redis.connection:Connection", "send_command", ()),
    ("redis.connection:Connection", "read_response", ()),
    ("redis.connection:ConnectionPool", "get_connection", ()),
]

ATTRIBUTES = [
    # of a class or a module: there without an instance
    ("celery.worker.request:Request", "_apply_result"),
    ("celery.worker.request:Request", "_already_revoked"),
    ("celery.worker.request:Request", "_already_cancelled"),
    ("celery.worker.request:Request", "_context"),
    ("celery.worker.request:Request", "time_start"),
    ("celery.worker.request:Request", "worker_pid"),
    ("billiard.pool:ApplyResult", "_write_to"),
    ("celery.worker.state", "requests"),
    ("kombu.transport.redis", "loads"),
    ("kombu.transport.redis:Channel", "Message"),
    ("kombu.message:Message", "channel"),
    ("kombu.pidbox:Mailbox", "node_cls"),
    ("celery.worker.state", "active_requests"),
    ("celery.worker.state", "reserved_requests"),
    ("celery.worker.state", "revoked"),
    ("celery.worker.state", "should_terminate"),
    ("kombu.transport.redis:Channel", "_in_poll"),
    ("kombu.transport.redis:Channel", "global_keyprefix"),
    ("kombu.transport.redis:Channel", "keyprefix_queue"),
    ("amqp.spec:Basic", "Qos"),
    ("amqp.serialization", "PROPERTY_CLASSES"),
    ("amqp.serialization", "loads"),
    ("amqp.abstract_channel", "loads"),
]

SET_BY = [
    # of an instance: a method of its class gives it
    ("celery.concurrency.asynpool:AsynPool", "_busy_workers", "__init__"),
    ("billiard.pool:Pool", "_cache", "__init__"),
    ("billiard.pool:ApplyResult", "_job", "__init__"),
    ("celery.app.amqp:Queues", "_consume_from", "select"),
    ("celery.app.base:Celery", "_tasks", "__init__"),
    ("celery.worker.consumer.consumer:Consumer", "on_task_request", "__init__"),
    ("celery.worker.consumer.consumer:Consumer", "task_buckets", "__init__"),
    ("celery.worker.consumer.consumer:Consumer", "connection_errors", "__init__"),
    ("celery.worker.consumer.consumer:Consumer", "hub", "__init__"),
    ("celery.worker.consumer.consumer:Consumer", "timer", "__init__"),
    ("kombu.message:Message", "_state", "__init__"),
    ("kombu.transport.virtual:QoS", "_delivered", "__init__"),
    ("kombu.transport.virtual:QoS", "_dirty", "__init__"),
    ("kombu.common:QoS", "prev", "set"),
    ("kombu.common:QoS", "value", "__init__"),
    ("kombu.asynchronous.hub:Hub", "on_tick", "__init__"),
    ("kombu.transport.redis:Channel", "ResponseError", "__init__"),
    ("amqp.channel:Channel", "callbacks", "__init__"),
    ("amqp.channel:Channel", "cancel_callbacks", "__init__"),
    ("redis.connection:AbstractConnection", "_sock", "__init__"),
]


def there(where: str) -> Any:
    """The module, or the class in it."""
    module, _, name = where.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


@pytest.mark.parametrize(("where", "name", "parameters"), METHODS)
def test_a_method_is_there_and_takes_what_it_is_given(
    where: str, name: str, parameters: tuple[str, ...]
) -> None:
    known = inspect.signature(getattr(there(where), name)).parameters
    assert set(parameters) <= known.keys(), f"{where}.{name}{tuple(known)}"


@pytest.mark.parametrize(("where", "name"), ATTRIBUTES)
def test_an_attribute_is_there(where: str, name: str) -> None:
    assert hasattr(there(where), name)


@pytest.mark.parametrize(("where", "name", "method"), SET_BY)
def test_an_instance_is_given_it(where: str, name: str, method: str) -> None:
    owner = there(where)
    methods = [vars(cls)[method] for cls in owner.__mro__ if method in vars(cls)]
    written = [inspect.unwrap(one) for one in methods if inspect.isfunction(one)]
    assert any(name in one.__code__.co_names for one in written), f"{where}.{method}"


def test_a_request_keeps_its_timer_since_5_7_and_before_there_is_none_to_cancel() -> None:
    keeps = hasattr(there("celery.worker.request:Request"), "_eta_timer_entry")
    assert keeps is (celery.VERSION >= (5, 7))


def test_a_loop_is_woken_by_what_a_thread_tells_it_since_kombu_5_7() -> None:
    wakes = hasattr(Hub(), waker.RELIES_ON)
    assert wakes is (kombu.VERSION >= (5, 7))


def private_names(tree: ast.Module) -> Iterator[str]:
    """Underscored attributes of what is not `self`, but for those that this file itself defines."""
    own = {node.attr for node in ast.walk(tree) if _is_of_self(node)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_of_self(node):
            if _is_private(node.attr) and node.attr not in own:
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)):
                yield str(name.value)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_of_self(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    )


PROMISED = {"_replace", "_meta"}
"""Of named tuples and of Django's models: underscored, and documented."""


def test_private_names_are_reached_into_in_their_homes_alone() -> None:
    found = {}
    for package in ("celery_resources", "autoscaler_app", "worker_tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(HOMES):
                reached = set(private_names(ast.parse(path.read_text()))) - PROMISED
                found.update({name: reached} if reached else {})
    assert found == {"autoscaler_app/beat/entries.py": {"_unpack_fields"}}, (
        "django-celery-beat's, beside its canary"
    )


def test_every_private_name_in_the_homes_is_in_the_table() -> None:
    table = {name for _, name, *_ in (*METHODS, *ATTRIBUTES, *SET_BY)} | {"_eta_timer_entry"}
    for home in HOMES:
        paths = [ROOT / home] if home.endswith(".py") else sorted((ROOT / home).glob("*.py"))
        assert paths
        for path in paths:
            assert set(private_names(ast.parse(path.read_text()))) <= table, path.name
