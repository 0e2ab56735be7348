"""Snapshot -> JSON: all of it, the topics of a WebSocket client, and the report, also as Markdown."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from sidecar.core.counts.sale import Sale
from sidecar.core.snapshot.report import Report, report
from sidecar.core.snapshot.snapshot import Completeness, Inventory, Orders, ProductOrders, Snapshot, Summary

# topic -> field of the Snapshot
SECTIONS = {
    "sale": "phases",
    "alerts": "slo",
    "orders": "orders",
    "latency": "latency_ms",
    "processing": "processing_ms",
    "queues": "queues",
    "inventory": "inventory",
    "connections": "connections",
    "completeness": "completeness",
    "system": "system",
    "custom": "custom",
}
PRODUCTS = "products"
HEALTH = "health"  # of this instance, whatever the scope; it is no part of the Snapshot
DEFAULT_TOPICS = frozenset(SECTIONS)
TOPICS = DEFAULT_TOPICS | {PRODUCTS, HEALTH}

# As many products as a page or a printed table shows.
BUSIEST = 20

# Which products a section has; `alone`: nothing but products.
_Products = Literal["busiest", "all", "alone"]
T = TypeVar("T")

HEADER = (
    *("schema", "instance", "scope", "instances", "role", "ts", "since", "committed_at", "stale", "uptime_s"),
    "sale",
)


def full(snapshot: Snapshot) -> bytes:
    """Return the JSON of `GET /monitoring/metrics`."""
    return msgspec.json.encode(snapshot.public())


class Sections:
    """The sections of one Snapshot as JSON: each is rendered once, however many choices of topics have it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._rendered: dict[tuple[str, _Products], bytes] = {}

    def of(self, topics: frozenset[str]) -> list[bytes]:
        """Return the JSON `data` of a WebSocket update in pieces: header, and sections of the chosen topics."""
        products: _Products = "all" if PRODUCTS in topics else "busiest"
        chosen: dict[str, _Products] = {
            field: products
            for topic, field in SECTIONS.items()
            if topic in topics and getattr(self._snapshot, field) is not UNSET
        }
        if PRODUCTS in topics:
            alone: dict[str, _Products] = {"orders": "alone", "inventory": "all"}
            chosen = alone | chosen
        header = {name: getattr(self._snapshot, name) for name in HEADER}
        known = {name: value for name, value in header.items() if value is not UNSET}
        return [msgspec.json.encode(known)[:-1], *(self._section(*one) for one in chosen.items()), b"}"]

    def _has(self, field: str) -> bool:
        return getattr(self._snapshot, field) is not UNSET

    def _section(self, field: str, products: _Products) -> bytes:
        """Return a section, with a comma and its name."""
        key = field, products if field in ("orders", "inventory") else "all"
        if key not in self._rendered:
            value = msgspec.json.encode(self._value(*key))
            self._rendered[key] = b',"%s":%s' % (field.encode(), value)
        return self._rendered[key]

    def _value(self, field: str, products: _Products) -> Any:
        orders, inventory = self._snapshot.orders, self._snapshot.inventory
        match field, products:
            case "orders", "alone":
                return {"by_product": orders.by_product}
            case "orders", "busiest":
                return msgspec.structs.replace(orders, by_product=_only(orders.by_product, self._busiest))
            case "inventory", "busiest":
                return _only(inventory, self._busiest)
        return getattr(self._snapshot, field)

    @cached_property
    def _busiest(self) -> list[str]:
        finished = _finished(self._snapshot.orders.by_product)
        return _busiest(finished, finished.keys() | self._snapshot.inventory.keys())


def report_json(snapshot: Snapshot) -> bytes:
    """Return the report as JSON."""
    return msgspec.json.encode(report(snapshot))


def report_markdown(snapshot: Snapshot) -> bytes:
    """Return the report as Markdown, in UTF-8."""
    return markdown(report(snapshot)).encode()


def markdown(report: Report) -> str:
    """Return the report as a Markdown document that can be pasted elsewhere."""
    orders, finished = report.orders, _finished(report.orders.by_product)
    sections = [
        (f"# Flash sale report: {_text(report.instance)}", _period(report)),
        ("## Orders", _table(("status", "orders"), _by_status(orders)), _outcome(orders), _rates(report)),
        ("## Failure reasons", _table(("reason", "orders"), _descending(orders.failed_by_reason))),
        ("## Times in milliseconds", _percentiles(report)),
        (f"## The {BUSIEST} busiest products", _products(orders.by_product, finished)),
        (f"## Inventory of the {BUSIEST} busiest products", _inventory(report.inventory, finished)),
        ("## Revenue", _table(("currency", "amount"), sorted(orders.revenue.items()))),
        ("## Completeness", _completeness(report.completeness)),
    ]
    return "\n\n".join(part for section in sections for part in section) + "\n"


