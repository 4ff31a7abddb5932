"""The control worker starts on the broker node and nowhere else."""

from __future__ import annotations

import pytest

from autoscaler_app.worker.pinning import ANYWHERE, why_not_here, why_not_this_host


@pytest.mark.parametrize(
    ("urls", "control_host"),
    [
        (["redis://127.0.0.1:6379/0"], ""),
        (["redis://localhost/0"], ""),
        (["amqp://guest:secret@10.1.2.3//"], ""),
        (["redis:///0"], ""),
        (["amqp://nowhere.invalid//"], "node-1"),
        (["amqp://nowhere.invalid//"], "NODE-1.example.org"),
        (["amqp://nowhere.invalid//", "amqp://10.1.2.3//"], ""),
    ],
)
def test_it_may_start_where_the_broker_is_or_where_it_is_told(urls: list[str], control_host: str) -> None:
    assert why_not_here(urls, control_host, hostname="node-1", addresses={"10.1.2.3"}) is None


def test_elsewhere_it_is_told_which_host_and_how_to_mend_it() -> None:
    reason = why_not_here(["amqp://guest:secret@192.0.2.7//"], "", hostname="node-1", addresses={"10.1.2.3"})
    assert reason is not None
    assert "192.0.2.7" in reason
    assert "node-1" in reason
    assert "control_host" in reason
    assert ANYWHERE in reason
    assert "secret" not in reason


def test_the_named_host_wins_over_the_broker_address() -> None:
    reason = why_not_here(["redis://127.0.0.1"], "broker-7", hostname="node-1", addresses={"127.0.0.1"})
    assert reason is not None
    assert "broker-7" in reason


def test_it_starts_anywhere_when_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not_this_host(["redis://192.0.2.7"], "") is not None
    monkeypatch.setenv(ANYWHERE, "1")
    assert why_not_this_host(["redis://192.0.2.7"], "") is None
