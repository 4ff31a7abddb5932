"""In a node's name nobody is believed but the node; whoever else speaks is counted, and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from autoscaler_app.listening.trust import Trust
from autoscaler_app.memory.state import KnownHost, State
from celery_resources.trust.keys import KeyPair, fingerprint
from celery_resources.trust.replay import PATIENCE
from celery_resources.trust.signing import Kind, opened
from tests.unit.autoscaler_app.listening.signers import (
    ANOTHER,
    AT,
    CONTROL,
    NOW,
    OURS,
    SETTLING,
    THIEF,
    Signer,
    a_node,
    unsigned,
)


def test_what_a_node_says_is_believed_as_it_signed_it(trust: Trust, node: Signer) -> None:
    event = {**node.event(AT - 2), "pid": 666, "timestamp": 1.0, "clock": 9, "utcoffset": 5}
    believed = trust.event(event, NOW)
    assert believed is not None
    assert (believed["hostname"], believed["pid"], believed["timestamp"]) == ("celery@n1", 7, AT - 2)
    assert believed["type"] == "worker-resources"
    assert "clock" not in believed
    assert trust.warnings(NOW) == ()


@pytest.mark.parametrize("kind", ["worker-heartbeat", "worker-offline", "task-succeeded", "task-started"])
def test_events_that_nobody_signs_are_not_believed_in_its_name(trust: Trust, node: Signer, kind: str) -> None:
    assert trust.event({"type": kind, "hostname": "celery@N1.domain", "pid": 7}, NOW) is None


def test_events_of_who_is_on_no_node_pass(trust: Trust, node: Signer) -> None:
    event = {"type": "task-started", "hostname": "x@elsewhere", "uuid": "t"}
    assert trust.event(event, NOW) == event
    assert trust.warnings(NOW) == ()


def test_a_task_that_a_node_sends_is_a_producers_word(trust: Trust, node: Signer) -> None:
    event = {"type": "task-sent", "hostname": "gen@n1", "uuid": "t"}
    assert trust.event(event, NOW) == event


@pytest.mark.parametrize("event", [{"type": "task-sent", "uuid": "t"}, {"type": "autoscale-echo"}, {}])
def test_what_is_said_in_nobodys_name_passes(trust: Trust, node: Signer, event: dict[str, Any]) -> None:
    assert trust.event(event, NOW) == event


FORGERIES = {
    "unsigned": lambda node: unsigned(node.event(AT)),
    "another key": lambda node: Signer("n1", THIEF).event(AT),
    "another worker of the host": lambda node: Signer("n1", THIEF, node="other@n1").event(AT),
    "under its address": lambda node: Signer("10.0.0.9", THIEF, more={"machine": {"host": "n1"}}).event(AT),
    "changed": lambda node: {**node.event(AT), "fenced": True},
    "under another name": lambda node: {**node.event(AT), "hostname": "celery@n9"},
    "too old": lambda node: node.event(AT - PATIENCE - 1),
    "of the future": lambda node: node.event(AT + PATIENCE + 1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_account_that_it_did_not_sign_just_now_is_not_believed(
    trust: Trust, node: Signer, forgery: str
) -> None:
    assert trust.event(FORGERIES[forgery](node), NOW) is None


def test_what_is_not_believed_is_told_once_and_in_every_report_while_it_goes_on(
    trust: Trust, node: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        trust.event(FORGERIES["unsigned"](node), NOW)
    assert trust.warnings(NOW) == (
        "n1: 3 messages in its name were not believed; an account: it is not signed",
    )
    assert trust.disputed(NOW) == {"n1"}
    assert len([record for record in caplog.records if "not believed" in record.message]) == 1
    later = NOW + timedelta(seconds=PATIENCE + 1)
    assert trust.warnings(later) == ()
    assert trust.disputed(later) == frozenset()


def test_an_account_is_believed_once(trust: Trust, node: Signer) -> None:
    event = node.event(AT)
    assert trust.event(event, NOW) is not None
    assert trust.event(event, NOW) is None
    assert "it was said before" in trust.warnings(NOW)[0]
    node.pid, node.life = 8, AT - 1
    assert trust.event(node.event(AT), NOW) is not None  # another life speaks
    assert trust.event(event, NOW) is None


def test_a_stolen_key_of_one_node_says_nothing_of_another(trust: Trust, node: Signer) -> None:
    other = Signer("n2", THIEF)
    trust.event(other.event(AT), NOW)
    trust.know([a_node(), a_node("id-2", "n2")], NOW)
    assert trust.event(other.event(AT), NOW) is not None
    assert trust.event(Signer("n1", THIEF).event(AT), NOW) is None
    for machine in ({"host": "n1"}, {"host": "n2", "addresses": ["10.0.0.1", "n1"]}):
        assert trust.event(Signer("n2", THIEF, count=50, more={"machine": machine}).event(AT), NOW) is None
    others = Signer("n2", THIEF, count=90, more={"others": [node.payload()]})
    assert trust.event(others.event(AT), NOW) is None
    assert trust.answer("celery@n2", others.answer(AT, "q", node.payload()), "q", NOW) is None
    third = a_node("id-3", "n3")
    trust.know([a_node(), a_node("id-2", "n2"), third], NOW)
    assert trust.event(Signer("n3", THIEF).event(AT), NOW) is not None  # alive, perhaps, and not believed
    assert "running" not in (trust.event(Signer("n3", THIEF).event(AT), NOW) or {})


# -- answers


def test_an_answer_is_believed_to_the_question_that_was_asked(trust: Trust, node: Signer) -> None:
    late = node.answer(AT - 10_000, "q")  # its clock is wrong, and that is no matter here
    assert trust.answer("celery@n1", late, "q", NOW) == {"ok": {**node.payload(), "seq": node.count}}
    assert trust.answer("celery@n1", late, "q", NOW) is None
    assert trust.answer("celery@n1", node.answer(AT, "earlier"), "q", NOW) is None
    assert trust.answer("celery@n1", unsigned(node.answer(AT, "q")), "q", NOW) is None
    assert trust.answer("celery@n1", {"error": "no"}, "q", NOW) is None
    assert trust.answer("celery@n1", Signer("n1", THIEF).answer(AT, "q"), "q", NOW) is None
    assert trust.answer("celery@n1", node.answer(AT, "q", ok=["t1"]), "q", NOW) == {"ok": ["t1"]}
    account = {**unsigned(node.event(AT)), "re": "q"}
    assert trust.answer("celery@n1", {"ok": account, "signed": node.event(AT)["signed"]}, "q", NOW) is None


def test_nobody_answers_for_a_node_under_another_name(trust: Trust, node: Signer) -> None:
    assert trust.answer("stranger@elsewhere", {"ok": node.payload()}, "q", NOW) is None
    assert trust.answer("stranger@elsewhere", {"ok": {"pong": 1}}, "q", NOW) == {"ok": {"pong": 1}}
    assert trust.answer("stranger@elsewhere", {"ok": {"nodename": "celery@n1"}}, "q", NOW) is None
    signed = node.answer(AT, "q", ok=["t1"])
    assert trust.answer("other@n1", signed, "q", NOW) is None  # nor one of its workers for another


# -- the last word


def test_a_last_word_is_believed_from_the_node_alone(trust: Trust, node: Signer) -> None:
    note = node.farewell(AT - 86_400)  # the control worker was down for a day
    believed = trust.farewell(note, NOW)
    assert believed is not None
    assert (believed["hostname"], believed["pid"]) == ("n1", 7)
    assert trust.farewell(unsigned(note), NOW) is None
    assert trust.farewell(Signer("n1", THIEF).farewell(AT), NOW) is None
    assert trust.farewell({**note, "pid": 8}, NOW) is None
    assert trust.farewell({**node.event(AT), "kind": "left"}, NOW) is None
    other = Signer("n2", ANOTHER)
    assert trust.farewell({**other.farewell(AT), "hostname": "n1"}, NOW) is None
    assert trust.farewell({"nodename": "x@elsewhere", "hostname": "n1"}, NOW) is None
    assert trust.farewell({"nodename": "x@elsewhere", "hostname": "elsewhere"}, NOW) is not None
    assert trust.farewell({"nodename": 5}, NOW) is not None  # for whoever reads notes to refuse


def test_a_node_says_no_last_word_of_another_worker(trust: Trust, node: Signer) -> None:
    note = {"kind": "left", "hostname": "n1", "nodename": "other@n1", "pid": 7}
    assert trust.farewell(node.sealed(Kind.FAREWELL, note, AT), NOW) is None


def test_a_last_word_of_an_earlier_life_ends_no_later_one(trust: Trust, node: Signer, state: State) -> None:
    """In a container every life has the same process id."""
    note = node.farewell(AT - 3000)
    node.life += 10
    trust.event(node.event(AT), NOW)
    assert trust.farewell(note, NOW) is None
    state.begin_drain("id-1", "n1", "idle", NOW)
    state.mark_fenced("id-1", NOW)
    state.mark_shut_down("id-1", ["celery@n1"], NOW)
    node.life += 10
    assert trust.farewell(node.farewell(AT - PATIENCE - 1), NOW) is None
    assert trust.farewell(node.farewell(AT + 1), NOW) is not None


# -- whose key


def test_a_key_is_bound_when_the_cloud_lists_the_node_and_survives_a_restart(
    trust: Trust, node: Signer, state: State
) -> None:
    anew = Trust(state, lambda: CONTROL, settling=SETTLING)  # has seen no node of the cloud yet
    assert anew.event(FORGERIES["unsigned"](node), NOW) is None
    assert anew.event(FORGERIES["another key"](node), NOW) is None
    assert anew.event(node.event(AT), NOW) is not None


def test_a_look_writes_nothing(trust: Trust, state: State) -> None:
    trust.event(Signer("n1", OURS).event(AT), NOW)
    trust.know([a_node()], NOW)
    assert state.key_bindings() == {}
    trust.remember()
    assert state.key_bindings()["id-1"].key == OURS.public


def test_a_machine_that_replaces_another_speaks_with_its_own_key(
    trust: Trust, node: Signer, state: State
) -> None:
    new = Signer("n1", ANOTHER, life=AT)
    assert trust.event(new.event(AT), NOW) is None  # the cloud has not told us yet
    trust.know([a_node("id-2")], NOW)
    trust.remember()
    state.forget_nodes({"id-1"})
    assert trust.event(new.event(AT), NOW) is not None
    assert trust.event(node.event(AT), NOW) is None
    assert {binding.key for binding in state.key_bindings().values()} == {ANOTHER.public}


def test_so_does_a_new_machine_under_the_same_node_id(trust: Trust, node: Signer) -> None:
    trust.know([a_node(instance_id="vm-1")], NOW)
    assert trust.event(node.event(AT), NOW) is not None
    trust.know([a_node(instance_id="vm-2")], NOW)
    trust.event(Signer("n1", ANOTHER).event(AT), NOW)
    trust.know([a_node(instance_id="vm-2")], NOW)
    assert "running" in (trust.event(Signer("n1", ANOTHER, count=9).event(AT), NOW) or {})


def test_of_two_that_speak_before_one_is_bound_neither_is_believed_until_one_is_silent(trust: Trust) -> None:
    mine, thief = Signer("n1", OURS), Signer("n1", THIEF)
    trust.event(thief.event(AT), NOW)
    believed = trust.event(mine.event(AT), NOW)
    trust.know([a_node()], NOW)
    assert believed is None
    alive = {"type": "worker-heartbeat", "hostname": "celery@n1", "timestamp": AT}
    assert trust.event(mine.event(AT), NOW) == alive
    assert trust.event(thief.event(AT), NOW) == alive
    later = NOW + timedelta(seconds=601)
    trust.event(mine.event(later.timestamp()), later)
    trust.know([a_node()], later)
    assert "running" in (trust.event(mine.event(later.timestamp()), later) or {})


def test_who_was_bound_first_is_not_believed_if_another_speaks_soon_after(trust: Trust, state: State) -> None:
    """A thief who speaks before the machine is up would be the machine for good."""
    mine, thief = Signer("n1", OURS), Signer("n1", THIEF)
    trust.event(thief.event(AT), NOW)
    trust.know([a_node()], NOW)
    trust.remember()
    soon = NOW + SETTLING
    trust.event(mine.event(soon.timestamp()), soon)
    assert "running" not in (trust.event(thief.event(soon.timestamp()), soon) or {})
    assert trust.know([a_node()], soon) == {"n1"}  # what the thief said is to be forgotten
    trust.remember()
    assert state.key_bindings() == {}


def test_one_key_is_one_nodes(trust: Trust, state: State) -> None:
    """Also of two that come up together: a thief that is a node itself is not two."""
    for name in ("n1", "n2"):
        trust.event(Signer(name, THIEF).event(AT), NOW)
    trust.know([a_node(), a_node("id-2", "n2")], NOW)
    trust.remember()
    assert len(state.key_bindings()) == 1


def test_later_nobody_can_contest_it(trust: Trust, node: Signer) -> None:
    trust.event(Signer("n1", THIEF).event(AT), NOW)
    assert trust.know([a_node()], NOW) == frozenset()
    assert trust.event(node.event(AT), NOW) is not None


def test_a_key_that_an_operator_forgot_makes_room_for_the_next(
    trust: Trust, node: Signer, state: State
) -> None:
    new = Signer("n1", ANOTHER)
    trust.event(new.event(AT), NOW)
    state.unbind_key("id-1")
    trust.know([a_node()], NOW)
    assert trust.event(new.event(AT), NOW) is not None
    assert trust.event(node.event(AT), NOW) != node.event(AT)


def test_a_node_that_signs_nothing_is_unknown_and_alive(trust: Trust) -> None:
    trust.know([a_node()], NOW)
    event = unsigned(Signer("n1", OURS).event(AT))
    assert trust.event(event, NOW) == {"type": "worker-heartbeat", "hostname": "celery@n1", "timestamp": AT}
    assert trust.answer("celery@n1", {"ok": Signer("n1", OURS).payload()}, "q", NOW) is None
    assert "n1: 2 messages" in trust.warnings(NOW)[0]


def test_who_was_believed_before_the_name_was_a_nodes_is_believed_no_more(trust: Trust) -> None:
    event = unsigned(Signer("n1", THIEF).event(AT))
    assert trust.event(event, NOW) == event
    trust.event(Signer("n1", OURS).event(AT), NOW)
    assert trust.know([a_node()], NOW) == {"n1"}
    assert trust.know([a_node()], NOW) == frozenset()


def test_a_name_in_which_a_node_speaks_where_others_were_believed_is_forgotten_once(
    trust: Trust, node: Signer
) -> None:
    trust.event(unsigned(Signer("x", THIEF).event(AT)), NOW)
    assert trust.event(Signer("x", OURS, more={"machine": {"host": "n1"}}).event(AT + 1), NOW) is not None
    assert trust.know([a_node()], NOW) == {"x"}
    assert trust.know([a_node()], NOW) == frozenset()


def test_whose_node_is_gone_is_disputed_no_more(trust: Trust, node: Signer) -> None:
    trust.event(FORGERIES["unsigned"](node), NOW)
    trust.know([a_node()], NOW)
    assert trust.disputed(NOW) == {"n1"}
    trust.know([], NOW)
    assert trust.disputed(NOW) == frozenset()


def test_who_was_there_before_signing_is_written_down_and_nobody_joins_them(
    trust: Trust, state: State
) -> None:
    state.journal.write(NOW, b"{}", kept=timedelta(days=1), most_bytes=10**6)
    trust.know([a_node()], NOW)
    trust.remember()
    after_a_restart = Trust(state, lambda: CONTROL, settling=SETTLING)
    after_a_restart.know([a_node(), a_node("id-2", "n2")], NOW)
    old, new = (unsigned(Signer(host, THIEF).event(AT)) for host in ("n1", "n2"))
    assert after_a_restart.event(old, NOW) == old
    beat = {"type": "worker-heartbeat", "hostname": "celery@n1"}
    assert after_a_restart.event(beat, NOW) == beat
    assert after_a_restart.event(new, NOW) != new


def test_a_worker_that_names_another_host_than_its_machine_is_its_machines(
    trust: Trust, node: Signer, state: State
) -> None:
    mine = Signer("elsewhere", OURS, more={"machine": {"host": "n1"}})
    said_before = unsigned(Signer("elsewhere", THIEF).event(AT))
    assert trust.event(said_before, NOW) is not None  # a stranger, as far as anybody knows
    assert trust.event(mine.event(AT), NOW) is not None
    assert trust.know([a_node()], NOW) == {"elsewhere"}
    ids = {"hostname": "n1", "node_id": "id-1", "nodenames": ("celery@elsewhere",), "heard": NOW}
    state.heard([KnownHost(**ids)])
    for judge in (trust, Trust(state, lambda: CONTROL, settling=SETTLING)):
        assert judge.event(unsigned(mine.event(AT)), NOW) is None
        assert judge.event({"type": "task-succeeded", "hostname": "celery@elsewhere"}, NOW) is None
        assert judge.answer("celery@elsewhere", {"ok": {}}, "q", NOW) is None
        assert judge.event(mine.event(AT), NOW) is not None
        sent = judge.command("fence", ["celery@elsewhere"], {}, "q", NOW)
        assert sent["to"] == {"celery@elsewhere": fingerprint(OURS.public)}


# -- commands


def test_a_command_is_signed_for_the_keys_of_its_hosts_and_counted(trust: Trust, node: Signer) -> None:
    sent = trust.command("fence", ["celery@n1", "celery@n2"], {"reason": "x"}, "q", NOW)
    body, said = opened(Kind.COMMAND, sent)
    assert body == {"reason": "x", "question": "q", "to": {"celery@n1": fingerprint(OURS.public)}}
    assert (said.node, said.re, said.key) == ("fence", "q", CONTROL.public)
    earlier = NOW - timedelta(hours=1)  # the clock was set back
    again = trust.command("shutdown", ["celery@n1"], {}, "", earlier)
    assert opened(Kind.COMMAND, again)[1].count > said.count


def test_what_only_reads_needs_no_key(state: State) -> None:
    def no_key() -> KeyPair:
        raise AssertionError

    trust = Trust(state, no_key, settling=SETTLING)
    assert trust.command("resources", ["celery@n1"], {}, "q", NOW) == {"question": "q"}


# -- whatever comes

words = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["worker-resources", "worker-heartbeat", "task-succeeded"]) | words,
        "hostname": st.sampled_from(["celery@n1", "n1", "x@n1.d", "a@b@n1"]) | words,
        "nodename": st.just("celery@n1") | words,
        "machine": st.fixed_dictionaries({}, optional={"host": words, "addresses": words}) | words,
        "ok": st.dictionaries(st.sampled_from(["nodename", "hostname", "machine", "others"]), words) | words,
        "signed": words,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(bodies)
def test_whatever_arrives_fails_nowhere_and_is_believed_of_no_node(
    trust: Trust, node: Signer, body: dict[str, Any]
) -> None:
    believed = trust.event(body, NOW)
    host = body.get("hostname")
    is_its = isinstance(host, str) and host.rpartition("@")[2].partition(".")[0] == "n1"
    assert believed is None or not is_its or not isinstance(body.get("type"), str)
    trust.answer("celery@n1", body, "q", NOW)
    assert trust.answer("celery@n1", body, "q", NOW) is None
    note = trust.farewell(body, NOW)
    assert note is None or not is_its


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_nothing_of_an_account_can_be_changed(trust: Trust, node: Signer, data: st.DataObject) -> None:
    event = node.event(AT)
    carried = {"type", "utcoffset", "pid", "clock", "timestamp", "local_received"}
    field = data.draw(st.sampled_from(sorted(event.keys() - carried - {"hostname"})) | st.text(max_size=5))
    value = data.draw(words)
    assume(field not in carried | {"hostname"} and repr(event.get(field)) != repr(value))
    assert trust.event({**event, field: value}, NOW) is None
    assert trust.event(event, NOW) is not None
