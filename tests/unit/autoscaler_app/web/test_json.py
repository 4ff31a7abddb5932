"""The JSON forms: how things stand, and whole reports."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from autoscaler_app.passes.plan import Price, Unserved
from autoscaler_app.passes.report import Report
from scalelib.errors import InvalidConfig


def test_status_without_a_pass_has_no_numbers_at_all(web: httpx.Client) -> None:
    facts = web.get("/api/status").json()
    assert (facts["well"], facts["last_pass"]) == (False, None)
    assert "queues" not in facts, "unknown is not empty"


def test_status_tells_what_the_command_tells(web: httpx.Client, world: Any, make: Any) -> None:
    unserved = Unserved(job="huge", count=1, reason="never-fits", detail="ask for less")
    world.write(
        make.report(7, plan=make.plan(unserved=(unserved,), price_per_hour=Price(before=0.5, added=0.1)))
    )
    facts = web.get("/api/status").json()
    assert (facts["well"], facts["troubles"], facts["paused"]) == (True, [], False)
    last = facts["last_pass"]
    assert (last["number"], last["seconds_ago"], last["ended_seconds_ago"], last["ok"]) == (7, 1.0, 0.5, True)
    assert last["summary"].startswith("waiting 7; running 2; nodes 1;")
    assert facts["queues"][0] == {
        "queue": "render",
        "waiting": 7,
        "running": 2,
        "held": 1,
        "oldest_seconds": 90.0,
        "slots": None,
        "run_seconds": None,
    }
    assert facts["nodes"][0]["node"] == "worker-1"
    assert facts["price_per_hour"] == {"before": 0.5, "added": 0.1}
    assert facts["unserved"][0]["detail"] == "ask for less"
    assert facts["cluster_state"] == "Started"


def test_after_a_failed_pass_status_says_whose_sight_it_tells(
    web: httpx.Client, world: Any, make: Any
) -> None:
    world.write(make.report(7), make.failed(8))
    facts = web.get("/api/status").json()
    assert (facts["last_pass"]["number"], facts["seen_by_pass"]) == (8, 7)
    assert facts["troubles"] == ["Pass 8 failed: CloudUnreachable: no answer from the cloud"]


def test_the_journal_gives_whole_reports_newest_first(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(*(make.report(number) for number in range(1, 5)))
    answer = web.get("/api/journal", params={"last": 2})
    assert answer.headers["content-type"] == "application/json"
    read = msgspec.json.decode(answer.content, type=list[Report])
    assert read == world.journal[:2]
    assert [report.number for report in read] == [4, 3]


def test_the_journal_gives_fifty_reports_unless_told(web: httpx.Client, world: Any) -> None:
    assert web.get("/api/journal").json() == []
    assert world.asked == [50]


@pytest.mark.parametrize("last", ["0", "-1", "1001", "ten", "1_0", "١", "", "9" * 5000])
def test_a_number_of_reports_that_makes_no_sense_is_refused_by_name(
    web: httpx.Client, world: Any, last: str
) -> None:
    answer = web.get("/api/journal", params={"last": last})
    assert answer.status_code == 400
    assert answer.json() == {"error": f"last is {last!r}; it is a whole number from 1 to 1000"}
    assert world.asked == [], "nothing is read for it"


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/journal", "/metrics", "/healthz"])
def test_nothing_can_be_changed(web: httpx.Client, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert web.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/journal", "/metrics", "/healthz"])
@pytest.mark.parametrize(
    "trouble",
    [InvalidConfig("state file 'a.db': database is locked"), msgspec.ValidationError("no field `queue`")],
)
def test_a_journal_that_cannot_be_read_is_said_in_a_sentence(
    web: httpx.Client, world: Any, path: str, trouble: Exception
) -> None:
    world.trouble = trouble
    answer = web.get(path)
    assert answer.status_code == 503
    assert answer.text.startswith(f"The journal cannot be read ({type(trouble).__name__}: {trouble})")
    world.trouble = None
    assert web.get("/api/status").status_code == 200, "and is read again once it can be"
