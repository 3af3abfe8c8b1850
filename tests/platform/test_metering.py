"""The text is read with the parser that Prometheus' own library brings."""

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from hairtrigger.platform.metering import Count, CountRead, Families, Gauge, Histogram


def samples(*metrics: Count | Histogram | Gauge) -> dict[tuple[str, tuple[str, ...]], float]:
    text = generate_latest(Families(metrics).registry()).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_counter_grows_by_label_and_begins_at_the_zeros_that_are_known() -> None:
    count = Count("things", "Things.", ("a", "b"), [("a", ""), ("b", "")])
    count.add(("a", ""))
    count.add(("a", ""), 2)
    count.add(("c", 'of "quotes"\nand lines'))

    assert samples(count) == {
        ("things_total", ("a", "")): 3,
        ("things_total", ("b", "")): 0,
        ("things_total", ("c", 'of "quotes"\nand lines')): 1,
    }


def test_a_histogram_counts_a_value_in_each_bucket_that_is_not_below_it() -> None:
    histogram = Histogram("took_seconds", "Took.", (0.1, 1))
    histogram.observe([0.05, 0.1, 0.5])
    histogram.observe([7])

    assert samples(histogram) == {
        ("took_seconds_bucket", ("0.1",)): 2,
        ("took_seconds_bucket", ("1.0",)): 3,
        ("took_seconds_bucket", ("+Inf",)): 4,
        ("took_seconds_count", ()): 4,
        ("took_seconds_sum", ()): 7.65,
    }


def test_a_histogram_with_labels_has_no_samples_before_its_first_value() -> None:
    histogram = Histogram("took_seconds", "Took.", (1,), ("a",))
    assert samples(histogram) == {}

    histogram.observe([2], ("a",))
    assert samples(histogram)["took_seconds_bucket", ("a", "1.0")] == 0


def test_a_gauge_is_looked_up_when_it_is_read_and_left_out_while_it_is_not_known() -> None:
    known, of_all, unknown = Gauge("known", "K."), Gauge("all", "A.", ("kind",)), Gauge("unknown", "U.")
    values = {"a": 1.0}
    known.reads(lambda: values["a"])
    of_all.reads_all(lambda: {(kind,): value for kind, value in values.items()})
    unknown.reads(lambda: None)
    values["a"] = 2.0

    assert samples(known, of_all, unknown, Gauge("untold", "U.")) == {("known", ()): 2, ("all", ("a",)): 2}


def test_openmetrics_accepts_all_kinds() -> None:
    read = CountRead("read_seconds", "R.")
    read.reads(lambda: 1.5)
    metrics = (Count("a", "A.", known=[()]), Histogram("b", "B.", (1,)), read)

    text = generate_openmetrics(Families(metrics).registry()).decode()  # type: ignore[no-untyped-call]
    families = {one.name: one.type for one in openmetrics(text)}  # type: ignore[no-untyped-call]

    assert families == {"a": "counter", "b": "histogram", "read_seconds": "counter"}
