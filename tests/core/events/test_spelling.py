"""Envelopes and spellings, before any value is judged: which fields an event has, and what type it says it is."""

import json
from base64 import b64encode
from typing import Any

import pytest

from sidecar.core.events.spelling import data_of, fields_of, given, respelled, says_a_sale, type_words, unknown_names
from sidecar.core.events.values import Rejected


def envelope(data: Any, **attributes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/shop", "data": data, **attributes}


def test_a_plain_order_stays_as_it_is() -> None:
    order = {"status": "paid", "orderId": 1}
    assert fields_of(order) == order


@pytest.mark.parametrize(
    "fields", [{"Status": "paid", "OrderId": 1}, {"STATUS": "paid", "order-id": 1}, {"status": "paid", "order_id": 1}]
)
def test_an_object_in_another_style_is_respelled_as_a_whole(fields: dict[str, Any]) -> None:
    assert respelled(fields) == {"status": "paid", "order_id": 1}


def test_an_object_with_its_own_mark_is_not_respelled() -> None:
    fields = {"status": "paid", "OrderId": 1}
    assert respelled(fields) is fields


def test_the_own_spelling_takes_precedence_over_camel_case() -> None:
    for fields in ({"orderId": 1, "order_id": 2}, {"order_id": 2, "orderId": 1}):
        assert given(fields, ("order_id",)) == {"order_id": 2}
    assert given({"orderId": 1, "order_id": None}, ("order_id",)) == {"order_id": 1}


@pytest.mark.parametrize("name", ["event", "event_type", "eventType", "kind", "service"])
def test_an_object_without_a_type_may_say_that_it_is_no_order(name: str) -> None:
    assert fields_of({"status": "up", name: "cache"})["type"] == "cache"


@pytest.mark.parametrize("said", ["order.paid", "OrderPaid", "orders", "paid", "PAID"])
def test_a_name_that_speaks_of_orders_leaves_an_order(said: str) -> None:
    assert "type" not in fields_of({"status": "paid", "event": said})


def test_a_service_named_as_a_type_is_not_taken_for_it() -> None:
    assert fields_of({"status": "up", "service": "inventory"})["type"] == "service:inventory"


def test_fields_of_an_order_outweigh_what_an_object_calls_itself() -> None:
    assert "type" not in fields_of({"status": "paid", "order_id": 1, "event": "checkout"})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("com.shop.order.paid", ["order"]),
        ("flash.sale.order", ["order"]),
        ("QueueLengthChanged", ["queue"]),
        ("orders", ["order"]),
        ("reorder", []),
        (None, []),
        (7, []),
    ],
)
def test_the_words_of_a_name_that_are_types(kind: Any, words: list[str]) -> None:
    assert type_words(kind) == words


@pytest.mark.parametrize(
    "encoded",
    [
        {"data": {"status": "paid"}},
        {"data": '{"status":"paid"}'},
        {"data": json.dumps('{"status":"paid"}')},
        {"data_base64": b64encode(b'{"status":"paid"}').decode()},
    ],
    ids=["object", "JSON", "JSON twice", "base64"],
)
def test_the_data_of_an_envelope_is_decoded(encoded: dict[str, Any]) -> None:
    assert data_of(encoded) == {"status": "paid"}


@pytest.mark.parametrize("encoded", [{"data": "no JSON"}, {"data_base64": b64encode(b"no JSON").decode()}])
def test_data_that_cannot_be_decoded_stays_as_it_is(encoded: dict[str, Any]) -> None:
    assert data_of(encoded) == next(iter(encoded.values()))


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("com.shop.order.paid", {"status": "paid"}, "order"),
        ("com.shop.stock", {"type": "inventory", "stock": 1}, "inventory"),
        (None, {"status": "paid"}, "order"),
        ("com.shop.cart", {"status": "full"}, "com.shop.cart"),
        ("com.shop.cart", None, "com.shop.cart"),
    ],
    ids=["by its name", "by its data", "by its status", "foreign", "foreign without data"],
)
def test_the_type_of_an_envelope(kind: str | None, data: Any, expected: str) -> None:
    assert fields_of(envelope(data, type=kind))["type"] == expected


def test_the_time_of_an_envelope_is_that_of_its_data_where_that_has_one() -> None:
    assert fields_of(envelope({"status": "paid"}, time="2026-11-27T10:00:00Z"))["ts"] == "2026-11-27T10:00:00Z"
    assert fields_of(envelope({"status": "paid", "ts": 5}, time="2026-11-27T10:00:00Z"))["ts"] == 5


@pytest.mark.parametrize("name", ["data", "data_base64"])
def test_an_envelope_of_an_order_without_fields_is_rejected(name: str) -> None:
    with pytest.raises(Rejected) as rejected:
        fields_of({"specversion": "1.0", "type": "order", name: "[1]" if name == "data" else b64encode(b"7").decode()})
    assert rejected.value.reason == "not_object"


def test_unknown_names_are_those_of_no_field_of_the_type() -> None:
    assert unknown_names({"status": "paid", "colour": 1, "orderId": 2}) == {"colour"}
    assert unknown_names({"type": "inventory", "product_id": "a", "stock": 1, "status": "x"}) == {"status"}
    assert unknown_names({"type": "cart", "colour": 1}) == set()
    assert unknown_names(envelope({"status": "paid", "colour": 1}, type="order", shade=2)) == {"colour", "shade"}


def test_a_sale_without_an_action_is_of_another_system() -> None:
    assert says_a_sale({"action": "start"})
    assert not says_a_sale({"action": ""})
    assert unknown_names({"type": "sale", "discount": 5}) == set()
    assert unknown_names({"type": "sale", "action": "start", "discount": 5}) == {"discount"}
