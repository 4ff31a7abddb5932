"""What comes with an AMQP message and cannot be read is set aside; all else is read as py-amqp reads it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from amqp import abstract_channel, serialization
from amqp.basic_message import Message
from amqp.spec import Basic
from kombu.transport import redis as transport

from celery_resources.insides import garbage

DELIVER = "sLbss"


@pytest.fixture(autouse=True)
def surviving() -> Iterator[None]:
    """As in a worker; afterwards as it was."""
    before = transport.loads, transport.Channel.Message, abstract_channel.loads
    properties = serialization.PROPERTY_CLASSES[Basic.CLASS_ID]
    garbage.survive_garbage()
    yield
    transport.loads, transport.Channel.Message, abstract_channel.loads = before
    serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = properties


def arrived(properties: bytes) -> Message:
    """A message with an empty body and these properties, as they lie in their frame."""
    message = Message()
    message.inbound_header(struct.pack(">HHQ", Basic.CLASS_ID, 0, 0) + properties)
    return message


def headers(item: bytes) -> bytes:
    """Properties that are a table with one field."""
    table = b"\x01x" + item
    return b"\x20\x00" + struct.pack(">I", len(table)) + table


def deep(levels: int) -> bytes:
    item = b"V"
    for _ in range(levels):
        item = b"F" + struct.pack(">I", len(item) + 1) + b"\x00" + item
    return item


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(b"\x80\x00\x01\xff", id="a content type that is no UTF-8"),
        pytest.param(headers(b"T" + struct.pack(">Q", 2**62)), id="a time that no clock has"),
        pytest.param(headers(b"?"), id="a kind of value that there is not"),
        pytest.param(headers(deep(3000)), id="a table of great depth"),
        pytest.param(b"\x80", id="cut off"),
    ],
)
def test_properties_that_cannot_be_read_are_those_of_no_message(
    properties: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = garbage.set_aside.count
    message = arrived(properties)
    assert message.ready
    assert message.properties["content_type"] == garbage.TYPE
    assert garbage.set_aside.count == before + 1
    assert "cannot be read" in caplog.text
    assert caplog.text.isascii()


def test_those_that_can_are_read() -> None:
    written = Message(content_type="a/b", application_headers={"x": {"y": 1}})._serialize_properties()
    assert arrived(written).properties == {"content_type": "a/b", "application_headers": {"x": {"y": 1}}}


def test_a_routing_key_that_is_no_utf8_moves_nothing_else() -> None:
    key = b"a\xff\xc3\xa9"
    for routing_key, read in ((key, "a???"), (key[:1] + key[2:], "aé")):
        buf = b"\x03tag" + struct.pack(">Q", 2**63 + 200) + b"\x01" + b"\x01e"
        buf += struct.pack("B", len(routing_key)) + routing_key
        found, _ = abstract_channel.loads(DELIVER, b"...." + buf, 4)
        assert found == ["tag", 2**63 + 200, True, "e", read]


def test_what_cannot_be_mended_is_an_error_as_ever() -> None:
    with pytest.raises(UnicodeDecodeError):
        abstract_channel.loads("sT", b"\x01\xff" + bytes(8), 0)
