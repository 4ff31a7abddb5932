"""Notes on their way: from any app, whatever its settings, into the control side's hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from autoscaler_app.brokers.inbox import AT_MOST, open_inbox
from celery_resources import with_resources
from celery_resources.sending.notes import send_note

MakeApp = Callable[..., Celery]

ODD: dict[str, dict[str, Any]] = {
    "plain": {},
    "pickle": {"task_serializer": "pickle", "accept_content": ["pickle"], "event_serializer": "pickle"},
    "compressed": {"task_compression": "gzip"},
    "protocol 1": {"task_protocol": 1},
    "quorum": {"task_default_queue_type": "quorum", "worker_detect_quorum_queues": True},
    "priorities": {"task_queue_max_priority": 10, "task_default_priority": 5},
    "topic": {"task_default_exchange": "mine", "task_default_exchange_type": "topic"},
    "eager": {"task_always_eager": True},
    "no missing queues": {"task_create_missing_queues": False},
    "routes": {"task_routes": {"*": {"queue": "elsewhere"}}},
    "transient": {"task_default_delivery_mode": "transient"},
}

SENDING = {name: settings for name, settings in ODD.items() if name != "eager"}


def take_all(inbox: Any) -> list[Any]:
    found: list[Any] = []
    while bodies := inbox.take():
        found += [json.loads(body) for body in bodies]
        inbox.done()
    return found


@pytest.mark.parametrize("settings", ODD.values(), ids=ODD.keys())
def test_a_note_arrives_as_it_was_said_whatever_the_app_has_set(
    url: str, make_app: MakeApp, settings: dict[str, Any]
) -> None:
    control = make_app(url)
    with open_inbox(control, "autoscale") as inbox:
        send_note(make_app(url, **settings), "autoscale", kind="announce", queue="q")
        assert take_all(inbox) == [{"kind": "announce", "queue": "q"}]


@pytest.mark.parametrize("settings", SENDING.values(), ids=SENDING.keys())
def test_the_first_task_of_a_kind_announces_it_whatever_the_app_has_set(
    url: str, make_app: MakeApp, settings: dict[str, Any]
) -> None:
    producer = with_resources(make_app(url, resource_control_queue="autoscale", **settings))
    with open_inbox(make_app(url), "autoscale") as inbox:
        producer.send_task("t", constraints={"ncpus": 2})
        (note,) = take_all(inbox)
    assert note == {
        "kind": "announce",
        "queue": "res:ncpus=2@elsewhere" if "task_routes" in settings else "res:ncpus=2",
        "requirement": {"constraints": {"ncpus": 2}},
    }


def test_what_was_said_before_any_control_worker_ran_is_there_when_one_does(
    url: str, make_app: MakeApp
) -> None:
    send_note(make_app(url), "autoscale", kind="announce", queue="early")
    send_note(make_app(url), "autoscale", kind="announce", queue="later")
    with open_inbox(make_app(url), "autoscale") as inbox:
        assert [note["queue"] for note in take_all(inbox)] == ["early", "later"]


def test_what_was_taken_and_not_remembered_comes_again(url: str, make_app: MakeApp) -> None:
    app = make_app(url)
    with open_inbox(app, "autoscale") as inbox:
        for number in range(3):
            send_note(app, "autoscale", number=number)
        assert len(inbox.take()) == 3
    with open_inbox(app, "autoscale") as inbox:
        assert [note["number"] for note in take_all(inbox)] == [0, 1, 2]
    with open_inbox(app, "autoscale") as inbox:
        assert inbox.take() == []


def test_many_are_taken_at_a_time_in_their_order(url: str, make_app: MakeApp) -> None:
    app = make_app(url)
    with open_inbox(app, "autoscale") as inbox:
        with app.producer_pool.acquire(block=True) as producer:
            for number in range(AT_MOST + 7):
                producer.publish(
                    json.dumps(number),
                    exchange="",
                    routing_key="autoscale.notes",
                    content_type="application/json",
                )
        sizes, numbers = [], []
        while bodies := inbox.take():
            sizes.append(len(bodies))
            numbers += [int(body) for body in bodies]
            inbox.done()
    assert numbers == list(range(AT_MOST + 7))
    assert max(sizes) <= AT_MOST
    assert len(sizes) < 50


def test_a_note_that_cannot_be_unpacked_comes_as_it_is_and_keeps_no_other_back(
    url: str, make_app: MakeApp
) -> None:
    app = make_app(url)
    with open_inbox(app, "autoscale") as inbox:
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                b"odd",
                exchange="",
                routing_key="autoscale.notes",
                content_type="application/json",
                content_encoding="utf-8",
                headers={"compression": "nonsense"},
            )
        send_note(app, "autoscale", kind="left")
        found: list[bytes] = []
        while bodies := inbox.take():
            found += bodies
            inbox.done()
    assert found == [b"odd", b'{"kind":"left"}']


@pytest.mark.parametrize(
    "element",
    [b"x", b"[]", b"{}", b"\xff\xfe", b'{"body": 5, "properties": {}}', b'{"body": "!", "properties": 5}'],
)
def test_an_element_of_the_list_that_is_no_message_comes_as_it_is_and_harms_nobody(
    valkey_url: str, make_app: MakeApp, element: bytes
) -> None:
    app = make_app(valkey_url)
    with app.connection_for_read() as connection:
        connection.default_channel.client.lpush("autoscale.notes", element)
    send_note(app, "autoscale", kind="left")
    with open_inbox(app, "autoscale") as inbox:
        garbage, note = inbox.take()
        inbox.done()
    assert json.loads(note) == {"kind": "left"}
    assert garbage in (element, b"5")


def test_a_queue_of_notes_that_somebody_made_in_another_way_serves_as_well(
    amqp_url: str, make_app: MakeApp
) -> None:
    app = make_app(amqp_url)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_declare(
            "autoscale.notes", durable=True, auto_delete=False, arguments={"x-max-priority": 10}
        )
    with open_inbox(app, "autoscale") as inbox:
        send_note(app, "autoscale", kind="left")
        assert take_all(inbox) == [{"kind": "left"}]


def test_a_key_prefix_is_honoured(valkey_url: str, make_app: MakeApp) -> None:
    app = make_app(valkey_url, broker_transport_options={"global_keyprefix": "tenant:"})
    send_note(app, "autoscale", kind="left")
    with app.connection_for_read() as connection:
        assert connection.default_channel.client.llen("autoscale.notes") == 1, "kombu puts the prefix before"
    with open_inbox(app, "autoscale") as inbox:
        assert take_all(inbox) == [{"kind": "left"}]
