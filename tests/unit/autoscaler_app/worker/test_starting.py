"""What is looked at, and armed, before a control worker begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.worker import steps
from autoscaler_app.worker.pinning import Place


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What it was armed against; and it is where it should be."""
    armed: list[str] = []
    settings = SimpleNamespace(autoscaler=SimpleNamespace(control_host=""))
    monkeypatch.setattr(steps, "control", lambda: SimpleNamespace(settings=settings))
    monkeypatch.setattr(steps, "survive_what_comes", lambda: armed.append("garbage"))
    monkeypatch.setattr(steps, "survive_outages", lambda: armed.append("outages"))
    monkeypatch.setattr(steps.pinning, "this_place", lambda urls, host: Place(is_right=True, why="here"))
    return armed


def worker_of(*queues: str) -> Any:
    return SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
    )


def test_it_outlives_garbage_and_outages_and_warns_of_a_short_visibility_timeout(
    armed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps.StaysHome(worker_of("autoscale"))
    assert armed == ["garbage", "outages"]
    assert "visibility_timeout" not in caplog.text
    conf = SimpleNamespace(
        broker_transport_options={"visibility_timeout": 3600}, broker_read_url=None, broker_url="redis://x"
    )
    monkeypatch.setattr(steps, "app", SimpleNamespace(conf=conf))
    steps.StaysHome(worker_of("autoscale"))
    assert "visibility_timeout of 3600 s" in caplog.text


def test_a_worker_of_other_queues_is_none_of_our_business(armed: list[str]) -> None:
    steps.StaysHome(worker_of("celery"))
    assert armed == []


def test_elsewhere_it_does_not_start(
    armed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Place(is_right=False, why="the broker is elsewhere")
    monkeypatch.setattr(steps.pinning, "this_place", lambda urls, host: elsewhere)
    with pytest.raises(SystemExit) as end:
        steps.StaysHome(worker_of("autoscale"))
    assert end.value.code == 78
    assert "control worker not started: the broker is elsewhere" in capsys.readouterr().err
