"""Launches that are settled: after every answer, after none, and after a restart."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cyclecloud_api.client import CycleCloudClient
from cyclecloud_api.intents import Fate, MemoryIntents
from cyclecloud_api.provider import CycleCloudProvider
from cyclecloud_api.watch import Watch
from scalelib.errors import (
    CloudGarbled,
    CloudNotFound,
    CloudRefused,
    CloudTrouble,
    CloudUnauthorised,
    CloudUnreachable,
)
from scalelib.provider import LaunchRequest

if TYPE_CHECKING:
    from conftest import Server

Make = Callable[..., dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WISH = LaunchRequest(request_id="r", nodearray="worker", vm_size="Standard_D4s_v5", count=3)
NEVER = {"Message": "No operation found for request id r"}
ADDED = {"operationId": "op", "sets": [{"added": 3}]}
NONE: dict[str, Any] = {"nodes": []}


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def intents() -> MemoryIntents:
    return MemoryIntents()


@pytest.fixture
def provider(client: CycleCloudClient, clock: Clock, intents: MemoryIntents) -> CycleCloudProvider:
    return CycleCloudProvider(client, intents=intents, now=clock)


def fate(intents: MemoryIntents) -> Fate:
    found = intents.find("r")
    assert found is not None
    return found.fate


def test_an_intent_is_written_before_the_call(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents
) -> None:
    seen: list[Fate] = []

    def create(request: httpx.Request) -> httpx.Response:
        seen.append(fate(intents))
        return httpx.Response(202, json=ADDED)

    server.doing(create).then(200, {"nodes": []})
    provider.launch(WISH)
    assert seen == [Fate.OPEN]
    assert fate(intents) is Fate.DONE


@pytest.mark.parametrize(
    ("prepare", "error", "expected"),
    [
        (lambda s: s.failing(httpx.ReadTimeout("slow")), CloudUnreachable, Fate.OPEN),
        (lambda s: s.failing(httpx.RemoteProtocolError("cut")), CloudUnreachable, Fate.OPEN),
        (lambda s: s.failing(httpx.ConnectError("refused")), CloudUnreachable, Fate.REFUSED),
        (lambda s: s.then(500, "oops"), CloudTrouble, Fate.OPEN),
        (lambda s: s.then(202, "<html>"), CloudGarbled, Fate.OPEN),
        (lambda s: s.then(202, {"operationId": "o"}), CloudGarbled, Fate.OPEN),
        (lambda s: s.then(409, "bad").then(404, NEVER), CloudRefused, Fate.REFUSED),
        (lambda s: s.then(409, "bad").failing(httpx.ConnectError("refused")), CloudUnreachable, Fate.OPEN),
        (lambda s: s.then(409, "bad").then(503, "busy"), CloudTrouble, Fate.OPEN),
        (lambda s: s.then(400, "bad"), CloudRefused, Fate.REFUSED),
        (lambda s: s.then(401, ""), CloudUnauthorised, Fate.REFUSED),
    ],
)
def test_an_intent_stays_open_exactly_if_its_fate_is_unknown(
    provider: CycleCloudProvider,
    server: Server,
    intents: MemoryIntents,
    prepare: Callable[[Server], object],
    error: type[Exception],
    expected: Fate,
) -> None:
    prepare(server)
    with pytest.raises(error):
        provider.launch(WISH)
    assert fate(intents) is expected


def test_the_same_id_again_is_answered_from_the_books(
    provider: CycleCloudProvider, server: Server, node: Make
) -> None:
    server.then(202, ADDED).then(200, {"nodes": [node(1), node(2), node(3)]})
    first = provider.launch(WISH)
    assert provider.launch(WISH) == first
    assert len(server.sent) == 2


def test_a_launch_that_did_arrive_is_adopted(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents, node: Make
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    server.then(200, {"nodes": [node(1), node(2), node(3)], "operation": {}})
    (settled,) = provider.settle()
    assert (settled.request_id, settled.added) == ("r", 3)
    assert fate(intents) is Fate.DONE
    assert provider.settle() == []


def test_a_lost_answer_is_not_held_against_an_offering_that_did_deliver(
    provider: CycleCloudProvider, server: Server, status: Make, node: Make
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    server.then(200, {"nodes": [node(1), node(2), node(3)], "operation": {}})
    provider.settle()
    server.then(body=status(nodes=[node(1), node(2), node(3)]))
    assert [b.set_aside for b in provider.cloud().buckets] == [""]


def test_a_launch_that_never_arrived_is_sent_again_with_its_own_id(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    server.then(404, NEVER).then(200, NONE).then(202, ADDED).then(200, {"nodes": []})
    (settled,) = provider.settle()
    assert settled.added == 3
    bodies = [r.content for r in server.requests if r.method == "POST"]
    assert bodies[0] == bodies[1]
    assert fate(intents) is Fate.DONE


def test_a_repeat_that_cannot_be_sent_does_not_give_up_what_may_be_on_its_way(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents
) -> None:
    """Given up, it would get a substitute with another id, and both would arrive."""
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    server.then(404, NEVER).then(200, NONE).failing(httpx.ConnectError("refused"))
    with pytest.raises(CloudUnreachable):
        provider.settle()
    assert fate(intents) is Fate.OPEN
    server.then(200, {"nodes": [], "operation": {}})
    provider.settle()
    assert fate(intents) is Fate.DONE


def test_an_old_launch_that_never_arrived_is_given_up(
    provider: CycleCloudProvider, server: Server, clock: Clock, intents: MemoryIntents
) -> None:
    """What was wanted then says little about what is wanted now."""
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    clock.later(301)
    server.then(404, NEVER)
    (settled,) = provider.settle()
    assert settled.added == 0
    assert fate(intents) is Fate.LOST


@pytest.mark.parametrize("code", [500, 503])
def test_a_launch_that_the_server_answered_with_trouble_is_given_up(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents, code: int
) -> None:
    """It is not on its way any more, and the next plan may have gone elsewhere."""
    server.then(code, "busy")
    with pytest.raises(CloudTrouble):
        provider.launch(WISH)
    server.then(404, NEVER)
    (settled,) = provider.settle()
    assert settled.added == 0
    assert fate(intents) is Fate.LOST
    assert sum(r.method == "POST" for r in server.requests) == 1


@pytest.mark.parametrize("code", [502, 504])
def test_behind_a_gateway_it_may_still_be_on_its_way(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents, code: int
) -> None:
    server.then(code, "gateway")
    with pytest.raises(CloudTrouble):
        provider.launch(WISH)
    server.then(404, NEVER).then(200, NONE).then(202, ADDED).then(200, {"nodes": []})
    provider.settle()
    assert fate(intents) is Fate.DONE


def test_one_launch_is_sent_three_times_at_most(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    for _ in range(2):
        server.then(404, NEVER).then(200, NONE).failing(httpx.ReadTimeout("slow"))
        with pytest.raises(CloudUnreachable):
            provider.settle()
    server.then(404, NEVER)
    provider.settle()
    assert fate(intents) is Fate.LOST
    assert sum(r.method == "POST" for r in server.requests) == 3


def test_while_growth_is_stopped_nothing_is_sent_again(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents, status: Make, node: Make
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    bad = [node(i, Status="Failed", StatusMessage="script") for i in range(4)]
    server.then(body=status(nodes=bad))
    provider.cloud()
    server.then(404, NEVER)
    assert provider.settle() == []
    assert fate(intents) is Fate.OPEN
    assert sum(r.method == "POST" for r in server.requests) == 1


def test_nothing_is_settled_while_the_server_cannot_be_asked(
    provider: CycleCloudProvider, server: Server, intents: MemoryIntents
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    server.then(503, "busy")
    with pytest.raises(CloudTrouble):
        provider.settle()
    assert fate(intents) is Fate.OPEN


def test_what_is_set_aside_costs_no_call(
    provider: CycleCloudProvider, server: Server, clock: Clock, status: Make
) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 0, "message": "no capacity"}]})
    assert provider.launch(WISH).added == 0
    again = LaunchRequest(request_id="r2", nodearray="worker", vm_size="Standard_D4s_v5", count=9)
    refused = provider.launch(again)
    assert refused.added == 0
    assert refused.message.startswith("set aside: no capacity")
    assert len(server.sent) == 1
    server.then(body=status())
    provider.cloud()
    assert list(provider.set_aside()) == ["id-Standard_D4s_v5"]


def test_a_probe_asks_for_one_node_and_says_so(
    provider: CycleCloudProvider, server: Server, clock: Clock
) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 0, "message": "no capacity"}]})
    provider.launch(WISH)
    clock.later(301)
    server.then(202, {"operationId": "op", "sets": [{"added": 1}]}).then(200, {"nodes": []})
    again = LaunchRequest(request_id="r2", nodearray="worker", vm_size="Standard_D4s_v5", count=9)
    probe = provider.launch(again)
    assert probe.added == 1
    assert "one node first" in probe.message
    assert b'"count":1' in server.requests[1].content


def test_a_persistently_refusing_offering_gets_at_most_ten_creates_an_hour(
    provider: CycleCloudProvider, server: Server, clock: Clock
) -> None:
    server.then(202, {"operationId": "op", "sets": [{"added": 0, "message": "nothing for you"}]})
    for number in range(240):
        provider.launch(
            LaunchRequest(request_id=f"r{number}", nodearray="worker", vm_size="Standard_D4s_v5", count=9)
        )
        clock.later(15)
    assert 2 <= len(server.sent) <= 10


@pytest.mark.parametrize("code", [302, 400, 403, 404, 409])
def test_a_create_that_is_refused_outright_is_not_sent_at_every_pass(
    provider: CycleCloudProvider, server: Server, clock: Clock, code: int
) -> None:
    server.doing(lambda request: httpx.Response(code if request.method == "POST" else 404, json=NEVER))
    for number in range(240):
        wish = LaunchRequest(request_id=f"r{number}", nodearray="worker", vm_size="Standard_D4s_v5", count=9)
        with contextlib.suppress(CloudRefused, CloudUnauthorised, CloudNotFound):
            provider.launch(wish)
        clock.later(15)
    assert 2 <= sum(r.method == "POST" for r in server.requests) <= 10


def test_a_request_id_belongs_to_the_situation(
    provider: CycleCloudProvider, server: Server, status: Make, node: Make
) -> None:
    def named() -> str:
        return provider.request_id(
            nodearray="worker", vm_size="Standard_D4s_v5", count=3, spot=False, placement_group=None
        )

    server.then(body=status(nodes=[node(1)]))
    provider.cloud()
    first = named()
    assert named() == first
    server.then(202, ADDED).then(200, {"nodes": []})
    provider.launch(WISH)
    assert named() != first


def test_a_late_arrival_is_found_and_the_books_are_put_right(
    provider: CycleCloudProvider,
    server: Server,
    clock: Clock,
    intents: MemoryIntents,
    status: Make,
    node: Make,
) -> None:
    server.failing(httpx.ReadTimeout("slow"))
    with pytest.raises(CloudUnreachable):
        provider.launch(WISH)
    clock.later(301)
    server.then(404, NEVER)
    provider.settle()
    server.then(body=status(nodes=[node(1, RequestId="r"), node(2)]))
    provider.cloud()
    assert [o.name for o in provider.sweep()] == ["worker-1"]
    assert fate(intents) is Fate.DONE
    assert provider.sweep() == ()


def test_a_record_of_ours_without_a_machine_is_removed_once_two_looks_agree(
    provider: CycleCloudProvider, server: Server, clock: Clock, status: Make, node: Make
) -> None:
    server.then(202, ADDED).then(200, {"nodes": [node(1)]})
    provider.launch(WISH)
    server.then(body=status(nodes=[node(1, RequestId="r"), node(2)]))
    provider.cloud()
    left = node(1, RequestId="r", Status="Off", TargetState="Terminated")
    server.then(body=status(nodes=[left, node(2)]))
    provider.cloud()
    assert provider.sweep() == ()
    clock.later(15)
    provider.cloud()
    server.then(202, {"operationId": "o", "nodes": []})
    assert [o.name for o in provider.sweep()] == ["worker-1"]
    assert server.requests[-1].content == b'{"ids":["node-1"]}'


def test_while_the_breaker_is_open_no_record_is_removed(
    provider: CycleCloudProvider, server: Server, clock: Clock, status: Make, node: Make
) -> None:
    server.then(202, ADDED).then(200, {"nodes": [node(1)]})
    provider.launch(WISH)
    left = node(1, RequestId="r", Status="Off", TargetState="Terminated")
    bad = [node(i, Status="Failed", StatusMessage="script") for i in range(2, 6)]
    server.then(body=status(nodes=[left, *bad]))
    for _ in range(2):
        provider.cloud()
        clock.later(15)
    assert not provider.breaker.may_delete
    assert provider.sweep() == ()
    assert sum(r.method == "POST" for r in server.requests) == 1


@pytest.mark.parametrize(("status", "remembered"), [(401, False), (403, True), (400, True)])
def test_a_wrong_password_says_nothing_about_what_was_asked_for(
    client: CycleCloudClient, clock: Clock, server: Server, status: int, remembered: bool
) -> None:
    """Remembered as a failed create it would set the offering aside, and count towards the breaker."""
    watch = Watch()
    provider = CycleCloudProvider(client, watch=watch, now=clock)
    server.then(status, "")
    with contextlib.suppress(CloudRefused, CloudUnauthorised):
        provider.launch(WISH)
    assert bool(watch.document.failures.failed_creates) is remembered
    assert (watch.allowance(WISH, clock())[0] == 0) is remembered
