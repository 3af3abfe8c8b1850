"""Keep the counters, histograms and gauges of one process, which Prometheus reads.

A value is a number in a dict, because values are counted for every event, and `prometheus_client` takes some twenty
times as long to count. That library only writes the text for Prometheus.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of the labels."""

Kind = Literal["counter", "histogram", "gauge"]


class Count:
    """A number that only grows, for each combination of labels.

    The combinations in `known` are shown as zero from the start. Prometheus would not see the first count of another
    combination as an increase, because it has seen no zero before.
    """

    kind: Kind = "counter"

    def __init__(self, name: str, says: str, labels: Labels = (), known: Iterable[Labels] = ()) -> None:
        self.name, self.says, self.labels = name, says, labels
        self._values: dict[Labels, float] = {}
        self._values.update(dict.fromkeys(known, 0.0))

    def add(self, labels: Labels = (), by: float = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + by

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.says, labels=self.labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class Histogram:
    """Counts values, for each combination of labels and each of `bounds`: how many values were at most as large as the
    bound.
    """

    kind: Kind = "histogram"

    def __init__(self, name: str, says: str, bounds: Sequence[float], labels: Labels = ()) -> None:
        self.name, self.says, self.labels = name, says, labels
        self._bounds = tuple(bounds)
        self._shown = [*map(floatToGoString, bounds), "+Inf"]
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self.observe(())

    def observe(self, values: Iterable[float], labels: Labels = ()) -> None:
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        total = 0.0
        for value in values:
            counts[bisect_left(self._bounds, value)] += 1
            total += value
        self._sums[labels] += total

    def family(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.says, labels=self.labels)
        for labels, counts in self._counts.items():
            buckets = list(zip(self._shown, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, sum_value=self._sums[labels])
        return family


class Gauge:
    """A number for each combination of labels, which is looked up when Prometheus asks for it, and left out while
    unknown.
    """

    kind: Kind = "gauge"

    def __init__(self, name: str, says: str, labels: Labels = ()) -> None:
        self.name, self.says, self.labels = name, says, labels
        self._read: Callable[[], Mapping[Labels, float]] = dict

    def reads(self, read: Callable[[], float | None]) -> None:
        """Look the number up with this function, which returns None while it is not known."""

        def one() -> Mapping[Labels, float]:
            value = read()
            return {} if value is None else {(): value}

        self._read = one

    def reads_all(self, read: Callable[[], Mapping[Labels, float]]) -> None:
        """Look the numbers of all combinations of labels up with this function."""
        self._read = read

    def family(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.says, labels=self.labels)
        for labels, value in self._read().items():
            family.add_metric(labels, value)
        return family


class CountRead(Gauge):
    """A number that only grows, and that is looked up when Prometheus asks for it."""

    kind: Kind = "counter"

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.says, labels=self.labels)
        for labels, value in self._read().items():
            family.add_metric(labels, value)
        return family


class Families(Collector):
    """The metrics in the form from which `prometheus_client` writes its text."""

    def __init__(self, metrics: Sequence[Count | Histogram | Gauge]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return (one.family() for one in self._metrics)

    def registry(self) -> CollectorRegistry:
        """Return a registry that has only these metrics. The library's own registry is shared by all that use the
        library.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry
