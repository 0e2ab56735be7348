"""Money, times, durations, words and ids, in every form that shops, frameworks and databases write."""

from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sidecar.core.events.event import Item
from sidecar.core.mapping.conversions import plain
from tests.core.mapping.made import event, left_out, rejection

NOON = 1_795_953_600.0  # 2026-11-29T12:00:00Z


def base64(unscaled: int) -> str:
    """Return an integer as Debezium writes the unscaled value of a decimal."""
    return b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()


# Constants and words


@pytest.mark.parametrize("name", ["order_id", "product_id", "reason", "trace_id", "producer"])
def test_a_constant_needs_nothing_of_the_payload(name: str) -> None:
    assert getattr(event(f"{name}: {{value: web}}", {}), name) == "web"


def test_constants_may_be_status_currency_and_type() -> None:
    assert event("status: {value: paid}, currency: {value: EUR}", {}).currency == "EUR"
    found = event("type: {value: inventory}, product_id: sku, stock: left", {"sku": "a", "left": 3})
    assert (found.type, found.product_id, found.stock) == ("inventory", "a", 3)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("bezahlt", "success"),
        ("BEZAHLT", "success"),
        ("Bezahlt", "success"),
        (1, "success"),
        ("1", "success"),
        (2, "failed"),
        ("cancelled", "cancelled"),
        ("Pending", "pending"),
        (True, "pending"),
    ],
)
def test_words_are_exchanged_in_any_case_and_may_be_numbers(word: Any, status: str) -> None:
    words = "{Bezahlt: success, 1: success, 2: failed, true: pending}"
    assert event(f"status: {{path: s, words: {words}}}", {"s": word}).status == status


def test_a_word_that_is_not_in_the_map_stays() -> None:
    found = rejection("rules: [{event: {status: {path: s, words: {bezahlt: success}}}}]", {"s": "storniert"})
    assert found.detail == (
        'status: expected one of success, failed, pending, cancelled, got "storniert" (mapping shop0, rule 1)'
    )


@pytest.mark.parametrize("payload", [{"s": "other"}, {"s": None}, {"s": ""}, {}, {"s": []}])
def test_else_is_what_other_words_and_none_become(payload: Any) -> None:
    assert event("status: {path: s, words: {ok: success}, else: failed}", payload).status == "failed"


def test_else_without_words_is_for_what_is_not_there() -> None:
    assert event("reason: {path: why, else: unsaid}", {}).reason == "unsaid"
    assert event("reason: {path: why, else: unsaid}", {"why": "late"}).reason == "late"


def test_words_are_for_reasons_as_well() -> None:
    fields = "status: {value: failed}, reason: {path: code, words: {card_declined: payment_declined}}"
    assert event(fields, {"code": "card_declined"}).reason == "payment_declined"


@pytest.mark.parametrize(
    ("after", "found", "kept"),
    [
        ("/", "gid://shopify/Order/6190233444556", "6190233444556"),
        (".", "com.shop.order.paid", "paid"),
        ("order-", "order-7", "7"),
        ("/", "plain", "plain"),
        ("/", 7, "7"),
        ("/", "gid://shopify/", None),
    ],
)
def test_only_what_comes_after_the_last_separator_is_kept(after: str, found: Any, kept: str | None) -> None:
    assert event(f'order_id: {{path: id, after: "{after}"}}', {"id": found}).order_id == kept


@pytest.mark.parametrize(("found", "text"), [(1001, "1001"), (-1, "-1"), (1001.0, "1001"), ("1001", "1001")])
def test_a_number_may_be_an_id(found: Any, text: str) -> None:
    assert event("order_id: id", {"id": found}).order_id == text


def test_an_integer_longer_than_an_id_is_left_out() -> None:
    assert left_out("order_id: id", b'{"id":' + b"9" * 200 + b"}") == ("order_id_left_out",)


# Money


@pytest.mark.parametrize("found", ["19.90", 19.9, " 19.90 ", {"units": 19, "nanos": 900_000_000}])
def test_money_is_exact(found: Any) -> None:
    assert event("amount: total", {"total": found}).amount == Decimal("19.90")


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("EUR", "19.90"),
        ("eur", "19.90"),
        ("JPY", "1990"),
        ("KWD", "1.990"),
        ("CLF", "0.1990"),
        ("ISK", "19.90"),
        ("XYZ", "19.90"),
        (None, "1990"),
        (7, "19.90"),
    ],
)
def test_minor_units_are_by_currency_unless_said_otherwise(currency: Any, amount: str) -> None:
    fields = "amount: {path: cents, minor_units: true, decimals: {ISK: 2}}, currency: currency"
    found = event(fields, {"cents": 1990, "currency": currency}, currency="JPY")
    assert found.amount == (None if currency == 7 else Decimal(amount))  # no sum is of an amount without a currency


