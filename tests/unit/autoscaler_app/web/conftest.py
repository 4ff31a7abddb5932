"""A real server on a free port, a journal and a clock that a test writes, and a reader of the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from autoscaler_app.passes.plan import Keep, KeepReason, Plan, Price
from autoscaler_app.passes.report import Action, NodeSaw, QueueSaw, Report, Saw
from autoscaler_app.web import create_app
from autoscaler_app.web.server import listen, server_of, url_of

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


# -- reports


def saw(**changes: Any) -> Saw:
    """One queue with work and one node that runs some of it."""
    fields: dict[str, Any] = {
        "cluster_state": "Started",
        "queues": (QueueSaw(queue="render", waiting=7, running=2, held=1, oldest_seconds=90.0),),
        "nodes": (node(),),
    }
    return Saw(**(fields | changes))


def node(name: str = "worker-1", **changes: Any) -> NodeSaw:
    """A node that serves."""
    fields: dict[str, Any] = {
        "node": name,
        "node_id": f"id-of-{name}",
        "hostname": f"host-of-{name}",
        "vm_size": "Standard_F4s_v2",
        "nodearray": "worker",
        "state": "Ready",
        "running": 2,
        "heard_seconds_ago": 3.0,
        "price_per_hour": 0.25,
    }
    return NodeSaw(**(fields | changes))


def plan(**changes: Any) -> Plan:
    """Keeps that node and changes nothing."""
    kept = Keep(node="worker-1", node_id="id-of-worker-1", reason=KeepReason.RUNNING, jobs={"render": 2})
    fields: dict[str, Any] = {
        "keep": (kept,),
        "price_per_hour": Price(before=0.25, added=0.0),
        "decided_by": "greedy",
        "planning_seconds": 0.01,
    }
    return Plan(**(fields | changes))


def report(number: int, **changes: Any) -> Report:
    """Pass `number`; it began at noon and `number` seconds, and took half a second."""
    fields: dict[str, Any] = {
        "number": number,
        "started": NOON + timedelta(seconds=number),
        "asked_by": "beat",
        "seconds": 0.5,
        "saw": saw(),
        "plan": plan(),
        "actions": (Action(kind="join", target="host-of-worker-1", ok=True, detail="render"),),
    }
    return Report(**(fields | changes))


def failed(number: int, error: str = "CloudUnreachable: no answer from the cloud") -> Report:
    """A pass that failed before it saw anything."""
    return report(number, ok=False, error=error, saw=None, plan=None, actions=())


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers above, for tests, which cannot import this file."""
    return SimpleNamespace(saw=saw, node=node, plan=plan, report=report, failed=failed)


# -- the world that the app reads


@dataclass
class World:
    """A journal (newest first, as `Control.reports` gives it), a clock and the pause."""

    journal: list[Report] = field(default_factory=list)
    clock: datetime = NOON
    paused: bool = False
    trouble: Exception | None = None
    asked: list[int] = field(default_factory=list)

    def reports(self, last: int) -> list[Report]:
        self.asked.append(last)
        if self.trouble is not None:
            raise self.trouble
        return self.journal[:last]

    def write(self, *reports: Report) -> None:
        """Add to the journal, the last one being the newest, and let it be one second after it began."""
        for each in reports:
            # Through JSON, as a journal on disk gives it back.
            self.journal.insert(0, msgspec.json.decode(msgspec.json.encode(each), type=Report))
            self.clock = each.started + timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    return World()


# -- a real server


class Stage:
    """Runs one server for all tests; each test puts its own app on it."""

    def __init__(self) -> None:
        self.app: Any = None
        self.socket = listen("127.0.0.1", 0, "")
        self.url = url_of(self.socket)
        self.server = server_of(self._play)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    async def _play(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    made = Stage()
    made.thread.start()
    try:
        yield made
    finally:
        made.server.should_exit = True
        made.thread.join(10)
        made.socket.close()


@pytest.fixture
def opened(stage: Stage, world: World) -> Iterator[Callable[..., httpx.Client]]:
    """A client of an app made with these arguments, over real HTTP."""
    clients: list[httpx.Client] = []

    def open_(**arguments: Any) -> httpx.Client:
        fields: dict[str, Any] = {"interval": timedelta(seconds=15), "paused": lambda: world.paused}
        fields |= {"reports": world.reports, "now": lambda: world.clock}
        stage.app = create_app(**(fields | arguments))
        clients.append(httpx.Client(base_url=stage.url, trust_env=False, timeout=60))
        return clients[-1]

    yield open_
    for client in clients:
        client.close()


@pytest.fixture
def web(opened: Callable[..., httpx.Client]) -> httpx.Client:
    """A client of an app with the defaults."""
    return opened()


# -- a reader of the page


class Page(HTMLParser):
    """What a person sees: headings, paragraphs, list items, and the rows of each table by its id."""

    VOID = frozenset({"meta", "link", "br", "input"})
    TAKEN = frozenset({"h1", "h2", "p", "li", "title", "td", "span", "dd", "dt", "b", "summary", "pre"})

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {name: [] for name in self.TAKEN}
        self.tables: dict[str, list[list[str]]] = {}
        self.health = ""
        """What the badge says."""
        self.banners: list[str] = []
        """What warns besides, apart from what the script shows."""
        self.kinds: dict[str, str] = {}
        """By text of a banner or the badge: its class."""
        self._open: list[str] = []
        self._text: list[tuple[str, list[str]]] = []
        self._table = ""
        self.feed(document)
        self.close()
        assert self._open == [], f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self._table = dict(attrs).get("id") or ""
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        if tag == "p":
            self._class = dict(attrs).get("class") or ""
        if tag in self.TAKEN:
            self._text.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in self.TAKEN:
            _, pieces = self._text.pop()
            text = " ".join("".join(pieces).split())
            self.texts[tag].append(text)
            if tag == "p" and text and self._class.startswith("health"):
                self.health = text
            if tag == "p" and text and self._class.startswith("banner"):
                self.banners.append(text)
            if tag == "p":
                self.kinds[text] = self._class
            if tag == "td":
                self.tables[self._table][-1].append(text)

    def handle_data(self, data: str) -> None:
        for _, pieces in self._text:
            pieces.append(data)

    def rows(self, table: str) -> list[list[str]]:
        """The rows of a table, without the headings."""
        return [row for row in self.tables.get(table, []) if row]

    def tags_named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def page(web: httpx.Client) -> Callable[..., Page]:
    """Reads a page now."""

    def read(address: str = "/") -> Page:
        answer = web.get(address)
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    return read
