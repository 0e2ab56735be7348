"""Custom counters do not fall after a rollback, where Prometheus would take a fall for a restart."""

from msgspec import UNSET

from sidecar.core.snapshot.custom import raised
from sidecar.core.snapshot.snapshot import Custom, CustomSample


def counter(**values: float) -> Custom:
    series = [CustomSample(labels={"l": label}, value=value) for label, value in values.items()]
    return Custom(type="counter", help="", series=series)


def histogram(low: int, high: int, total: float) -> Custom:
    sample = CustomSample(labels={}, count=high, sum=total, buckets={"1.0": low, "+Inf": high})
    return Custom(type="histogram", help="", series=[sample])


def test_a_counter_keeps_its_highest_value_also_of_series_that_are_gone() -> None:
    found = raised({"n": counter(a=1, c=5)}, {"n": counter(a=3, b=2)})
    assert found == {"n": counter(a=3, b=2, c=5)}


def test_a_histogram_keeps_each_bucket() -> None:
    assert raised({"h": histogram(2, 3, 4.0)}, {"h": histogram(1, 5, 9.0)}) == {"h": histogram(2, 5, 9.0)}


def test_buckets_that_were_defined_otherwise_are_no_floor() -> None:
    other = Custom(type="histogram", help="", series=[CustomSample(labels={}, count=9, sum=9.0, buckets={"+Inf": 9})])
    assert raised({"h": histogram(2, 3, 4.0)}, {"h": other}) == {"h": histogram(2, 3, 4.0)}


def test_a_gauge_may_fall_and_a_new_metric_has_no_floor() -> None:
    gauge = Custom(type="gauge", help="", series=[CustomSample(labels={}, value=1.0)])
    high = Custom(type="gauge", help="", series=[CustomSample(labels={}, value=7.0)])
    assert raised({"g": gauge, "n": counter(a=1)}, {"g": high}) == {"g": gauge, "n": counter(a=1)}


def test_where_none_is_defined_there_is_nothing_to_raise() -> None:
    assert raised(UNSET, {}) is UNSET
    assert raised({}, UNSET) == {}