def _busiest(finished: Mapping[str, int], names: Iterable[str]) -> list[str]:
    """Return at most 20 of the names: those with the most finished orders first, then by name."""
    return sorted(names, key=lambda name: (-finished.get(name, 0), name))[:BUSIEST]


def _only(by_name: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    return {name: by_name[name] for name in names if name in by_name}


def _descending(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _period(report: Report) -> str:
    period = f"From {_moment(report.since)} to {_moment(report.until)} ({_number(report.duration_s)} seconds)."
    sentences = [period, *_sale(report.sale)]
    if report.instances:
        names = ", ".join(map(_text, report.instances))
        sentences.append(f"Sidecars in the fleet: {names}.")
    if report.stale:
        sentences.append("**These numbers are old: the newest were not committed in time.**")
    return "\n".join(sentences)


def _sale(sale: Sale) -> list[str]:
    """Describe when the sale was."""
    name = f" {_text(sale.id)}" if sale.id else ""
    match sale.state:
        case "running":
            return [f"The sale{name} runs since {_moment(sale.started_at)}."]
        case "ended":
            return [f"The sale{name} lasted from {_moment(sale.started_at)} to {_moment(sale.ended_at)}."]
    return []


def _by_status(orders: Orders) -> list[tuple[str, int]]:
    """Rename `pending` to `accepted`: next to `in flight`, it would read as pending now."""
    return [("accepted" if status == "pending" else status, number) for status, number in orders.by_status.items()]


def _outcome(orders: Orders) -> str:
    return (
        f"Finished: {_number(orders.total)}, in flight: {_number(orders.in_flight)}. "
        f"Failed because the business said no: {_number(orders.refusals)}, "
        f"because of a fault: {_number(orders.faults)}. "
        f"Error rate {_percent(orders.error_rate.total)}, fault rate {_percent(orders.fault_rate.total)}."
    )


def _rates(report: Report) -> str:
    rates = report.orders.per_second
    at = "" if rates.peak_at is None else f" at {_moment(rates.peak_at)}"
    return f"Orders per second: {_number(report.average_per_second)} on average, at most {_number(rates.peak)}{at}."


def _percentiles(report: Report) -> str:
    rows: list[tuple[Any, ...]] = []
    for name, timings in (("latency", report.latency_ms), ("processing", report.processing_ms)):
        summaries = {"": timings.total, **{f", {status}": one for status, one in timings.by_status.items()}}
        rows += [(name + suffix, *astuple(summary)) for suffix, summary in summaries.items()]
    return _table(("", *Summary.__struct_fields__), rows)


def _finished(by_product: Mapping[str, ProductOrders]) -> dict[str, int]:
    return {name: product.success + product.failed for name, product in by_product.items()}


def _products(by_product: Mapping[str, ProductOrders], finished: Mapping[str, int]) -> str:
    rows = ((name, *astuple(by_product[name])) for name in _busiest(finished, by_product))
    return _table(("product", *ProductOrders.__struct_fields__), rows)


def _inventory(inventory: Mapping[str, Inventory], finished: Mapping[str, int]) -> str:
    rows = ((name, *_stock(inventory[name])) for name in _busiest(finished, inventory))
    columns = ("product", "stock", "sold per second", "sold out in seconds", "at least", "at most", "sold out at")
    return _table(columns, rows)


def _stock(one: Inventory) -> tuple[Any, ...]:
    found = one.sell_out
    gone = _moment(found.at) if found.state == "sold_out" else found.state.replace("_", " ")
    return one.stock, one.depletion_per_second, one.sell_out_in_s, found.low_s, found.high_s, gone


def _completeness(completeness: Completeness) -> str:
    """Describe what the numbers do not include."""
    missed, blind, twice = completeness.missed, completeness.blind_s, completeness.counted_twice
    if completeness.ratio is None:
        first = "Whether events were missed is unknown: none carried a sequence number."
    elif missed:
        first = f"{missed} of {completeness.received + missed} published events were missed."
    else:
        first = "No event is known to be missed."
    third = f" {twice} events came over two sources, and count twice." if twice else ""
    second = f" The sidecar was without a connection for {_number(blind)} seconds." if blind else ""
    names = ("received", "missed", "duplicates", "late", "invalid", "ignored", "adjusted", "repeats")
    rows = ((name, getattr(completeness, name)) for name in names)
    return f"{first}{second}{third}\n\n{_table(('events', 'count'), rows)}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table, `None.` without rows. Numbers are right-aligned."""
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
