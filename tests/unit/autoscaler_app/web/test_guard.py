"""Who may read: this machine, or whoever knows the password."""

from __future__ import annotations

import base64
from collections.abc import Callable

import httpx
import pytest

Open = Callable[..., httpx.Client]
PATHS = ["/", "/api/status", "/api/journal", "/metrics", "/healthz", "/nothing-here"]


@pytest.mark.parametrize("path", PATHS)
def test_with_a_password_nothing_is_told_without_it(opened: Open, path: str) -> None:
    answer = opened(password="geheim").get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="autoscaler"')
    assert answer.text == "A password is needed; the user name is what you are called here.\n"


@pytest.mark.parametrize("password", ["geheim", "mit:Doppelpunkt", "Schlüssel€", " "])
@pytest.mark.parametrize("user", ["", "anybody"])
def test_the_password_opens_whatever_the_user_name(opened: Open, user: str, password: str) -> None:
    assert opened(password=password).get("/api/status", auth=(user, password)).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic " + base64.b64encode(b"u:wrong").decode(),
        "Basic " + base64.b64encode(b"u:geheim2").decode(),
        "Basic " + base64.b64encode(b"u:").decode(),
        "Basic " + base64.b64encode(b"geheim").decode(),
        "Basic not-base64!",
        "Basic \xe9",
        "Basic",
        "Bearer geheim",
        "geheim",
        "",
    ],
)
def test_anything_but_the_password_is_refused(opened: Open, authorization: str) -> None:
    web = opened(password="geheim")
    headers = {"authorization": authorization.encode("latin-1")}
    assert web.get("/api/status", headers=headers).status_code == 401


@pytest.mark.parametrize("host", ["localhost", "localhost:8787", "127.0.0.1:8787", "[::1]:8787", "LOCALHOST"])
def test_local_only_answers_to_the_names_of_this_machine(opened: Open, host: str) -> None:
    assert opened(local_only=True).get("/api/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.4"]
)
def test_local_only_refuses_every_other_name(opened: Open, host: str) -> None:
    """A foreign page that points its own name at 127.0.0.1 is refused by that name."""
    answer = opened(local_only=True).get("/api/status", headers={"host": host})
    assert answer.status_code == 403
    assert answer.text.startswith("This server answers on this machine only")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_says_how_little_a_browser_may_do_with_it(opened: Open, path: str) -> None:
    headers = opened().get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers
