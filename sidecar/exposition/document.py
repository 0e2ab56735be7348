"""Snapshot -> JSON: the whole of it, the topics a WebSocket client chose, and the report, also as Markdown."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from sidecar.core.snapshot import ProductOrders, Snapshot, Summary

# topic -> field of the Snapshot
SECTIONS = {
    "orders": "orders",
    "latency": "latency_ms",
    "processing": "processing_ms",
    "queues": "queues",
    "inventory": "inventory",
    "connections": "connections",
    "completeness": "completeness",
    "system": "system",
}
PRODUCTS = "products"
DEFAULT_TOPICS = frozenset(SECTIONS)
TOPICS = DEFAULT_TOPICS | {PRODUCTS}

# As many products as a page or a printed table shows at once.
BUSIEST = 20

HEADER = ("schema", "instance", "scope", "instances", "role", "ts", "since", "committed_at", "stale", "uptime_s")


def full(snapshot: Snapshot) -> bytes:
    """Return the JSON of `GET /monitoring/metrics`."""
    return msgspec.json.encode(snapshot.public())


def topics(snapshot: Snapshot, topics: frozenset[str]) -> bytes:
    """Return the JSON `data` of a WebSocket update: the header and the sections of the chosen topics."""
    fields = {name: getattr(snapshot, name) for name in HEADER}
    document = {name: value for name, value in fields.items() if value is not UNSET}
    document |= {field: getattr(snapshot, field) for topic, field in SECTIONS.items() if topic in topics}
    if PRODUCTS in topics:
        document.setdefault("orders", {"by_product": snapshot.orders.by_product})
        document["inventory"] = snapshot.inventory
    else:
        _keep_busiest(document, snapshot)
    return msgspec.json.encode(document)


def report(snapshot: Snapshot) -> dict[str, Any]:
    """Return the snapshot's fields plus `until`, `duration_s` and `average_per_second` (`None`: unknown)."""
    until = snapshot.ts if snapshot.committed_at is None else snapshot.committed_at
    duration = None if snapshot.since is None else max(0.0, until - snapshot.since)
    document: dict[str, Any] = msgspec.to_builtins(snapshot.public())
    document["until"] = until
    document["duration_s"] = duration
    document["average_per_second"] = snapshot.orders.total / duration if duration else None
    return document


def report_json(snapshot: Snapshot) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report(snapshot))


