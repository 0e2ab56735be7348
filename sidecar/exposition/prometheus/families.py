"""Snapshot -> families of metrics: names, types and labels. It computes nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar, get_args

from msgspec.structs import replace

from sidecar.core.counts.labels import KINDS
from sidecar.core.counts.phases import PHASES
from sidecar.core.counts.sale import Sale
from sidecar.core.events.event import ADJUSTMENTS, FINISHED, RejectionReason
from sidecar.core.snapshot.snapshot import (
    JOB_STATES,
    ClassicHistogram,
    Completeness,
    Custom,
    CustomSample,
    ErrorBudget,
    Inventory,
    Orders,
    ProductOrders,
    Queue,
    Series,
    Snapshot,
    Timings,
)
from sidecar.exposition.prometheus.text import Column, Family

PERCENTILES = {"50": "p50", "90": "p90", "95": "p95", "99": "p99", "99.9": "p999"}
WINDOWS = {"10s": "last_10s", "1m": "last_1m", "5m": "last_5m", "total": "total"}

LabelValues = TypeVar("LabelValues", bound=tuple[str, ...])  # label values
SampleValue = int | float | None


def snapshot_families(
    snapshot: Snapshot, series: Series, environment: str, sources: tuple[str, ...]
) -> Iterator[Family]:
    """Yield every family of the Snapshot. Unknown values have no sample; held label sets are 0.

    All counts were created at `since`, those of later label sets too: they were 0 then.
    """
    for family in _families(snapshot, series, environment, sources):
        yield family if family.type == "gauge" else replace(family, created=snapshot.since)


def _families(snapshot: Snapshot, series: Series, environment: str, sources: tuple[str, ...]) -> Iterator[Family]:
    sale, named = snapshot.sale, snapshot.sale.state != "none" and snapshot.sale.id is not None
    yield gauge(
        "info",
        "The sidecar's name, its environment and the sale; always 1.",
        ("sidecar", "environment", "sale", "kind") if named else ("sidecar", "environment"),
        {(snapshot.instance, environment, *((sale.id or "", sale.kind) if named else ())): 1},
    )
    yield from _sale(snapshot.sale)
    phases = {(name,): int(name == snapshot.phases.now) for name in PHASES if snapshot.phases.now}
    yield gauge("phase", "1 for the phase that the sale is in, 0 for the others.", ("phase",), phases)
    yield from _budgets(snapshot.slo, series)
    yield from _orders(snapshot.orders)
    yield from _products(snapshot.orders.by_product, _held(series, "product"))
    yield from _failures(series)
    yield _revenue(snapshot.orders.revenue, _held(series, "currency"))
    yield _histogram("order_latency_seconds", "From accepted to decided.", series.latency)
    yield _histogram("order_processing_seconds", "Time the worker spent on the order.", series.processing)
    yield _percentiles(snapshot.latency_ms)
    yield from _queues(snapshot.queues)
    yield from _inventory(snapshot.inventory)
    yield gauge("active_connections", "Open connections over all producers.", (), {(): snapshot.connections.active})
    yield gauge(
        "completeness_ratio", "Share of the published events that was seen.", (), {(): snapshot.completeness.ratio}
    )
    producers = snapshot.completeness.producers
    states = {} if producers is None else {("alive",): producers.alive, ("silent",): producers.silent}
    yield gauge("producers", "Producers that send heartbeats, by whether they still do.", ("state",), states)
    yield from _events(snapshot.completeness, series, sources)
    for name, custom in (snapshot.custom or {}).items():
        yield _custom(name, custom)


def gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[LabelValues, SampleValue]) -> Family:
    """Build a gauge from values by label values; `None` leaves the sample out."""
    known = {key: value for key, value in values.items() if value is not None}
    return Family(f"flash_sale_{name}", "gauge", text, [Column("", labels, list(known), list(known.values()))])


def counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[LabelValues, int | float]) -> Family:
    """Build a counter, named without `_total`, from values by label values."""
    return Family(
        f"flash_sale_{name}", "counter", text, [Column("_total", labels, list(values), list(values.values()))]
    )


def _custom(name: str, custom: Custom) -> Family:
    """Build the family of a custom metric, which has a name of its own."""
    labels = tuple(custom.series[0].labels) if custom.series else ()
    if custom.type == "histogram":
        columns = [column for sample in custom.series for column in _custom_columns(labels, sample)]
        return Family(name, custom.type, custom.help, columns)
    keys = [tuple(sample.labels.values()) for sample in custom.series]
    values = [sample.value or 0.0 for sample in custom.series]
    suffix = "_total" if custom.type == "counter" else ""
    return Family(name.removesuffix(suffix), custom.type, custom.help, [Column(suffix, labels, keys, values)])


def _custom_columns(labels: tuple[str, ...], sample: CustomSample) -> Iterator[Column]:
    values = tuple(sample.labels.values())
    buckets = sample.buckets or {}
    yield Column("_bucket", (*labels, "le"), [(*values, le) for le in buckets], list(buckets.values()))
    yield Column("_count", labels, [values], [sample.count or 0])
    yield Column("_sum", labels, [values], [sample.sum or 0.0])


def _sale(sale: Sale) -> Iterator[Family]:
    yield gauge("start_timestamp_seconds", "When the sale began.", (), {(): sale.started_at})
    ended_at = sale.ended_at if sale.state == "ended" else None
    yield gauge("end_timestamp_seconds", "When the sale ended; absent while one runs.", (), {(): ended_at})


def _orders(orders: Orders) -> Iterator[Family]:
    counts = orders.by_status
    finished = {(status,): counts.get(status, 0) for status in FINISHED}
    yield counter("orders", "Orders finished.", ("status",), finished)
    yield counter("orders_pending", "Orders seen as pending.", (), {(): counts.get("pending", 0)})
    yield counter("orders_cancelled", "Orders seen as cancelled.", (), {(): counts.get("cancelled", 0)})
    yield gauge("orders_in_flight", "Orders pending and not yet decided.", (), {(): orders.in_flight})


def _products(by_product: Mapping[str, ProductOrders], held: Collection[str]) -> Iterator[Family]:
    shown = dict(by_product) | dict.fromkeys(held, ProductOrders())
    label = ("product_id",)
    finished = {(name, status): getattr(product, status) for name, product in shown.items() for status in FINISHED}
    pending = {(name,): product.pending for name, product in shown.items()}
    cancelled = {(name,): product.cancelled for name, product in shown.items()}
    units = {(name,): product.units for name, product in shown.items()}
    yield counter("product_orders", "Orders finished, by product.", (*label, "status"), finished)
    yield counter("product_orders_pending", "Orders seen as pending, by product.", label, pending)
    yield counter("product_orders_cancelled", "Orders seen as cancelled, by product.", label, cancelled)
    yield counter("units_sold", "Units of successful orders.", label, units)


def _budgets(found: Mapping[str, ErrorBudget], series: Series) -> Iterator[Family]:
    burn = {(name, window): rate for name, one in found.items() for window, rate in one.burn.items()}
    yield gauge("burn_rate", "How many times faster than allowed orders are bad.", ("slo", "window"), burn)
    left = {(name,): one.remaining_ratio for name, one in found.items()}
    yield gauge("error_budget_remaining_ratio", "Share of the error budget that is left.", ("slo",), left)
    orders = {(name,): one.left for name, one in found.items()}
    yield gauge("error_budget_remaining_orders", "Orders that may still be bad.", ("slo",), orders)
    states = {(name, state): int(one.state == state) for name, one in found.items() for state in ("warning", "page")}
    yield gauge("slo_alert_firing", "1 if the budget burns too fast.", ("slo", "severity"), states)
    yield counter("slo_bad", "Bad orders of the sale.", ("slo",), _by_label(series.slo_bad, (), ()))
    yield counter(
        "slo_valid", "Orders of the sale that are not refused.", ("slo",), _by_label(series.slo_valid, (), ())
    )


def _failures(series: Series) -> Iterator[Family]:
    held = _held(series, "reason")
    kinds = (("refusal", series.refusals), ("fault", series.faults))
    values = {(name, kind): 0 if name in held else n for kind, counts in kinds for name, n in counts.items()}
    yield counter("order_failures", "Failed orders by reason.", ("reason", "kind"), values)
    # Without labels: it starts at 0, and includes a new reason at once.
    faults = sum(series.faults.values())
    yield counter("sidecar_order_faults", "Orders that failed through a fault, of any reason.", (), {(): faults})


def _revenue(revenue: Mapping[str, str], held: Collection[str]) -> Family:
    amounts = {currency: float(Decimal(amount)) for currency, amount in revenue.items()}
    return counter("revenue", "Amount of successful orders.", ("currency",), _by_label(amounts, (), held))


def _histogram(name: str, text: str, by_status: Mapping[str, ClassicHistogram]) -> Family:
    columns = [column for status, histogram in by_status.items() for column in _columns(status, histogram)]
    return Family(f"flash_sale_{name}", "histogram", text, columns)


def _columns(status: str, histogram: ClassicHistogram) -> Iterator[Column]:
    """Yield the cumulative buckets with their exemplars, the count and the sum."""
    bounds = [*map(repr, map(float, histogram.bounds)), "+Inf"]
    cumulative = list(accumulate(histogram.counts))
    keys = [(status, le) for le in bounds]
    yield Column("_bucket", ("status", "le"), keys, cumulative, histogram.exemplars, histogram.fine)
    yield Column("_count", ("status",), [(status,)], [histogram.count])
    yield Column("_sum", ("status",), [(status,)], [histogram.sum_seconds])


def _percentiles(timings: Timings) -> Family:
    values: dict[tuple[str, ...], SampleValue] = {}
    for window, field in WINDOWS.items():
        summary = getattr(timings, field)
        for percentile, field_name in PERCENTILES.items():
            milliseconds = getattr(summary, field_name)
            values[percentile, window] = None if milliseconds is None else milliseconds / 1000
    text = "Percentiles of the latency, within 1.1 %."
    return gauge("order_latency_percentile_seconds", text, ("percentile", "window"), values)


def _queues(queues: Mapping[str, Queue]) -> Iterator[Family]:
    yield gauge("queue_length", "Jobs waiting.", ("queue",), {(name,): queue.waiting for name, queue in queues.items()})
    active = {(name,): queue.active for name, queue in queues.items()}
    yield gauge("queue_active_jobs", "Jobs being worked on.", ("queue",), active)
    jobs = {(name, state): getattr(queue, state) for name, queue in queues.items() for state in JOB_STATES}
    yield gauge("queue_jobs", "Jobs by state.", ("queue", "state"), jobs)
    oldest = {(name,): queue.oldest_waiting_s for name, queue in queues.items()}
    yield gauge("queue_oldest_waiting_seconds", "Age of the oldest job that waits.", ("queue",), oldest)
    paused = {(name,): queue.paused for name, queue in queues.items()}
    yield gauge("queue_paused", "Whether workers take no new jobs.", ("queue",), paused)
    drift = {(name,): queue.drift_jobs for name, queue in queues.items()}
    yield gauge("queue_drift_jobs", "Orders decided, by events, minus jobs finished, by the queue.", ("queue",), drift)


def _inventory(inventory: Mapping[str, Inventory]) -> Iterator[Family]:
    label = ("product_id",)
    stock: dict[tuple[str, ...], SampleValue] = {}
    depletion: dict[tuple[str, ...], SampleValue] = {}
    sell_out: dict[tuple[str, ...], SampleValue] = {}
    lower: dict[tuple[str, ...], SampleValue] = {}
    upper: dict[tuple[str, ...], SampleValue] = {}
    gone: dict[tuple[str, ...], SampleValue] = {}
    for name, item in inventory.items():
        stock[name,] = item.stock
        depletion[name,] = item.depletion_per_second
        sell_out[name,] = item.sell_out_in_s
        lower[name,], upper[name,] = item.sell_out.low_s, item.sell_out.high_s
        gone[name,] = item.sell_out.at if item.sell_out.state == "sold_out" else None
    yield gauge("inventory_stock_units", "Units left.", label, stock)
    yield gauge("inventory_depletion_units_per_second", "Units sold per second, recently.", label, depletion)
    yield gauge("time_to_sell_out_seconds", "Time until the stock is gone at the current rate.", label, sell_out)
    text = "Lower end of the 80 % band around the time until the stock is gone."
    yield gauge("time_to_sell_out_lower_seconds", text, label, lower)
    yield gauge("time_to_sell_out_upper_seconds", text.replace("Lower", "Upper"), label, upper)
    yield gauge("sold_out_timestamp_seconds", "When the product sold out.", label, gone)


def _events(completeness: Completeness, series: Series, sources: tuple[str, ...]) -> Iterator[Family]:
    reasons = get_args(RejectionReason)
    by_source = (
        ("received", "Distinct events received, rejected ones too.", series.received_by_source),
        ("missed", "Events published and not seen in time.", series.missed_by_source),
        ("recovered", "Missed events that still came.", series.recovered_by_source),
    )
    for name, text, counts in by_source:
        yield counter(f"sidecar_events_{name}", text, ("source",), _by_label(counts, sources, ()))
    invalid = _by_label(series.invalid_by_reason, reasons, _held(series, "invalid"))
    yield counter("sidecar_events_invalid", "Events rejected.", ("reason",), invalid)
    yield counter("sidecar_events_duplicate", "Events seen before.", (), {(): completeness.duplicates})
    text = "Events that came over two sources."
    yield counter("sidecar_events_counted_twice", text, (), {(): completeness.counted_twice})
    yield counter("sidecar_events_repeated", "Repeated states of the same order.", (), {(): completeness.repeats})
    yield counter("sidecar_events_late", "Events counted more than 5 s after their time.", (), {(): completeness.late})
    ignored = _by_label(series.ignored_by_type, (), _held(series, "ignored"))
    yield counter("sidecar_events_ignored", "Events of a type that nothing counts.", ("type",), ignored)
    text = "Values cut or left out of orders that were counted."
    yield counter("sidecar_events_adjusted", text, ("reason",), _by_label(series.adjusted_by_reason, ADJUSTMENTS, ()))
    overflow = _by_label(series.overflow_by_label, KINDS, ())
    yield counter("sidecar_label_overflow", "Times a value went to __other__.", ("label",), overflow)


def _by_label(
    counts: Mapping[str, int | float], known: Iterable[str], held: Iterable[str]
) -> dict[tuple[str, ...], int | float]:
    """Key by label value: known ones start at 0, held ones are still 0."""
    shown = dict.fromkeys(known, 0) | dict(counts) | dict.fromkeys(held, 0)
    return {(value,): count for value, count in shown.items()}


def _held(series: Series, family: str) -> frozenset[str]:
    return frozenset(value for name, value in series.held if name == family)
