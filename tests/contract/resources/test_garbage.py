"""What lies in a queue and is no message: it is set aside and told, and ends nobody."""

from __future__ import annotations

from collections.abc import Callable

from resource_nodes import Lab

ELEMENTS = [
    b"x",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"5",
    b'{"body": 5, "properties": {}}',
    b'{"body": "a", "headers": {}, "properties": {"delivery_tag": "1", "body_encoding": "base64", '
    b'"delivery_info": {"exchange": "", "routing_key": "one"}}}',
]


def test_a_node_works_on_after_elements_that_are_no_messages(
    make_lab: Callable[..., Lab], valkey_url: str
) -> None:
    """A queue of RabbitMQ holds messages and nothing else."""
    lab = make_lab(valkey_url)
    node = lab.node("n1").wait_ready()
    node.join("one")
    pid = node.ask("resources")["pid"]
    with lab.app.connection_for_write() as connection:
        client = connection.default_channel.client
        for element in ELEMENTS:
            client.lpush("res:ncpus=1", element)
    lab.wait_finished([lab.send("one", "work", 0.01) for _ in range(3)])
    told = node.ask("resources")
    assert told["pid"] == pid, "the same process"
    assert told["garbage"] == len(ELEMENTS)
    assert node.log.read_text().count("no message") >= len(ELEMENTS)
