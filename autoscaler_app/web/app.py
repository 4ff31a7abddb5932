"""The ASGI app: pages, JSON, metrics and a health check over reports, and buttons for who may act."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from autoscaler_app import schedule
from autoscaler_app.cli.health import OLD_AFTER
from autoscaler_app.memory.tally import Tally
from autoscaler_app.passes.control import utc_now
from autoscaler_app.passes.report import Report
from autoscaler_app.web.guard import Guard
from autoscaler_app.web.hands.deeds import Run, as_command
from autoscaler_app.web.hands.doing import Doing
from autoscaler_app.web.hands.passwords import Passwords
from autoscaler_app.web.overview import Overview, status
from autoscaler_app.web.people import People
from autoscaler_app.web.recent import SHOWN, Recent
from autoscaler_app.web.remembered import Remembered
from autoscaler_app.worker.telling.metrics import Facts, exposition
from scalelib.errors import InvalidConfig

MOST_REPORTS = 1000
"""Of one answer. A report of a large fleet is hundreds of kilobytes."""


def create_app(
    reports: Callable[[int], list[Report]],
    now: Callable[[], datetime] = utc_now,
    *,
    interval: timedelta = timedelta(seconds=schedule.INTERVAL),
    max_age: timedelta | None = None,
    paused: Callable[[], bool] = lambda: False,
    tally: Callable[[], Tally] = Tally,
    remembered: Remembered | None = None,
    password: str = "",
    operator_password: str = "",
    run: Run = as_command,
    local_only: bool = False,
) -> Starlette:
    """An app that shows what `reports` gives: the newest so many reports, newest first.

    A last pass that ended more than `max_age` ago (three intervals, if not given) is old. Stories, plots and
    money come from what is `remembered`; without it there are none. With a password everything asks for it;
    `local_only` answers only to this machine's own names. With an operator's password there are buttons for
    who knows it, each of which is `run` as a command.
    """
    shown = _Pages(
        reports=reports,
        now=now,
        interval=interval,
        max_age=max_age if max_age is not None else OLD_AFTER * interval,
        paused=paused,
        tally=tally,
    )
    doing = Doing(now, can=bool(operator_password), run=run)
    people = People(shown.standing, remembered, doing)
    passwords = Passwords(reader=password, operator=operator_password)
    return Starlette(
        routes=[
            *people.routes(),
            *doing.routes(people.not_done),
            Route("/api/status", shown.status),
            Route("/api/journal", shown.journal),
            Route("/metrics", shown.metrics),
            Route("/healthz", shown.health),
        ],
        middleware=[Middleware(Guard, passwords=passwords, local_only=local_only)],
        exception_handlers={InvalidConfig: _unreadable, msgspec.MsgspecError: _unreadable},
    )


class _Pages:
    """The answers. Plain functions, which Starlette runs in threads: they read a file."""

    def __init__(
        self,
        *,
        reports: Callable[[int], list[Report]],
        now: Callable[[], datetime],
        interval: timedelta,
        max_age: timedelta,
        paused: Callable[[], bool],
        tally: Callable[[], Tally],
    ) -> None:
        self._reports = reports
        self._recent = Recent(reports)
        self._now = now
        self._interval = interval
        self._max_age = max_age
        self._paused = paused
        self._tally = tally

    def standing(self) -> Overview:
        """How things stand now."""
        return Overview(
            look=self._recent.look(),
            now=self._now(),
            interval=self._interval,
            max_age=self._max_age,
            paused=self._paused(),
        )

    def _facts(self) -> Facts:
        newest = next(iter(self._reports(1)), None)
        return Facts(newest=newest, now=self._now(), paused=self._paused(), tally=self._tally())

    def status(self, request: Request) -> Response:
        """How things stand."""
        return _json(status(self.standing()))

    def journal(self, request: Request) -> Response:
        """Whole reports, newest first."""
        asked = request.query_params.get("last", str(SHOWN))
        # Not int() alone, which also reads "1_0" and "١".
        if not (
            asked.isascii() and asked.isdecimal() and len(asked) <= 6 and 1 <= int(asked) <= MOST_REPORTS
        ):
            says = f"last is {asked!r}; it is a whole number from 1 to {MOST_REPORTS}"
            return _json({"error": says}, status_code=400)
        return _json(self._reports(int(asked)))

    def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        body, content_type = exposition(self._facts, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    def health(self, request: Request) -> Response:
        """For whoever restarts or alarms: 200 if the last pass is young and did not fail, else 503."""
        overview = self.standing()
        return PlainTextResponse(f"{overview.sentence}\n", status_code=503 if overview.troubles else 200)


def _json(value: object, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status_code, media_type="application/json")


def _unreadable(request: Request, error: Exception) -> Response:
    return PlainTextResponse(
        f"The journal cannot be read ({type(error).__name__}: {error}); see to the state file.\n",
        status_code=503,
    )
