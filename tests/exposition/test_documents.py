"""Snapshot -> JSON and Markdown."""

import json
from typing import Any

import pytest

from sidecar.core.counts.sale import Sale
from sidecar.core.snapshot.snapshot import Inventory, ProductOrders, Snapshot
from sidecar.exposition import documents
from tests.exposition.snapshots import CUSTOM, TS, completeness, empty, orders, snapshot

HEADER = {"schema", "instance", "scope", "role", "ts", "since", "committed_at", "stale", "uptime_s", "sale"}
FIELDS = {
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
}


def many_products() -> Snapshot:
    """Thirty products: p00 sold nothing, p29 the most; p29 has no stock, `shelf` has stock and no orders."""
    by_product = {f"p{n:02}": ProductOrders(success=n, failed=n // 10, pending=1000 - n) for n in range(30)}
    stock = {f"p{n:02}": Inventory(stock=n) for n in range(29)} | {"shelf": Inventory(stock=5)}
    return snapshot(orders=orders(by_product=by_product), inventory=stock)


def update(snapshot: Snapshot, *topics: str) -> Any:
    return json.loads(b"".join(documents.Sections(snapshot).of(frozenset(topics))))


def test_the_full_document_is_that_of_the_contract_in_its_order() -> None:
    shown = json.loads(documents.full(snapshot()))
    assert list(shown) == [
        "schema", "instance", "scope", "role", "ts", "since", "committed_at", "stale", "uptime_s",
        "sale", "phases", "slo", "orders", "latency_ms", "processing_ms", "queues", "inventory", "connections",
        "completeness", "system",
    ]  # fmt: skip
    assert shown["schema"] == 1
    assert list(shown["orders"]["error_rate"]) == ["10s", "1m", "5m", "total"]
    assert shown["orders"]["by_product"] == {
        "sku-1": {"success": 7, "failed": 2, "pending": 9, "cancelled": 0, "units": 7}
    }


def test_the_full_document_has_all_products_and_what_is_unknown_is_null() -> None:
    assert len(json.loads(documents.full(many_products()))["orders"]["by_product"]) == 30
    shown = json.loads(documents.full(empty()))
    assert (shown["orders"]["in_flight"], shown["connections"]["active"]) == (None, None)


def test_a_fleet_lists_its_instances() -> None:
    fleet = snapshot(scope="fleet", instances=["a", "b"])
    assert json.loads(documents.full(fleet))["instances"] == ["a", "b"]
    assert update(fleet, "system")["instances"] == ["a", "b"]


@pytest.mark.parametrize(("topic", "field"), FIELDS.items())
def test_a_topic_is_one_section_beside_the_header(topic: str, field: str) -> None:
    shown = update(snapshot(), topic)
    assert shown.keys() == HEADER | {field}
    assert shown[field] == json.loads(documents.full(snapshot()))[field]


def test_the_default_topics_are_all_but_products() -> None:
    assert {*FIELDS, "custom"} == documents.DEFAULT_TOPICS
    assert documents.DEFAULT_TOPICS | {"products", "health"} == documents.TOPICS
    assert update(snapshot(), *documents.DEFAULT_TOPICS) == json.loads(documents.full(snapshot()))


def test_custom_metrics_are_a_topic_and_absent_where_none_is_defined() -> None:
    assert update(snapshot(custom=CUSTOM), "custom")["custom"]["shop_vouchers_total"] == {
        "type": "counter",
        "help": "Vouchers.",
        "series": [{"labels": {"campaign": "black friday"}, "value": 3.0}],
    }
    assert update(snapshot(), "custom").keys() == HEADER


def test_an_update_shows_the_twenty_busiest_products_by_finished_orders() -> None:
    shown = update(many_products(), "orders", "inventory")
    assert list(shown["orders"]["by_product"]) == [f"p{n:02}" for n in range(29, 9, -1)]
    assert list(shown["inventory"]) == [f"p{n:02}" for n in range(28, 9, -1)]
    assert shown["orders"]["total"] == 9


def test_products_equally_busy_are_ordered_by_name() -> None:
    stock = {f"p{n:02}": Inventory(stock=n) for n in reversed(range(30))}
    shown = update(snapshot(orders=orders(by_product={}), inventory=stock), "inventory")
    assert list(shown["inventory"]) == [f"p{n:02}" for n in range(20)]


def test_the_topic_products_shows_all_of_them() -> None:
    with_orders = update(many_products(), "orders", "products")
    assert len(with_orders["orders"]["by_product"]) == len(with_orders["inventory"]) == 30
    assert with_orders["orders"]["total"] == 9
    alone = update(many_products(), "products")
    assert alone.keys() == HEADER | {"orders", "inventory"}
    assert (alone["orders"].keys(), len(alone["orders"]["by_product"])) == ({"by_product"}, 30)


@pytest.mark.parametrize(
    "line",
    [
        "# Flash sale report: host-1",
        "From 2026-09-21 13:56:40 UTC to 2026-09-21 14:13:20 UTC (1000.1 seconds).",
        "| success | 7 |",
        "| sold_out | 2 |",
        "Orders per second: 0.009 on average, at most 5 at 2026-09-21 14:13:10 UTC.",
        "| latency | 9 | 42 | 4 | 40 | 80 | 90 | 99 | 120 | 120.5 |",
        "| processing, failed | 2 | 42 | 4 | 40 | 80 | 90 | 99 | 120 | 120.5 |",
        "| sku-1 | 7 | 2 | 9 | 0 | 7 |",
        "| sku-1 | 93 | 0.7 | 132.8 | 104 | 169 | selling |",
        "| EUR | 70.00 |",
        "No event is known to be missed.",
    ],
)
def test_the_markdown_says_it_in_a_line(line: str) -> None:
    assert line in documents.report_markdown(snapshot()).decode().splitlines()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ratio": 0.75, "missed": 10}, "10 of 40 published events were missed."),
        ({"ratio": None}, "Whether events were missed is unknown: none carried a sequence number."),
        ({"blind_s": 2.5}, "No event is known to be missed. The sidecar was without a connection for 2.5 seconds."),
    ],
)
def test_the_markdown_says_plainly_what_was_missed(changes: dict[str, Any], sentence: str) -> None:
    text = documents.report_markdown(snapshot(completeness=completeness(**changes))).decode()
    assert sentence in text.splitlines()


