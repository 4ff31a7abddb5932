"""What is remembered of who speaks is bounded, and what is too much to be looked at is not believed."""

from __future__ import annotations

import pytest

from autoscaler_app.listening.activity.accounts import MAX_ADDRESSES
from autoscaler_app.listening.trust import Trust, judging
from autoscaler_app.listening.trust.disbelief import MOST_LOGGED, Disbelief
from autoscaler_app.listening.trust.names import names_claimed
from celery_resources.trust.keys import KeyPair
from tests.unit.autoscaler_app.listening.signers import AT, NOW, THIEF, Signer, a_node, unsigned


def test_of_very_many_names_in_which_strangers_were_believed_the_latest_are_remembered(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said in the others stands until the node itself tells: two lives are unknown, never idle."""
    monkeypatch.setattr(judging, "MOST_NAMES", 2)
    names = ["n1", "n2", "n3"]
    for name in ["n1", "n2", "n1", "n3"]:
        assert trust.event(unsigned(Signer(name, THIEF).event(AT)), NOW) is not None
    for number, name in enumerate(names):
        trust.event(Signer(name, KeyPair(bytes([50 + number]) * 32)).event(AT), NOW)
    nodes = [a_node(f"id-{name}", name) for name in names]
    assert trust.know(nodes, NOW) == {"n1", "n3"}


def test_an_account_of_more_addresses_than_a_machine_has_is_not_believed(trust: Trust, node: Signer) -> None:
    """Each is a name in which it speaks: a million would keep whoever judges, and each pass, for seconds."""
    for count, is_believed in ((MAX_ADDRESSES, True), (MAX_ADDRESSES + 1, False)):
        machine = {"host": "n1", "addresses": [f"10.1.0.{i}" for i in range(count)]}
        node.more = {"machine": machine}
        assert (trust.event(node.event(AT), NOW) is not None) is is_believed
        assert (trust.answer("celery@n1", node.answer(AT, "q"), "q", NOW) is not None) is is_believed
        stranger = unsigned(Signer("n9", THIEF, more={"machine": {**machine, "host": "n9"}}).event(AT))
        assert (trust.event(stranger, NOW) is not None) is is_believed
    assert len(names_claimed("w@n9", {"machine": {"addresses": [str(i) for i in range(10**6)]}})) < 100


def test_what_is_not_believed_for_the_same_reason_is_logged_once_whatever_its_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A clock that runs ahead would fill the log, a line for each account; of very many reasons so many."""
    disbelief = Disbelief()
    for seconds in (61.5, 62.25, 63.0):
        disbelief.note(["n1"], f"an account: it is {seconds} s ahead", NOW)
    assert len(caplog.records) == 1
    assert disbelief.warnings(NOW) == (
        "n1: 3 messages in its name were not believed; an account: it is 63.0 s ahead",
    )
    for number in range(2 * MOST_LOGGED):
        disbelief.note(["n1"], "odd" * number, NOW)
    assert len(caplog.records) == MOST_LOGGED
    disbelief.keep(["n2"])
    assert disbelief.warnings(NOW) == ()
