"""Custom metrics: counters, gauges and histograms that the configuration defines over events of any type.

Events are counted together: those with equal labels and values cost little more than one.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any

from sidecar.core.counts.custom_definition import CustomMetric, built_in
from sidecar.core.counts.custom_series import CustomSeries, metric_of
from sidecar.core.counts.rules import OTHER
from sidecar.core.events.decode import extra
from sidecar.core.events.event import Event
from sidecar.core.events.values import cut_text
from sidecar.core.mapping.conditions import as_number, as_text, compiled
from sidecar.core.mapping.definition import Condition
from sidecar.core.mapping.paths import Getter, first_of, get_by, steps_of

MOST = Decimal(10**15)  # beyond it a value is a mistake, and a float of it is not exact
STEP = Decimal("0.000000001")  # values are kept to the billionth
BILLION = 10**9
EXACT = 4_000_000.0  # up to here a float times a billion is rounded to the right integer
FLOATS = frozenset(("ts", "latency_ms", "processing_ms"))
TEXTS = frozenset(("type", "producer", "status", "order_id", "product_id", "reason", "currency", "trace_id", "queue"))

NO_EVENTS: list[Event] = []
UNKNOWN = object()
REMEMBERED = 1000  # values of which the bucket is remembered

Extras = Mapping[int, Mapping[str, Any]]  # by the id() of an event: its fields beyond those of Event
Choose = Callable[[list[Event]], list[Event]]
SeriesLabels = Any  # the values of all labels of an event: a text, or a tuple of them; None for the empty one


class CustomCounting:
    """Counts events into custom metrics."""

    def __init__(self, metrics: Iterable[CustomMetric]) -> None:
        self._extras = _Extras()
        self._metrics = [_Counter(metric, _EventLookup(metric.event, self._extras)) for metric in metrics]
        self.types = frozenset(one.metric.event for one in self._metrics)

    def count(
        self, events: list[Event], extras: Extras, into: dict[str, CustomSeries], *, only_orders: bool = False
    ) -> None:
        """Count events that are no duplicates; their times are settled. `only_orders`: all are."""
        self._extras.by_id = extras
        if only_orders:
            by_type = dict.fromkeys(self.types, NO_EVENTS) | {"order": events}
        else:
            by_type = {kind: [event for event in events if event.type == kind] for kind in self.types}
        for metric in self._metrics:
            if chosen := by_type[metric.metric.event]:
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


class _Extras:
    """The fields beyond those of events, of the batch that is counted."""

    def __init__(self) -> None:
        self.by_id: Extras = {}


class _EventLookup:
    """How metrics read events of one type: a Lookup."""

    def __init__(self, kind: str, extras: _Extras) -> None:
        self._built_in = built_in(kind)
        self._extras = extras

    def get(self, *paths: str) -> Getter:
        return first_of([self._getter(path) for path in paths])

    def exists(self, *paths: str) -> Getter:
        return self.get(*paths)

    def elements(self, *paths: str) -> "_EventLookup":
        return self

    def number(self, field: str) -> Getter:
        """Return the getter of a number; other values may be anything that can be compared."""
        get = self._getter(field)
        return get if field in self._built_in else lambda event: as_number(get(event))

    def are(self, fields: Iterable[str], among: frozenset[str]) -> bool:
        """Return whether all are fields of every such event, and among these."""
        return self._built_in & among >= {*fields}

    def _getter(self, field: str) -> Getter:
        if field in self._built_in:
            return attrgetter(field)
        return _extra(field, self._extras)


class _Counter:
    """One metric, compiled."""

    def __init__(self, metric: CustomMetric, fields: _EventLookup) -> None:
        self.metric = metric
        self.key = metric.key
        self.other = "\n".join([self.key, *[OTHER] * len(metric.labels)])  # the key of all series beyond the limit
        self.known: set[str] = set()
        self._keys: dict[SeriesLabels, str] = {}  # of known series
        self._worth: dict[Any, Any] = {}  # number and bucket by value
        self._choose = [_chooser(path, condition, fields) for path, condition in metric.when.items()]
        self._value = fields.number(metric.value) if metric.value else None
        self._are_floats = fields.are([metric.value], FLOATS)
        self._labels = _labels(tuple(metric.labels.values()), fields)

    def count(self, events: list[Event], into: dict[str, CustomSeries]) -> None:
        """Count events of its type."""
        for choose in self._choose:
            events = choose(events)
        if self._value is None:
            for labels, number in self._counted(events).items():
                self._series(labels, into).add(number, number)
        elif self.metric.type == "gauge":
            self._show(events, self._value, into)
        else:
            self._add_up(events, self._value, into)

    def _counted(self, events: list[Event]) -> Mapping[SeriesLabels, int]:
        if self._labels is None:
            return {None: len(events)} if events else {}
        return Counter(map(self._labels, events))

    def _show(self, events: list[Event], value: Getter, into: dict[str, CustomSeries]) -> None:
        for event in events:
            if (number := _number(value(event))) is not None:
                self._series(self._labels and self._labels(event), into).show(number, event.ts or 0.0)

    def _add_up(self, events: list[Event], value: Getter, into: dict[str, CustomSeries]) -> None:
        by_labels: Mapping[SeriesLabels, list[Any]]
        if self._labels is None:
            by_labels = {None: list(map(value, events))}
        else:
            by_labels = defaultdict(list)
            for labels, found in zip(map(self._labels, events), map(value, events), strict=True):
                by_labels[labels].append(found)
        add = self._add_floats if self._are_floats else self._add_values
        for labels, values in by_labels.items():
            add(labels, values, into)

    def _add_floats(self, labels: SeriesLabels, values: list[float | None], into: dict[str, CustomSeries]) -> None:
        found = sorted([value for value in values if value is not None])
        if not found:
            return
        if found[-1] < EXACT:
            total = Decimal(sum([round(value * BILLION) for value in found])).scaleb(-9).normalize()
        else:
            total = sum([_to_the_billionth(Decimal(repr(value))) for value in found], Decimal(0))
        series = self._series(labels, into)
        series.add(total, len(found))
        if series.buckets:
            ends = [0, *(bisect_right(found, bound) for bound in self.metric.buckets), len(found)]
            series.fill({at: end - start for at, (start, end) in enumerate(pairwise(ends))})

    def _add_values(self, labels: SeriesLabels, values: list[Any], into: dict[str, CustomSeries]) -> None:
        total, count, buckets = Decimal(0), 0, dict[int, int]()
        for value, times in Counter(values).items():
            if (known := self._worth.get(value, UNKNOWN)) is UNKNOWN:
                known = self._judge(value)
            if known is not None:
                number, place = known
                total += number * times
                count += times
                buckets[place] = buckets.get(place, 0) + times
        if count:
            series = self._series(labels, into)
            series.add(total, count)
            if series.buckets:
                series.fill(buckets)

    def _judge(self, value: Any) -> tuple[Decimal, int] | None:
        """Return the number that a value is, and its bucket; `None` if it is none for this metric."""
        number = _number(value)
        if number is None or (number < 0 and self.metric.type == "counter"):
            known = None
        else:
            known = number, bisect_left(self.metric.buckets, float(number))
        if len(self._worth) < REMEMBERED:
            self._worth[value] = known
        return known

    def _series(self, labels: SeriesLabels, into: dict[str, CustomSeries]) -> CustomSeries:
        key = self._keys.get(labels) or self._admit(labels)
        if key not in into:
            into[key] = CustomSeries(len(self.metric.buckets) + 1 if self.metric.type == "histogram" else 0)
        return into[key]

    def _admit(self, labels: SeriesLabels) -> str:
        values = labels if labels.__class__ is tuple else (labels,) if self.metric.labels else ()
        key = "\n".join([self.key, *(cut_text((value or "").replace("\n", " ")) for value in values)])
        if key not in self.known:
            if len(self.known) >= self.metric.max_series:
                return self.other
            self.known.add(key)
        self._keys[labels] = key
        return key


def _extra(path: str, extras: _Extras) -> Getter:
    """Return the getter of what is at a path of the payload: read beside the event, or with it."""
    first, *others = steps_of(path)
    attribute, rest = extra(str(first)), get_by(tuple(others))

    def get(event: Event) -> Any:
        beside = extras.by_id.get(id(event))
        return rest(getattr(event, attribute, None)) if beside is None else beside.get(path)

    return get


def _number(value: Any) -> Decimal | None:
    """Return a value to the billionth, `None` if it is no number or beyond the limit."""
    number = as_number(value)
    return _to_the_billionth(number) if number is not None and -MOST < number < MOST else None


def _to_the_billionth(number: Decimal) -> Decimal:
    """Return a number to the billionth."""
    return number.quantize(STEP).normalize()


def _chooser(path: str, condition: Condition, fields: _EventLookup) -> Choose:
    """Return the function that chooses the events which fulfil a condition."""
    takes, get = compiled({path: condition}, fields), fields.get(path)
    words = {*condition.one_of} | ({condition.equals} if condition.equals is not None else set())
    if fields.are([path], TEXTS) and condition == Condition(equals=condition.equals, one_of=condition.one_of):
        return lambda events: [event for event in events if get(event) in words]
    return lambda events: [event for event in events if takes(event)]


def _labels(names: tuple[str, ...], fields: _EventLookup) -> Callable[[Event], SeriesLabels] | None:
    """Return the getter of the values of all labels."""
    if not names:
        return None
    if fields.are(names, TEXTS):
        return attrgetter(*names)
    getters = [fields.get(name) for name in names]
    return lambda event: tuple([as_text(get(event)) for get in getters])