def test_the_markdown_of_nothing_says_unknown_and_none() -> None:
    text = documents.report_markdown(empty(since=None)).decode()
    assert "From unknown to" in text
    assert "in flight: unknown" in text
    assert "## Revenue\n\nNone.\n" in text


def test_the_markdown_names_a_fleet_and_says_that_numbers_are_old() -> None:
    text = documents.report_markdown(snapshot(scope="fleet", instances=["a", "b"], stale=True)).decode()
    assert "Sidecars in the fleet: a, b." in text
    assert "These numbers are old" in text


def test_the_markdown_shows_the_twenty_busiest_products() -> None:
    text = documents.report_markdown(many_products()).decode()
    assert [line[2:5] for line in text.splitlines() if line.startswith("| p") and line.count("|") == 7][1:] == [
        f"p{n:02}" for n in range(29, 9, -1)
    ]


def test_a_name_from_outside_cannot_break_the_table() -> None:
    by_product = {"a|b\n# `x`\x1b[31m": ProductOrders(success=1)}
    text = documents.report_markdown(snapshot(orders=orders(by_product=by_product))).decode()
    assert r"| a\|b # \`x\` \[31m | 1 | 0 | 0 | 0 | 0 |" in text.splitlines()


def test_a_section_is_rendered_once_for_all_choices_of_topics() -> None:
    sections = documents.Sections(many_products())
    chosen = sections.of(frozenset({"products", "queues"})), sections.of(frozenset({"products", "system"}))
    first, second = ({id(part) for part in parts if len(part) > 20} for parts in chosen)
    assert len(first & second) == 2, "all products, and all their stock"


@pytest.mark.parametrize(
    ("sale", "text"),
    [
        (Sale(), ""),
        (Sale("a*b", "running", TS, None, "event"), "The sale a\\*b runs since 2026-09-21 14:13:20 UTC."),
        (
            Sale(None, "ended", TS, TS + 60, "orders", "orders"),
            "The sale lasted from 2026-09-21 14:13:20 UTC to 2026-09-21 14:14:20 UTC.",
        ),
    ],
)
def test_the_report_says_when_the_sale_was(sale: Sale, text: str) -> None:
    shown = documents.report_markdown(snapshot(sale=sale)).decode()
    assert ("The sale" in shown, text in shown) == (bool(text), True)