def report_markdown(snapshot: Snapshot) -> bytes:
    """Return the report as Markdown, in UTF-8."""
    return markdown(report(snapshot)).encode()


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a Markdown document that can be pasted elsewhere."""
    orders = report["orders"]
    by_product = orders["by_product"]
    sections = [
        (f"# Flash sale report: {_text(report['instance'])}", _period(report)),
        ("## Orders", _table(("status", "orders"), orders["by_status"].items()), _outcome(orders), _rates(report)),
        ("## Failure reasons", _table(("reason", "orders"), _descending(orders["failed_by_reason"]))),
        ("## Times in milliseconds", _percentiles(report)),
        (f"## The {BUSIEST} busiest products", _products(by_product)),
        (f"## Inventory of the {BUSIEST} busiest products", _inventory(report["inventory"], by_product)),
        ("## Revenue", _table(("currency", "amount"), sorted(orders["revenue"].items()))),
        ("## Completeness", _completeness(report["completeness"])),
    ]
    return "\n\n".join(part for section in sections for part in section) + "\n"


def _busiest(finished: Mapping[str, int], names: Iterable[str]) -> list[str]:
    """Return at most 20 of the names: those with the most finished orders first, then by name."""
    return sorted(names, key=lambda name: (-finished.get(name, 0), name))[:BUSIEST]


def _keep_busiest(document: dict[str, Any], snapshot: Snapshot) -> None:
    """Reduce `orders.by_product` and `inventory` to the same busiest products."""
    orders, inventory = snapshot.orders, snapshot.inventory
    finished = {name: product.success + product.failed for name, product in orders.by_product.items()}
    chosen = _busiest(finished, finished.keys() | inventory.keys())
    if "orders" in document:
        kept = {name: orders.by_product[name] for name in chosen if name in finished}
        document["orders"] = msgspec.structs.replace(orders, by_product=kept)
    if "inventory" in document:
        document["inventory"] = {name: inventory[name] for name in chosen if name in inventory}


def _descending(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _period(report: dict[str, Any]) -> str:
    sentences = [f"From {_moment(report['since'])} to {_moment(report['until'])}"]
    sentences[0] += f" ({_number(report['duration_s'])} seconds)."
    if report["scope"] == "fleet":
        names = ", ".join(map(_text, report["instances"]))
        sentences.append(f"Sidecars in the fleet: {names}.")
    if report["stale"]:
        sentences.append("**These numbers are old: the newest were not committed in time.**")
    return "\n".join(sentences)


def _outcome(orders: dict[str, Any]) -> str:
    return (
        f"Finished: {_number(orders['total'])}, in flight: {_number(orders['in_flight'])}. "
        f"Failed because the business said no: {_number(orders['refusals'])}, "
        f"because of a fault: {_number(orders['faults'])}. "
        f"Error rate {_percent(orders['error_rate']['total'])}, fault rate {_percent(orders['fault_rate']['total'])}."
    )


def _rates(report: dict[str, Any]) -> str:
    rates = report["orders"]["per_second"]
    at = "" if rates["peak_at"] is None else f" at {_moment(rates['peak_at'])}"
    return (
        f"Orders per second: {_number(report['average_per_second'])} on average, at most {_number(rates['peak'])}{at}."
    )


def _percentiles(report: dict[str, Any]) -> str:
    rows: list[tuple[Any, ...]] = []
    for name, timings in (("latency", report["latency_ms"]), ("processing", report["processing_ms"])):
        summaries = {"": timings["total"], **{f", {status}": one for status, one in timings["by_status"].items()}}
        rows += [(name + suffix, *summary.values()) for suffix, summary in summaries.items()]
    return _table(("", *Summary.__struct_fields__), rows)


def _finished(by_product: dict[str, Any]) -> dict[str, int]:
    return {name: product["success"] + product["failed"] for name, product in by_product.items()}


def _products(by_product: dict[str, Any]) -> str:
    chosen = _busiest(_finished(by_product), by_product)
    return _table(
        ("product", *ProductOrders.__struct_fields__), ((name, *by_product[name].values()) for name in chosen)
    )


def _inventory(inventory: dict[str, Any], by_product: dict[str, Any]) -> str:
    chosen = _busiest(_finished(by_product), inventory)
    rows = ((name, *inventory[name].values()) for name in chosen)
    return _table(("product", "stock", "sold per second", "sold out in seconds"), rows)


def _completeness(completeness: dict[str, Any]) -> str:
    """Say in plain words what the numbers do not contain."""
    missed, blind = completeness["missed"], completeness["blind_s"]
    if completeness["ratio"] is None:
        first = "Whether events were missed is unknown: none carried a sequence number."
    elif missed:
        first = f"{missed} of {completeness['received'] + missed} published events were missed."
    else:
        first = "No event is known to be missed."
    second = f" The sidecar was without a connection for {_number(blind)} seconds." if blind else ""
    names = ("received", "missed", "duplicates", "late", "invalid", "ignored")
    return f"{first}{second}\n\n{_table(('events', 'count'), ((name, completeness[name]) for name in names))}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Draw a table; without rows, say so. Numbers are aligned to the right."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if not lines:
        return "None."
    head = list(columns)
    rule = "| --- |" + " ---: |" * (len(head) - 1)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *lines])


def _cell(value: Any) -> str:
    return _text(value) if isinstance(value, str) else _number(value)


def _text(name: str) -> str:
    """Return a name from outside as plain text: no markup, no line break, no control character."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", printable)


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return str(value) if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"


def _moment(ts: float | None) -> str:
    return "unknown" if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
