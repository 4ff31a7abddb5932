"""Prometheus metrics: what the last pass saw, and what passes have counted. `docs/web.md` has them all.

No label names a node or a host: on a fleet that comes and goes each would be a new time series for ever. What
a pass did not see has no value: a gauge of 0 would say that there is nothing.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from autoscaler_app.listening.shown import printable
from autoscaler_app.memory import tally as edges
from autoscaler_app.memory.tally import Histogram, Tally
from autoscaler_app.passes.act.counting import WHY_GONE
from autoscaler_app.passes.report import PHASES, BucketSaw, Hearing, QueueSaw, Report, Saw

OTHERS = "(others)"
"""In place of the name of a kind: all that are not counted one by one."""

MOST_REASONS = 3
"""Reasons for which work has no place that are told apart; the rest is `OTHERS`."""

NEVER_FITS = "never-fits"

DISTRIBUTION = "celery-cluster-autoscaler"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the metrics are made from: the state file at one moment."""

    newest: Report | None
    """The last pass."""
    now: datetime
    paused: bool = False
    tally: Tally = field(default_factory=Tally)


class FactsCollector(Collector):
    """Asks for the facts at each scrape."""

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Every metric, once."""
        facts = self._facts()
        yield from _build()
        yield _gauge("autoscaler_paused", "1 while nothing is launched, fenced or deleted", facts.paused)
        yield from _totals(facts.newest, facts.tally)
        yield from _kinds_counted(facts.tally)
        if facts.newest is None:
            return
        yield from _last_pass(facts.newest, facts.now)
        if (saw := facts.newest.saw) is not None:
            yield from _queues(saw, facts.tally)
            yield from _buckets(saw)
            yield from _ways_out(saw)
            yield from _budgets(saw)
            if saw.hearing is not None:
                yield from _hearing(saw.hearing)
        yield from _plan(facts.newest)


def exposition(facts: Callable[[], Facts], accept: str) -> tuple[bytes, str]:
    """The metrics in the form that the scraper accepts, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(FactsCollector(facts)), content_type


def _build() -> Iterator[Metric]:
    try:
        ours = version(DISTRIBUTION)
    except PackageNotFoundError:
        ours = "unknown"
    labels = {"version": ours, "celery": version("celery"), "python": platform.python_version()}
    yield _labelled("autoscaler_build_info", "1; which versions run", labels, {tuple(labels.values()): 1.0})


def _totals(newest: Report | None, tally: Tally) -> Iterator[Metric]:
    passes = newest.number if newest else 0
    yield CounterMetricFamily("autoscaler_passes", "Passes, as the journal numbers them", value=passes)
    yield CounterMetricFamily("autoscaler_failed_passes", "Passes that failed", value=tally.failed_passes)
    yield CounterMetricFamily(
        "autoscaler_failed_actions", "Actions that did not succeed", value=tally.failed_actions
    )
    yield CounterMetricFamily(
        "autoscaler_failed_alarms", "Alarms that could not be told", value=tally.failed_alarms
    )
    yield CounterMetricFamily("autoscaler_money", "Money that machines have cost", value=tally.money)
    gone = CounterMetricFamily(
        "autoscaler_nodes_gone", "Nodes that are no longer there, by why they went", labels=("reason",)
    )
    for reason in WHY_GONE:
        gone.add_metric((reason,), tally.gone.get(reason, 0))
    yield gone
    yield _histogram("autoscaler_pass_seconds", "How long passes take", tally.passes, edges.PASS_EDGES)
    yield _histogram(
        "autoscaler_task_wait_seconds", "How long tasks waited that began", tally.waits, edges.WAIT_EDGES
    )
    launched = CounterMetricFamily(
        "autoscaler_nodes_launched", "Nodes that were launched", labels=("bucket",)
    )
    for bucket, count in sorted(tally.launched.items()):
        launched.add_metric((printable(bucket),), count)
    yield launched


def _kinds_counted(tally: Tally) -> Iterator[Metric]:
    runs = CounterMetricFamily("autoscaler_task_runs", "Runs of tasks that ended well", labels=("queue",))
    failures = CounterMetricFamily("autoscaler_task_failures", "Tasks that failed", labels=("queue",))
    for queue, kind in (*sorted(tally.kinds.items()), (OTHERS, tally.others)):
        runs.add_metric((printable(queue),), kind.runs)
        failures.add_metric((printable(queue),), kind.failures)
    yield from (runs, failures)


def _last_pass(newest: Report, now: datetime) -> Iterator[Metric]:
    age = (now - newest.started - timedelta(seconds=newest.seconds)).total_seconds()
    yield _gauge("autoscaler_last_pass_age_seconds", "Seconds since the last pass ended", max(age, 0.0))
    yield _gauge("autoscaler_last_pass_failed", "1 if the last pass failed", newest.error != "")
    if newest.plan is not None:
        yield _gauge(
            "autoscaler_planning_seconds", "How long the last pass planned", newest.plan.planning_seconds
        )


