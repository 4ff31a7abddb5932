"""What the transport reaches into or redefines of kombu and redis-py: where it is, and of what shape.

A release that moves one makes a test red here, and not a message lost there.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from kombu import transport as transports
from kombu.transport import redis as stock
from kombu.transport import virtual
from redis.client import PubSub
from redis.connection import Connection, ConnectionPool

from redis_keeper import qos, transport
from redis_keeper.sentry import own_connection

ROOT = Path(__file__).resolve().parents[3]

METHODS = [
    # of kombu's, redefined here or called: the parameters that they are given
    (stock.Channel, "_brpop_start", ("timeout",)),
    (stock.Channel, "_brpop_read", ("options",)),
    (stock.Channel, "_poll_error", ("type",)),
    (stock.Channel, "_put", ("queue", "message", "kwargs")),
    (stock.Channel, "_get_pool", ()),
    (stock.Channel, "_connparams", ()),
    (stock.Channel, "_lookup", ("exchange", "routing_key")),
    (stock.Channel, "conn_or_acquire", ()),
    (stock.SentinelChannel, "_get_pool", ()),
    (stock.Transport, "_deliver", ("message", "queue")),
    (virtual.Channel, "basic_consume", ("queue", "no_ack", "callback", "consumer_tag")),
    (virtual.Channel, "basic_get", ("queue", "no_ack")),
    (virtual.QoS, "append", ("message", "delivery_tag")),
    (virtual.QoS, "ack", ("delivery_tag",)),
    (stock.QoS, "append", ("message", "delivery_tag")),
    (stock.QoS, "ack", ("delivery_tag",)),
    (stock.QoS, "reject", ("delivery_tag", "requeue")),
    (stock.QoS, "restore_by_tag", ("tag", "client", "leftmost")),
    (stock.QoS, "restore_unacked", ("client",)),
    (stock.QoS, "restore_visible", ("start", "num", "interval")),
    (stock, "Mutex", ("client", "name", "expire")),
    (PubSub, "get_message", ("timeout",)),
    (Connection, "send_command", ()),
    (Connection, "read_response", ()),
]

GIVEN = [
    # of an instance: a method of its class gives it, or names it
    (stock.Channel, "_queue_cycle", "__init__"),
    (virtual.Transport, "_callbacks", "__init__"),
    (virtual.QoS, "_delivered", "__init__"),
    (stock.QoS, "_vrestore_count", "__init__"),
]

ATTRIBUTES = [
    (stock.Channel, "_in_poll"),
    (stock.Channel, "ack_emulation"),
    (stock.Channel, "global_keyprefix"),
    (stock.Channel, "priority_steps"),
    (stock.Channel, "sep"),
    (stock.Channel, "unacked_key"),
    (stock.Channel, "unacked_index_key"),
    (stock.Channel, "Message"),
    (stock.Channel, "active_queues"),
    (stock.QoS, "unacked_mutex_key"),
    (stock.QoS, "unacked_mutex_expire"),
    (stock.QoS, "visibility_timeout"),
    (stock, "MutexHeld"),
    (transports, "TRANSPORT_ALIASES"),
    (transports, "_transport_cache"),
]

OPTIONAL = {"_flush_brpop_reauth", "_maybe_update_queues_expire", "_expires", "_brpop_sent_at"}
"""Of newer ones of kombu; where they are not, they are not needed."""
OF_REDIS_PY = {"_available_connections", "_in_use_connections", "_sock"}


@pytest.mark.parametrize(("owner", "name", "parameters"), METHODS)
def test_a_method_is_there_and_takes_what_it_is_given(
    owner: object, name: str, parameters: tuple[str, ...]
) -> None:
    assert set(parameters) <= inspect.signature(getattr(owner, name)).parameters.keys()


@pytest.mark.parametrize(("owner", "name", "method"), GIVEN)
def test_an_instance_is_given_it(owner: type, name: str, method: str) -> None:
    assert name in inspect.unwrap(getattr(owner, method)).__code__.co_names


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES)
def test_an_attribute_is_there(owner: object, name: str) -> None:
    assert hasattr(owner, name)


def test_a_pool_says_how_its_connections_are_made() -> None:
    connection = own_connection(ConnectionPool(socket_timeout=7))
    assert connection.socket_timeout == 7


def test_kombu_asks_a_channel_for_what_we_redefine() -> None:
    """What would be there, and never called."""
    poller = inspect.getsource(stock.MultiChannelPoller)
    assert "channel._brpop_start()" in poller
    assert "'BRPOP': self._brpop_read" in inspect.getsource(stock.Channel.__init__)
    assert "self.Message(raw_message, channel=self)" in inspect.getsource(virtual.Channel.basic_consume)
    assert stock.Channel.QoS is not transport.Channel.QoS is qos.QoS
    assert transport.Channel.Message is transport.SentinelChannel.Message is transport.Message


def test_every_private_name_is_in_the_tables() -> None:
    table = {name for _, name, *_ in (*METHODS, *GIVEN, *ATTRIBUTES)} | OPTIONAL | OF_REDIS_PY
    for path in sorted((ROOT / "redis_keeper").glob("*.py")):
        tree = ast.parse(path.read_text())
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        own |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        own |= {
            node.target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        reached = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        private = {name for name in reached if name.startswith("_") and not name.startswith("__")}
        assert private - own <= table, path.name
