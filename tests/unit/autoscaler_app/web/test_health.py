"""The health check: 200 while passes come and succeed, else 503 with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx

from autoscaler_app.passes.report import Action

Open = Callable[..., httpx.Client]


def test_no_pass_yet_is_not_well(web: httpx.Client) -> None:
    answer = web.get("/healthz")
    assert answer.status_code == 503
    assert answer.text.startswith("No pass has been made yet")


def test_a_young_pass_that_did_not_fail_is_well(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.report(3))
    answer = web.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "Pass 3 ended 0.5 s ago.\n")


def test_a_failed_pass_is_not_well_until_one_succeeds(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.failed(3))
    answer = web.get("/healthz")
    assert answer.status_code == 503
    assert answer.text == "Pass 3 failed: CloudUnreachable: no answer from the cloud\n"
    world.write(make.report(4))
    assert web.get("/healthz").status_code == 200


def test_an_action_in_vain_is_no_failed_pass(web: httpx.Client, world: Any, make: Any) -> None:
    """Capacity that is not to be had is met every day and wakes nobody."""
    world.write(make.report(3, ok=False, actions=(Action(kind="launch", target="2 x F4", ok=False),)))
    assert web.get("/healthz").status_code == 200


def test_the_age_from_which_a_pass_is_old_can_be_given(opened: Open, world: Any, make: Any) -> None:
    web = opened(max_age=timedelta(seconds=20))
    world.write(make.report(1))
    ended = world.journal[0].started + timedelta(seconds=0.5)
    world.clock = ended + timedelta(seconds=20)
    assert web.get("/healthz").status_code == 200
    world.clock = ended + timedelta(seconds=21)
    answer = web.get("/healthz")
    assert answer.status_code == 503
    assert answer.text.startswith("The last pass ended 21 s ago, and one is due every 15 s:")


def test_a_long_pass_is_as_young_as_its_end(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.report(1, seconds=600.0))
    world.clock = world.journal[0].started + timedelta(seconds=610)
    assert web.get("/healthz").text == "Pass 1 ended 10 s ago.\n"


def test_both_troubles_are_told(web: httpx.Client, world: Any, make: Any) -> None:
    world.write(make.failed(1))
    world.clock += timedelta(hours=3)
    assert web.get("/healthz").text.startswith(
        "Pass 1 failed: CloudUnreachable: no answer from the cloud The last pass ended 3 h ago"
    )
