"""The exposition of Prometheus against the oracle."""

import re
from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

from tests.walk import custom
from tests.walk.counts import FINISHED, PUBSUB, STREAM, Counts
from tests.walk.oracle import Oracle
from tests.walk.places import CONFIGURED
from tests.walk.steps import Settings

SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)
COMMITTED = re.compile(
    r"(flash_sale_(?!sidecar_(?!events))|walk_)\w+_(total|bucket|count|sum)\b"
)  # counters but the live ones
LABEL = re.compile(r'(\w+)="([^"]*)"')
NAMES = {  # the label that holds names of a kind, and whose counts start at 0
    "product": "product_id",
    "reason": "reason",
    "queue": "queue",
    "type": "type",
    "currency": "currency",
}
ALL_KNOWN = (  # metrics of which the oracle knows every label set
    "flash_sale_product_orders",
    "flash_sale_order_failures_total",
    "flash_sale_sidecar_events_invalid_total",
    "flash_sale_sidecar_events_ignored_total",
    "flash_sale_revenue_total",
    "flash_sale_inventory_stock_units",
    "flash_sale_queue_length",
    "walk_orders_total",
)


def series(text: str) -> dict[str, float]:
    """Read an exposition: value by sample, with its labels in the order of their names."""
    return {sample(name, **dict(LABEL.findall(labels))): float(value) for name, labels, value in SAMPLE.findall(text)}


def sample(metric: str, **labels: str) -> str:
    """Return the name of a sample."""
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def of_standby(text: str) -> None:
    """Check that a standby shows no business metric."""
    shown = [name for name in series(text) if re.match(r"flash_sale_(?!sidecar_)", name)]
    assert not shown, f"a standby shows {shown[:3]}"


