"""Families -> Prometheus's protobuf exposition: messages `MetricFamily` of client_model, each after its length.

Only here are histograms native: the buckets of `Histogram` are those of schema 5. Classic buckets and exemplars are in
the same message.

The few messages are written without a library, which would make an object of each sample. A value always takes eight
bytes, so that everything around it stays the same for as long as its labels do.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import sub

from prometheus_client.metrics_core import Metric

from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.counts.histogram import NS_PER_SECOND, OFFSET, SMALLEST_NS
from sidecar.exposition.prometheus.text import Column, Family, LabelTuple

SCHEMA = 5  # bucket k has values above 2^((k-1)/32), up to 2^(k/32)
ZERO_THRESHOLD = (SMALLEST_NS - 1) / NS_PER_SECOND  # durations are whole nanoseconds

# Numbers of MetricType, and of the fields of Metric and their start timestamps.
TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
VALUES = {"counter": 3, "gauge": 2, "histogram": 7}
CREATED = {"counter": 3, "histogram": 15}


class Encoder:
    """Writes families, and keeps the bytes before each value until the next time."""

    def __init__(self) -> None:
        # By family: the keys of its samples, its start timestamp, and the bytes before each value.
        self._known: dict[str, tuple[Sequence[LabelTuple], bytes, list[bytes]]] = {}

    def encode(self, family: Family) -> bytes:
        """Return the message of a family; nothing without samples."""
        if not any(column.keys for column in family.columns):
            return b""
        created = _created(family.type, family.created)
        metrics = _histograms(family, created) if family.type == "histogram" else self._values(family, created)
        return _message(family.name, family.help, family.type, metrics)

    def _values(self, family: Family, created: bytes) -> bytes:
        (column,) = family.columns
        keys, since, heads = self._known.get(family.name, ((), created, []))
        if keys != column.keys or since != created:
            known = dict(zip(keys, heads, strict=True)) if since == created else {}
            heads = [known.get(key) or _head(family.type, _labels(column.labels, key), created) for key in column.keys]
            self._known[family.name] = (column.keys, created, heads)
        pieces = [created] * (3 * len(heads))
        pieces[::3], pieces[1::3] = heads, map(_double, column.values)
        return b"".join(pieces)


def encode_live(families: Iterable[Metric]) -> bytes:
    """Encode families of prometheus-client: counters, gauges and classic histograms."""
    return b"".join(
        _message(family.name, family.documentation, family.type, b"".join(_live(family))) for family in families
    )


def _live(family: Metric) -> Iterator[bytes]:
    metrics: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for name, labels, value, *_ in family.samples:
        key = tuple(pair for pair in labels.items() if pair[0] != "le")
        metrics.setdefault(key, {})[name[len(family.name) :] + labels.get("le", "")] = value
    for key, values in metrics.items():
        head, created = _around(family.type, key, values.get("_created"))
        if family.type == "histogram":
            bounds = [(name.removeprefix("_bucket"),) for name in values if name.startswith("_bucket")]
            column = Column("_bucket", ("le",), bounds, [values[f"_bucket{le}"] for (le,) in bounds])
            yield _metric(head, _histogram(column, int(values["_count"]), values["_sum"]) + created)
        else:
            value = values["_total" if family.type == "counter" else ""]
            yield head + _double(value) + created


def _message(name: str, text: str, kind: str, metrics: bytes) -> bytes:
    """Return a family after its length."""
    shown = name + "_total" if kind == "counter" else name
    head = _bytes(1, shown.encode()) + _bytes(2, text.encode()) + _number(3, TYPES[kind])
    return _varint(len(head) + len(metrics)) + head + metrics


@lru_cache(1000)
def _around(kind: str, pairs: tuple[tuple[str, str], ...], since: float | None) -> tuple[bytes, bytes]:
    """Return what comes before and after a value; before a histogram these are its labels alone."""
    names, values = zip(*pairs, strict=True) if pairs else ((), ())
    labels, created = _labels(names, values), _created(kind, since)
    return labels if kind == "histogram" else _head(kind, labels, created), created


def _labels(names: tuple[str, ...], key: LabelTuple) -> bytes:
    pairs = sorted(zip(names, key, strict=True))
    return b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode())) for name, value in pairs)


def _head(kind: str, labels: bytes, created: bytes) -> bytes:
    """Return a metric without the eight bytes of its value and what follows."""
    size = 1 + 8 + len(created)
    head = labels + _BYTES[VALUES[kind]] + _varint(size) + _FIXED[1]
    return _BYTES[4] + _varint(len(head) + size - 1) + head


def _created(kind: str, seconds: float | None) -> bytes:
    return b"" if seconds is None else _bytes(CREATED[kind], _timestamp(seconds))


def _timestamp(seconds: float) -> bytes:
    whole, micros = divmod(round(seconds * 1e6), 10**6)
    return _number(1, whole) + _number(2, micros * 1000)


def _histograms(family: Family, created: bytes) -> bytes:
    """Return the metrics of a family, whose columns are buckets, count and sum of each."""
    triples = zip(family.columns[::3], family.columns[1::3], family.columns[2::3], strict=True)
    return b"".join(
        _metric(
            _labels(count.labels, count.keys[0]), _histogram(buckets, int(count.values[0]), total.values[0]) + created
        )
        for buckets, count, total in triples
    )


def _metric(labels: bytes, histogram: bytes) -> bytes:
    return _bytes(4, labels + _bytes(VALUES["histogram"], histogram))


def _histogram(buckets: Column, count: int, total: float) -> bytes:
    fine = buckets.fine
    # They differ while exposed counters must not fall (monotonic.py), where a native one needs the sum of its buckets.
    parts = [_number(1, count if fine is None else sum(fine.values())), _float(2, total)]
    for at, (key, cumulative) in enumerate(zip(buckets.keys, buckets.values, strict=True)):
        exemplar = _exemplar(buckets.exemplars[at]) if at in buckets.exemplars else b""
        parts.append(_bytes(3, _number(1, int(cumulative)) + _bound(key[-1]) + exemplar))
    if fine is not None:
        parts.append(_native(fine))
    return b"".join(parts)


@lru_cache(1000)
def _bound(le: str) -> bytes:
    return _float(2, float(le))


def _exemplar(one: Exemplar) -> bytes:
    labels = _labels(tuple(one.labels), tuple(one.labels.values()))
    return _bytes(3, labels + _float(2, one.value_seconds) + _bytes(3, _timestamp(one.ts)))


def _native(fine: Mapping[int, int]) -> bytes:
    """Return schema, zero bucket, spans of consecutive buckets, and the step from each count to the next."""
    parts = [_number(5, _signed(SCHEMA)), _float(6, ZERO_THRESHOLD), _number(7, fine.get(0, 0))]
    used = [index for index in fine if index]
    starts = [at for at, index in enumerate(used) if not at or index != used[at - 1] + 1]
    end = OFFSET
    for start, following in pairwise([*starts, len(used)]):
        parts.append(_bytes(12, _number(1, _signed(used[start] - end)) + _number(2, following - start)))
        end = used[following - 1] + 1
    counts = [fine[index] for index in used]
    steps = [step << 1 if step >= 0 else ~(step << 1) for step in map(sub, counts, [0, *counts])]
    return b"".join([*parts, _bytes(13, b"".join([_SHORT[n] if n < 0x80 else _varint(n) for n in steps]))])


def _bytes(field: int, content: bytes) -> bytes:
    return _BYTES[field] + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _VARINT[field] + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _FIXED[field] + _double(value)


def _varint(value: int) -> bytes:
    """Return seven bits a byte, the lowest first; all bytes but the last have the high bit."""
    if value < 0x80:
        return _SHORT[value]
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _signed(value: int) -> int:
    """Map 0, -1, 1, -2, ... to 0, 1, 2, 3, ..."""
    return value << 1 if value >= 0 else ~(value << 1)


# The bytes before a field, by its number, for each kind of value.
_SHORT = [bytes((value,)) for value in range(0x80)]
_VARINT, _FIXED, _BYTES = ([_varint(field << 3 | kind) for field in range(17)] for kind in range(3))
_double = struct.Struct("<d").pack
