"""The one address that changes anything: who may, from which page, and what becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields as parts_of
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from autoscaler_app.web.hands import forms, written
from autoscaler_app.web.hands.deeds import Place, Run, Said, Wish, as_command, words_of
from autoscaler_app.web.hands.passwords import Person, Tokens
from autoscaler_app.web.hands.written import Done
from autoscaler_app.web.markup import Html
from autoscaler_app.web.pages import parts
from scalelib.errors import InvalidInput

_PARTS = tuple(part.name for part in parts_of(Wish))

log = logging.getLogger(__name__)

MOST_BYTES = 10_000


def person_of(request: Request) -> Person:
    """Who asks, as the guard knows them."""
    return request.scope.get("person") or Person()


class NothingDone(Exception):
    """A form was not obeyed, or its command has failed."""

    def __init__(self, why: str, status: HTTPStatus = HTTPStatus.FORBIDDEN, wish: Wish | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.wish = wish
        """What was wanted; None for who may not act here."""


NotDone = Callable[[Request, NothingDone], Response]


class Doing:
    """Takes forms. `can`: there is an operator's password; else there are no buttons."""

    def __init__(self, now: Callable[[], datetime], *, can: bool, run: Run = as_command) -> None:
        self._now, self._run, self.can = now, run, can
        self._tokens = Tokens()

    def routes(self, not_done: NotDone) -> list[Route]:
        """None, where nobody may act. `not_done`: the page that says why something was not done."""
        if not self.can:
            return []

        async def do(request: Request) -> Response:
            try:
                return await self._do(request)
            except NothingDone as refused:
                return await run_in_threadpool(not_done, request, refused)

        return [Route("/do", do, methods=["POST"]), Route("/sign-in", self.sign_in)]

    def hands(self, request: Request, place: Place, wish: Wish | None = None) -> Html | None:
        """What this person may do there. `wish`: what was wanted and not done."""
        person = person_of(request)
        if person.may_act:
            return forms.buttons(self._tokens.of(person), person.name, place, wish)
        return forms.sign_in() if self.can else None

    async def sign_in(self, request: Request) -> Response:
        """The guard has asked for the operator's password by now."""
        return RedirectResponse("./", status_code=HTTPStatus.SEE_OTHER)

    async def _do(self, request: Request) -> Response:
        """One deed. Raises NothingDone."""
        person = person_of(request)
        if not person.may_act:
            raise NothingDone("to act, the operator's password is needed")
        if not _is_from_here(request):
            raise NothingDone("a page of another site sent this")
        fields = await _fields(request)
        if fields is None:
            raise NothingDone("a form of this server's pages is needed")
        if not self._tokens.is_of(person, fields.pop("token", "")):
            raise NothingDone("the page is older than this server, or somebody else's: load it anew")
        wish = Wish(**{name: fields.get(name, "") for name in _PARTS})
        try:
            words = words_of(wish)
        except InvalidInput as error:
            raise NothingDone(str(error), HTTPStatus.BAD_REQUEST, wish) from error
        said = await run_in_threadpool(self._done, wish, words, person)
        if not said.ok:
            raise NothingDone(said.text, HTTPStatus.CONFLICT, wish)
        return RedirectResponse(parts.address_of(wish.place), status_code=HTTPStatus.SEE_OTHER)

    def _done(self, wish: Wish, words: list[str], person: Person) -> Said:
        said = self._run(words, person.name)
        log.info("%s did %s on a page, because %s: %s", person.name, words, wish.why, said)
        what = " ".join(filter(None, (wish.command, wish.flag, wish.seconds, wish.node, wish.queue)))
        why = " ".join(wish.why.split())
        written.write(
            Done(at=self._now(), who=person.name, what=what, why=why, ok=said.ok, said=said.text[:500])
        )
        return said


def _is_from_here(request: Request) -> bool:
    """As far as the browser says: the token says it in any case."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


async def _fields(request: Request) -> dict[str, str] | None:
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return None
