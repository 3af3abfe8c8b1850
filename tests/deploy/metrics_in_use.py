"""Metrics that have counted something of each kind, so that each has a sample."""

from hairtrigger.domain.outcome import Code
from hairtrigger.platform.metering import Count, Gauge, Histogram
from hairtrigger.services.metrics import Metrics


def in_use() -> Metrics:
    metrics = Metrics(["github"])
    for one in metrics.all():
        labels = tuple(f"some {label}" for label in one.labels)
        match one:
            case Count():
                one.add(labels)
            case Histogram():
                one.observe([0.1], labels)
            case Gauge():
                one.reads_all(lambda labels=labels: {labels: 1})  # type: ignore[misc]
    metrics.request_ended(Code.REJECTED, "github")
    return metrics
