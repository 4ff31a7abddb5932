"""The pages for people. Plain functions, which Starlette runs in threads: they read a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import get_args

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from autoscaler_app.brokers import BrokerError
from autoscaler_app.cli import health
from autoscaler_app.memory.figures import SpanName
from autoscaler_app.memory.orders import Pause
from autoscaler_app.passes.report import Report
from autoscaler_app.web import plots
from autoscaler_app.web.finding import Found, found
from autoscaler_app.web.hands import forms
from autoscaler_app.web.hands.deeds import Place
from autoscaler_app.web.hands.doing import Doing, NothingDone
from autoscaler_app.web.markup import Html, join, tag
from autoscaler_app.web.overview import Overview
from autoscaler_app.web.pages import home, money, nodes, parts, passes, queues, schedule, whatif
from autoscaler_app.web.pages.frame import document, policy
from autoscaler_app.web.remembered import Remembered, Times
from scalelib.errors import InvalidInput, ScalelibError

REFRESH = 5.0
"""Seconds after which a page asks for itself again."""

MOST_HISTORY = 100
MOST_DEEDS = 5
WANTED = ("nodearray", "vm_size", "state")
NO_MEMORY = "This server was made of reports alone, and has no state file to read that from."


class People:
    """Each page is a method. `standing` says how things stand; without `remembered` there are no stories."""

    def __init__(self, standing: Callable[[], Overview], remembered: Remembered | None, doing: Doing) -> None:
        self._standing = standing
        self._remembered = remembered
        self._doing = doing
        self._asking = threading.Lock()

    def routes(self) -> list[Route]:
        """Where they are. All lie side by side, so that a page may stand behind any prefix of a proxy."""
        return [
            Route("/", self.now),
            Route("/queues", self.queues),
            Route("/queue", self.queue),
            Route("/nodes", self.nodes),
            Route("/node", self.node),
            Route("/passes", self.passes),
            Route("/pass", self.a_pass),
            Route("/money", self.money),
            Route("/whatif", self.whatif),
            Route("/schedule", self.schedule),
            Route("/find", self.find),
        ]

    def now(self, request: Request) -> Response:
        """How things stand."""
        overview = self._standing()
        span = _span(request)
        drawn, today = None, None
        if self._remembered is not None and overview.look.newest is not None:
            steps = self._remembered.steps(span, overview.now)
            drawn = plots.drawn(steps, span, overview.now, overview.interval)
            today = self._remembered.cost(1, "day", overview.now)["total"]
        badge = self._health(overview)[1]
        main = home.now(
            overview, self._times(), badge, pauses=self._pauses(overview), plots=drawn, today=today
        )
        deeds = self._remembered.by_people(MOST_DEEDS) if self._remembered is not None else []
        main = join((main, forms.done(deeds, overview.now)))
        return self._page(overview, main, here="./", hands=self._doing.hands(request, Place()))

    def queues(self, request: Request) -> Response:
        """Every queue."""
        overview = self._standing()
        seen = _seen(overview)
        if seen is None:
            return self._missing(overview, "No pass has seen the queues yet.", here="queues")
        main = queues.listed(seen, self._times(), paused=overview.paused, limit=parts.MOST)
        return self._page(overview, main, title="Queues", here="queues")

    def queue(self, request: Request) -> Response:
        """One queue: what `explain --queue` says."""
        overview, name = self._standing(), request.query_params.get("name", "")
        seen = _seen(overview)
        try:
            if seen is None:
                raise LookupError
            explained = queues.of(seen, name, self._times(), paused=overview.paused)
        except LookupError:
            return self._missing(overview, f"The last pass knew no queue {name!r}.", here="queues")
        chart = None
        if self._remembered is not None:
            span = _span(request)
            steps = self._remembered.steps(span, overview.now)
            chart = plots.of_queue(name, steps, span, overview.now, overview.interval)
        main = join((tag("h1", name), queues.of_one(seen, explained), chart))
        hands = self._doing.hands(request, Place(queue=name))
        return self._page(overview, main, title=name, here="queues", hands=hands)

    def nodes(self, request: Request) -> Response:
        """Every node that is there, and those that went."""
        overview = self._standing()
        wanted = {key: request.query_params[key] for key in WANTED if key in request.query_params}
        seen = _seen(overview)
        there = None
        if seen is not None and seen.saw is not None:
            there = nodes.listed(seen.saw.nodes, seen.plan, wanted)
        went = None
        if self._remembered is not None and not wanted:
            went = nodes.history(self._remembered.history(MOST_HISTORY))
        return self._page(overview, join((there, went)), title="Nodes", here="nodes")

    def node(self, request: Request) -> Response:
        """One node: what `why` says."""
        overview, name = self._standing(), request.query_params.get("name", "")
        if self._remembered is None:
            return self._missing(overview, NO_MEMORY, here="nodes")
        try:
            facts = self._remembered.why(name)
        except InvalidInput as error:
            return self._missing(overview, str(error), here="nodes")
        called = facts["stories"][0]["node"]
        main = join((tag("h1", called), nodes.of_one(facts, _seen(overview))))
        hands = None if facts["stories"][0]["gone"] else self._doing.hands(request, Place(node=called))
        return self._page(overview, main, title=called, here="nodes", hands=hands)

    def passes(self, request: Request) -> Response:
        """The last passes."""
        overview = self._standing()
        main = passes.listed(overview.look.passes, overview.now)
        return self._page(overview, main, title="Passes", here="passes")

    def a_pass(self, request: Request) -> Response:
        """One pass: who asked, what changed, what was decided and done."""
        overview, said = self._standing(), request.query_params.get("number", "")
        if not _is_number(said):
            return self._missing(overview, f"{said!r} is no number of a pass.", here="passes")
        made = self._report(overview, int(said))
        if made is None:
            return self._missing(
                overview, f"Pass {said} is not, or no longer, in the journal.", here="passes"
            )
        main = passes.of_one(made, self._report(overview, made.number - 1))
        return self._page(overview, main, title=f"Pass {said}", here="passes")

    def money(self, request: Request) -> Response:
        """What was spent."""
        overview = self._standing()
        if self._remembered is None:
            return self._missing(overview, NO_MEMORY, here="money")
        said = request.query_params.get("days", "7")
        days = int(said) if _is_number(said) and 1 <= int(said) <= 366 else 7
        costs = {by: self._remembered.cost(days, by, overview.now) for by in money.TITLES}
        seen = _seen(overview)
        budgets = seen.saw.budgets if seen is not None and seen.saw is not None else ()
        return self._page(overview, money.spent(costs, days, budgets), title="Money", here="money")

    def whatif(self, request: Request) -> Response:
        """What would be planned if other work waited."""
        overview = self._standing()
        queue, count = (request.query_params.get(name, "").strip() for name in ("queue", "count"))
        said = None
        if queue and count:
            if self._remembered is None or _is_foreign(request):
                return self._missing(
                    overview, "Ask from here, of a server that has a state file.", here="whatif"
                )
            with self._asking:
                said = self._remembered.whatif(queue, count)
        main = whatif.shown(queue, count, said)
        return self._page(overview, main, title="What if", here="whatif", refresh=0)

    def schedule(self, request: Request) -> Response:
        """When passes are asked for."""
        overview = self._standing()
        told = None if self._remembered is None else self._remembered.schedule()
        hands = None if told is None else self._doing.hands(request, Place(schedule=True))
        main = schedule.shown(told, overview.interval)
        return self._page(overview, main, title="Schedule", here="schedule", hands=hands, refresh=0)

    def find(self, request: Request) -> Response:
        """What is searched for: a queue, a node, a pass, or a task."""
        overview, asked = self._standing(), request.query_params.get("q", "").strip()
        seen = _seen(overview)
        hit = found(asked, seen, self._remembered)
        if hit.address:
            return RedirectResponse(hit.address, status_code=HTTPStatus.SEE_OTHER)
        if hit.alike or not asked or self._remembered is None:
            return self._page(overview, _alike(asked, hit), title=asked, asked=asked, refresh=0)
        if _is_foreign(request):
            return self._missing(overview, "Search from here: workers are not asked for other sites.")
        return self._page(overview, self._task(asked, overview), title=asked, asked=asked, refresh=0)

    def _task(self, task_id: str, overview: Overview) -> Html:
        assert self._remembered is not None
        try:
            with self._asking:
                where = self._remembered.task(task_id)
        except (ScalelibError, BrokerError) as error:
            return tag("p", f"It cannot be said where {task_id} is: {error}", class_="banner bad")
        seen = _seen(overview)
        links = [parts.queue(where.queue)] if where.queue else []
        links += [parts.node(where.host)] if where.host else []
        head = parts.section(
            "Task",
            tag("p", f"{task_id} {where.sentence}", class_="answer", id="task"),
            tag("p", *(tag("span", link, " ") for link in links), class_="note"),
        )
        if where.state != "waits" or seen is None:
            return head
        try:
            explained = queues.of(seen, where.queue, self._times(), paused=overview.paused)
        except LookupError:
            return head
        return join((head, queues.of_one(seen, explained)))

    def not_done(self, request: Request, refused: NothingDone) -> Response:
        """Why a button did nothing, and its form again with what was written there."""
        overview, wish = self._standing(), refused.wish
        said = tag("p", f"Nothing was done: {refused}", class_="banner bad")
        if wish is None:
            return self._page(overview, said, title="Not done", refresh=0, status=refused.status)
        back = tag("p", tag("a", "Back", href=parts.address_of(wish.place)), class_="note")
        hands = self._doing.hands(request, wish.place, wish)
        return self._page(
            overview, join((said, back)), title="Not done", refresh=0, hands=hands, status=refused.status
        )

    # -- shared

    def _times(self) -> Times:
        return Times() if self._remembered is None else self._remembered.times()

    def _report(self, overview: Overview, number: int) -> Report | None:
        newest = overview.look.newest
        if newest is not None and newest.number == number:
            return newest
        return None if self._remembered is None else self._remembered.report(number)

    def _health(self, overview: Overview) -> tuple[int, str]:
        """The answer of `status --check`."""
        worker = None if self._remembered is None else self._remembered.worker()
        newest, pauses = overview.look.newest, self._pauses(overview)
        return health.check(newest, overview.now, overview.due, paused=pauses, worker=worker)

    def _pauses(self, overview: Overview) -> tuple[Pause, ...]:
        """Those in force, with who and why where that is known."""
        if self._remembered is not None:
            return self._remembered.pauses()
        return (Pause(),) if overview.paused else ()

    def _page(
        self,
        overview: Overview,
        main: Html,
        *,
        title: str = "",
        here: str = "",
        asked: str = "",
        hands: Html | None = None,
        refresh: float = REFRESH,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        made = document(
            main,
            title=title,
            here=here,
            health=self._health(overview),
            now=overview.now,
            refresh=refresh,
            asked=asked,
            hands=hands,
        )
        return HTMLResponse(made, status_code=status, headers={"content-security-policy": policy()})

    def _missing(self, overview: Overview, sentence: str, *, here: str = "") -> Response:
        main = tag("p", sentence, class_="banner warn")
        return self._page(
            overview, main, title="Not found", here=here, refresh=0, status=HTTPStatus.NOT_FOUND
        )


def _seen(overview: Overview) -> Report | None:
    """The last pass that saw the cluster."""
    seen = overview.look.seen
    return seen if seen is not None and seen.saw is not None else None


def _is_foreign(request: Request) -> bool:
    """A page elsewhere has this address in a link or a picture: it is not to make every worker answer."""
    return request.headers.get("sec-fetch-site") == "cross-site"


def _span(request: Request) -> SpanName:
    asked = request.query_params.get("span", "hour")
    return next((name for name in get_args(SpanName) if name == asked), "hour")


def _is_number(text: str) -> bool:
    # Not int() alone, which also reads "1_0" and "١".
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _alike(asked: str, hit: Found) -> Html:
    if not asked:
        return tag(
            "p",
            "Name a task by its id, a node, a host, a queue or the number of a pass.",
            class_="banner warn",
        )
    if not hit.alike:
        return tag("p", f"Nothing here is called {asked!r}. {NO_MEMORY}", class_="banner warn")
    links = (tag("li", tag("a", name, href=address), f" {what}") for what, name, address in hit.alike)
    return parts.section(f"Like {asked!r}", tag("ul", *links, class_="lines", id="alike"))