def test_minor_units_of_items_are_by_the_currency_of_the_order() -> None:
    items = "items: {path: lines, item: {product_id: sku, amount: {path: cents, minor_units: true}}}"
    found = event(f"{items}, currency: c", {"c": "KWD", "lines": [{"sku": "a", "cents": 1500}, {"sku": "b"}]})
    assert [item.amount for item in found.items or ()] == [Decimal("1.5"), None]


def test_minor_units_of_an_order_without_items() -> None:
    items = "items: {path: lines, item: {product_id: sku, amount: {path: cents, minor_units: true}}}"
    found = event(f"amount: {{path: cents, minor_units: true}}, {items}", {"cents": "150"})
    assert found.amount == Decimal("1.5")


def test_a_fixed_divisor() -> None:
    assert event("amount: {path: cents, divide_by: 100}", {"cents": 3980}).amount == Decimal("39.8")
    assert event("amount: {path: cents, divide_by: 100}", {"cents": "3980"}).amount == Decimal("39.8")
    assert event("quantity: {path: dozen, divide_by: 0.5}", {"dozen": 6}).quantity == 12
    assert left_out("amount: {path: cents, divide_by: 100}", {"cents": "many"}) == ("amount_left_out",)


@pytest.mark.parametrize(
    ("unscaled", "scale", "amount"),
    [(1990, 2, "19.90"), (0, 2, "0"), (5, 0, "5"), (123456, 4, "12.3456"), (3, -2, "300")],
)
def test_an_unscaled_decimal_in_base64(unscaled: int, scale: int, amount: str) -> None:
    text = base64(unscaled)
    assert event(f"amount: {{path: total, scale: {scale}}}", {"total": text}).amount == Decimal(amount)
    assert event("amount: total", {"total": {"scale": scale, "value": text}}).amount == Decimal(amount)


def test_a_negative_unscaled_decimal_is_negative() -> None:
    assert left_out("amount: {path: total, scale: 2}", {"total": base64(-1990)}) == ("amount_left_out",)
    fields = "quantity: {path: n}, amount: {path: total, scale: 2, divide_by: 1}"
    assert event(f"{fields}", {"n": 1, "total": base64(1)}).amount == Decimal("0.01")
    items = "items: {path: l, item: {product_id: p, amount: {path: a, scale: 2, times: n}}}"
    found = event(items, {"l": [{"p": "x", "a": base64(-1990), "n": -1}]})
    assert found.items == [Item("x", 1, Decimal("19.90"))]


def test_a_decimal_as_text_or_number_needs_no_scale() -> None:
    for found in ("19.90", 19.9):
        assert event("amount: {path: total, scale: 2}", {"total": found}).amount == Decimal("19.90")


@pytest.mark.parametrize(
    "found",
    [
        "!!",
        "a",
        "A" * 100_000,
        {"scale": 2},
        {"scale": {}, "value": "AQ=="},
        {"scale": 0.5, "value": "AQ=="},
        {"scale": 1e99, "value": "AQ=="},
        {"scale": 2, "value": []},
        {"units": "x"},
        {"units": 1, "nanos": []},
        {"amount": 1},
        [],
        True,
    ],
)
def test_what_is_no_money_is_left_out_and_the_order_counts(found: Any) -> None:
    assert left_out("amount: {path: total, scale: 2}", {"total": found}) == ("amount_left_out",)


@pytest.mark.parametrize(
    ("found", "amount"), [({"units": "19"}, "19"), ({"nanos": 500_000_000}, "0.5"), ({"units": 0, "nanos": 1}, "1e-9")]
)
def test_googles_money_leaves_out_zeros(found: Any, amount: str) -> None:
    assert event("amount: total", {"total": found}).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("found", "amount"),
    [
        ("1.234,50", "1234.50"),
        ("1.234.567", "1234567"),
        ("1 234,50", "1234.50"),
        ("1\N{NARROW NO-BREAK SPACE}234,50", "1234.50"),
        ("19,90", "19.90"),
        (" 0,5 ", "0.5"),
        ("1234", "1234"),
        (1234.5, "1234.5"),
    ],
)
def test_a_decimal_comma(found: Any, amount: str) -> None:
    assert event("amount: {path: total, decimal_comma: true}", {"total": found}).amount == Decimal(amount)


