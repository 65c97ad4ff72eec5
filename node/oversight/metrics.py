"""Counts for Prometheus, read from the ledger at the moment of asking: no counter can drift from the truth."""

import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.ledger import Ledger
from node.model.study import StudyState
from node.oversight.workers import count_there

Labelled = Mapping[tuple[()], float] | Mapping[tuple[str], float] | Mapping[tuple[str, str], float]


def render_metrics(ledger: Ledger, free_bytes: float) -> str:
    """The text exposition format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot([*_count(ledger), *_find_trouble(ledger, time.time()), *_look_at_disk(free_bytes)]))
    return generate_latest(registry).decode("utf-8")


class _Snapshot(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _count(ledger: Ledger) -> Iterator[Metric]:
    studies = ledger.count_studies_by()
    yield _gauge("jobs", "Jobs by pipeline and state.", ("pipeline", "state"), ledger.count_jobs_by())
    yield _gauge(
        "deliveries",
        "Result objects at destinations by state.",
        ("destination", "state"),
        ledger.count_deliveries_by(),
    )
    yield _gauge("studies", "Studies by state.", ("state",), {(s.value,): studies.get(s.value, 0) for s in StudyState})
    yield _gauge("instances", "Images that are kept.", (), {(): ledger.count_instances()})
    refused = CounterMetricFamily(
        "wetread_door", "Associations and images that the door did not take.", labels=["what"]
    )
    for what, number in sorted(ledger.find_counts().items()):
        refused.add_metric([what], number)
    yield refused
    yield _gauge("quarantined", "Refused bytes that are kept.", (), {(): ledger.count_quarantined()})


def _find_trouble(ledger: Ledger, now: float) -> Iterator[Metric]:
    """Of each destination and webhook whether it is reached and what waits for it; who works at all."""
    circuits, backlogs, hooks = ledger.find_circuits(), ledger.find_backlogs(), ledger.find_hooks()
    yield _gauge(
        "circuit_open",
        "1 while the destination cannot be reached.",
        ("destination",),
        {(peer,): circuit.is_open for peer, circuit in circuits.items()},
    )
    yield _gauge(
        "backlog_oldest_seconds",
        "How long the oldest object waits to be sent or confirmed.",
        ("destination",),
        {(peer,): round(max(now - (one.oldest_at or now), 0.0)) for peer, one in backlogs.items()},
    )
    yield _gauge(
        "webhook_paused",
        "1 while the webhook is not told.",
        ("hook",),
        {(name,): hook.paused_at > 0 for name, hook in hooks.items()},
    )
    events = {
        (name, state): number
        for name, told in ledger.count_notices().items()
        for state, number in (("PENDING", told.waiting), ("SENT", told.sent), ("DEAD", told.dead))
    }
    yield _gauge("webhook_events", "Events for webhooks by state.", ("hook", "state"), events)
    there = {(lane,): number for lane, number in count_there(ledger, now).items()}
    yield _gauge("workers", "Workers that were seen, by lane.", ("lane",), there)


def _look_at_disk(free_bytes: float) -> Iterator[Metric]:
    yield _gauge("spool_free_bytes", "Free space of the spool's disk.", (), {(): round(free_bytes)})


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    gauge = GaugeMetricFamily(f"wetread_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        gauge.add_metric(key, value)
    return gauge
