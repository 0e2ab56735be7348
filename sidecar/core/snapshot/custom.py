"""Custom metrics -> what is shown of them."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.custom_series import CustomSeries
from sidecar.core.snapshot.snapshot import Custom, CustomSample

CustomByName = dict[str, Custom] | UnsetType


def all_shown(metrics: Sequence[CustomMetric], counted: Mapping[str, CustomSeries]) -> CustomByName:
    """Return every configured metric by name; nothing if none is configured."""
    if not metrics:
        return UNSET
    return {metric.name: shown(metric, counted) for metric in metrics}


def shown(metric: CustomMetric, counted: Mapping[str, CustomSeries]) -> Custom:
    """Return one metric. A counter or a histogram without labels is there from the start, at 0."""
    found = {key: series for key, series in counted.items() if key.startswith(metric.key)}
    if not (metric.labels or found or metric.type == "gauge"):
        found = {metric.key: CustomSeries(len(metric.buckets) + 1)}
    series = [_sample(metric, key.split("\n")[2:], part) for key, part in sorted(found.items())]
    return Custom(type=metric.type, help=metric.help or f"A {metric.type} of this configuration.", series=series)


def raised(custom: CustomByName, floor: CustomByName) -> CustomByName:
    """Return the metrics with no counter and no bucket below those of `floor`."""
    if custom is UNSET or floor is UNSET:
        return custom
    return {name: _raised(metric, floor[name]) if name in floor else metric for name, metric in custom.items()}


def _sample(metric: CustomMetric, values: Sequence[str], series: CustomSeries) -> CustomSample:
    labels = dict(zip(metric.labels, values, strict=True))
    if metric.type != "histogram":
        return CustomSample(labels=labels, value=float(series.number))
    bounds = [*map(repr, map(float, metric.buckets)), "+Inf"]
    buckets = dict(zip(bounds, accumulate(series.buckets), strict=True))
    return CustomSample(labels=labels, count=series.count, sum=float(series.number), buckets=buckets)


def _raised(metric: Custom, floor: Custom) -> Custom:
    if metric.type == "gauge":
        return metric
    low = {tuple(sample.labels.values()): sample for sample in floor.series}
    high = {tuple(sample.labels.values()): sample for sample in metric.series}
    series = [_highest(high.get(labels, sample), low.get(labels)) for labels, sample in sorted((low | high).items())]
    return replace(metric, series=series)


def _highest(sample: CustomSample, low: CustomSample | None) -> CustomSample:
    if low is None:
        return sample
    if sample.value is not UNSET and low.value is not UNSET:
        return replace(sample, value=max(sample.value, low.value))
    if sample.buckets is UNSET or low.buckets is UNSET or sample.buckets.keys() != low.buckets.keys():
        return sample
    buckets = {le: max(number, low.buckets[le]) for le, number in sample.buckets.items()}
    assert sample.sum is not UNSET and low.sum is not UNSET
    return replace(sample, buckets=buckets, count=buckets["+Inf"], sum=max(sample.sum, low.sum))