@pytest.mark.parametrize("found", ["19.90", "1,234.50", "NaN", "", "1,2,3", "12.34,5", "-1,5", "x"])
def test_what_has_its_comma_elsewhere_is_left_out_not_read_wrongly(found: str) -> None:
    there = ("amount_left_out",) if found else ()
    assert left_out("amount: {path: total, decimal_comma: true}", {"total": found}) == there


@pytest.mark.parametrize(
    ("payload", "amount"),
    [
        ({"price": "19.90", "n": 2}, "39.80"),
        ({"price": "19.90", "n": "2"}, "39.80"),
        ({"price": 19.9, "n": 0.5}, "9.95"),
        ({"price": "19.90"}, "19.90"),
        ({"price": "19.90", "n": None}, "19.90"),
        ({"price": "19.90", "n": ""}, "19.90"),
        ({"price": "1,5", "n": 2}, None),
        ({"price": "19.90", "n": "two"}, None),
        ({"n": 2}, None),
    ],
)
def test_price_times_quantity_which_is_one_if_there_is_none(payload: Any, amount: str | None) -> None:
    assert event("amount: {path: price, times: n}", payload).amount == (None if amount is None else Decimal(amount))


# Times


@pytest.mark.parametrize(
    ("found", "moment"),
    [
        (NOON, NOON),
        (1_795_953_600_500, NOON + 0.5),
        ("1795953600", NOON),
        ("2026-11-29T12:00:00Z", NOON),
        ("2026-11-29T13:00:00+01:00", NOON),
        ("2026-11-29 12:00:00", NOON),
        ("2026-11-29T12:00", NOON),
        ("2026-11-29 12:00:00 UTC", NOON),
        ([2026, 11, 29, 12, 0], NOON),
        ([2026, 11, 29, 12, 0, 1], NOON + 1),
        ([2026, 11, 29, 12, 0, 1, 500_000_000], NOON + 1.5),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("zone", ["", "UTC"])
def test_a_time_in_every_form(found: Any, moment: float | None, zone: str) -> None:
    assert event("ts: at", {"at": found}, also=f"zone: '{zone}',").ts == moment


@pytest.mark.parametrize(
    ("found", "moment"),
    [
        ("2026-11-29T13:00:00", NOON),
        ("2026-11-29 13:00", NOON),
        ("2026-11-29T13:00:00,5", NOON + 0.5),
        ([2026, 11, 29, 13, 0], NOON),
        ("2026-11-29T12:00:00Z", NOON),
        ("2026-11-29T12:00:00 UTC", NOON),
        ("2026-11-29T14:00:00+02:00", NOON),
        (NOON, NOON),
        ("2026-07-01T12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()),
        # On 2026-03-29 at 2:00 clocks go to 3:00, and on 2025-10-26 at 3:00 back to 2:00.
        ("2026-03-29T01:59:59", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC).timestamp()),
        ("2026-03-29T03:00:00", datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()),
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC).timestamp()),
        ("2025-10-26T02:30:00", datetime(2025, 10, 26, 0, 30, tzinfo=UTC).timestamp()),
        ("2025-10-26T03:00:00", datetime(2025, 10, 26, 2, tzinfo=UTC).timestamp()),
    ],
)
@pytest.mark.parametrize("of", ["mapping", "field"])
def test_a_time_without_a_zone_is_by_the_clocks_of_the_configured_one(found: Any, moment: float, of: str) -> None:
    whole, own = ("zone: Europe/Berlin,", "at") if of == "mapping" else ("", "{path: at, zone: Europe/Berlin}")
    assert event(f"ts: {own}", {"at": found}, also=whole).ts == moment


