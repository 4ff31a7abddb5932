"""Buttons: for who may act, from our own pages only, each a command with a reason that is written down."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from autoscaler_app.cli.group import autoscaler
from autoscaler_app.memory.state import State
from autoscaler_app.passes.journal import Journal
from autoscaler_app.web.hands import deeds
from autoscaler_app.web.hands.deeds import AUTOSCALER, DEEDS, Said, Wish, as_command, words_of
from autoscaler_app.web.hands.passwords import Passwords, Person
from autoscaler_app.web.remembered import StateFile
from scalelib.errors import InvalidInput
from tests.unit.autoscaler_app.web import clusters
from tests.unit.autoscaler_app.web.conftest import NOON, Page


class Ran:
    """Every command that was run, and what the next one answers."""

    def __init__(self) -> None:
        self.words: list[tuple[list[str], str]] = []
        self.says = Said(True, "paused: nothing is launched\nand more")

    def __call__(self, words: Sequence[str], who: str) -> Said:
        assert tuple(words[:4]) == AUTOSCALER
        self.words.append((list(words[4:]), who))
        return self.says


@pytest.fixture
def ran() -> Ran:
    return Ran()


@pytest.fixture
def site(
    opened: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Ran
) -> Iterator[httpx.Client]:
    """A busy cluster; `secret` may read, `key` may act."""
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(clusters.write(tmp_path, clusters.busy, NOON)))
    with closing(Journal.look()) as journal:
        yield opened(
            reports=journal.reports,
            now=lambda: NOON,
            remembered=StateFile(lambda task_id: pytest.fail("nobody asks")),
            password="secret",
            operator_password="key",
            run=ran,
        )


def form(site: httpx.Client, address: str = "/", command: str = "pause") -> dict[str, str]:
    """The fields of the form of this command, as the page has them."""
    document = site.get(address).text
    for found in re.findall(r"<form action=\"do\".*?</form>|<form [^>]*>.*?</form>", document, re.DOTALL):
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found))
        if fields.get("command") == command:
            return fields
    raise AssertionError(f"no form for {command}")


def send(site: httpx.Client, fields: dict[str, str], **headers: str) -> httpx.Response:
    return site.post("/do", data=fields, headers=headers)


def test_an_operator_presses_a_button_and_the_reason_is_written_down(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    fields = form(site) | {"why": " the disk \n is full ", "span": "2h", "flag": "--growth"}
    answer = send(site, fields, **{"sec-fetch-site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    assert ran.words == [(["pause", "--growth", "--for=2h", "--why=the disk is full"], "ann")]
    assert (
        "pause --growth ann: the disk is full 0 s ago; paused: nothing is launched"
        in Page(site.get("/").text).texts["li"]
    )


def test_a_node_has_its_own_buttons(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    fields = form(site, "/node?name=worker-1", "drain") | {"why": "it smokes"}
    answer = send(site, fields)
    assert answer.headers["location"] == "node?name=worker-1"
    assert ran.words == [(["drain", "--why=it smokes", "--", "worker-1"], "ann")]
    with pytest.raises(AssertionError):
        form(site, "/node?name=worker-91", "drain")


def test_who_only_reads_has_no_buttons_and_can_sign_in(site: httpx.Client, ran: Ran) -> None:
    assert site.get("/").status_code == 401
    site.auth = ("ann", "key")
    fields = form(site) | {"why": "because"}
    assert site.get("/sign-in").headers["location"] == "./"
    site.auth = ("ann", "secret")
    page = Page(site.get("/").text)
    assert page.texts["h2"].count("Do") == 0
    assert {"href": "sign-in"} in page.tags_named("a")
    assert site.get("/sign-in").status_code == 401
    assert send(site, fields).status_code == 403
    assert ran.words == []


def test_no_other_site_and_no_forged_form_does_anything(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    fields = form(site) | {"why": "because"}
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ):
        assert send(site, fields, **headers).status_code == 403, headers
    assert send(site, fields | {"token": "0" * 64}).status_code == 403
    assert send(site, {name: value for name, value in fields.items() if name != "token"}).status_code == 403
    site.auth = ("bob", "key")
    assert send(site, fields).status_code == 403, "it was made for ann"
    site.auth = ("ann", "key")
    assert site.post("/do", json=fields).status_code == 403
    assert send(site, fields | {"why": "x" * 20_000}).status_code == 403, "more than is read"
    assert site.get("/do").status_code == 405
    assert ran.words == []
    assert send(site, fields, origin=str(site.base_url).rstrip("/")).status_code == 303, "and ours does"


def test_what_failed_is_said_and_written_down(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("", "key")
    ran.says = Said(False, "error: no node is called 'x'")
    answer = send(site, form(site, command="resume") | {"why": "because"})
    assert answer.status_code == 409
    page = Page(answer.text)
    assert page.banners == ["Nothing was done: error: no node is called 'x'"]
    assert page.health, "it is a page as any other"
    assert {"href": "./"} in page.tags_named("a"), "and leads back"
    assert any(
        text.startswith("resume failed somebody: because") for text in Page(site.get("/").text).texts["li"]
    )


def test_the_form_of_what_was_not_done_is_there_again_with_its_words(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    ran.says = Said(False, "error: soon is no length of time")
    fields = form(site, "/node?name=worker-1", "hold") | {"why": 'a "disk"', "span": "soon"}
    page = Page(send(site, fields).text)
    inputs = page.tags_named("input")
    assert [each.get("value") for each in inputs if each.get("name") == "span"] == ["soon"]
    written = [each.get("value") for each in inputs if each.get("name") == "why"]
    assert written == ['a "disk"', None, None, None, None], "in its own form and in no other"
    assert {"href": "node?name=worker-1"} in page.tags_named("a")
    ran.says = Said(True, "held")
    again = {str(each["name"]): str(each["value"]) for each in inputs[1:6] if each.get("value")}
    assert again["command"] == "hold"
    assert send(site, again).status_code == 303
    ran.says = Said(False, "error")
    paused = form(site) | {"why": "x", "flag": "--shrinking"}
    chosen = Page(send(site, paused).text).tags_named("option")
    assert [each["value"] for each in chosen if "selected" in each] == ["--shrinking"]


def test_who_may_not_act_reads_why_on_a_page(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    fields = form(site) | {"why": "because", "token": "0" * 64}
    page = Page(send(site, fields).text)
    assert page.banners == [
        "Nothing was done: the page is older than this server, or somebody else's: load it anew"
    ]
    assert page.texts["h2"] == [], "there is nothing to press there"


@pytest.mark.parametrize(
    ("command", "flag", "words"),
    [
        ("pause", "", ["pause", "--why=a customer", "--queue=render"]),
        ("resume", "", ["resume", "--queue=render"]),
    ],
)
def test_a_queue_has_buttons_of_its_own(
    site: httpx.Client, ran: Ran, command: str, flag: str, words: list[str]
) -> None:
    site.auth = ("ann", "key")
    answer = send(site, form(site, "/queue?name=render", command) | {"why": "a customer"})
    assert (answer.status_code, answer.headers["location"]) == (303, "queue?name=render")
    assert ran.words == [(words, "ann")]
    assert any(
        text.startswith(f"{command} render ann: a customer") for text in Page(site.get("/").text).texts["li"]
    )


def test_a_node_is_deleted_if_it_is_empty_or_at_once(site: httpx.Client, ran: Ran) -> None:
    site.auth = ("ann", "key")
    fields = form(site, "/node?name=worker-1", "delete") | {"why": "it smokes"}
    send(site, fields)
    send(site, fields | {"flag": "--now --yes"})
    assert [words for words, _ in ran.words] == [
        ["delete", "--why=it smokes", "--", "worker-1"],
        ["delete", "--now", "--yes", "--why=it smokes", "--", "worker-1"],
    ]


def test_without_an_operators_password_nothing_can_be_done(opened: Callable[..., httpx.Client]) -> None:
    site = opened()
    assert site.post("/do", data={"command": "pause"}).status_code == 404
    assert site.get("/sign-in").status_code == 404
    assert '<form action="do"' not in site.get("/").text


def test_where_nobody_needs_a_password_to_read_one_is_needed_to_act(
    opened: Callable[..., httpx.Client], ran: Ran
) -> None:
    site = opened(operator_password="key", local_only=True, run=ran)
    assert site.get("/").status_code == 200
    assert site.get("/sign-in").status_code == 401
    assert site.post("/do", data={"command": "pause"}).status_code == 403
    wrong = base64.b64encode(b"ann:").decode()
    assert site.get("/sign-in", headers={"authorization": f"Basic {wrong}"}).status_code == 401
    assert ran.words == []


def test_an_empty_password_opens_nothing() -> None:
    assert Passwords(reader="r").person("ann", b"") is None
    assert Passwords().person("ann", b"") == Person(), "who reads freely may not act"
    assert Passwords(operator="o").person("ann", b"") == Person()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish("pause", ""), "say why"),
        (Wish("pause", "  \n"), "say why"),
        (Wish("pause", "x" * 501), "500 are enough"),
        (Wish("reload", "x"), "there is no button 'reload'; there are run, pause, resume, hold"),
        (Wish("hold", "x"), "hold is about a node, not about all"),
        (Wish("hold", "x", queue="q"), "hold is about a node, not about a queue"),
        (Wish("pause", "x", "n1"), "pause is about all or a queue, not about a node"),
        (Wish("pause", "x", queue="q", flag="--growth"), "knows no '--growth'"),
        (Wish("off", "x", "n1"), "off is about a schedule, not about a node"),
        (Wish("pause", "x", flag="--json"), "knows no '--json'"),
        (Wish("run", "x", span="2h"), "takes no length of time"),
        (Wish("interval", "x", seconds="--help"), "is no number of seconds"),
        (Wish("interval", "x"), "is no number of seconds"),
    ],
)
def test_what_no_button_asks_for_is_refused(wish: Wish, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        words_of(wish)


@pytest.mark.parametrize(
    "deed",
    [deed for deed in DEEDS if deed.about != "schedule"],
    ids=lambda deed: f"{deed.command} {deed.about}",
)
def test_every_button_is_a_command_that_takes_what_it_is_given(deed: deeds.Deed) -> None:
    flag = next((flag for flag in deed.flags or {} if flag), "")
    node, queue = ("-n1" if deed.about == each else "" for each in ("node", "queue"))
    wish = Wish(deed.command, "--now -x", node, "2h" if deed.span else "", flag, queue=queue)
    name, *rest = words_of(wish)[4:]
    command: Any = autoscaler.commands[name]
    context = command.make_context(name, rest, obj=None)
    if deed.about == "node":
        assert context.params["node"] == "-n1"
    if deed.about == "queue":
        assert context.params["queue"] == "-n1"
    for option in flag.split():
        assert context.params[option.removeprefix("--")] is True
    if deed.takes_why:
        assert context.params["why"] == "--now -x"


def test_a_button_really_runs_the_command(
    opened: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(clusters.write(tmp_path, clusters.idle)))
    monkeypatch.setenv("AUTOSCALER_WEB_OPERATOR_PASSWORD", "never-passed-on")
    said = as_command(words_of(Wish("pause", "a disk", span="2h")), "ann")
    assert said.ok, said
    assert "ann" in said.text
    assert "a disk" in said.text
    with closing(State(tmp_path / "state.db")) as state:
        assert state.fact("paused")
    with closing(Journal.look()) as journal:
        page = Page(
            opened(
                reports=journal.reports,
                now=journal.now,
                remembered=StateFile(lambda task_id: pytest.fail("nobody asks")),
                max_age=timedelta(hours=1),
            )
            .get("/")
            .text
        )
    assert page.health.startswith("WARNING: paused: nothing is launched, fenced or ended")
    assert "ann" in page.health
    assert "a disk" in page.health
    said = as_command(words_of(Wish("pause", "a disk", span="soon")), "ann")
    assert not said.ok
    assert "soon" in said.text


def test_the_schedule_in_a_database_is_edited_on_the_page(
    opened: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("django_celery_beat")
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(clusters.write(tmp_path, clusters.idle)))
    monkeypatch.delenv("AUTOSCALER_BEAT_DATABASE", raising=False)
    with closing(Journal.look()) as journal:
        site = opened(
            reports=journal.reports,
            remembered=StateFile(lambda task_id: pytest.fail("nobody asks")),
            operator_password="key",
        )
        site.auth, site.timeout = ("ann", "key"), httpx.Timeout(60)
        page = Page(site.get("/schedule").text)
        assert "A pass is asked for every 15 s, by beat_schedule.py." in page.texts["p"]
        assert page.texts["h2"].count("Do") == 0
        assert not (tmp_path / "beat.db").exists(), "to look makes no database"
        monkeypatch.setenv("AUTOSCALER_BEAT_DATABASE", f"sqlite:///{tmp_path / 'beat.db'}")
        (tmp_path / "beat.db").touch()
        assert "autoscale: every 15 s" in Page(site.get("/schedule").text).texts["li"]
        for command, seconds in (("interval", "5"), ("off", "")):
            fields = form(site, "/schedule", command) | {"why": "a try", "seconds": seconds}
            answer = send(site, fields)
            assert (answer.status_code, answer.headers.get("location")) == (303, "schedule"), answer.text
        assert "autoscale: every 5 s, disabled" in Page(site.get("/schedule").text).texts["li"]
