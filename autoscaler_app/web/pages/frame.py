"""What is around every page: head line, search, the badge of health, and what a browser may do with it."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template

from autoscaler_app.web.markup import Html, join, tag

PAGES = (
    ("./", "Now"),
    ("queues", "Queues"),
    ("nodes", "Nodes"),
    ("passes", "Passes"),
    ("money", "Money"),
    ("whatif", "What if"),
    ("schedule", "Schedule"),
)
_COLOURS = {0: "good", 1: "warn", 2: "bad"}

_AGAIN = Template('<noscript><meta http-equiv="refresh" content="$refresh"></noscript>')


def document(
    main: Html,
    *,
    title: str = "",
    here: str = "",
    health: tuple[int, str],
    now: datetime,
    refresh: float,
    asked: str = "",
    hands: Html | None = None,
) -> str:
    """A whole document. `health`: code and sentence of `status --check`. `asked`: what is searched for.
    `refresh`: seconds after which it asks for itself again, 0 for never.

    `hands`: what may be done; it is not put in anew with the rest, so that no words are lost in writing.
    """
    code, sentence = health
    mark = "" if code == 0 else "⚠ "
    links = (tag("a", name, href=href, aria_current="page" if href == here else None) for href, name in PAGES)
    return _template().substitute(
        title=tag("title", f"{mark}{title} · Autoscaler" if title else f"{mark}Autoscaler"),
        nav=join(links),
        asked=tag("input", name="q", type="search", value=asked, placeholder="task, node, host, queue, pass"),
        health=tag("p", tag("i"), sentence, class_=f"health {_COLOURS[code]}", role="status"),
        main=main,
        hands=hands or Html(""),
        refresh=f"{refresh:g}",
        again=_AGAIN.substitute(refresh=f"{refresh:g}") if refresh else "",
        written=f"{now:%Y-%m-%d %H:%M:%S} UTC",
    )


@cache
def _template() -> Template:
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))


@cache
def policy() -> str:
    """What a browser may do with the page: run this script and this style, ask this server, nothing else.

    By their hashes, not by a nonce: the script reads the next page, whose style would carry another nonce.
    """
    script, style = (_hash_of(name, _template().template) for name in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def _hash_of(name: str, document: str) -> str:
    inner = document.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    return f"sha256-{b64encode(sha256(inner.encode()).digest()).decode()}"
