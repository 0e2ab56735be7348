"""Every rendering against the oracle: each function returns what differs, one line each."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil, isclose
from typing import Any

from sidecar.exposition import document
from tests.walk.harness import INTERVAL, Hands, Sidecar
from tests.walk.oracle import (
    FIELDS,
    PUBSUB,
    REFUSALS,
    STATUSES,
    STREAM,
    Counts,
    Oracle,
)

FINISHED = ("success", "failed")
SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\S+)$", re.MULTILINE)
COMMITTED = re.compile(r"flash_sale_(?!sidecar_(?!events))\w+_(total|bucket|count|sum)\b")  # counters but the live ones
LABEL = re.compile(r'(\w+)="([^"]*)"')
BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


def series(text: str) -> dict[str, float]:
    """Read an exposition: value by sample, with its labels in the order of their names."""
    return {sample(name, **dict(LABEL.findall(labels))): float(value) for name, labels, value in SAMPLE.findall(text)}


def sample(metric: str, **labels: str) -> str:
    """Return the name of a sample."""
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def nothing_shown(sidecar: Sidecar, text: str) -> None:
    """Check that a standby shows no business metric."""
    shown = [name for name in series(text) if re.match(r"flash_sale_(?!sidecar_)", name)]
    assert not shown, f"a standby shows {shown[:3]}"
    assert sidecar.service._latest.snapshot is None


def gone_back(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    """Name the counters that went back, or away."""
    for name, value in before.items():
        if COMMITTED.match(name) and after.get(name, -1) < value:
            yield f"{name} went back from {value} to {after.get(name)}"


def differences(oracle: Oracle, sidecar: Sidecar) -> Iterator[str]:
    """Compare the JSON, the report and an update of the WebSocket."""
    snapshot = sidecar.service._latest.snapshot
    assert snapshot is not None, "nothing is shown"
    assert oracle.stored is not None
    shown = json.loads(document.full(snapshot))
    yield from _differences("json", expected(oracle.stored), shown)
    if not oracle.clock_ever_set:
        yield from _per_second(oracle.stored, shown["ts"], shown["orders"]["per_second"])
    yield from _in_flight(oracle.stored, shown["orders"]["in_flight"])
    yield from _completeness(oracle.stored, shown["completeness"])
    yield from _connections(oracle.stored, shown["connections"]["active"])
    report = json.loads(document.report_json(snapshot))
    yield from _differences("report", shown, report)
    update = json.loads(b"".join(document.Sections(snapshot).of(document.TOPICS)))
    yield from _differences("update", {name: shown[name] for name in document.SECTIONS.values()}, update)
    markdown = document.report_markdown(snapshot).decode()
    for status in STATUSES:
        row = f"| {'accepted' if status == 'pending' else status} | {oracle.stored.statuses[status]} |"
        if row not in markdown:
            yield f"markdown lacks {row}"


def expected(counts: Counts) -> dict[str, Any]:
    """Return what the JSON must hold, where one value is right."""
    total = sum(counts.statuses[status] for status in FINISHED)
    failed = counts.statuses["failed"]
    refusals = sum(count for reason, count in counts.reasons.items() if reason in REFUSALS)
    products = {product for product, _ in counts.products} | set(counts.stock)
    queues = {queue for queue, _ in counts.queues}
    return {
        "stale": False,
        "role": "active",
        "orders": {
            "total": total,
            "by_status": {status: counts.statuses[status] for status in STATUSES},
            "failed_by_reason": dict(counts.reasons),
            "refusals": refusals,
            "faults": failed - refusals,
            "error_rate": {"total": failed / total if total else None},
            "fault_rate": {"total": (failed - refusals) / total if total else None},
            "by_product": {
                product: {name: counts.products[product, name] for name in (*STATUSES, "units")} for product in products
            },
            "revenue": {currency: f"{amount:.6f}" for currency, amount in counts.revenue.items()},
        },
        "queues": {queue: {name: _value(counts.queues.get((queue, name))) for name in FIELDS} for queue in queues},
        "inventory": {product: {"stock": reading.value} for product, reading in counts.stock.items()},
        "latency_ms": _times(counts, "latency"),
        "processing_ms": _times(counts, "processing"),
        "completeness": {
            "received": counts.received.total(),
            "duplicates": counts.duplicates,
            "late": counts.late,
            "repeats": counts.repeats,
            "invalid": counts.invalid.total(),
            "ignored": counts.ignored.total(),
        },
    }


def _value(reading: Any) -> int | None:
    return None if reading is None else reading.value


def _times(counts: Counts, duration: str) -> dict[str, Any]:
    by_status = {status: counts.times.get((duration, status), []) for status in FINISHED}
    return {
        "total": _summary([value for values in by_status.values() for value in values]),
        "by_status": {status: _summary(values) for status, values in by_status.items()},
    }


def _summary(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"count": 0, "avg": None, "min": None, "p50": None, "max": None}
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
    return {
        "count": len(values),
        "avg": sum(values) / len(values),
        "min": ordered[0],
        "max": ordered[-1],
        **{name: Near(ordered[ceil(q * len(values)) - 1]) for name, q in ranks.items()},
    }


class Near(float):
    """A value that may be shown 1.1 % off."""


def _differences(path: str, wanted: Any, shown: Any) -> Iterator[str]:
    """Compare what is wanted; what is shown besides at these places must be wanted too, but for objects of schema."""
    if isinstance(wanted, dict) and isinstance(shown, dict):
        names = wanted.keys() | (shown.keys() if path.endswith(MAPS) else set())
        for name in sorted(names):
            yield from _differences(f"{path}.{name}", wanted.get(name, "absent"), shown.get(name, "absent"))
    elif not _equal(path, wanted, shown):
        yield f"{path} is {shown!r}, not {wanted!r}"


MAPS = ("failed_by_reason", "by_product", "revenue", "queues", "inventory")


def _equal(path: str, wanted: Any, shown: Any) -> bool:
    if ".revenue." in path and isinstance(shown, str) and isinstance(wanted, str) and "absent" not in (wanted, shown):
        return float(wanted) == float(shown)
    if isinstance(wanted, Near) and isinstance(shown, float | int):
        return isclose(wanted, shown, rel_tol=0.011)
    if isinstance(wanted, float) and isinstance(shown, float | int):
        return isclose(wanted, shown, rel_tol=1e-9)
    return bool(wanted == shown)


def missed_bounds(counts: Counts, source: str) -> tuple[int, int]:
    """Return how many are missed of a source at least and at most: one loss may be shown by two things."""
    by_numbers = counts.missed[source]
    if source == PUBSUB:
        return by_numbers, by_numbers
    return max(by_numbers, counts.lost), by_numbers + counts.lost


def _completeness(counts: Counts, shown: Mapping[str, Any]) -> Iterator[str]:
    bounds = [missed_bounds(counts, source) for source in (PUBSUB, STREAM)]
    recovered = counts.recovered.total()
    least, most = (sum(part) - recovered for part in zip(*bounds, strict=True))
    if counts.lost and counts.missed[STREAM]:
        least = 0
    if not least <= shown["missed"] <= most:
        yield f"missed is {shown['missed']}, not {least} to {most}"
    received, missed = shown["received"], shown["missed"]
    knows = counts.numbered or counts.received[STREAM] or counts.lost
    if knows or shown["ratio"] is not None:
        ratio = received / (received + missed) if received + missed else None
        if knows and ratio != shown["ratio"]:
            yield f"ratio is {shown['ratio']}, not {ratio}"
        if not knows:
            yield f"ratio is {shown['ratio']} where nothing is known"
    if not counts.lost:
        wanted = {
            name: {key: part[key] for key in ("received", "missed", "duplicates")}
            for name, part in counts.producers.items()
        }
        nothing = {"received": 0, "missed": 0, "duplicates": 0}
        for name in wanted.keys() | shown["by_producer"].keys():
            yield from _differences(
                f"by_producer.{name}", wanted.get(name, nothing), shown["by_producer"].get(name, nothing)
            )


def _per_second(counts: Counts, ts: float, shown: Mapping[str, Any]) -> Iterator[str]:
    """The last second that ended a commit interval ago, and the best one."""
    last = int(ts - INTERVAL) - 1
    if shown["now"] != counts.seconds[last]:
        yield f"per_second.now is {shown['now']}, not {counts.seconds[last]}"
    peak = max(counts.seconds.values(), default=0)
    if shown["peak"] != peak:
        yield f"peak is {shown['peak']}, not {peak}"


def _in_flight(counts: Counts, shown: int | None) -> Iterator[str]:
    pending = counts.statuses["pending"]
    decided = sum(counts.statuses.values()) - pending
    if not pending or not counts.mixed:
        wanted = counts.in_flight if pending else None
        if shown != wanted:
            yield f"in_flight is {shown}, not {wanted}"
    elif shown is None or not max(pending - decided, 0) <= shown <= pending:
        yield f"in_flight is {shown}, not from {pending - decided} to {pending}"


def _connections(counts: Counts, shown: int | None) -> Iterator[str]:
    sure = [reading.value for name, reading in counts.connections.items() if name not in counts.perhaps_silent]
    perhaps = [counts.connections[name].value for name in counts.perhaps_silent & counts.connections.keys()]
    wanted: set[int | None] = {sum(sure)} if sure else {None}
    for value in perhaps:
        wanted |= {(total or 0) + value for total in wanted}
    if shown not in wanted:
        yield f"connections are {shown}, not {wanted}"


def of_series(oracle: Oracle, shown: Mapping[str, float]) -> Iterator[str]:
    """Compare the exposition of Prometheus."""
    counts = oracle.stored
    assert counts is not None
    wanted = {**_orders(counts), **_histograms(counts), **_gauges(counts), **_events(counts)}
    for name, value in wanted.items():
        if not isclose(shown.get(name, -1), value, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} is {shown.get(name)}, not {value}"
    yield from _sums(counts, shown)


def _orders(counts: Counts) -> dict[str, float]:
    wanted: dict[str, float] = {
        sample("flash_sale_orders_pending_total"): counts.statuses["pending"],
        sample("flash_sale_orders_cancelled_total"): counts.statuses["cancelled"],
    }
    for status in FINISHED:
        wanted[sample("flash_sale_orders_total", status=status)] = counts.statuses[status]
        for product, _ in counts.products:
            name = sample("flash_sale_product_orders_total", product_id=product, status=status)
            wanted[name] = counts.products[product, status]
    for reason, count in counts.reasons.items():
        kind = "refusal" if reason in REFUSALS else "fault"
        wanted[sample("flash_sale_order_failures_total", reason=reason, kind=kind)] = count
    for currency, amount in counts.revenue.items():
        wanted[sample("flash_sale_revenue_total", currency=currency)] = float(amount)
    for product, _ in counts.products:
        wanted[sample("flash_sale_units_sold_total", product_id=product)] = counts.products[product, "units"]
        for status in ("pending", "cancelled"):
            name = sample(f"flash_sale_product_orders_{status}_total", product_id=product)
            wanted[name] = counts.products[product, status]
    return wanted


def _histograms(counts: Counts) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for duration in ("latency", "processing"):
        for status in FINISHED:
            metric, values = f"flash_sale_order_{duration}_seconds", counts.times.get((duration, status), [])
            wanted[sample(f"{metric}_count", status=status)] = len(values)
            wanted[sample(f"{metric}_sum", status=status)] = sum(values) / 1000
            for bound in BUCKETS_MS:
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
        if not counts.lost:
            wanted[sample(f"{events}_missed_total", source=source)] = counts.missed[source]
            wanted[sample(f"{events}_recovered_total", source=source)] = counts.recovered[source]
    for reason, count in counts.invalid.items():
        wanted[sample(f"{events}_invalid_total", reason=reason)] = count
    for name, count in counts.ignored.items():
        wanted[sample(f"{events}_ignored_total", type=name)] = count
    return wanted


def _sums(counts: Counts, shown: Mapping[str, float]) -> Iterator[str]:
    """Compare what is shown under labels, whichever they are: no label set is there that nobody counted."""
    sums: Counter[str] = Counter()
    for name, value in shown.items():
        sums[name.partition("{")[0]] += value  # type: ignore[assignment]
    wanted = {
        "flash_sale_order_failures_total": counts.reasons.total(),
        "flash_sale_sidecar_events_invalid_total": counts.invalid.total(),
        "flash_sale_sidecar_events_ignored_total": counts.ignored.total(),
        "flash_sale_revenue_total": float(sum(counts.revenue.values())),
        "flash_sale_inventory_stock_units": sum(reading.value for reading in counts.stock.values()),
    }
    for name, value in wanted.items():
        if not isclose(sums[name], value, rel_tol=1e-9, abs_tol=1e-9):
            yield f"all {name} are {sums[name]}, not {value}"


def of_keys(oracle: Oracle, keys: Mapping[str, Any], hands: Hands) -> Iterator[str]:
    """Compare the keys in Redis."""
    counts = oracle.stored
    assert counts is not None
    for status in STATUSES:
        if keys.get(f"order_status:{status}") != counts.statuses[status]:
            yield f"key order_status:{status} is {keys.get(f'order_status:{status}')}, not {counts.statuses[status]}"
    for product, reading in counts.stock.items():
        if keys.get(f"inventory:{product}") != reading.value:
            yield f"key inventory:{product} is {keys.get(f'inventory:{product}')}, not {reading.value}"
    if not oracle.clock_ever_set:  # else seconds come twice
        for second, count in counts.seconds.items():
            if keys.get(f"throughput:{second}") != count:
                yield f"key throughput:{second} is {keys.get(f'throughput:{second}')}, not {count}"
    waiting = [reading.value for (_, name), reading in counts.queues.items() if name == "waiting"]
    length = keys.get(f"queue_length:{int(hands.wall)}")
    if waiting and length != sum(waiting):
        yield f"key queue_length:{int(hands.wall)} is {length}, not {sum(waiting)}"
