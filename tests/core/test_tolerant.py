"""Every spelling that the contract allows is understood, and every refusal names its field."""

import json
from decimal import Decimal
from typing import Any

import pytest

from sidecar.core.decode import decode
from sidecar.core.events import FIELDS, HEADER_FIELDS, Event, Item, Rejection

NOW = 1_790_000_000.0
ORDER = {"status": "success"}


def accepted(event: Any) -> dict[str, Any]:
    """Return what an accepted event says beyond the defaults."""
    decoded = decode([json.dumps(event).encode()], [NOW])
    assert decoded.rejections == []
    [found] = decoded.events
    values = {name: getattr(found, name) for name in FIELDS.get(found.type, HEADER_FIELDS)}
    return {name: value for name, value in values.items() if value != getattr(Event(), name)}


def refused(event: Any) -> Rejection:
    """Return the rejection of a refused event."""
    decoded = decode([json.dumps(event).encode()], [NOW])
    assert decoded.events == []
    return decoded.rejections[0]


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        *((word, "success", None) for word in ("success", "SUCCESS", "paid", "completed", "Confirmed", "ok")),
        *((word, "pending", None) for word in ("pending", "created", "accepted", "queued", "Reserved")),
        *((word, "cancelled", None) for word in ("cancelled", "Canceled", "refunded", "expired")),
        *((word, "failed", None) for word in ("failed", "Failed", "error", "ERROR")),
        *((word, "failed", word.lower()) for word in ("rejected", "Declined", "timeout")),
    ],
)
def test_status_words_are_understood(word: str, status: str, reason: str | None) -> None:
    expected = {"status": status} if reason is None else {"status": status, "reason": reason}
    assert accepted({"status": word}) == expected
    assert accepted({"status": word, "reason": "mine"}) == {"status": status, "reason": "mine"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"productId": "a", "orderId": 7}, {"product_id": "a", "order_id": "7"}),
        ({"latencyMs": "12.5", "processingMs": 3}, {"latency_ms": 12.5, "processing_ms": 3.0}),
        ({"traceId": "t", "trace_id": ""}, {"trace_id": "t"}),
        ({"trace_id": "t", "traceId": "u"}, {"trace_id": "t"}),
        ({"traceId": "u", "trace_id": "t"}, {"trace_id": "t"}),
        ({"product_id": 5.0}, {"product_id": "5"}),
        ({"quantity": "2"}, {"quantity": 2}),
        ({"quantity": 2.0}, {"quantity": 2}),
        ({"quantity": None, "reason": "", "ts": None, "type": None}, {}),
        ({"type": "ORDER"}, {}),
        ({"amount": 19.9}, {"amount": Decimal("19.9")}),
        ({"amount": "1_000.", "productId": "a"}, {"amount": Decimal(1000), "product_id": "a"}),
        ({"amount": "0.10", "currency": "eur"}, {"amount": Decimal("0.10"), "currency": "EUR"}),
        ({"epoch": 5.0, "seq": "1"}, {"epoch": 5, "seq": 1}),
        ({"epoch": "5"}, {"epoch": "5"}),
        ({"order_id": "é" * 64}, {"order_id": "é" * 64}),
        ({"items": [{"productId": 1, "quantity": "2", "amount": 3}]}, {"items": [Item("1", 2, Decimal(3))]}),
        ({"items": [{"productId": 1}], "quantity": 0, "amount": 9}, {"items": [Item("1")], "amount": Decimal(9)}),
        ({"unheard_of": [1]}, {}),
    ],
)
def test_other_spellings_of_an_order_are_understood(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert accepted({**ORDER, **given}) == {**ORDER, **expected}


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        (1_790_000_000.25, 1_790_000_000.25),
        (1_790_000_000_250, 1_790_000_000.25),
        (1_790_000_000_250_000, 1_790_000_000.25),
        (1_790_000_000_250_000_000, 1_790_000_000.25),
        ("1790000000250", 1_790_000_000.25),
        ("2026-09-21T14:13:20.25Z", 1_790_000_000.25),
        ("2026-09-21t16:13:20.25+02:00", 1_790_000_000.25),
        ("2026-09-21T14:13:20.25", 1_790_000_000.25),
        ("2000-01-01T00:00:00Z", 946_684_800.0),
        (NOW + 86_400, NOW + 86_400),
    ],
)
@pytest.mark.parametrize("spelling", ["success", "Paid"])
def test_time_is_read_in_any_unit(ts: Any, expected: float, spelling: str) -> None:
    assert accepted({"status": spelling, "ts": ts})["ts"] == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "Queue", "waiting": "3", "failed": 1.0}, {"type": "queue", "waiting": 3, "failed": 1}),
        ({"type": "queue", "active": 2}, {"type": "queue", "active": 2}),
        ({"type": "INVENTORY", "productId": 1, "stock": "-3"}, {"type": "inventory", "product_id": "1", "stock": -3}),
        ({"type": "connections", "active": "120"}, {"type": "connections", "active": 120}),
        ({"type": "Heartbeat", "seq": 0, "status": 3}, {"type": "heartbeat", "seq": 0}),
        ({"type": "Heartbeat"}, {"type": "heartbeat"}),
        ({"type": "page_view", "status": 3, "stock": "x"}, {"type": "page_view"}),
        ({"type": "Page_View", "seq": "4", "active": True}, {"type": "Page_View", "seq": 4}),
    ],
)
def test_other_types_are_understood(event: dict[str, Any], expected: dict[str, Any]) -> None:
    assert accepted(event) == expected


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ({"type": "com.shop.order.created", "data": {"status": "created"}}, {"status": "pending"}),
        ({"type": "shop", "data": {"status": "ok"}}, ORDER),
        ({"data": {"status": "ok"}}, ORDER),
        ({"type": "order-queue", "data": {"waiting": 1}}, {"type": "queue", "waiting": 1}),
        ({"type": "com.Inventory", "data": {"productId": 1, "stock": 2}}, None),
        ({"type": "com.order", "data": {"type": "connections", "active": 1}}, {"type": "connections", "active": 1}),
        ({"type": "page.view", "data": "text"}, {"type": "page.view"}),
        ({"type": "page.view", "data": {"status": ""}}, {"type": "page.view"}),
        ({"type": "com.shop.heartbeat"}, {"type": "heartbeat"}),
        ({"time": "2026-09-21T14:13:20Z", "data": ORDER}, {**ORDER, "ts": NOW}),
        ({"time": "2026-09-21T14:13:21Z", "data": {**ORDER, "ts": NOW}}, {**ORDER, "ts": NOW}),
    ],
)
def test_cloud_events_are_unwrapped(envelope: dict[str, Any], expected: dict[str, Any] | None) -> None:
    found = accepted({"specversion": "1.0", "id": "1", "source": "/shop", **envelope})
    assert found == (expected or {"type": "inventory", "product_id": "1", "stock": 2})


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        ({}, "missing_field", "status: expected one of success, failed, pending, cancelled, got nothing"),
        ({"status": ""}, "missing_field", "status: "),
        ({"status": "shipped"}, "unknown_status", "status: expected one of success, failed, pending, cancelled, "),
        ({"status": 3}, "wrong_type", "status: expected one of success, failed, pending, cancelled, got 3"),
        ({"type": "queue", "queue": "a"}, "missing_field", "waiting: "),
        ({"type": "inventory", "stock": 1}, "missing_field", "product_id: "),
        ({"type": "inventory", "product_id": "a"}, "missing_field", "stock: "),
        ({"type": "connections"}, "missing_field", "active: expected an integer from 0 to 1000000000000, got nothing"),
        ({"type": 3}, "wrong_type", "type: expected a string of at most 128 bytes, got 3"),
        ({"type": "x" * 129}, "out_of_range", "type: "),
        ({"type": "page_view", "seq": 0}, "out_of_range", "seq: expected an integer from 1"),
        ({"type": "heartbeat", "seq": -1}, "out_of_range", "seq: "),
        ({"type": "inventory", "product_id": "a", "stock": -(10**12) - 1}, "out_of_range", "stock: "),
        ({**ORDER, "seq": 0}, "out_of_range", "seq: expected an integer from 1 to 1000000000000, got 0"),
        ({**ORDER, "latency_ms": "fast"}, "wrong_type", "latency_ms: expected a number of milliseconds from 0 to "),
        ({**ORDER, "latency_ms": -1}, "out_of_range", "latency_ms: "),
        ({**ORDER, "quantity": "1e99999999999999999999"}, "out_of_range", "quantity: "),
        ({**ORDER, "quantity": "1e-99999999999999999999"}, "out_of_range", "quantity: "),
        ({**ORDER, "amount": "1e99999999999999999999"}, "wrong_type", "amount: "),
        ({**ORDER, "amount": "NaN"}, "wrong_type", "amount: "),
        ({**ORDER, "latencyMs": 129_600_001}, "out_of_range", "latency_ms: "),
        ({**ORDER, "latency_ms": True}, "wrong_type", "latency_ms: expected a number of milliseconds from 0 to 129"),
        ({**ORDER, "latency_ms": "NaN"}, "wrong_type", "latency_ms: "),
        ({**ORDER, "quantity": 0}, "out_of_range", "quantity: expected an integer from 1 to 1000000, got 0"),
        ({**ORDER, "quantity": 2.5}, "wrong_type", "quantity: expected an integer from 1 to 1000000, got 2.5"),
        ({**ORDER, "quantity": {}}, "wrong_type", "quantity: expected an integer from 1 to 1000000, got an object"),
        ({**ORDER, "amount": -1}, "out_of_range", "amount: "),
        ({**ORDER, "amount": "a lot"}, "wrong_type", "amount: expected a decimal number from 0 to 1000000000, got "),
        ({**ORDER, "currency": "euro"}, "out_of_range", "currency: "),
        ({**ORDER, "currency": 978}, "wrong_type", "currency: "),
        ({**ORDER, "order_id": False}, "wrong_type", "order_id: expected a string or an integer, at most 128 bytes, g"),
        ({**ORDER, "order_id": 1.5}, "wrong_type", "order_id: "),
        ({**ORDER, "order_id": "é" * 65}, "out_of_range", "order_id: "),
        ({**ORDER, "order_id": 10**128}, "out_of_range", "order_id: "),
        ({**ORDER, "order_id": [1]}, "wrong_type", "order_id: expected a string or an integer, at most 128 bytes, got"),
        ({**ORDER, "epoch": 2**63}, "out_of_range", "epoch: "),
        ({**ORDER, "epoch": 1.5}, "wrong_type", "epoch: "),
        ({**ORDER, "ts": "yesterday"}, "wrong_type", "ts: expected a Unix time or RFC 3339 from the year 2000 to a d"),
        ({**ORDER, "ts": "2026-09-21T14:13:20\0+02:00"}, "wrong_type", "ts: "),  # msgspec reads on to there only
        ({**ORDER, "ts": 12}, "out_of_range", "ts: "),
        ({**ORDER, "ts": NOW + 86_401}, "out_of_range", "ts: "),
        ({**ORDER, "ts": "1999-12-31T23:59:59Z"}, "out_of_range", "ts: "),
        ({**ORDER, "items": []}, "out_of_range", "items: expected a non-empty array of objects with a product_id"),
        ({**ORDER, "items": {"product_id": 1}}, "wrong_type", "items: "),
        ({**ORDER, "items": [3]}, "wrong_type", "items[0]: expected an object with a product_id, got 3"),
        ({**ORDER, "items": [{"product_id": 1}], "amount": -1}, "out_of_range", "amount: "),
        ({**ORDER, "items": [{"product_id": 1}, {}]}, "missing_field", "items[1].product_id: "),
        ({**ORDER, "items": [{"product_id": 1, "quantity": 0}]}, "out_of_range", "items[0].quantity: "),
        (
            {"specversion": "1.0", "type": "order", "data": "x"},
            "not_object",
            "data: expected an object with the fields",
        ),
        ({"specversion": "1.0", "type": 3, "data": {}}, "wrong_type", "type: "),
        ({"specversion": "1.0", "data": {}}, "missing_field", "status: "),
    ],
)
def test_a_refusal_names_the_field_and_what_was_expected(event: dict[str, Any], reason: str, detail: str) -> None:
    found = refused(event)
    assert found.reason == reason
    assert found.detail.startswith(detail)


def test_a_long_value_is_shown_in_part() -> None:
    assert refused({"status": "x\n" * 100}).detail.endswith('"' + "x\\n" * 13 + "...")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"producer": "p", "epoch": 1, "seq": 2}, ("p", 1, 2)),
        ({"producer": 7, "epoch": "e", "seq": "2"}, ("7", "e", 2)),
        ({"producer": "p", "epoch": [], "seq": -1}, ("p", None, None)),
        ({}, (None, None, None)),
    ],
)
def test_a_refused_event_keeps_its_sequence_fields(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = refused({"status": "shipped", **fields})
    assert (found.producer, found.epoch, found.seq) == expected
    found = refused({"specversion": "1.0", "data": {"status": "shipped", **fields}})
    assert (found.producer, found.epoch, found.seq) == expected
