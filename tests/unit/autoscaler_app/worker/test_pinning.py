"""The control worker starts on the broker node and nowhere else."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection

import psutil
import pytest

from autoscaler_app.worker.pinning import ANYWHERE, Place, listening_here, place, this_place

OURS = {"10.1.2.3", "127.0.0.1"}


def at(urls: list[str], control_host: str = "", names: Collection[str] | None = ("redis-server",)) -> Place:
    """The place of node-1, where these processes listen."""
    return place(urls, control_host, hostname="node-1", addresses=OURS, listening=lambda port: names)


@pytest.mark.parametrize(
    ("urls", "control_host"),
    [
        (["redis://127.0.0.1:6379/0"], ""),
        (["redis://localhost/0"], ""),
        (["amqp://guest:secret@10.1.2.3//"], ""),
        (["redis:///0"], ""),
        (["redis+socket:///run/redis.sock"], ""),
        (["amqp://nowhere.invalid//"], "node-1"),
        (["amqp://nowhere.invalid//"], "NODE-1.example.org"),
        (["amqp://nowhere.invalid//", "amqp://10.1.2.3//"], ""),
    ],
)
def test_it_may_start_where_the_broker_is_or_where_it_is_told(urls: list[str], control_host: str) -> None:
    here = at(urls, control_host)
    assert here.is_right
    assert here.is_sure
    assert "secret" not in here.why


def test_elsewhere_it_is_told_which_host_and_how_to_mend_it() -> None:
    here = at(["amqp://guest:secret@192.0.2.7//"])
    assert not here.is_right
    for word in ("192.0.2.7", "node-1", "control_host", ANYWHERE):
        assert word in here.why
    assert "secret" not in here.why


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "redis://10.1.2.3", "redis+socket:///run/redis.sock"])
def test_the_named_host_wins_over_the_broker_address(url: str) -> None:
    here = at([url], "broker-7")
    assert not here.is_right
    assert "broker-7" in here.why


@pytest.mark.parametrize("name", ["ssh", "sshd", "kubectl"])
def test_a_way_to_another_machine_is_no_broker_of_this_one(name: str) -> None:
    here = at(["redis://guest:secret@localhost:6379/0"], names=[name])
    assert not here.is_right
    for word in (name, "localhost:6379", "control_host", ANYWHERE):
        assert word in here.why
    assert "secret" not in here.why


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "nothing listens yet"),
        (["python3.11"], "python3.11 listens"),
        (["redis-server", "socat"], "redis-server, socat listens"),
        (None, "does not say who listens"),
    ],
)
def test_where_only_the_address_says_so_that_is_said_and_how_to_pin_it(
    names: list[str] | None, says: str
) -> None:
    here = at(["redis://localhost"], names=names)
    assert here.is_right
    assert not here.is_sure
    for word in (says, "as it would on any host", "control_host"):
        assert word in here.why


@pytest.mark.parametrize("names", [["beam.smp"], ["valkey-server"], ["docker-proxy"], [""]])
def test_where_a_broker_listens_the_address_is_believed(names: list[str]) -> None:
    """A process of another user has no name for us: in the deployment the broker is one."""
    here = at(["amqp://127.0.0.1//"], names=names)
    assert here.is_right
    assert here.is_sure
    assert "127.0.0.1:5672" in here.why


def test_who_listens_on_this_machine_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listening_here(server.getsockname()[1]) == {psutil.Process(os.getpid()).name()}
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert listening_here(bound.getsockname()[1]) == set()


def test_it_starts_anywhere_when_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not this_place(["redis://192.0.2.7"], "").is_right
    monkeypatch.setenv(ANYWHERE, "1")
    assert this_place(["redis://192.0.2.7"], "").is_right
