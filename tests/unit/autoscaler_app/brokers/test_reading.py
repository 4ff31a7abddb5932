"""What a message says is read up to a bound, whatever it is packed into."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Consumer, Producer, Queue, compression, serialization

from autoscaler_app.brokers import reading


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a control worker; with a bound that is quickly reached."""
    before = [(compression.get_encoder(each)[0], compression.get_decoder(each), each) for each in KINDS]
    monkeypatch.setattr(reading, "MOST", 1000)
    reading.bound_unpacking()
    yield
    for codec in before:
        compression.register(*codec)


KINDS = compression.encoders()
STANDARD = ["application/x-gzip", "application/x-bz2", "application/x-lzma"]


def arrived(body: object, compressed: str | None, serializer: str = "json") -> Any:
    """The message as it comes out of a broker."""
    found: list[Any] = []
    with Connection("memory://") as connection, connection.channel() as channel:
        queue = Queue("reading", exchange="", routing_key="reading")
        consumer = Consumer(channel, [queue], no_ack=True, on_message=found.append)
        consumer.on_decode_error = lambda message, error: found.append(message)
        with consumer:
            Producer(channel).publish(
                body, routing_key="reading", serializer=serializer, compression=compressed
            )
            connection.drain_events(timeout=5)
    return found[0]


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("kind", [None, *STANDARD])
def test_what_is_not_too_much_is_read_however_it_is_packed(kind: str | None) -> None:
    assert reading.json_of(arrived({"a": [1, 2]}, kind)) == {"a": [1, 2]}


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("kind", [None, *STANDARD])
def test_what_is_too_much_is_not(kind: str | None) -> None:
    message = arrived("x" * 998, kind)
    assert len(reading.json_of(message)) == 998
    message = arrived("x" * 999, kind)
    assert len(message.body) <= 1001, "nor is it unpacked"
    with pytest.raises(ValueError, match="no JSON" if kind else "bytes; at most"):
        reading.json_of(message)


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("kind", STANDARD)
def test_what_is_cut_off_or_no_such_thing_is_an_error(kind: str) -> None:
    packed = compression.compress(json.dumps("x" * 500), kind)[0]
    for body in (packed[:-4], b"", b"none"):
        with pytest.raises(Exception, match=r"."):
            compression.decompress(body, kind)


def test_a_way_of_compressing_that_cannot_be_bounded_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_UNPACKERS", {})
    before = [(compression.get_encoder(each)[0], compression.get_decoder(each), each) for each in KINDS]
    reading.bound_unpacking()
    try:
        assert "uncompressed would be right" in str(arrived("x", "gzip").errors[0][1])
    finally:
        for codec in before:
            compression.register(*codec)


def test_what_could_run_code_is_not_read_also_where_the_app_allows_it() -> None:
    serialization.enable_insecure_serializers(["pickle"])
    try:
        with pytest.raises(ValueError, match="ContentDisallowed"):
            reading.json_of(arrived({"a": 1}, None, serializer="pickle"))
    finally:
        serialization.disable_insecure_serializers()


def test_what_is_no_json_is_an_error_whatever_is_wrong_with_it() -> None:
    def decode() -> Any:
        raise KeyError("odd")

    with pytest.raises(ValueError, match="no JSON \\(KeyError"):
        reading.json_of(SimpleNamespace(body=b"", decode=decode))
