"""What hosts are told about gangs when an answer does not come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from autoscaler_app.passes.act.gang_acts import carry_out
from autoscaler_app.passes.plan import GangOrder
from celery_resources import Requirement

PAIR = Requirement({"ncpus": 2}, node_count=2)
NODENAMES = {"ip-1": "celery@ip-1", "ip-2": "celery@ip-2"}
FORM = GangOrder(order="form", gang="", queue="pairs", hosts=("ip-1", "ip-2"), reason="free")


class Hosts:
    """Two hosts; the head does what it is told to lead, and its answer to that is lost."""

    def __init__(self, role: str | None) -> None:
        self.role = role
        self.told: list[tuple[str, tuple[str, ...]]] = []

    def ask(self, command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.told.append((command, tuple(nodenames)))
        if command == "lead":
            return {}
        gang = {"id": arguments["gang"], "role": self.role}
        runs = command == "disband" and self.role == "runs"
        return {name: {"gang": gang if runs and name == "celery@ip-1" else None} for name in nodenames}


@pytest.mark.parametrize(
    ("role", "freed", "said"),
    [
        ("runs", ["celery@ip-1"], ""),
        ("waits", ["celery@ip-1", "celery@ip-2"], "none of its nodes is kept"),
    ],
)
def test_members_stay_with_a_head_whose_answer_was_late_and_that_runs(
    role: str, freed: list[str], said: str
) -> None:
    hosts = Hosts(role)
    wrong = carry_out(FORM, NODENAMES, PAIR, hosts.ask)
    assert [name for command, names in hosts.told if command == "disband" for name in names] == freed
    assert wrong.endswith(said)
    assert bool(wrong) is bool(said)


class Answers:
    """Hosts of which some refuse or do not answer some commands."""

    def __init__(self, *silent: tuple[str, str]) -> None:
        self.silent, self.told = silent, []  # type: ignore[var-annotated]

    def ask(self, command: str, nodenames: Sequence[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.told += [(command, name) for name in nodenames]
        return {name: {"gang": None} for name in nodenames if (command, name) not in self.silent}


def test_a_member_that_refuses_sets_all_of_them_free_and_nobody_leads() -> None:
    hosts = Answers(("follow", "celery@ip-2"))
    wrong = carry_out(FORM, NODENAMES, PAIR, hosts.ask)
    assert wrong == "celery@ip-2 refused or did not answer; none of its nodes is kept"
    assert [command for command, _ in hosts.told] == ["follow", "follow", "disband", "disband"]


def test_a_gang_is_formed_when_all_follow_and_the_head_leads() -> None:
    hosts = Answers()
    assert carry_out(FORM, NODENAMES, PAIR, hosts.ask) == ""
    assert hosts.told == [("follow", "celery@ip-1"), ("follow", "celery@ip-2"), ("lead", "celery@ip-1")]


def test_a_host_of_which_no_worker_is_known_is_told_nothing() -> None:
    hosts = Answers()
    assert carry_out(FORM, {"ip-1": "celery@ip-1"}, PAIR, hosts.ask) == "no worker process is known on ip-2"
    assert hosts.told == []


def test_a_gang_is_set_free_head_first_and_no_further_than_was_acknowledged() -> None:
    disband = msgspec.structs.replace(FORM, order="disband", gang="pairs/1")
    hosts = Answers()
    assert carry_out(disband, NODENAMES, PAIR, hosts.ask) == ""
    assert hosts.told == [("disband", "celery@ip-1"), ("disband", "celery@ip-2")]
    hosts = Answers(("disband", "celery@ip-1"))
    assert carry_out(disband, NODENAMES, PAIR, hosts.ask) == "celery@ip-1 did not acknowledge"
    assert hosts.told == [("disband", "celery@ip-1")], "it may have taken its message: nobody is set free"


def test_a_head_is_told_who_is_ready_by_node_name() -> None:
    ready = msgspec.structs.replace(FORM, order="ready", gang="pairs/1")
    hosts = Answers()
    assert carry_out(ready, NODENAMES, PAIR, hosts.ask) == ""
    assert hosts.told == [("ready", "celery@ip-1")]
    silent = Answers(("ready", "celery@ip-1"))
    assert carry_out(ready, NODENAMES, PAIR, silent.ask) == "ip-1 did not acknowledge"


def test_a_head_is_told_of_a_lost_member_until_it_has_heard_it() -> None:
    lost = msgspec.structs.replace(FORM, order="member-lost", gang="pairs/1")
    assert carry_out(lost, NODENAMES, PAIR, Answers().ask) == ""
    silent = Answers(("member_lost", "celery@ip-1"))
    assert carry_out(lost, NODENAMES, PAIR, silent.ask) == "ip-1 did not acknowledge"
