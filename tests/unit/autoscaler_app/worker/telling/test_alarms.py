"""Alarms reach a real HTTP server and a real mail server, once an hour, and nothing waits for them."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autoscaler_app.memory import tally
from autoscaler_app.memory.orders import Pause, change_pauses
from autoscaler_app.memory.stories.budget import Spending
from autoscaler_app.passes import report
from autoscaler_app.passes.plan import Plan, Price, Unserved
from autoscaler_app.passes.report import DrainSaw, Report, Saw
from autoscaler_app.worker.telling import sending
from autoscaler_app.worker.telling.alarms import Alarms
from autoscaler_app.worker.telling.matters import matters
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.world import NOON, World

INTERVAL = timedelta(seconds=15)
HOUR = 3600.0


class Hook:
    """A real HTTP server; a test says what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.gate.wait(10)
                hook.got.append({"path": self.path, **body})
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/secret-of-mine"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.gate.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def alarms(world: World, hook: Hook) -> Callable[..., Alarms]:
    def make(*addresses: str, **more: Any) -> Alarms:
        return Alarms(
            world.control.state.path,
            addresses or (hook.url,),
            interval=INTERVAL,
            paused_long=timedelta(hours=1),
            now=lambda: world.now,
            **more,
        )

    return make


def fail(world: World, times: int = 3) -> None:
    for _ in range(times):
        made = Report(started=world.now, ok=False, error="CloudUnreachable: no answer")
        world.control.state.journal.write(made.started, report.encode(made))


def test_a_matter_is_told_once_an_hour_also_after_a_restart(
    world: World, hook: Hook, alarms: Callable[..., Alarms]
) -> None:
    fail(world)
    alarms().look()
    (told,) = hook.got
    assert told["path"] == "/secret-of-mine"
    assert (told["matter"], told["pass"]) == ("failed-passes", 3)
    assert told["text"] == "autoscaler: the last 3 passes failed: CloudUnreachable: no answer"
    world.go_on(HOUR - 1)
    fail(world)
    alarms().look()  # another process: the state file remembers
    assert len(hook.got) == 1
    world.go_on(2)
    fail(world)
    alarms().look()
    assert len(hook.got) == 2


def test_what_cannot_be_told_is_counted_tried_again_and_logged_without_the_address(
    world: World, hook: Hook, alarms: Callable[..., Alarms], caplog: pytest.LogCaptureFixture
) -> None:
    fail(world)
    hook.status = 500
    tells = alarms()
    with caplog.at_level(logging.DEBUG):
        tells.look()
        tells.look()
    assert len(hook.got) == 1, "not at every look"
    assert tally.read(world.control.state.fact(tally.TALLY)).failed_alarms == 1
    assert "alarm failed-passes could not be told to address 1: HTTP 500" in caplog.text
    assert "secret" not in caplog.text
    assert hook.url not in caplog.text
    world.go_on(61)
    fail(world)
    hook.status = 204
    tells.look()
    tells.look()
    assert len(hook.got) == 2


