"""Every spelling that the contract allows is understood, and every refusal names its field."""

import json
from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest

from sidecar.core.events.decode import decode
from sidecar.core.events.event import ADJUSTMENTS, FIELDS, HEADER_FIELDS, Event, Item, Number, Rejection

NOW = 1_790_000_000.0
ORDER = {"status": "success"}


def accepted(event: Any) -> dict[str, Any]:
    """Return what an accepted event says beyond the defaults."""
    decoded = decode([json.dumps(event).encode()], [NOW])
    assert decoded.rejections == []
    [found] = decoded.events
    values = {name: getattr(found, name, None) for name in FIELDS.get(found.type, HEADER_FIELDS)}
    return {name: value for name, value in values.items() if value != getattr(Event(), name, None)}


def rejection(event: Any) -> Rejection:
    """Return the rejection of an invalid event."""
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
        ({"items": [{"productId": 1}], "quantity": 0, "amount": "9"}, {"items": [Item("1")], "amount": Decimal(9)}),
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
        ("2026-09-21T14:13Z", 1_789_999_980.0),
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),
        ("2016-12-31T23:59:60.5+00:00", 1_483_228_800.5),
        ("2026-09-21 16:13+02", 1_789_999_980.0),
        ("2026-09-21 14:13:20,25 UTC", 1_790_000_000.25),
        ("2026-09-21T14:13:20.25 GMT", 1_790_000_000.25),
        ("2026-09-21T13:13:20.25-01", 1_790_000_000.25),
        ("2026-09-21 09:43:20.25 -0430", 1_790_000_000.25),
        ("2026-09-21 16:13:20.25 +0200 CEST", 1_790_000_000.25),
        ("2026-09-21T16:13:20.25+02:00[Europe/Berlin]", 1_790_000_000.25),
        ("2026-09-21T14:13:20.25z", 1_790_000_000.25),
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
        ({"type": "com.shop.orders.v1", "data": {"status": "ok"}}, ORDER),
        ({"type": "Shop.OrderPaid", "data": {"status": "ok"}}, ORDER),
        ({"type": "shop", "data": {"status": "ok"}}, {"type": "shop"}),
        ({"type": "com.shop.user.verified", "data": {"status": "confirmed"}}, {"type": "com.shop.user.verified"}),
        ({"type": "com.shop.order.v1", "data": {"type": "online", "status": "paid"}}, ORDER),
        ({"type": "com.shop.event", "data": {"type": "order", "status": "paid"}}, ORDER),
        ({"type": "com.shop.event", "data": {"type": "page.view"}}, {"type": "com.shop.event"}),
        ({"data": {"type": "page.view"}}, {"type": "page.view"}),
        ({"data": {"status": "ok"}}, ORDER),
        ({"type": "com.order", "data": '{"status":"ok","amount":1.10}'}, {**ORDER, "amount": Decimal("1.10")}),
        ({"type": "com.order", "data": json.dumps(json.dumps(ORDER))}, ORDER),
        ({"type": "com.order", "data_base64": b64encode(b'{"status":"ok"}').decode()}, ORDER),
        ({"type": "com.order", "data": {"Status": "ok", "OrderID": 7}}, {**ORDER, "order_id": "7"}),
        ({"type": "page.view", "data_base64": "####"}, {"type": "page.view"}),
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
        ({**ORDER, "epoch": 2**63}, "out_of_range", "epoch: "),
        ({**ORDER, "epoch": 1.5}, "wrong_type", "epoch: "),
        ({**ORDER, "ts": "yesterday"}, "wrong_type", "ts: expected a Unix time or RFC 3339 from the year 2000 to a d"),
        ({**ORDER, "ts": "2026-09-21T14:13:20\0+02:00"}, "wrong_type", "ts: "),  # msgspec reads on to there only
        ({**ORDER, "ts": 12}, "out_of_range", "ts: "),
        ({**ORDER, "ts": NOW + 86_401}, "out_of_range", "ts: "),
        ({**ORDER, "ts": "1999-12-31T23:59:59Z"}, "out_of_range", "ts: "),
        ({"type": "queue", "waiting": -1}, "out_of_range", "waiting: "),
        ({"type": "queue", "waiting": 1, "queue": "x" * 129}, "out_of_range", "queue: "),
        ({"type": "inventory", "product_id": "x" * 129, "stock": 1}, "out_of_range", "product_id: "),
        ({"type": "inventory", "product_id": 1.5, "stock": 1}, "wrong_type", "product_id: "),
        (
            {"type": "inventory", "product_id": False, "stock": 1},
            "wrong_type",
            "product_id: expected a string or an in",
        ),
        ({"type": "inventory", "product_id": 10**128, "stock": 1}, "out_of_range", "product_id: "),
        ({"type": "inventory", "product_id": 1, "stock": "1e-99999999999999999999"}, "out_of_range", "stock: "),
        ({"type": "inventory", "product_id": 1, "stock": True}, "wrong_type", "stock: "),
        ({"type": "inventory", "product_id": 1, "stock": {}}, "wrong_type", "stock: expected an integer from -1000000"),
        ({"type": "connections", "active": 2.5}, "wrong_type", "active: expected an integer from 0 to 1000000000000, "),
        ({**ORDER, "producer": "x" * 129}, "out_of_range", "producer: "),
        ({**ORDER, "ts": "2026-11-29"}, "wrong_type", "ts: "),
        ({**ORDER, "ts": "2026-11-29T25:00Z"}, "wrong_type", "ts: "),
        (
            {"specversion": "1.0", "type": "order", "data": "x"},
            "not_object",
            "data: expected an object with the fields",
        ),
        (
            {"specversion": "1.0", "type": "order", "data_base64": "####"},
            "not_object",
            'data_base64: expected an object with the fields of the event, got "####"',
        ),
        ({"specversion": "1.0", "type": 3, "data": {}}, "wrong_type", "type: "),
        ({"specversion": "1.0", "data": {}}, "missing_field", "status: "),
    ],
)
def test_a_refusal_names_the_field_and_what_was_expected(event: dict[str, Any], reason: str, detail: str) -> None:
    found = rejection(event)
    assert found.reason == reason
    assert found.detail.startswith(detail)


