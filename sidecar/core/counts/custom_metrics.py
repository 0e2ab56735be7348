"""Custom metrics: counters, gauges and histograms that the configuration defines over events of any type.

A series is stored under its metric's name and a fingerprint of its definition: one that was defined otherwise never
continues it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any

from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.rules import OTHER
from sidecar.core.events.event import Event
from sidecar.core.events.values import cut_text
from sidecar.core.mapping.conditions import as_number, as_text, compiled
from sidecar.core.mapping.paths import Getter, first_of
from sidecar.core.mapping.shapes import Lookup

MOST = Decimal(10**15)  # beyond it a value is a mistake, and a float of it is not exact
STEP = Decimal("0.000000001")  # values are kept to the billionth
BUILT_IN = frozenset(Event.__struct_fields__) - {"status_word", "items"}  # fields that every event has, if only as None


class CustomSeries:
    """One series: how many values there were, their sum or the newest, and how many up to each bound.

    `at` is the Unix time of the newest value of a gauge, 0 for the others.
    """

    __slots__ = ("at", "buckets", "count", "number")

    def __init__(self, bounds: int = 0) -> None:
        self.count = 0
        self.number = Decimal(0)
        self.at = 0.0
        self.buckets = [0] * bounds

    def merge(self, other: "CustomSeries") -> None:
        self.count += other.count
        if other.at or self.at:
            if other.at >= self.at:
                self.number, self.at = other.number, other.at
        else:
            self.number += other.number
            self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`: no value of a gauge is from the future."""
        if self.at:
            self.at = max(min(self.at + by, now), 0.0)

    def copy(self) -> "CustomSeries":
        twin = CustomSeries()
        twin.count, twin.number, twin.at, twin.buckets = self.count, self.number, self.at, list(self.buckets)
        return twin

    def dump(self) -> Any:
        return [self.count, format(self.number, "f"), self.at, self.buckets]

    @classmethod
    def load(cls, data: Any) -> "CustomSeries":
        part = cls()
        part.count, number, part.at, part.buckets = data
        part.number = Decimal(number)
        return part


def metric_of(key: str) -> str:
    """Return the name of the metric to which a series with this key belongs."""
    return key.partition("\n")[0]


Extras = Mapping[int, Mapping[str, Any]]  # by the id() of an event: its fields beyond those of Event


class CustomCounting:
    """Counts events into custom metrics."""

    def __init__(self, metrics: Iterable[CustomMetric]) -> None:
        self._extras: Extras = {}
        self._metrics = [_Counter(metric, self) for metric in metrics]
        self.types = frozenset(one.metric.event for one in self._metrics)

    def count(self, events: list[Event], extras: Extras, into: dict[str, CustomSeries]) -> None:
        """Count events that are no duplicates; their times are settled."""
        self._extras = extras
        for metric in self._metrics:
            chosen = [event for event in events if event.type == metric.metric.event]
            if chosen:
                metric.count(chosen, into)

    def learn(self, keys: Iterable[str]) -> None:
        """Admit the series that are counted already."""
        known = list(keys)
        for metric in self._metrics:
            metric.known.update(key for key in known if key.startswith(metric.key) and key != metric.other)

    def outdated(self, keys: Iterable[str]) -> list[str]:
        """Return the keys of series that another definition of the same metric counted."""
        current = {metric.metric.name: metric.key for metric in self._metrics}
        return [key for key in keys if (name := metric_of(key)) in current and not key.startswith(current[name])]

    # How conditions read events

    def get(self, *paths: str) -> Getter:
        return first_of([self._getter(path) for path in paths])

    def exists(self, *paths: str) -> Getter:
        return self.get(*paths)

    def elements(self, *paths: str) -> "CustomCounting":
        return self

    def _getter(self, field: str) -> Getter:
        if field in BUILT_IN:
            return attrgetter(field)
        return lambda event: self._extras.get(id(event), {}).get(field)


class _Counter:
    """One metric, compiled."""

    def __init__(self, metric: CustomMetric, fields: Lookup) -> None:
        self.metric = metric
        self.key = metric.key
        self.other = "\n".join([self.key, *[OTHER] * len(metric.labels)])  # the key of all series beyond the limit
        self.known: set[str] = set()
        self._takes = compiled(metric.when, fields) if metric.when else None
        self._value = fields.get(metric.value) if metric.value else None
        self._labels = [fields.get(field) for field in metric.labels.values()]

    def count(self, events: list[Event], into: dict[str, CustomSeries]) -> None:
        """Count events of its type."""
        for event in events:
            if self._takes is not None and not self._takes(event):
                continue
            number = Decimal(1) if self._value is None else as_number(self._value(event))
            if number is None or not -MOST < number < MOST or (number < 0 and self.metric.type == "counter"):
                continue  # it has no such value
            self._add(self._series(event, into), number, event.ts or 0.0)

    def _series(self, event: Event, into: dict[str, CustomSeries]) -> CustomSeries:
        values = [cut_text((as_text(get(event)) or "").replace("\n", " ")) for get in self._labels]
        key = "\n".join([self.key, *values])
        if key not in self.known:
            if len(self.known) >= self.metric.max_series:
                key = self.other
            else:
                self.known.add(key)
        if key not in into:
            into[key] = CustomSeries(len(self.metric.buckets) + 1 if self.metric.type == "histogram" else 0)
        return into[key]

    def _add(self, series: CustomSeries, number: Decimal, at: float) -> None:
        series.count += 1
        number = number.quantize(STEP).normalize()
        if self.metric.type == "gauge":
            if at >= series.at:
                series.number, series.at = number, at
            return
        series.number += number
        if self.metric.type == "histogram":
            series.buckets[bisect_left(self.metric.buckets, float(number))] += 1
