"""The metrics: what a real pass saw and counted, scraped over HTTP from the state file."""

from __future__ import annotations

import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from autoscaler_app.listening.shown import printable
from autoscaler_app.memory import tally
from autoscaler_app.memory.tally import Kind, Tally
from autoscaler_app.passes.one_pass import make_pass
from autoscaler_app.passes.report import QueueSaw, Report, Saw
from autoscaler_app.worker.telling.metrics import OTHERS, Facts, exposition
from autoscaler_app.worker.telling.port import MetricsPort
from scalelib.demand import UnservedReason
from scalelib.errors import InvalidConfig
from tests.unit.autoscaler_app.worker.telling.everything import full
from tests.unit.autoscaler_app.world import NOON, World

DOCS = Path(__file__).parents[5] / "docs" / "web.md"

Values = dict[tuple[str, ...], float]


def values_of(text: str) -> Values:
    samples = [sample for family in parse(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def told(facts: Facts) -> Values:
    return values_of(exposition(lambda: facts, "")[0].decode())


@pytest.fixture
def scrape(world: World) -> Iterator[Callable[[], Values]]:
    """Value by name and label values, as Prometheus reads them from the control worker's port."""
    port = MetricsPort("127.0.0.1", 0, world.control.settings.state_file, lambda: world.now)
    port._file = world.control.state.path
    port.start()

    def read() -> Values:
        with urllib.request.urlopen(f"http://127.0.0.1:{port.port}/metrics", timeout=10) as answer:
            return values_of(answer.read().decode())

    yield read
    port.stop()


def test_before_the_first_pass_there_are_totals_and_no_sight(scrape: Callable[[], Values]) -> None:
    values = scrape()
    assert values["autoscaler_passes_total",] == values["autoscaler_failed_passes_total",] == 0
    assert not [key for key in values if key[0].startswith(("autoscaler_queue", "autoscaler_bucket"))]
    assert ("autoscaler_last_pass_age_seconds",) not in values


def test_a_node_is_counted_where_it_comes_and_where_it_goes(
    world: World, scrape: Callable[[], Values]
) -> None:
    world.queues.waiting["celery"] = 4
    world.make_pass()
    values = scrape()
    assert values["autoscaler_nodes_launched_total", "all/small"] == 2
    assert values["autoscaler_queue_waiting", "celery"] == 4
    assert values["autoscaler_queue_wanted_slots", "celery"] == 4
    world.boot()
    world.queues.waiting["celery"] = 0
    world.go_on(60)
    world.make_pass()
    values = scrape()
    assert values["autoscaler_nodes", "all/small", "ready"] == 2
    assert values["autoscaler_nodes", "all/small", "booting"] == 0
    assert values["autoscaler_nodes_gone_total", "itself"] == 0
    first, second = world.boot()
    world.cloud.machines.pop("m2")
    world.hosts.of.pop(second.name)
    world.go_on(301)
    world.make_pass()  # fenced
    values = scrape()
    assert values["autoscaler_drains",] == 0, "it is on its way from this pass on"
    assert values["autoscaler_nodes_gone_total", "itself"] == 1
    world.go_on(5)
    world.make_pass()
    assert scrape()["autoscaler_drains",] == 1
    assert world.last_word(first)
    for _ in range(2):
        world.go_on(5)
        world.make_pass()
    values = scrape()
    assert values["autoscaler_nodes_gone_total", "idle"] == 1
    assert values["autoscaler_money_total",] == pytest.approx(
        sum(each.money for each in world.control.stories.spent("2026-01-01"))
    )
    assert values["autoscaler_money_total",] > 0
    assert values["autoscaler_pass_seconds_count",] == values["autoscaler_passes_total",] == 6


def test_a_failed_pass_is_counted_and_tells_no_sight_of_an_earlier_one(
    world: World, scrape: Callable[[], Values]
) -> None:
    world.make_pass()

    def fails() -> None:
        raise InvalidConfig("the cloud does not answer")

    world.control.provider.cloud = fails  # type: ignore[method-assign, assignment]
    make_pass(world.control)
    values = scrape()
    assert values["autoscaler_failed_passes_total",] == values["autoscaler_last_pass_failed",] == 1
    assert not [key for key in values if key[0].startswith("autoscaler_queue")]


def test_what_became_of_tasks_is_counted(world: World, scrape: Callable[[], Values]) -> None:
    hear, at = world.control.activity.apply, NOON.timestamp()
    for task, end in (("a", "task-succeeded"), ("b", "task-failed"), ("c", "task-failed")):
        event = {"uuid": task, "name": "t", "queue": "celery", "hostname": "celery@n1", "pid": 1}
        hear({**event, "type": "task-sent", "timestamp": at, "hostname": "gen@x"}, NOON)
        later = {"timestamp": at + 20, "runtime": 1.0}
        hear({**event, **later, "type": "task-started"}, NOON + timedelta(seconds=20))
        hear({**event, **later, "type": "task-started"}, NOON + timedelta(seconds=40))
        hear({**event, **later, "timestamp": at + 30, "type": end}, NOON + timedelta(seconds=30))
    world.make_pass()
    world.make_pass()
    values = scrape()
    assert values["autoscaler_task_runs_total", "celery"] == 1
    assert values["autoscaler_task_failures_total", "celery"] == 2
    assert values["autoscaler_task_wait_seconds_bucket", "15.0"] == 0
    assert values["autoscaler_task_wait_seconds_bucket", "60.0"] == 3
    assert values["autoscaler_task_wait_seconds_sum",] == 60
    assert values["autoscaler_queue_run_seconds", "celery"] == 1


def test_counters_go_on_where_they_were_when_the_control_worker_is_started_again(world: World) -> None:
    """They are in the state file; one that cannot be read begins anew and costs no pass."""
    world.make_pass()
    kept = tally.read(world.control.state.fact(tally.TALLY))
    assert sum(kept.passes.counts) == 1
    assert tally.read(msgspec.to_builtins(kept)) == kept
    world.control.state.set_fact(tally.TALLY, {"money": "none"})
    world.make_pass()
    assert sum(tally.read(world.control.state.fact(tally.TALLY)).passes.counts) == 1


# -- bounds


def test_there_are_no_more_series_than_are_promised() -> None:
    """60, and 12 a bucket, and 8 a kind; of many kinds most are told of together."""
    values = told(full())
    series: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    facts = full()
    assert facts.newest is not None
    assert facts.newest.saw is not None
    buckets = {bucket.name for bucket in facts.newest.saw.buckets}
    for key in values:
        whose = next((label for label in key[1:] if label in buckets), "")
        if key[0].startswith(("autoscaler_queue", "autoscaler_task_runs", "autoscaler_task_failures")):
            kinds[key[1]] += 1
        else:
            series[whose] += 1
    assert series.pop("") <= 60
    assert set(series) == buckets
    assert max(series.values()) <= 12
    assert max(kinds.values()) <= 8
    assert len(kinds) == tally.MOST_KINDS + 1


def test_kinds_that_have_no_series_of_their_own_are_told_of_together() -> None:
    values = told(full())
    last = tally.MOST_KINDS
    assert values["autoscaler_queue_waiting", OTHERS] == sum(range(last, last + 50))
    assert values["autoscaler_queue_oldest_seconds", OTHERS] == last + 49
    assert ("autoscaler_queue_run_seconds", OTHERS) not in values, "a mean of means says nothing"
    assert values["autoscaler_task_runs_total", "q1"] == 4
    assert values["autoscaler_task_runs_total", OTHERS] == 5


def test_a_kind_that_is_forgotten_makes_room_for_another() -> None:
    counted = Tally(kinds={f"q{i}": Kind() for i in range(tally.MOST_KINDS)})
    counted.know({"q1", "new"}, ["new"])
    assert set(counted.kinds) == {"q1", "new"}


def test_drains_the_breaker_and_work_without_a_place() -> None:
    values = told(full())
    assert values["autoscaler_drains",] == 2
    assert values["autoscaler_drains_stuck",] == 1
    assert values["autoscaler_drain_oldest_seconds",] == 1000
    assert values["autoscaler_breaker_open",] == 1
    reasons = list(UnservedReason)
    assert values["autoscaler_unserved", "never-fits"] == reasons.index(UnservedReason.NEVER_FITS) + 1
    assert sum(v for key, v in values.items() if key[0] == "autoscaler_unserved") == sum(
        range(len(reasons) + 1)
    )
    assert values["autoscaler_bucket_left", "a/small"] == 7
    assert values["autoscaler_bucket_set_aside", "a/large/spot"] == 1
    lost = ("rejected", "dropped", "evicted", "gaps", "stale")
    assert [values["autoscaler_events_lost_total", why] for why in lost] == [1, 1, 3, 4, 5]


def test_no_label_names_a_node_or_a_host(world: World) -> None:
    world.queues.waiting["celery"] = 4
    world.make_pass()
    world.boot()
    world.make_pass()
    newest = world.control.reports(1)[0]
    counted = tally.read(world.control.state.fact(tally.TALLY))
    text = exposition(lambda: Facts(newest=newest, now=world.now, tally=counted), "")[0].decode()
    assert not re.search(r'"(host-)?m\d"', text)


def test_a_label_with_quotes_and_line_ends_is_read_back_as_it_is_shown() -> None:
    odd = 'a"b\\c\nd'
    saw = Saw(queues=(QueueSaw(queue=odd, waiting=1, running=0),))
    newest = Report(number=1, started=NOON, saw=saw)
    values = told(Facts(newest=newest, now=NOON, tally=Tally(kinds={odd: Kind()})))
    assert values["autoscaler_queue_waiting", printable(odd)] == 1


def test_a_port_that_cannot_be_had_is_a_sentence(world: World) -> None:
    first = MetricsPort("127.0.0.1", 0, world.control.state.path)
    first.start()
    try:
        with pytest.raises(InvalidConfig, match="metrics_port: nothing can be served on"):
            MetricsPort("127.0.0.1", first.port, world.control.state.path).start()
    finally:
        first.stop()


def test_every_metric_and_its_labels_are_in_the_docs() -> None:
    text = exposition(full, "")[0].decode()
    made = {
        sample.name: set(sample.labels)
        for family in parse(text)
        for sample in family.samples
        if family.type != "histogram" or sample.name.endswith("_bucket")
    }
    rows = re.findall(r"^\| `(autoscaler_\w+)` \|(.*?)\|", DOCS.read_text(), re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == made
