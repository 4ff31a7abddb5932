"""A pass is asked for when something happened; a broker that is away is no reason to stop asking."""

from __future__ import annotations

import pytest
from celery import Celery

from autoscaler_app.worker import steps as worker


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_asking_for_a_pass_while_the_broker_is_away_says_so_and_goes_on(
    broker: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that asks would otherwise end, and no new work would ask for a pass any more."""
    away = Celery(broker=broker, set_as_current=False)
    away.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    monkeypatch.setattr(worker, "app", away)
    worker._ask_for_a_pass()
    worker._ask_for_a_pass()
    assert caplog.text.count("could not ask for a pass") == 2
