"""Hosts that tell nothing: asked by name, given their time after we were deaf, silent only after that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from autoscaler_app.memory.state import Drain
from autoscaler_app.passes.observe import asking, standing

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOLD_WITHIN = 45.0


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def control(**parts: Any) -> Any:
    settings = SimpleNamespace(autoscaler=SimpleNamespace(told_within=TOLD_WITHIN))
    return SimpleNamespace(settings=settings, now=lambda: NOW, **parts)


def listening_since(moment: datetime | None) -> Any:
    settings = SimpleNamespace(autoscaler=SimpleNamespace(told_within=TOLD_WITHIN))
    return SimpleNamespace(settings=settings, now=NOW, listening_since=moment)


@pytest.mark.parametrize(
    ("listening", "heard", "seconds"),
    [
        pytest.param(None, ago(3600), None, id="while we hear nothing nobody is silent"),
        pytest.param(ago(1), ago(3600), None, id="down for an hour and back: everybody has time to speak up"),
        pytest.param(ago(44), ago(3600), None, id="still within the time in which hosts tell"),
        pytest.param(ago(700), ago(3600), 700.0, id="it could have been heard for so long"),
        pytest.param(ago(3600), ago(700), 700.0, id="heard since we listen: from then on"),
        pytest.param(ago(3600), ago(10), None, id="a sign of life is no account, and no silence"),
        pytest.param(ago(3600), None, None, id="never heard: another path looks after it"),
    ],
)
def test_a_host_is_silent_for_as_long_as_it_could_have_been_heard(
    listening: datetime | None, heard: datetime | None, seconds: float | None
) -> None:
    assert standing._unheard_seconds(listening_since(listening), heard) == seconds


def node(number: int, **parts: Any) -> Any:
    facts = {
        "id": f"n{number}",
        "hostname": f"host-{number}",
        "private_ip": None,
        "managed": True,
        "is_ready": True,
    }
    facts |= parts
    return SimpleNamespace(**facts)


def never_heard(nodes: list[Any], *, ready: float, drains: dict[str, Any] | None = None) -> list[str]:
    """Who is asked, of nodes Ready for so long; `host-1` was heard, `n2` is known from before."""
    asked: list[str] = []
    made = control(
        activity=SimpleNamespace(hosts=lambda: [SimpleNamespace(hostname="host-1", workers=())]),
        state=SimpleNamespace(drains=lambda: drains or {}),
        listener=object(),
        reluctant=SimpleNamespace(
            have_told=lambda hosts: None, ask=lambda workers, command, names, *_: asked.extend(sorted(names))
        ),
        workers=None,
    )
    known: Any = {"n2": SimpleNamespace(hostname="host-2", nodenames=("w1@host-2", "w2@host-2"), tasks=())}
    history: Any = {f"n{i}": SimpleNamespace(ready=ago(ready)) for i in range(9)}
    asking._ask_the_quiet(made, known, history, SimpleNamespace(nodes=nodes))  # type: ignore[arg-type]
    return asked


def test_who_was_heard_is_not_asked_again() -> None:
    assert never_heard([node(1)], ready=500) == []


def test_who_is_known_from_before_a_restart_is_asked_at_once_by_name() -> None:
    assert never_heard([node(2)], ready=1) == ["w1@host-2", "w2@host-2"]


def test_who_never_said_anything_is_asked_by_the_usual_name_once_it_had_time_to_speak() -> None:
    assert never_heard([node(3)], ready=TOLD_WITHIN - 1) == []
    assert never_heard([node(3)], ready=TOLD_WITHIN + 1) == ["celery@host-3"]


@pytest.mark.parametrize("facts", [{"managed": False}, {"is_ready": False}, {"hostname": ""}])
def test_what_is_no_ready_node_of_ours_is_not_asked(facts: dict[str, Any]) -> None:
    assert never_heard([node(3, **facts)], ready=500) == []


def test_a_worker_that_was_told_to_shut_down_is_left_alone() -> None:
    going = Drain(
        node_id="n3", hostname="host-3", reason="idle", chosen=ago(9), fenced=ago(8), shut_down=ago(5)
    )
    assert never_heard([node(3)], ready=500, drains={"n3": going}) == []