def _queues(saw: Saw, tally: Tally) -> Iterator[Metric]:
    gauges: tuple[tuple[str, str, Callable[[QueueSaw], float | None], Callable[..., float] | None], ...] = (
        ("autoscaler_queue_waiting", "Tasks that wait", lambda queue: queue.waiting, sum),
        ("autoscaler_queue_running", "Tasks that run", lambda queue: queue.running, sum),
        ("autoscaler_queue_held", "Tasks that a worker holds", lambda queue: queue.held, sum),
        (
            "autoscaler_queue_oldest_seconds",
            "Age of the oldest that waits",
            lambda q: q.oldest_seconds,
            max,
        ),
        ("autoscaler_queue_wanted_slots", "Slots that what waits is worth", lambda queue: queue.slots, sum),
        ("autoscaler_queue_run_seconds", "How long a task runs on average", lambda q: q.run_seconds, None),
    )
    for name, text, value_of, together in gauges:
        values: dict[tuple[str, ...], float] = {}
        rest: list[float] = []
        for queue in saw.queues:
            value = value_of(queue)
            if value is None:
                continue
            if queue.queue in tally.kinds:
                values[queue.queue,] = value
            else:
                rest.append(value)
        if rest and together is not None:
            values[OTHERS,] = together(rest)
        yield _labelled(name, text, ("queue",), values)


def _buckets(saw: Saw) -> Iterator[Metric]:
    nodes: dict[tuple[str, ...], float] = {
        (bucket.name, phase): float(bucket.nodes.get(phase, 0)) for bucket in saw.buckets for phase in PHASES
    }
    yield _labelled("autoscaler_nodes", "Nodes of the cluster", ("bucket", "phase"), nodes)
    gauges: tuple[tuple[str, str, Callable[[BucketSaw], float | None]], ...] = (
        ("autoscaler_bucket_left", "How many more nodes may be had; none: no limit", lambda b: b.left),
        ("autoscaler_bucket_cores", "Cores of one node", lambda bucket: bucket.cores),
        ("autoscaler_bucket_price_per_hour", "Money per hour of one node", lambda b: b.price_per_hour),
        ("autoscaler_bucket_set_aside", "1 while nothing is launched there", lambda b: float(b.set_aside)),
    )
    for name, text, value_of in gauges:
        values = {(bucket.name,): value_of(bucket) for bucket in saw.buckets}
        yield _labelled(name, text, ("bucket",), {k: v for k, v in values.items() if v is not None})


def _ways_out(saw: Saw) -> Iterator[Metric]:
    yield _gauge("autoscaler_drains", "Nodes on their way out", len(saw.drains))
    yield _gauge("autoscaler_drains_stuck", "Those for too long", sum(d.is_stuck for d in saw.drains))
    oldest = max((drain.seconds for drain in saw.drains), default=0.0)
    yield _gauge("autoscaler_drain_oldest_seconds", "For how long the oldest of them", oldest)
    yield _gauge("autoscaler_breaker_open", "1 while nothing may be ended", saw.hold != "")


def _budgets(saw: Saw) -> Iterator[Metric]:
    spent: dict[tuple[str, ...], float] = {(budget.span,): budget.spent for budget in saw.budgets}
    allowed: dict[tuple[str, ...], float] = {(budget.span,): budget.allowed for budget in saw.budgets}
    yield _labelled("autoscaler_budget", "Money that may be spent", ("span",), allowed)
    yield _labelled("autoscaler_budget_spent", "Money that is spent of it", ("span",), spent)


def _hearing(hearing: Hearing) -> Iterator[Metric]:
    yield _gauge("autoscaler_listening", "1 while Celery's events are heard", hearing.connected)
    if hearing.lag_seconds is not None:
        yield _gauge("autoscaler_listener_lag_seconds", "How far behind the listener is", hearing.lag_seconds)
    yield CounterMetricFamily(
        "autoscaler_events", "Events that were heard since the control worker was started", hearing.events
    )
    lost = CounterMetricFamily(
        "autoscaler_events_lost",
        "What was heard and not kept, or never came, since the control worker was started",
        labels=("why",),
    )
    for why in ("rejected", "dropped", "evicted", "gaps", "stale"):
        lost.add_metric((why,), getattr(hearing, why))
    yield lost


def _plan(newest: Report) -> Iterator[Metric]:
    if newest.plan is None:
        return
    price = newest.plan.price_per_hour
    yield _gauge("autoscaler_price_per_hour", "Price of the nodes that there are", price.before)
    yield _gauge("autoscaler_price_per_hour_added", "Price of the nodes that are to be launched", price.added)
    unserved: Counter[str] = Counter()
    for entry in newest.plan.unserved:
        unserved[entry.reason] += entry.count
    # Never fits first: an alert has a value to watch.
    never = unserved.pop(NEVER_FITS, 0)
    most = unserved.most_common()
    told: dict[tuple[str, ...], float] = {(NEVER_FITS,): float(never)}
    told |= {(reason,): float(count) for reason, count in most[:MOST_REASONS]}
    if rest := sum(count for _, count in most[MOST_REASONS:]):
        told[OTHERS,] = float(rest)
    yield _labelled("autoscaler_unserved", "Slots that have no place, by reason", ("reason",), told)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _histogram(name: str, text: str, values: Histogram, upper: tuple[float, ...]) -> Metric:
    so_far, buckets = 0, []
    counts = values.counts if len(values.counts) == len(upper) + 1 else [0] * (len(upper) + 1)
    for edge, count in zip((*map(str, upper), "+Inf"), counts, strict=True):
        so_far += count
        buckets.append((edge, float(so_far)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=values.sum)


def _labelled(
    name: str, text: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for label_values, value in sorted(values.items()):
        family.add_metric([printable(label) for label in label_values], value)
    return family