def gone_back(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    """Name the counters that went back, or away."""
    for name, value in before.items():
        if COMMITTED.match(name) and after.get(name, -1) < value:
            yield f"{name} went back from {value} to {after.get(name)}"


def of_series(oracle: Oracle, shown: Mapping[str, float], now: float, floor: Mapping[str, float]) -> Iterator[str]:
    """Compare the exposition; no counter is below `floor`."""
    counts = oracle.shown
    counters = {**_orders(counts), **_events(counts)}
    for kind, name in oracle.places.held(now):
        label = f'{NAMES[kind]}="{name}"'
        counters |= {sample: 0.0 for sample in counters if label in sample and "_invalid_" not in sample}
    counters |= _histograms(counts, oracle.settings)
    counters |= {name + labels: value for (name, labels), value in custom.samples(counts.custom).items()}
    low = {name: value for name, value in floor.items() if COMMITTED.match(name)}
    counters |= {name: max(value, counters.get(name, 0.0)) for name, value in low.items()}
    wanted = {**counters, **_gauges(counts)}
    unsure = [f"{NAMES[kind]}=" for kind in oracle.places.unsure]
    for name, value in wanted.items():
        if not any(label in name for label in unsure) and not isclose(
            shown.get(name, -1), value, rel_tol=1e-9, abs_tol=1e-12
        ):
            yield f"{name} is {shown.get(name)}, not {value}"
    if not unsure:
        yield from _sums(wanted, shown)


def of_gauges(json: Mapping[str, Any], shown: Mapping[str, float]) -> Iterator[str]:
    """Compare what the exposition shows of numbers for which the JSON is compared with the oracle."""
    wanted = {
        sample("flash_sale_orders_in_flight"): json["orders"]["in_flight"],
        sample("flash_sale_active_connections"): json["connections"]["active"],
        sample("flash_sale_completeness_ratio"): json["completeness"]["ratio"],
    }
    for window in ("10s", "1m", "5m", "total"):
        for percentile in ("50", "90", "95", "99", "99.9"):
            milliseconds = json["latency_ms"][window][f"p{percentile.replace('.', '')}"]
            name = sample("flash_sale_order_latency_percentile_seconds", percentile=percentile, window=window)
            wanted[name] = None if milliseconds is None else milliseconds / 1000
    for name, value in wanted.items():
        if shown.get(name) != value:
            yield f"{name} is {shown.get(name)}, not {value}"


def _orders(counts: Counts) -> dict[str, float]:
    products = {product for product, _ in counts.products} | counts.stock.keys() | set(CONFIGURED)
    wanted: dict[str, float] = {
        sample("flash_sale_orders_pending_total"): counts.statuses["pending"],
        sample("flash_sale_orders_cancelled_total"): counts.statuses["cancelled"],
    }
    for status in FINISHED:
        wanted[sample("flash_sale_orders_total", status=status)] = counts.statuses[status]
        for product in products:
            name = sample("flash_sale_product_orders_total", product_id=product, status=status)
            wanted[name] = counts.products[product, status]
    for (reason, kind), count in counts.reasons.items():
        wanted[sample("flash_sale_order_failures_total", reason=reason, kind=kind)] = count
    for currency, amount in counts.revenue.items():
        wanted[sample("flash_sale_revenue_total", currency=currency)] = float(amount)
    for product in products:
        wanted[sample("flash_sale_units_sold_total", product_id=product)] = counts.products[product, "units"]
        for status in ("pending", "cancelled"):
            name = sample(f"flash_sale_product_orders_{status}_total", product_id=product)
            wanted[name] = counts.products[product, status]
    return wanted


def _histograms(counts: Counts, settings: Settings) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for duration in ("latency", "processing"):
        for status in FINISHED:
            metric = f"flash_sale_order_{duration}_seconds"
            values = counts.times.get((duration, status), [])[counts.other_buckets.get((duration, status), 0) :]
            wanted[sample(f"{metric}_count", status=status)] = len(values)
            wanted[sample(f"{metric}_bucket", status=status, le="+Inf")] = len(values)
            wanted[sample(f"{metric}_sum", status=status)] = sum(values) / 1000
            for bound in settings.buckets_ms:
                name = sample(f"{metric}_bucket", status=status, le=str(bound / 1000))
                wanted[name] = sum(value <= bound for value in values)
    return wanted


def _gauges(counts: Counts) -> dict[str, float]:
    metrics = {"waiting": "flash_sale_queue_length", "active": "flash_sale_queue_active_jobs"}
    wanted: dict[str, float] = {
        sample(metrics[name], queue=queue): reading.value
        for (queue, name), reading in counts.queues.items()
        if name in metrics
    }
    for product, reading in counts.stock.items():
        wanted[sample("flash_sale_inventory_stock_units", product_id=product)] = reading.value
    return wanted


def _events(counts: Counts) -> dict[str, float]:
    events = "flash_sale_sidecar_events"
    wanted: dict[str, float] = {
        sample(f"{events}_duplicate_total"): counts.duplicates,
        sample(f"{events}_late_total"): counts.late,
        sample(f"{events}_repeated_total"): counts.repeats,
    }
    for source in (PUBSUB, STREAM):
        wanted[sample(f"{events}_received_total", source=source)] = counts.received[source]
        if not counts.lost + counts.lost_before:
            wanted[sample(f"{events}_missed_total", source=source)] = counts.missed[source]
            wanted[sample(f"{events}_recovered_total", source=source)] = counts.recovered[source]
    for reason, count in counts.invalid.items():
        wanted[sample(f"{events}_invalid_total", reason=reason)] = count
    for name, count in counts.ignored.items():
        wanted[sample(f"{events}_ignored_total", type=name)] = count
    return wanted


def _sums(wanted: Mapping[str, float], shown: Mapping[str, float]) -> Iterator[str]:
    """Compare what is shown under labels, whichever they are: no label set is there that nobody counted."""
    for metric in ALL_KNOWN:
        sums = [sum(value for name, value in found.items() if name.startswith(metric)) for found in (shown, wanted)]
        if not isclose(*sums, rel_tol=1e-9, abs_tol=1e-9):
            yield f"all {metric} are {sums[0]}, not {sums[1]}"
