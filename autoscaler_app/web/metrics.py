"""Prometheus metrics, made from the last pass at each scrape. Names and labels are in `docs/web.md`.

No label names a node or a host: on a fleet that comes and goes each would be a new time series for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from autoscaler_app.listening.shown import printable
from autoscaler_app.passes.plan import Plan
from autoscaler_app.passes.report import ActionKind, Hearing, QueueSaw, Report, Saw
from autoscaler_app.web.overview import Overview
from autoscaler_app.web.recent import Look
from scalelib.demand import UnservedReason


class OverviewCollector(Collector):
    """What a pass did not see has no value: a gauge of 0 would say that there is nothing."""

    def __init__(self, overview: Overview) -> None:
        self._standing = overview

    def collect(self) -> Iterator[Metric]:
        """Every metric, once."""
        overview = self._standing
        newest = overview.look.newest
        yield _gauge("autoscaler_paused", "1 while nothing is launched, fenced or deleted", overview.paused)
        yield from _totals(overview.look)
        if newest is None or overview.age is None:
            return
        yield from _last_pass(newest, max(overview.age.total_seconds(), 0.0))
        if newest.saw is not None:
            yield from _queues(newest.saw)
            yield from _nodes(newest.saw)
            if newest.saw.hearing is not None:
                yield from _hearing(newest.saw.hearing)
        if newest.plan is not None:
            yield from _plan(newest.plan)


def exposition(overview: Overview, accept: str) -> tuple[bytes, str]:
    """The metrics in the form that the scraper accepts, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(OverviewCollector(overview)), content_type


def _totals(look: Look) -> Iterator[Metric]:
    passes = look.newest.number if look.newest else 0
    yield CounterMetricFamily("autoscaler_passes", "Passes, as the journal numbers them", value=passes)
    yield CounterMetricFamily(
        "autoscaler_failed_passes", "Passes that failed since this server was started", value=look.failures
    )
    actions = CounterMetricFamily(
        "autoscaler_actions",
        "Actions that were tried since this server was started, by whether they succeeded",
        labels=("kind", "ok"),
    )
    counts = {(kind, ok): 0 for kind in get_args(ActionKind) for ok in (True, False)} | dict(look.actions)
    for (kind, ok), count in counts.items():
        actions.add_metric((kind, "true" if ok else "false"), count)
    yield actions


def _last_pass(newest: Report, age: float) -> Iterator[Metric]:
    yield _gauge("autoscaler_last_pass_age_seconds", "Seconds since the last pass ended", age)
    yield _gauge("autoscaler_last_pass_duration_seconds", "How long the last pass took", newest.seconds)
    yield _gauge("autoscaler_last_pass_failed", "1 if the last pass failed", newest.error != "")
    if newest.plan is not None:
        yield _gauge(
            "autoscaler_planning_seconds", "How long the last pass planned", newest.plan.planning_seconds
        )


def _queues(saw: Saw) -> Iterator[Metric]:
    gauges: tuple[tuple[str, str, Callable[[QueueSaw], float | None]], ...] = (
        ("autoscaler_queue_waiting", "Tasks that wait in a queue", lambda queue: queue.waiting),
        ("autoscaler_queue_running", "Tasks of a queue that run", lambda queue: queue.running),
        ("autoscaler_queue_held", "Tasks of a queue that a worker holds", lambda queue: queue.held),
        ("autoscaler_queue_oldest_seconds", "Age of the oldest waiting task", lambda q: q.oldest_seconds),
    )
    for name, text, value_of in gauges:
        values = {(queue.queue,): value_of(queue) for queue in saw.queues}
        yield _labelled(name, text, ("queue",), {k: v for k, v in values.items() if v is not None})
    running = sum(queue.running for queue in saw.queues)
    yield _gauge("autoscaler_running", "Tasks that run, of all queues", running)


def _nodes(saw: Saw) -> Iterator[Metric]:
    counts: Counter[tuple[str, ...]] = Counter((node.state, node.vm_size) for node in saw.nodes)
    yield _labelled("autoscaler_nodes", "Nodes of the cluster", ("state", "vm_size"), counts)
    fenced = sum(node.fenced for node in saw.nodes)
    yield _gauge("autoscaler_fenced_nodes", "Nodes that take no more work", fenced)


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


def _plan(plan: Plan) -> Iterator[Metric]:
    price = plan.price_per_hour
    yield _gauge("autoscaler_price_per_hour", "Price of the nodes that there are", price.before)
    yield _gauge("autoscaler_price_per_hour_added", "Price of the nodes that are to be launched", price.added)
    unserved: Counter[tuple[str, ...]] = Counter({(reason.value,): 0 for reason in UnservedReason})
    for entry in plan.unserved:
        unserved[(entry.reason,)] += entry.count
    yield _labelled("autoscaler_unserved", "Slots that have no place, by reason", ("reason",), unserved)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(
    name: str, text: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for label_values, value in sorted(values.items()):
        family.add_metric([printable(label) for label in label_values], value)
    return family
