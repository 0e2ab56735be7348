"""Snapshot -> InfluxDB line protocol: measurements, tags and fields. It computes nothing. Pure.

A line is `measurement,tag=value field=1i,other=0.5 nanoseconds`. A field is always an integer (counts, bytes), a float
or a boolean: InfluxDB refuses points whose type changes. Unknown values have no field.
"""

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import asdict

from sidecar.core.events.event import FINISHED, STATUSES
from sidecar.core.snapshot.snapshot import (
    Custom,
    Inventory,
    Orders,
    ProductOrders,
    SellOut,
    Series,
    Snapshot,
    Summary,
    Timings,
)
from sidecar.exposition.prometheus.families import WINDOWS

US_PER_SECOND, NS_PER_US = 10**6, 10**3  # a float of seconds holds no more than microseconds
ALL = "all"  # the tag `status` of summaries over all statuses

# A line ends at a line feed, and readers disagree about a backslash before a comma: both are percent-encoded.
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
SPECIAL = re.compile(r"([,= ])")

LineValue = int | float | bool | Decimal | None
Point = tuple[str, Mapping[str, str], Mapping[str, LineValue]]  # measurement without its prefix, tags, fields


def lines(snapshot: Snapshot, series: Series, environment: str) -> Iterator[str]:
    """Yield a line for every point that has a field, with the time of the Snapshot and a line feed."""
    common = {"environment": environment, "instance": snapshot.instance}
    at = round(snapshot.ts * US_PER_SECOND) * NS_PER_US
    for name, tags, fields in _points(snapshot, series):
        if text := _fields(fields):
            yield f"flash_sale_{name}{_tags({**common, **tags})} {text} {at}\n"


def _points(snapshot: Snapshot, series: Series) -> Iterator[Point]:
    yield "orders", {}, _orders(snapshot.orders, series)
    for kind, counts in (("refusal", series.refusals), ("fault", series.faults)):
        for reason, count in counts.items():
            yield "failures", {"reason": reason, "kind": kind}, {"orders": count}
    for currency, amount in snapshot.orders.revenue.items():
        yield "revenue", {"currency": currency}, {"amount": Decimal(amount)}
    yield from _products(snapshot)
    yield from _times("latency", snapshot.latency_ms)
    yield from _times("processing", snapshot.processing_ms)
    for queue, lengths in snapshot.queues.items():
        numbers = {name: value for name, value in asdict(lengths).items() if not isinstance(value, str)}
        yield "queue", {"queue": queue}, numbers
    yield "connections", {}, asdict(snapshot.connections)
    facts = asdict(snapshot.completeness).items()  # dicts and sentences are no fields
    yield "completeness", {}, {name: value for name, value in facts if isinstance(value, int | float)}
    yield from _custom(snapshot.custom or {})
    yield "sidecar", {}, {**asdict(snapshot.system), "uptime_s": snapshot.uptime_s, "stale": snapshot.stale}


def _custom(metrics: Mapping[str, Custom]) -> Iterator[Point]:
    """Yield a point per series of a custom metric; a bucket is a field, such as `le_2.5`."""
    for name, metric in metrics.items():
        for sample in metric.series:
            buckets: dict[str, LineValue] = {f"le_{le}": n for le, n in (sample.buckets or {}).items()}
            known = {"value": sample.value, "count": sample.count, "sum": sample.sum}
            fields: dict[str, LineValue] = {key: value for key, value in known.items() if value is not UNSET}
            yield "custom", {**sample.labels, "metric": name}, {**fields, **buckets}


def _orders(orders: Orders, series: Series) -> dict[str, LineValue]:
    """Return the counts of the exposition, which do not fall after a rollback of Redis, and the recent rates."""
    counts: dict[str, LineValue] = {status: orders.by_status.get(status, 0) for status in STATUSES}
    return {
        **counts,
        "total": sum(orders.by_status.get(status, 0) for status in FINISHED),
        "in_flight": orders.in_flight,
        "refusals": sum(series.refusals.values()),
        "faults": sum(series.faults.values()),
        "per_second_10s": orders.per_second.last_10s,
        "per_second_peak": orders.per_second.peak,
        "error_rate_1m": orders.error_rate.last_1m,
        "fault_rate_1m": orders.fault_rate.last_1m,
    }


def _products(snapshot: Snapshot) -> Iterator[Point]:
    """Yield a point per product, with both orders and stock, so that one query can compare them."""
    orders, inventory = snapshot.orders.by_product, snapshot.inventory
    nothing = ProductOrders()
    for name in orders | inventory:
        stock = _stock(inventory[name]) if name in inventory else {}
        yield "product", {"product_id": name}, {**asdict(orders.get(name, nothing)), **stock}


def _stock(inventory: Inventory) -> dict[str, LineValue]:
    fields = asdict(inventory)
    band: SellOut = fields.pop("sell_out")
    return {**fields, "sell_out_low_s": band.low_s, "sell_out_high_s": band.high_s}


def _times(name: str, timings: Timings) -> Iterator[Point]:
    for window, field in WINDOWS.items():
        yield name, {"status": ALL, "window": window}, _summary(getattr(timings, field))
    for status, summary in timings.by_status.items():
        yield name, {"status": status, "window": "total"}, _summary(summary)


def _summary(summary: Summary) -> dict[str, LineValue]:
    return {name if name == "count" else f"{name}_ms": value for name, value in asdict(summary).items()}


def _tags(tags: Mapping[str, str]) -> str:
    """Format tags, sorted as InfluxDB prefers; empty ones are not allowed."""
    return "".join([f",{name}={escaped(value)}" for name, value in sorted(tags.items()) if value])


def _fields(fields: Mapping[str, LineValue]) -> str:
    known = [(name, _field(value)) for name, value in fields.items() if value is not None]
    return ",".join([f"{name}={text}" for name, text in known if text])


def _field(value: int | float | bool | Decimal) -> str:
    """Format a value by its type, "" if it is not finite."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i"
        case Decimal():
            return f"{value:f}"
        case _:
            return repr(value) if math.isfinite(value) else ""


def escaped(tag: str) -> str:
    """Escape the value of a tag."""
    return SPECIAL.sub(r"\\\1", UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", tag))