def test_an_address_that_fails_does_not_keep_it_from_the_others(
    world: World, hook: Hook, alarms: Callable[..., Alarms]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
    fail(world)
    alarms(nobody, hook.url).look()
    assert len(hook.got) == 1


def test_a_pass_does_not_wait_for_a_server_that_hangs(
    world: World, hook: Hook, alarms: Callable[..., Alarms], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscaler_app.worker.telling.alarms.LOOK_EVERY", 0.01)
    fail(world)
    hook.gate.clear()
    tells = alarms()
    tells.start()
    began = time.monotonic()
    world.make_pass()
    tells.stop()
    assert time.monotonic() - began < sending.TIMEOUT
    assert hook.got == []


def test_who_is_not_in_charge_tells_nothing(world: World, hook: Hook, alarms: Callable[..., Alarms]) -> None:
    fail(world)
    alarms(in_charge=lambda: False).look()
    assert hook.got == []


def test_a_pause_that_lasts_is_told_of(world: World, hook: Hook, alarms: Callable[..., Alarms]) -> None:
    change_pauses(world.control.state, lambda _: (Pause(who="ann", at=world.now),))
    world.make_pass()
    alarms().look()
    assert hook.got == []
    world.go_on(HOUR + 1)
    world.make_pass()
    alarms().look()
    assert [told["matter"] for told in hook.got] == ["paused-long"]


def standing(saw: Saw | None = None, unserved: tuple[Unserved, ...] = (), **more: Any) -> dict[str, str]:
    price = Price(before=0, added=0)
    plan = Plan(price_per_hour=price, decided_by="greedy", planning_seconds=0, unserved=unserved)
    made = Report(started=NOON, saw=saw or Saw(), plan=plan)
    return dict(matters([made], NOON, **({"since": NOON, "interval": INTERVAL} | more)))


def test_what_is_a_matter_and_what_is_not() -> None:
    assert standing() == {}
    never = Unserved(job="q", count=3, reason="never-fits", detail="ask for less")
    other = Unserved(job="q", count=3, reason="bucket", detail="")
    assert standing(unserved=(never, other)) == {
        "never-fits": "work that no machine can hold: 3 of q: ask for less"
    }
    drains = tuple(
        DrainSaw(node=f"n{i}", stage="fenced", seconds=i * 600.0, is_stuck=i > 1) for i in range(9)
    )
    assert standing(Saw(drains=drains))["stuck-drain"] == (
        "on the way out for too long: n2 (20 min); n3 (30 min); n4 (40 min); n5 (50 min); n6 (60 min) "
        "and 2 more"
    )
    assert standing(Saw(hold="too much failed")) == {"breaker": "nothing is ended: too much failed"}
    money = [Spending(span="day", allowed=3.0, spent=spent, until=NOON, stops=True) for spent in (2.9, 3.0)]
    assert standing(Saw(budgets=(money[0],))) == {}
    assert list(standing(Saw(budgets=(money[1],)))) == ["budget"]


def test_passes_that_stop_are_a_matter_and_a_restart_gives_them_time() -> None:
    made = [Report(started=NOON, saw=Saw())]
    later = NOON + timedelta(seconds=76)
    assert list(matters(made, later, since=NOON, interval=INTERVAL)) == [
        ("no-passes", "no pass has ended for 76 s: see to beat and the broker")
    ]
    assert list(matters(made, later, since=later, interval=INTERVAL)) == []
    failed = [Report(started=later, error="x"), Report(started=NOON, error="x"), made[0]]
    assert list(matters(failed, later, since=NOON, interval=INTERVAL)) == [], "two are met now and then"


# -- mail


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as one mail needs."""

    got: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().decode().strip():
            self.got.append(line)
            if line == "data":
                self.wfile.write(b"354 go on\r\n")
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    self.got.append(text)
            self.wfile.write(b"221 bye\r\n" if line.lower() == "quit" else b"250 yes\r\n")
            if line.lower() == "quit":
                return


def test_a_mail_goes_the_same_way(world: World, alarms: Callable[..., Alarms]) -> None:
    Mail.got.clear()
    with socketserver.TCPServer(("127.0.0.1", 0), Mail) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        fail(world)
        alarms(f"smtp://127.0.0.1:{server.server_address[1]}/ops%40example.com?from=auto@example.com").look()
        server.shutdown()
        thread.join(5)
    assert "Subject: autoscaler: failed-passes" in Mail.got
    assert "To: ops@example.com" in Mail.got
    assert "From: auto@example.com" in Mail.got
    assert "autoscaler: the last 3 passes failed: CloudUnreachable: no answer" in Mail.got


# -- addresses


def test_the_environment_comes_before_the_file_which_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "alarm"
    file.write_text("https://hooks.example/one\nsmtps://a:b@mail.example/ops@example.com\n")
    file.chmod(0o640)
    with pytest.raises(InvalidConfig, match="others may read it: chmod 600"):
        sending.addresses(file, {})
    file.chmod(0o600)
    assert len(sending.addresses(file, {})) == 2
    assert sending.addresses(file, {sending.VARIABLE: "https://h.example"}) == ("https://h.example",)
    assert sending.addresses(None, {}) == ()
    with pytest.raises(InvalidConfig, match=r"alarm_url_file .* cannot be read: No such file"):
        sending.addresses(tmp_path / "none", {})


@pytest.mark.parametrize(
    "address",
    [
        "ftp://secret/x",
        "secret",
        "https://",
        "http://secret:port/",
        "smtp://secret",
        "https://[secret",
        "http://h:0/",
    ],
)
def test_an_address_that_is_none_is_an_error_that_does_not_tell_it(address: str) -> None:
    with pytest.raises(InvalidConfig, match="ALARM_URL: address 2 is none: https://HOST/PATH, or") as found:
        sending.addresses(None, {sending.VARIABLE: f"https://h.example {address}"})
    assert "secret" not in str(found.value)
