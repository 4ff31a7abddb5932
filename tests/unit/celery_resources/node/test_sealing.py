"""A node obeys its control side alone: for itself, once, and for nothing that was changed on the way."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.control import Panel
from hypothesis import assume, given
from hypothesis import strategies as st

from celery_resources.errors import InvalidSetting
from celery_resources.node import claims, commands  # noqa: F401 - they register the commands
from celery_resources.node.guarding import guard_commands
from celery_resources.node.obeying import ASKED, OURS, STOCK, TERMINATING
from celery_resources.node.sealing import Sealing, sealing_of
from celery_resources.node.telling import Telling
from celery_resources.room.node import NodeFacts
from celery_resources.settings import Settings
from celery_resources.trust.keys import KeyPair, fingerprint
from celery_resources.trust.signing import SIGNED, Kind, NotSealed, Said, opened, seal
from tests.unit.celery_resources.plain import plain_gate

NODE, NOW = "celery@n1", 1_790_000_000.0
CONTROL, OTHER = KeyPair(b"c" * 32), KeyPair(b"o" * 32)


def node(folder: Path, control: str | None = CONTROL.public) -> Sealing:
    return Sealing(folder, NODE, control, random=lambda size: b"n" * size, clock=lambda: NOW)


NODE_KEY = KeyPair(b"n" * 32).public


def command(
    name: str = "fence",
    *,
    key: KeyPair = CONTROL,
    count: int = 1,
    to: Mapping[str, str] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    body = {**arguments, "to": {NODE: fingerprint(NODE_KEY)} if to is None else to}
    said = Said(node=name, pid=0, life=0.0, count=count, at=NOW)
    sealed: dict[str, Any] = json.loads(json.dumps(seal(key, Kind.COMMAND, body, said)))
    return sealed


def test_what_the_control_side_commands_is_done_once(tmp_path: Path) -> None:
    mine = node(tmp_path)
    assert mine.why_not("fence", command(reason="x")) == ""
    assert "given before" in mine.why_not("fence", command(reason="x"))
    assert "given before" in mine.why_not("join", command("join", queues={}))
    assert mine.why_not("join", command("join", queues={}, count=2)) == ""


def test_nor_again_after_a_restart_of_the_worker(tmp_path: Path) -> None:
    assert node(tmp_path).why_not("fence", command(count=5)) == ""
    assert "given before" in node(tmp_path).why_not("fence", command(count=5))
    assert stat.S_IMODE((tmp_path / "celery@n1.control.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        ("by another control side", {"key": OTHER}),
        ("not meant for this node", {"to": {}}),
        (
            "not meant for this node",
            {"to": {NODE: fingerprint(OTHER.public)}},
        ),  # a machine of that name, before
        ("not meant for this node", {"to": {"celery@n2": fingerprint(NODE_KEY)}}),
    ],
)
def test_a_command_that_is_not_for_it_or_not_of_its_control_side_is_refused(
    tmp_path: Path, why: str, changed: dict[str, Any]
) -> None:
    mine = node(tmp_path)
    assert why in mine.why_not("fence", command(**changed))
    assert mine.why_not("fence", command()) == ""  # what was refused counts for nothing


@pytest.mark.parametrize("to", [None, "x", [NODE], 5])
def test_a_command_that_names_nobody_is_refused(tmp_path: Path, to: Any) -> None:
    said = Said(node="fence", pid=0, life=0.0, count=1, at=NOW)
    assert "signed for something else" in node(tmp_path).why_not(
        "fence", seal(CONTROL, Kind.COMMAND, {"to": to}, said)
    )


def test_a_command_signed_for_something_else_is_refused(tmp_path: Path) -> None:
    assert "signed for something else" in node(tmp_path).why_not("shutdown", command("pace", seconds=3))


@pytest.mark.parametrize("name", sorted(OURS | STOCK))
def test_what_changes_a_node_is_refused_unsigned(tmp_path: Path, name: str) -> None:
    assert "it is not signed" in node(tmp_path).why_not(name, {})
    assert name in Panel.data


def test_every_command_that_changes_something_was_decided_about() -> None:
    """Of this Celery and of this package: one that comes to them makes this red, and is put into a list."""
    for_anybody = {"revoke", "revoke_by_stamped_headers", "enable_events", "heartbeat"}
    changing = {name for name, info in Panel.meta.items() if info.type == "control"}
    assert changing <= OURS | STOCK | TERMINATING | for_anybody
    assert Panel.data.keys() >= OURS | STOCK | TERMINATING


@pytest.mark.parametrize("name", ["ping", "stats", "resources", "claims", "heartbeat", "revoke", "hello"])
def test_what_reads_or_is_the_users_own_is_done_for_anybody(tmp_path: Path, name: str) -> None:
    assert node(tmp_path).why_not(name, {"task_id": "t"}) == ""


@pytest.mark.parametrize(
    ("name", "arguments"), [("terminate", {}), ("revoke", {"terminate": True}), ("revoke", {"terminate": 1})]
)
def test_what_ends_a_running_task_is_refused(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    mine = node(tmp_path)
    assert "it is not signed" in mine.why_not(name, {"task_id": "t", **arguments})
    allowed = Sealing(tmp_path, NODE, None, unsigned=frozenset({"terminate"}))
    assert allowed.why_not(name, {"task_id": "t", **arguments}) == ""


def paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = (
        [p for name, each in value.items() for p in paths(each, (*at, name))]
        if isinstance(value, dict)
        else []
    )
    return [*([at] if at else []), *inner]


SENT = command(reason="x", **{ASKED: "q"})


@given(st.sampled_from(paths(SENT)), st.none() | st.booleans() | st.integers() | st.text() | st.floats())
def test_no_changed_command_is_done(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[str, ...], value: Any
) -> None:
    changed = json.loads(json.dumps(SENT))
    place = changed
    for step in path[:-1]:
        place = place[step]
    assume(json.dumps(place[path[-1]]) != json.dumps(value))
    place[path[-1]] = value
    assert node(tmp_path_factory.getbasetemp()).why_not("fence", changed)


def test_without_a_key_that_was_given_the_first_one_is_kept(tmp_path: Path) -> None:
    assert node(tmp_path, None).why_not("fence", command()) == ""
    again = node(tmp_path, None)
    assert "another control side" in again.why_not("fence", command(key=OTHER, count=9))
    given = node(tmp_path, OTHER.public)
    assert given.why_not("fence", command(key=OTHER, count=1)) == ""


def test_who_was_met_first_is_obeyed_alone_from_then_on_without_a_restart(tmp_path: Path) -> None:
    mine = node(tmp_path, control=None)
    assert mine.why_not("fence", command(count=1)) == ""
    assert "another control side" in mine.why_not("fence", command(key=OTHER, count=2))
    assert mine.why_not("fence", command(count=2)) == ""


@pytest.mark.parametrize(
    "held", ["", "5", "[]", "{}", '{"key": 5, "newest": 1}', '{"key": "k", "newest": "1"}', None]
)
def test_a_file_of_the_control_side_that_is_none_is_named(tmp_path: Path, held: str | None) -> None:
    """Without the count in it commands that were given before would be obeyed again."""
    file = tmp_path / f"{NODE}.control.json"
    file.mkdir() if held is None else file.write_text(held)
    with pytest.raises(InvalidSetting, match=r"control\.json .*remove it"):
        node(tmp_path)


def test_a_command_that_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    mine = node(tmp_path)
    (tmp_path / "celery@n1.control.new").mkdir()
    assert "cannot be written" in mine.why_not("fence", command())
    (tmp_path / "celery@n1.control.new").rmdir()
    assert mine.why_not("fence", command()) == ""


def test_what_it_knows_of_its_control_side_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "celery@n1.control.json").write_text("[")
    with pytest.raises(InvalidSetting, match=r"celery@n1\.control\.json cannot be read"):
        node(tmp_path)


def test_everything_it_says_is_of_this_life_and_counted(tmp_path: Path) -> None:
    mine = node(tmp_path)
    body, account = opened(Kind.ACCOUNT, mine.account({"a": 1}))
    _, answer = opened(Kind.ANSWER, mine.answer({"ok": {}}, "q"))
    _, farewell = opened(Kind.FAREWELL, mine.farewell({"kind": "left"}))
    assert body == {"a": 1}
    assert [said.count for said in (account, answer, farewell)] == [1, 2, 3]
    assert {(said.node, said.life, said.at, said.key) for said in (account, answer, farewell)} == {
        (NODE, NOW, NOW, NODE_KEY)
    }
    assert answer.re == "q"


def test_the_event_of_a_node_is_signed_without_what_celery_adds(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []
    gate = plain_gate([])
    gate.sealing, gate.facts = node(tmp_path), NodeFacts(resources={"ncpus": 1})
    gate.unstarted.returned = 0
    dispatcher = SimpleNamespace(enabled=True, send=lambda kind, **fields: sent.append(fields))
    telling = Telling(gate, SimpleNamespace(hostname=NODE, event_dispatcher=dispatcher, connection_errors=()))
    telling._send()
    body, said = opened(Kind.ACCOUNT, sent[0])
    assert body["nodename"] == said.node == NODE
    assert not {"hostname", "pid", "type", "timestamp", "clock", "utcoffset"} & body.keys()


def test_it_can_be_turned_on_where_no_setting_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RESOURCES_SIGNING", "on")
    monkeypatch.setenv("CELERY_RESOURCES_CONTROL_KEY", CONTROL.public)
    mine = sealing_of(Settings(), tmp_path, NODE)
    assert mine is not None
    other = command(key=OTHER, to={NODE: fingerprint(mine.key.public)})
    assert "another control side" in mine.why_not("fence", other)
    monkeypatch.setenv("CELERY_RESOURCES_SIGNING", "yes")
    with pytest.raises(InvalidSetting, match="CELERY_RESOURCES_SIGNING is 'yes'; 'on' or 'off'"):
        sealing_of(Settings(), tmp_path, NODE)


def test_off_it_is_nothing_and_on_it_needs_a_folder(tmp_path: Path) -> None:
    assert sealing_of(Settings(), tmp_path, NODE) is None
    assert sealing_of(Settings(signing=True), tmp_path, NODE) is not None, "it pins the first that it meets"
    with pytest.raises(InvalidSetting, match="CELERY_RESOURCES_STATE"):
        sealing_of(Settings(signing=True), None, NODE)
    with pytest.raises(InvalidSetting, match="is no public key"):
        sealing_of(Settings(signing=True, control_key="abc"), tmp_path, NODE)


def panel_state(sealing: Sealing | None) -> Any:
    gate = SimpleNamespace(sealing=sealing)
    return SimpleNamespace(consumer=SimpleNamespace(resource_gate=gate), hostname=NODE)


def test_every_command_of_a_signing_node_is_guarded_and_its_answers_are_signed(tmp_path: Path) -> None:
    guard_commands()
    state = panel_state(node(tmp_path))
    assert "only for its control side" in Panel.data["shutdown"](state)["error"]
    refused = Panel.data["fence"](state, **{ASKED: "q"})
    body, said = opened(Kind.ANSWER, refused)
    assert "only for its control side" in body["error"]
    assert said.re == "q"
    pong = Panel.data["ping"](state)
    assert pong == {"ok": "pong"}  # who asked as anybody may gets what anybody gets
    with pytest.raises(NotSealed):
        opened(Kind.ANSWER, pong)


def test_other_workers_of_the_process_note_nothing(tmp_path: Path) -> None:
    guard_commands()
    guard_commands()
    with pytest.raises(SystemExit):
        Panel.data["shutdown"](panel_state(None))
    with pytest.raises(SystemExit):
        Panel.data["shutdown"](panel_state(node(tmp_path)), **command("shutdown"))
    assert SIGNED not in Panel.data["ping"](panel_state(None))