@pytest.mark.parametrize(
    "found",
    [
        "2026-11-29",
        "yesterday",
        "2026-13-01T00:00:00",
        "9999-12-31T23:59:59",
        [2026, 13, 1, 0, 0],
        [2026, 11, 29, 12],
        [2026, 11, 29, 12, "0"],
        [2026, 11, 29, 12, 0, 0, 0, 0],
        [10**20, 1, 1, 0, 0],
        {"a": 1},
        True,
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_what_is_no_time_is_rejected_by_name(found: Any, zone: str) -> None:
    found = rejection(f"zone: {zone}, rules: [{{event: {{status: {{value: success}}, ts: at}}}}]", {"at": found})
    assert found.detail.startswith("ts: expected a Unix time or RFC 3339")
    assert found.detail.endswith("(mapping shop0, rule 1)")


# Durations


@pytest.mark.parametrize(
    ("unit", "found", "milliseconds"),
    [
        ("ms", 42.5, 42.5),
        ("ms", "42.5", 42.5),
        ("s", 0.0425, 42.5),
        ("s", "0.0425", 42.5),
        ("us", 42_500, 42.5),
        ("ns", 42_500_000, 42.5),
        ("ms", "0.0425s", 42.5),  # Protobuf
        ("ns", "42.5ms", 42.5),  # Go
        ("ms", "1h2m3.5s", 3_723_500),
        ("ms", "42500µs", 42.5),
        ("ms", "42500us", 42.5),
        ("ms", "42500000ns", 42.5),
        ("ms", "00:00:00.0425000", 42.5),  # .NET
        ("ms", "1.02:03:04.5", 93_784_500),
        ("ms", "PT0.0425S", 42.5),  # Jackson 3, Java, JavaScript
        ("ms", "P1DT2H3M4.5S", 93_784_500),
        ("ms", "PT1M", 60_000),
        ("ms", " 42.5ms ", 42.5),
    ],
)
@pytest.mark.parametrize("name", ["latency_ms", "processing_ms"])
def test_a_duration_in_every_form(name: str, unit: str, found: Any, milliseconds: float) -> None:
    assert getattr(event(f"{name}: {{path: took, unit: {unit}}}", {"took": found}), name) == milliseconds


@pytest.mark.parametrize(
    "found",
    ["P", "PT", "1", "ms", "1m2x", "1 h", "-1s", "1:2", "s1", "x", "1" * 100_000 + "s", "1e999999", [], {}, True],
)
def test_what_is_no_duration_is_left_out(found: Any) -> None:
    adjusted = left_out("latency_ms: {path: took, unit: s}", {"took": found})
    assert adjusted == (() if found == "1" else ("latency_ms_left_out",))


@pytest.mark.parametrize(
    ("paid", "created", "milliseconds"),
    [
        ("2026-11-29T12:00:01.500Z", "2026-11-29T12:00:00Z", 1500),
        (NOON + 0.25, NOON, 250),
        (1_795_953_600_250, "2026-11-29T12:00:00", 250),
        ("2026-03-29T03:00:00", "2026-03-29T01:59:59", 1000),
        (None, NOON, None),
        (NOON, None, None),
        ("", NOON, None),
        (NOON, "0001-01-01T00:00:00Z", None),
    ],
)
def test_the_difference_of_two_times(paid: Any, created: Any, milliseconds: float | None) -> None:
    zone = "Europe/Berlin" if isinstance(paid, str) and "03:00" in paid else "UTC"
    fields = f"latency_ms: {{path: paid, since: created, zone: {zone}}}"
    assert event(fields, {"paid": paid, "created": created}).latency_ms == milliseconds
    assert left_out(fields, {"paid": paid, "created": created}) == ()


@pytest.mark.parametrize(
    ("paid", "created"), [("soon", NOON), (NOON, "then"), (NOON, NOON + 1), (NOON, {}), (1e100, NOON)]
)
def test_a_difference_of_what_are_no_times_in_order_is_left_out(paid: Any, created: Any) -> None:
    payload = {"paid": paid, "created": created}
    assert left_out("latency_ms: {path: paid, since: created}", payload) == ("latency_ms_left_out",)


# MessagePack


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (42.0, 42),
        (42.5, Decimal("42.5")),
        (1e300, Decimal("1e300")),
        (float("nan"), None),
        (float("inf"), Decimal("Infinity")),
        (datetime(2026, 11, 29, 12, tzinfo=UTC), Decimal(NOON)),
        (b"abc", "abc"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        ({1: [None, True]}, {"1": [None, True]}),
        ({b"a": {"b": 1.0}}, {"a": {"b": 1}}),
        (msgspec.msgpack.Ext(5, b"x"), None),
        ("text", "text"),
    ],
)
def test_messagepack_is_read_like_json(found: Any, value: Any) -> None:
    assert plain(msgspec.msgpack.decode(msgspec.msgpack.encode(found))) == value