def test_a_long_value_is_shown_in_part() -> None:
    assert rejection({"status": "x\n" * 100}).detail.endswith('"' + "x\\n" * 13 + "...")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"producer": "p", "epoch": 1, "seq": 2}, (Number("p", 1, 2),)),
        ({"producer": 7, "epoch": "e", "seq": "2"}, (Number("7", "e", 2),)),
        ({"producer": "p", "epoch": [], "seq": 2}, (Number("p", None, 2),)),
        ({"producer": "p", "epoch": [], "seq": -1}, ()),
        ({}, ()),
    ],
)
def test_a_rejected_event_keeps_its_number(fields: dict[str, Any], expected: tuple[Number, ...]) -> None:
    assert rejection({"status": "shipped", **fields}).numbers == expected
    assert rejection({"specversion": "1.0", "data": {"status": "shipped", **fields}}).numbers == expected


LONG = "x" * 200
EURO = "€" * 50  # 150 bytes


@pytest.mark.parametrize(
    ("event", "expected", "adjusted"),
    [
        ({"status": "failed", "reason": LONG}, {"status": "failed", "reason": "x" * 128}, ["reason_cut"]),
        ({"status": "failed", "reason": EURO}, {"status": "failed", "reason": "€" * 42}, ["reason_cut"]),
        ({"status": "failed", "reason": {}}, {"status": "failed"}, ["reason_left_out"]),
        ({"status": "timeout", "reason": {}}, {"status": "failed", "reason": "timeout"}, ["reason_left_out"]),
        ({"status": "ok", "trace_id": LONG}, {"status": "success", "trace_id": "x" * 128}, ["trace_id_cut"]),
        ({"status": "ok", "product_id": LONG}, ORDER, ["product_id_left_out"]),
        ({"status": "ok", "order_id": [1]}, ORDER, ["order_id_left_out"]),
        ({"status": "ok", "order_id": 1.5, "latency_ms": -0.4}, ORDER, ["order_id_left_out", "latency_ms_left_out"]),
        ({"status": "ok", "latency_ms": "fast"}, ORDER, ["latency_ms_left_out"]),
        ({"status": "ok", "latencyMs": 129_600_001}, ORDER, ["latency_ms_left_out"]),
        ({"status": "ok", "processing_ms": True}, ORDER, ["processing_ms_left_out"]),
        ({"status": "ok", "quantity": 0}, ORDER, ["quantity_left_out"]),
        ({"status": "ok", "quantity": "1e99999999999999999999"}, ORDER, ["quantity_left_out"]),
        ({"status": "ok", "amount": -19.9}, ORDER, ["amount_left_out"]),
        ({"status": "ok", "amount": "NaN"}, ORDER, ["amount_left_out"]),
        ({"status": "ok", "amount": "1e99999999999999999999"}, ORDER, ["amount_left_out"]),
        ({"status": "ok", "amount": 5, "currency": "EURO"}, ORDER, ["currency_left_out"]),
        ({"status": "ok", "amount": 5, "currency": 978}, ORDER, ["currency_left_out"]),
        ({"status": "refunded", "amount": -19.9, "latency_ms": -1}, {"status": "cancelled"}, []),
        ({"status": "failed", "amount": -1, "quantity": 0, "currency": "x"}, {"status": "failed"}, []),
        ({"status": "pending", "reason": 1.5, "latency_ms": "?"}, {"status": "pending"}, []),
        ({"status": "ok", "reason": {}}, ORDER, []),
        ({"status": "ok", "items": []}, ORDER, ["items_left_out"]),
        ({"status": "ok", "items": "a", "product_id": "a"}, {**ORDER, "product_id": "a"}, ["items_left_out"]),
        ({"status": "ok", "items": [3], "product_id": "a"}, {**ORDER, "product_id": "a"}, ["item_left_out"]),
        (
            {
                "status": "ok",
                "items": [{"product_id": "a"}, {}, {"product_id": LONG}, {"product_id": 1, "quantity": 1.5}],
            },
            {**ORDER, "items": [Item("a")]},
            ["item_left_out"] * 3,
        ),
        (
            {"status": "ok", "items": [{"product_id": "a", "quantity": 2, "amount": -1}]},
            {**ORDER, "items": [Item("a", 2)]},
            ["amount_left_out"],
        ),
        (
            {"status": "ok", "items": [{"product_id": "a", "amount": 1}], "currency": "€"},
            {**ORDER, "items": [Item("a")]},
            ["currency_left_out"],
        ),
        (
            {"status": "failed", "items": [{"product_id": "a", "quantity": 0, "amount": "?"}]},
            {"status": "failed", "items": [Item("a")]},
            [],
        ),
        ({"type": "queue", "waiting": 3, "active": -1}, {"type": "queue", "waiting": 3}, ["active_left_out"]),
    ],
)
def test_an_order_is_not_rejected_for_an_optional_field(
    event: dict[str, Any], expected: dict[str, Any], adjusted: list[str]
) -> None:
    assert accepted(event) == expected
    decoded = decode([json.dumps(event).encode()], [NOW])
    assert [*decoded.adjusted.values()] == ([tuple(adjusted)] if adjusted else [])
    assert set(adjusted) <= set(ADJUSTMENTS)
    assert [*decoded.adjusted] == ([id(decoded.events[0])] if adjusted else [])


