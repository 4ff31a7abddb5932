"""The pages in a real browser: their policy lets our script and style work and nothing else, a phone shows
them whole, and a button is pressed. Needs Debian's `chromium` and `chromium-driver`, and selenium.

With `PICTURES=folder` the pictures of docs/web.md are taken anew.
"""

from __future__ import annotations

import importlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from autoscaler_app.passes.journal import Journal
from autoscaler_app.web.hands.deeds import Said
from autoscaler_app.web.remembered import StateFile
from tests.unit.autoscaler_app.web import clusters

pytestmark = pytest.mark.by_hand

PAGES = (
    *("", "queues", "queue?name=render", "nodes", "node?name=worker-1", "passes", "pass?number=12"),
    *("money", "whatif", "schedule", "find?q=ncpus"),
)
PHONE, DESK = (360, 740), (1280, 1100)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen."""
    for needed in ("chromium", "chromedriver"):
        if shutil.which(needed) is None:
            pytest.skip(f"needs {needed}: apt-get install chromium chromium-driver")
    try:
        webdriver = importlib.import_module("selenium.webdriver")
        service = importlib.import_module("selenium.webdriver.chrome.service")
    except ModuleNotFoundError:
        pytest.skip("needs selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(each)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=service.Service(shutil.which("chromedriver")))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture
def shown(
    opened: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """Serves a cluster; its address."""
    journals: list[Journal] = []

    def show(make: Any, **arguments: Any) -> str:
        monkeypatch.setenv("AUTOSCALER_CONFIG", str(clusters.write(tmp_path, make)))
        journals.append(Journal.look())
        client = opened(
            reports=journals[-1].reports,
            now=journals[-1].now,
            remembered=StateFile(lambda task_id: pytest.fail("nobody asks")),
            max_age=timedelta(hours=1),
            **arguments,
        )
        return str(client.base_url)

    yield show
    for each in journals:
        each.close()


def size(browser: Any, width: int, height: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it has not come to that"
        time.sleep(0.1)


def complaints(browser: Any) -> list[str]:
    """What the browser has to say: what the policy has stopped, for one."""
    return [each["message"] for each in browser.get_log("browser")]


@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_no_page_is_stopped_by_its_policy_or_wider_than_the_screen(
    browser: Any, shown: Callable[..., str], screen: tuple[int, int]
) -> None:
    url = shown(clusters.busy)
    size(browser, *screen)
    complaints(browser)
    for page in PAGES:
        browser.get(url + page)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert (page, width) == (page, screen[0])
        assert (page, complaints(browser)) == (page, [])


def test_a_page_renews_itself_and_keeps_open_what_was_opened(browser: Any, shown: Callable[..., str]) -> None:
    url = shown(clusters.busy)
    browser.get(url)
    browser.execute_script("document.getElementById('empty-queues').open = true; window.same = true")
    before = browser.execute_script("return document.getElementById('written').textContent")
    until(lambda: browser.execute_script("return document.getElementById('written').textContent") != before)
    assert browser.execute_script("return window.same && document.getElementById('empty-queues').open")


def test_an_operator_presses_a_button(browser: Any, shown: Callable[..., str]) -> None:
    ran: list[list[str]] = []

    def run(words: Sequence[str], who: str) -> Said:
        ran.append([*words[4:], who])
        return Said(True, "paused")

    url = shown(clusters.busy, operator_password="key", run=run)
    browser.get(url.replace("://", "://ann:key@") + "sign-in")
    browser.get(url)
    form = browser.find_element("css selector", "form:has(input[value=pause])")
    form.find_element("name", "why").send_keys("the disk is full")
    form.find_element("tag name", "button").click()
    until(lambda: browser.find_elements("id", "by-people"))
    assert ran == [["pause", "--why=the disk is full", "ann"]]
    assert "ann: the disk is full" in browser.find_element("id", "by-people").text
    assert complaints(browser) == []


@pytest.mark.parametrize(
    ("name", "make", "screen"),
    [
        ("busy", clusters.busy, (1180, 960)),
        ("idle", clusters.idle, (1180, 760)),
        ("ailing", clusters.ailing, (1180, 960)),
    ],
)
def test_a_picture_of_it(
    browser: Any, shown: Callable[..., str], name: str, make: Any, screen: tuple[int, int]
) -> None:
    url = shown(make)
    size(browser, *screen)
    browser.get(url)
    picture = browser.get_screenshot_as_png()
    if folder := os.environ.get("PICTURES"):
        (Path(folder) / f"web-{name}.png").write_bytes(picture)
    assert len(picture) > 10_000
