"""What a pass says of messages that were taken and that no worker has, on RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.settings import Autoscaler, Settings
from cyclecloud_emulator import settings
from cyclecloud_emulator.emulator import Emulator
from tests.rabbitmq import RabbitMQ

OpenControl = Callable[[str], Control]
pytestmark = pytest.mark.timeout(300)  # the node may have to be started first


@pytest.fixture
def open_control(own_amqp_url: str, tmp_path: Path) -> Iterator[OpenControl]:
    """The control side, with the management plugin at an address."""
    bare = settings.replace(settings.load(), nodes={"kind": "none", "boot_seconds": 3600.0})
    opened: list[Control] = []
    with Emulator.start(bare) as emulator, Celery(broker=own_amqp_url) as app:

        def open_(management_url: str) -> Control:
            config = {
                "url": emulator.url,
                "username": emulator.user,
                "password": emulator.password,
                "cluster_name": emulator.cluster,
            }
            section = Autoscaler(ask_timeout=0.5, rabbitmq_management_url=management_url)
            opened.append(Control.open(app, Settings(config=config, autoscaler=section, folder=tmp_path)))
            return opened[-1]

        yield open_
        for control in opened:
            control.close()


def test_the_report_says_how_many_no_worker_has(
    open_control: OpenControl, own_rabbitmq: RabbitMQ, wait_until: Callable[..., object]
) -> None:
    control = open_control(own_rabbitmq.management_url)
    for _ in range(3):
        control.app.send_task("some.task", queue="celery")
    with control.app.connection_for_read() as connection:
        queue = control.app.amqp.queues["celery"](connection.default_channel)
        for _ in range(2):
            # What was sent over another connection may be a moment away.
            wait_until(queue.get, what="a message is there")

        def said() -> int | None:
            made = make_pass(control)
            assert made.saw is not None
            return made.saw.unaccounted

        wait_until(lambda: said() == 2, what="the plugin's statistics have it")


def test_a_plugin_that_does_not_answer_is_said_and_stops_no_pass(open_control: OpenControl) -> None:
    control = open_control("http://127.0.0.1:1")
    control.app.send_task("some.task", queue="celery")
    made = make_pass(control)
    assert made.ok
    assert made.saw is not None
    assert made.saw.unaccounted is None
    assert [text for text in made.saw.warnings if "unacknowledged is unknown: no answer" in text]
    assert made.plan is not None
    assert made.plan.launch, "what waits is served as ever"