def test_ids_that_are_cut_stay_different() -> None:
    ids = [accepted({**ORDER, "order_id": EURO + end})["order_id"] for end in ("1", "2", "1")]
    assert ids[0] == ids[2] != ids[1]
    assert all(len(one.encode()) <= 128 and one.startswith("€" * 36) for one in ids)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"Status": "paid", "OrderId": 1, "ProductID": "a"}, {**ORDER, "order_id": "1", "product_id": "a"}),
        ({"Status": "paid", "Items": [{"ProductId": "a", "Quantity": 2}]}, {**ORDER, "items": [Item("a", 2)]}),
        ({"STATUS": "paid", "LATENCY_MS": 5}, {**ORDER, "latency_ms": 5.0}),
        ({"Type": "Queue", "Waiting": 3}, {"type": "queue", "waiting": 3}),
        ({"Status": "paid", "trace-id": "t", "Trace_Id": None}, {**ORDER, "trace_id": "t"}),
        ({"Status": "paid", "OrderId": "1", "order_id": "2"}, {**ORDER, "order_id": "2"}),
        ({"Status": "paid", "order_id": "2", "OrderId": "1"}, {**ORDER, "order_id": "2"}),
        ({"status": "paid", "OrderId": "1"}, ORDER),  # a mixture: health names the unknown field
    ],
)
def test_an_object_may_use_another_spelling_throughout(event: dict[str, Any], expected: dict[str, Any]) -> None:
    assert accepted(event) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"service": "db", "status": "ok"}, {"type": "db"}),
        ({"service": "inventory", "status": "ok"}, {"type": "service:inventory"}),
        ({"event": "user.verified", "status": "confirmed"}, {"type": "user.verified"}),
        ({"event_type": "user.verified", "status": "confirmed"}, {"type": "user.verified"}),
        ({"eventType": "user.verified", "status": "confirmed"}, {"type": "user.verified"}),
        ({"eventType": "order.paid", "status": "paid"}, ORDER),
        ({"event_type": "checkout", "status": "paid", "order_id": 7}, {**ORDER, "order_id": "7"}),
        ({"kind": "healthcheck", "status": "ok", "latency_ms": 3}, {"type": "healthcheck"}),
        ({"event": "user.login"}, {"type": "user.login"}),
        ({"Event": "UserLogin", "Status": "ok"}, {"type": "UserLogin"}),
        ({"event": "x" * 200, "status": "ok"}, {"type": "x" * 128}),
        ({"event": "order.paid", "status": "paid"}, ORDER),
        ({"event": "OrderPaid", "service": "shop", "status": "paid"}, ORDER),
        ({"event": "paid", "status": "paid"}, ORDER),
        ({"event": {"id": 1}, "kind": "", "status": "paid"}, ORDER),
        ({"service": "shop", "status": "paid", "product_id": "a"}, {**ORDER, "product_id": "a"}),
        ({"type": "order", "service": "db", "status": "paid"}, ORDER),
    ],
)
def test_a_plain_object_that_says_it_is_something_else_is_ignored_by_that_name(
    event: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert accepted(event) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "sale", "action": "start", "sale": "drop"}, {"type": "sale", "action": "start", "sale": "drop"}),
        ({"type": "SALE", "action": "Stop", "sale": None}, {"type": "sale", "action": "stop"}),
        ({"Type": "sale", "Action": "stop", "Sale": 7}, {"type": "sale", "action": "stop", "sale": "7"}),
        ({"type": "sale", "status": "success", "sale": {}}, {"type": "sale"}),
        ({"type": "Sale", "quantity": -1}, {"type": "Sale"}),
        ({"specversion": "1.0", "type": "shop.sale", "data": {"action": "stop"}}, {"type": "shop.sale"}),
        ({"specversion": "1.0", "type": "flash.order.sale", "data": {"status": "paid"}}, {"status": "success"}),
    ],
)
def test_a_sale_starts_or_stops_by_its_action_and_is_another_type_without_one(event: Any, expected: Any) -> None:
    assert accepted(event) == expected


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        ({"action": "pause"}, 'action: expected start or stop, got "pause"'),
        ({"action": 5}, "action: expected start or stop, got 5"),
        ({"action": "stop", "sale": "Drop 1"}, "sale: expected at most 63 characters of a-z"),
        ({"action": "start", "sale": "current"}, "sale: expected at most 63 characters of a-z"),
    ],
)
def test_a_sale_that_cannot_be_read_is_refused(event: Any, detail: str) -> None:
    assert rejection({"type": "sale", **event}).detail.startswith(detail)
