"""The page of one queue, node and pass, money, what was seen over time, and what a search finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from autoscaler_app.brokers import BrokerError
from autoscaler_app.cli.explaining import TaskIs
from autoscaler_app.memory.figures import Figures, Step
from autoscaler_app.memory.stories.budget import Spending
from autoscaler_app.passes.journal import Journal
from autoscaler_app.passes.report import WHO as SAID
from autoscaler_app.schedule import WHO
from autoscaler_app.web import plots
from autoscaler_app.web.plots.chart import nice
from autoscaler_app.web.remembered import StateFile
from tests.unit.autoscaler_app.web import clusters
from tests.unit.autoscaler_app.web.conftest import NOON, Page


class Asked:
    """Where tasks are, and who was asked for."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.trouble: BrokerError | None = None

    def __call__(self, task_id: str) -> TaskIs:
        self.ids.append(task_id)
        if self.trouble is not None:
            raise self.trouble
        return TaskIs(state="waits", queue="render", sentence="waits behind 3 others")


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of a busy cluster at noon."""
    return clusters.write(tmp_path_factory.mktemp("busy"), clusters.busy, NOON)


@pytest.fixture
def busy(
    opened: Callable[..., httpx.Client], settings: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> Iterator[httpx.Client]:
    """A busy cluster, served from its state file."""
    monkeypatch.setenv("AUTOSCALER_CONFIG", str(settings))
    with closing(Journal.look()) as journal:
        yield opened(reports=journal.reports, now=lambda: NOON, remembered=StateFile(asked))


def read(client: httpx.Client, address: str, status: int = 200) -> Page:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


def test_the_badge_is_the_line_of_status_check(busy: httpx.Client) -> None:
    said = "WARNING: unserved: 2 of train (quota-family): 0 of 24 cores of standardNCSv3Family are left"
    assert read(busy, "/").health == read(busy, "/passes").health == said


def test_a_queue_has_a_page_that_says_what_explain_says(busy: httpx.Client) -> None:
    page = read(busy, "/queue?name=render")
    assert page.texts["h1"] == ["render"]
    assert "boot 12 wait for worker-14, worker-15, worker-16 to boot and join" in page.texts["li"]
    assert ["worker-1", "running", "4 × render on ip-0A000001"] in page.rows("places")
    assert "Tasks" in page.texts["b"], "and a plot"
    assert "knew no queue 'nothing'" in read(busy, "/queue?name=nothing", 404).banners[0]


def test_a_node_has_a_page_that_tells_its_story_and_why_it_stays(busy: httpx.Client) -> None:
    page = read(busy, "/node?name=worker-1")
    assert "running: tasks run on it (4 x render on ip-0A000001)" in page.texts["p"]
    story = page.rows("story")
    assert [row[2] for row in story] == ["launched", "up", "its worker was heard"]
    assert story[0][3] == "for 4 x render"
    assert page.rows("ran")[0] == ["render", "118", "85 min"]
    assert page.rows("nodes")[0][0] == "worker-1", "as it is now"
    assert {"href": "pass?number=1"} in page.tags_named("a")


def test_a_node_that_is_gone_still_has_its_page(busy: httpx.Client) -> None:
    page = read(busy, "/node?name=worker-91")
    assert "Gone: idle" in page.texts["p"]
    assert page.rows("nodes") == []
    assert "did you mean worker-91" in read(busy, "/node?name=worker-91x", 404).banners[0]
    history = read(busy, "/nodes").rows("history")
    assert ["worker-91" in row[0] or "gone-1" in row[0] for row in history][-1]


def test_a_pass_has_a_page_that_says_who_asked_and_what_changed(busy: httpx.Client) -> None:
    page = read(busy, "/pass?number=12")
    assert "Asked for by: new work, or a node that came up." in page.texts["p"]
    assert "render: waiting 133 → 131" in page.texts["li"]
    assert "launch 2 × worker/Standard_F16s_v2 for 32 × render; 1.354 per hour" in page.texts["li"]
    older = read(busy, "/pass?number=9")
    assert "Asked for by: beat." in older.texts["p"]
    assert "render: waiting 139 → 137" in older.texts["li"]
    assert "gpu-1 is there: Ready" in older.texts["li"]
    assert "not, or no longer" in read(busy, "/pass?number=99", 404).banners[0]
    assert "no number" in read(busy, "/pass?number=x", 404).banners[0]


def test_money_is_what_cost_says(busy: httpx.Client) -> None:
    page = read(busy, "/money?days=1")
    assert page.rows("cost-use")[0][:3] == ["train", "5.520", "44%"]
    assert page.rows("cost-task")[0][:3] == ["models.train", "5.520", "44%"]
    assert [row[0] for row in page.rows("cost-task")] == [
        "models.train", "film.render", "(unnamed)", "(idle)", "(booting)"
    ]  # fmt: skip
    assert page.texts["dd"][0] == "12.42"
    assert "12.42" in read(busy, "/").texts["dd"], "what was spent today is on the first page"
    assert len(read(busy, "/money").rows("cost-day")) == 7


@pytest.mark.parametrize(
    ("spent", "stops", "says"),
    [
        (5.0, True, "enough is left; once it is used up nothing is launched, until 2026-03-02 (UTC)"),
        (17.0, False, "nearly used up; once it is used up machines are launched all the same, until 2026-"),
        (20.0, True, "used up; once it is used up nothing is launched, until 2026-03-02 (UTC)"),
    ],
)
def test_a_budget_says_how_it_stands_where_money_is_told_of(
    opened: Callable[..., httpx.Client],
    busy: httpx.Client,
    world: Any,
    make: Any,
    asked: Asked,
    spent: float,
    stops: bool,
    says: str,
) -> None:
    day = Spending(
        span="day", allowed=20.0, spent=spent, until=NOON + timedelta(hours=12), stops=stops, currency="EUR"
    )
    month = msgspec.structs.replace(day, span="month", allowed=500.0)
    world.write(make.report(1, saw=make.saw(budgets=(month, day))))
    client = opened(remembered=StateFile(asked))
    (of_month, (*numbers, so)) = read(client, "/money").rows("budgets")
    assert of_month[0] == "this month"
    assert numbers == [
        "this day",
        f"{spent:.2f}" if spent >= 10 else f"{spent:.3f}",
        "20.00 EUR",
        f"{spent / 20:.0%}",
    ]
    assert so.startswith(says)
    assert "spent today of 20.00" in read(client, "/").texts["dt"]


def test_without_a_budget_the_page_says_how_to_set_one(busy: httpx.Client) -> None:
    assert "None is set (budget_per_day, budget_per_month)." in read(busy, "/money").texts["p"]


@pytest.mark.parametrize(
    ("asked_for", "leads_to"),
    [
        ("render", "queue?name=render"),
        ("worker-3", "node?name=worker-3"),
        ("ip-0A000003", "node?name=ip-0A000003"),
        ("worker-id-3", "node?name=worker-id-3"),
        ("worker-91", "node?name=worker-91"),
        ("7", "pass?number=7"),
    ],
)
def test_a_search_leads_to_the_page_of_what_is_named(
    busy: httpx.Client, asked: Asked, asked_for: str, leads_to: str
) -> None:
    answer = busy.get("/find", params={"q": asked_for})
    assert (answer.status_code, answer.headers["location"]) == (303, leads_to)
    assert busy.get(f"/{leads_to}").status_code == 200
    assert asked.ids == [], "nobody was asked"


def test_a_part_of_a_name_lists_what_has_it(busy: httpx.Client) -> None:
    page = read(busy, "/find?q=ncpus")
    assert page.texts["li"] == ["res:ncpus=1 queue", "res:memgb=32:ncpus=8 queue"]


def test_a_task_is_asked_for_and_leads_to_its_queue(busy: httpx.Client, asked: Asked) -> None:
    page = read(busy, "/find?q=4ff5f13a-69f7")
    assert asked.ids == ["4ff5f13a-69f7"]
    assert "4ff5f13a-69f7 waits behind 3 others" in page.texts["p"]
    assert "boot 12 wait for worker-14, worker-15, worker-16 to boot and join" in page.texts["li"]
    assert page.tags_named("meta") == [
        each for each in page.tags_named("meta") if "http-equiv" not in each
    ], "it does not ask again by itself"
    asked.trouble = BrokerError("no broker answers")
    assert "no broker answers" in read(busy, "/find?q=4ff5f13a-69f7").banners[0]


def test_no_foreign_page_makes_the_workers_be_asked(busy: httpx.Client, asked: Asked) -> None:
    answer = busy.get("/find?q=4ff5f13a-69f7", headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, asked.ids) == (404, [])


def test_what_was_seen_over_time_is_drawn_and_a_span_can_be_chosen(busy: httpx.Client) -> None:
    page = read(busy, "/?span=day")
    charts = ["Demand: tasks that wait or run", "Waiting tasks", "Nodes", "Capacity: cores", "Money per hour"]
    assert page.texts["b"][:6] == [*charts, "Without a place"]
    assert {"href": "?span=day", "aria-current": "true"} in page.tags_named("a")
    assert len(page.tags_named("svg")) == 6
    assert all("style" not in attributes for _, attributes in page.tags), "the policy would drop it"
    assert read(busy, "/?span=%3Cb%3E").tags_named("svg"), "what is no span is an hour"


def test_a_time_that_nobody_saw_is_a_gap_and_not_zero() -> None:
    steps = [Step(NOON - timedelta(minutes=ago), Figures(price_per_hour=2.0)) for ago in (30, 29.5, 5)]
    drawn = plots.drawn(steps, "hour", NOON, timedelta(seconds=15))
    (path,) = [part for part in drawn.split("<") if part.startswith("path")]
    assert path.count("M") == 2
    assert "nothing was seen in this time" in plots.drawn([], "hour", NOON, timedelta(seconds=15))


def test_a_name_of_a_queue_is_no_markup_in_a_plot() -> None:
    steps = [Step(NOON, Figures(waiting={"<script>": 2.0}))]
    assert "<script>" not in plots.drawn(steps, "hour", NOON, timedelta(seconds=15))


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (3, 4), (7, 10), (10, 10), (11, 20), (0.03, 0.04), (150, 200), (45, 60)],
)
def test_the_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)


def test_without_a_state_file_pages_say_so(
    page: Callable[..., Any], web: httpx.Client, world: Any, make: Any
) -> None:
    world.write(make.report(1))
    for address in ("/node?name=worker-1", "/money"):
        assert "has no state file" in read(web, address, 404).banners[0]
    assert page("/pass?number=1").texts["h2"][0] == "Pass 1"
    assert page("/queue?name=render").texts["h1"] == ["render"]


def test_the_page_of_a_pass_has_words_for_everybody_who_may_have_asked() -> None:
    assert SAID.keys() == set(WHO)


def test_no_foreign_page_asks_what_if(busy: httpx.Client) -> None:
    answer = busy.get("/whatif?queue=render&count=5", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 404
    assert read(busy, "/whatif").texts["h2"] == ["What if"], "nothing is asked before a question is"
