"""Payloads become events or rejections, one by one, and nothing raises."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core.events import decode as decode_module
from sidecar.core.events.decode import accept_fields, decode, unknown_fields
from sidecar.core.events.event import (
    FIELDS,
    HEADER_FIELDS,
    MAX_BATCH_EVENTS,
    MAX_PAYLOAD_BYTES,
    Decoded,
    Event,
    Item,
    Number,
    Rejection,
)
from sidecar.core.events.spelling import fields_of
from sidecar.core.events.tolerant import read
from sidecar.core.events.values import Rejected

NOW = 1_790_000_000.0
GOOD = b'{"status":"success"}'


def one(*payloads: bytes) -> Decoded:
    """Decode one payload, or several together."""
    return decode(payloads, [NOW] * len(payloads))


def meaning(event: Event) -> dict[str, Any]:
    """Return the fields that mean something for the event's type."""
    return {name: getattr(event, name, None) for name in FIELDS.get(event.type, HEADER_FIELDS)}


def test_the_smallest_event_is_an_order_at_its_arrival() -> None:
    decoded = one(GOOD)
    assert [meaning(event) for event in decoded.events] == [meaning(Event(status="success"))]
    assert (decoded.arrivals, decoded.rejections) == ([NOW], [])


def test_no_payloads_are_no_events() -> None:
    assert decode([], []) == Decoded([], [], [])


def test_every_payload_needs_an_arrival() -> None:
    with pytest.raises(ValueError, match="needs an arrival"):
        decode([GOOD], [])


def test_an_ordinary_event_is_read_by_the_strict_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decode_module, "read_into")
    payloads = [
        b'{"type":"order","ts":1790000000.5,"producer":"api-1","epoch":1789999000,"seq":1,"status":"failed",'
        b'"order_id":"550e8400-e29b-41d4-a716-446655440000","reason":"sold_out","latency_ms":12,"user":{"id":3}}',
        b'{"status":"success","ts":1790000000500,"amount":"12.50","currency":"EUR","quantity":2}',
        b'{"status":"success","ts":"2026-09-21T14:13:20.5Z"}',
        b'{"status":"success","orderId":"o","productId":"a","latencyMs":5,"processingMs":1,"traceId":"t"}',
        b'{"status":"success","amount":1,"quantity":3,"items":[{"product_id":"a","amount":0.10}]}',
        b'{"type":"queue","waiting":3}',
        b'{"type":"inventory","product_id":"a","stock":-1}',
        b'{"type":"connections","active":0}',
        b'{"type":"heartbeat","seq":0}',
        b'{"type":"page_view"}',
        b'{"status":"success","event":"order.paid"}',
    ]
    decoded = decode(payloads, [NOW] * len(payloads))
    assert decoded.rejections == []
    assert [event.type for event in decoded.events] == ["order"] * 5 + [*list(FIELDS)[1:-1], "page_view", "order"]
    assert [event.ts for event in decoded.events[:3]] == [1790000000.5] * 3
    assert (decoded.events[1].amount, decoded.events[1].quantity) == (Decimal("12.50"), 2)
    camel = decoded.events[3]
    assert (camel.order_id, camel.product_id, camel.latency_ms, camel.trace_id) == ("o", "a", 5.0, "t")
    assert decoded.events[4].items == [Item("a", 1, Decimal("0.10"))]
    assert (decoded.events[4].amount, decoded.events[4].quantity) == (Decimal(1), 1)
    assert not decoded.worded


@pytest.mark.parametrize(
    ("status", "word"),
    [("success", ""), ("SUCCESS", ""), ("cancelled", ""), ("paid", "paid"), ("Refunded", "refunded"), ("ok", "ok")],
)
def test_a_word_other_than_the_canonical_ones_is_kept(status: str, word: str) -> None:
    payload = json.dumps({"status": status}).encode()
    for decoded in (one(payload), one(b"[" + payload + b"]"), one(b'{"status":"success"}', payload)):
        assert decoded.events[-1].status_word == word
        assert decoded.worded == (word != "")


@pytest.mark.parametrize("name", ["status_word", "statusWord", "StatusWord", "\N{NO-BREAK SPACE}"])
@pytest.mark.parametrize("naming", ["product_id", "productId"])
def test_no_payload_can_set_the_status_word(name: str, naming: str) -> None:
    [event] = one(json.dumps({"status": "success", naming: "a", name: "paid"}, ensure_ascii=False).encode()).events
    assert (event.status_word, event.product_id) == ("", "a")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"status":"success","latencyMs":5}',
        b'{"status":"success","l\\u0061tencyMs":5}',
        b'{"status":"success","latencyMs":5,"processing_ms":6}',
        b'{"status":"success","latencyMs":5,"latency_ms":6}',
        b'{"status":"success","latencyMs":-5}',
        b'{"specversion":"1.0","type":"order","status":"success","data":{"status":"failed"}}',
        b'{"type":"Order","status":"success"}',
        b'{"type":"INVENTORY","product_id":"a"}',
        b'{"type":"heartbeat","productId":[]}',
        b'{"status":"success","seq":0}',
        b'{"status":"success","amount":"NaN"}',
        b'{"status":"success","amount":"sNaN"}',
        b'{"status":"success","amount":"-1"}',
        b'{"type":"heartbeat","amount":-1}',
        b'{"status":"success","items":[{"product_id":"a","amount":"-1"}]}',
        b'{"status":"success","items":[{"product_id":"a","amount":2}],"amount":-1}',
        b'{"items":[{"product_id":"a"}]}',
        b'{"type":"queue","queue":"a"}',
        b'{"status":"success","ts":99999999999}',
        b'{"status":"success","ts":200000000000}',
        b'{"status":"success","ts":"9999-12-31T23:59:59-23:59"}',
        b'{"status":"success","x":"\xff"}',
        b'{"\xff":1,"status":"success"}',
        '{"status":"success","order_id":"€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€"}'.encode(),
        b'{"status":"success","order_id":"' + b"\\u20ac" * 43 + b'"}',
        b'{"status":"success","order_id":"' + b"x" * 128 + b'"}',
        b'{"status":3,"status":"success"}',
        b'{"status":"success","quantity":null,"reason":""}',
        b'{"status":"success","product_id":null,"productId":"a"}',
        b'{"type":"page_view","status":3,"amount":{}}',
        b'{"status":"success","event":"user.verified"}',
        b'{"status":"success","service":"db"}',
        b'{"status":"success","service":"db","amount":1}',
        b'{"status":"success","kind":"order.paid","service":"db"}',
        b'{"status":"success","event":"reorder"}',
        b'{"status":"success","event_type":"user.verified"}',
        b'{"status":"success","eventType":"user.verified"}',
        b'{"status":"success","eventType":"order.paid","event_type":""}',
        b'{"status":"success","OrderId":"1"}',
        b'{"type":"page_view","Status":"success"}',
        b'{"status":"success","items":[{"ProductId":"a"}]}',
        b'{"status":"failed","amount":-1,"latency_ms":-1}',
    ],
)
def test_both_stages_read_the_same(payload: bytes) -> None:
    assert outcome(one(payload)) == tolerant_outcome(payload)


def outcome(decoded: Decoded) -> Any:
    """Return what became of a payload that holds one event."""
    assert len(decoded.events) + len(decoded.rejections) == 1
    return meaning(decoded.events[0]) if decoded.events else decoded.rejections[0].reason


def tolerant_outcome(payload: bytes) -> Any:
    """Return what the tolerant stage alone makes of an object."""
    try:
        fields = msgspec.json.Decoder(float_hook=Decimal).decode(payload)
        return meaning(read(fields_of(fields), NOW)[0])
    except Rejected as exc:
        return exc.reason
    except ValueError:
        return "not_json"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"{", "not_json"),
        (b'{"status":"success"} x', "not_json"),
        (b'[{"status":"success"},]', "not_json"),
        (b'{"status":NaN}', "not_json"),
        (b'{"status":"\\ud800"}', "not_json"),
        (b'{"status":"\\udc00a"}', "not_json"),
        (b'{"status":"success","x":"\xed\xa0\x80"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        # Python 3.14 reads as deep as its stack goes, older ones 1,000 brackets.
        (b'{"status":"success","x":' + b"[" * 500_000 + b"]" * 500_000 + b"}", "not_json"),
        (b"3", "not_object"),
        (b'"x"', "not_object"),
        (b"null", "not_object"),
        (b"[[]]", "not_object"),
        (b"{}", "missing_field"),
        (b'{"status":"success","ts":1e400}', "out_of_range"),
        (b'{"status":"success","amount":' + b"9" * 5000 + b"}", "out_of_range"),
        (b'{"status":"success","quantity":' + b"9" * 5000 + b"}", "out_of_range"),
        (b'{"type":"inventory","product_id":"a","stock":' + b"9" * 4300 + b"}", "out_of_range"),
        (b'{"type":"inventory","product_id":"a","stock":99999999999999999999999}', "out_of_range"),
        (b'{"type":"inventory","product_id":"a","stock":1e999999999}', "out_of_range"),
        (b'{"type":"inventory","product_id":"a","stock":1e-999999999}', "wrong_type"),
        (b'{"type":"inventory","product_id":1e999999999,"stock":1}', "out_of_range"),
        (b" " * MAX_PAYLOAD_BYTES + GOOD, "too_large"),
    ],
)
def test_a_payload_that_cannot_be_read_is_one_rejection(payload: bytes, reason: str) -> None:
    decoded = one(payload)
    assert decoded.events == []
    assert [rejection.reason for rejection in decoded.rejections] == [reason]
    assert decoded.rejections[0].payload in (payload[:1024], payload[1:-1])
    assert decoded.rejections[0].arrival == NOW
    assert len(decoded.rejections[0].detail) < 300


def test_one_bad_event_costs_only_itself() -> None:
    bad = [b'{"status":"shipped","producer":"p","epoch":"e","seq":4}', b"7", b'{"status":"success","x":"\xff"}']
    decoded = one(b" [" + b" , ".join([GOOD, *bad, b'{"status":"Paid"}', b'[{"status":"success"}]']) + b"]")
    assert [event.status for event in decoded.events] == ["success", "success"]
    assert decoded.arrivals == [NOW, NOW]
    assert [rejection.reason for rejection in decoded.rejections] == [
        "unknown_status",
        "not_object",
        "not_json",
        "not_object",
    ]
    assert [rejection.payload for rejection in decoded.rejections[:3]] == bad
    shipped = decoded.rejections[0]
    assert shipped.numbers == (Number("p", "e", 4),)
    assert shipped.detail == 'status: expected one of success, failed, pending, cancelled, got "shipped"'


@pytest.mark.parametrize("separator", [b",", b' ,\n{"status":"Paid"},'])
def test_a_batch_has_at_most_ten_thousand_events(separator: bytes) -> None:
    share = separator.count(b"{") + 1
    full = MAX_BATCH_EVENTS // share
    assert len(one(b"[" + separator.join([GOOD] * full) + b"]").events) == full * share - share + 1
    decoded = one(b"[" + separator.join([GOOD] * (full + 1)) + b"]")
    assert [rejection.reason for rejection in decoded.rejections] == ["too_large"]
    assert decoded.events == []


def test_a_payload_of_exactly_the_limit_is_read() -> None:
    assert len(one(GOOD.rjust(MAX_PAYLOAD_BYTES)).events) == 1


def test_an_empty_batch_is_nothing() -> None:
    empty = one(b"[]")
    assert (empty.events, empty.rejections) == ([], [])


def test_events_keep_the_arrival_of_their_payload() -> None:
    decoded = decode([GOOD, b"[" + GOOD + b"," + GOOD + b"]", b'{"status":"Paid"}', b"x"], [1.0, 2.0, 3.0, 4.0])
    assert decoded.arrivals == [1.0, 2.0, 2.0, 3.0]
    assert [rejection.arrival for rejection in decoded.rejections] == [4.0]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"status":"success","lattency_ms":5,"latencyMs":5,"producer":"p"}', {"lattency_ms"}),
        (b'[{"status":"success","prodct":1},{"status":"success","other":1}]', {"prodct"}),
        (b'{"type":"inventory","product_id":"a","stock":1,"status":"x"}', {"status"}),
        (b'{"type":"page_view","anything":1}', set()),
        (b'{"specversion":"1.0","id":"1","source":"/","data":{"status":"ok","statsu":1},"ext":1}', {"statsu", "ext"}),
        (b'{"specversion":"1.0","type":"x.order","time":"","data":{"status":"ok"}}', set()),
        (b'{"specversion":"1.0","type":"x.order","data":3}', set()),
        (b'{"type":3,"x":1}', set()),
        (b'{"stat', set()),
        (b"3", set()),
        (b"[]", set()),
        (b'{"' + b"x" * 100 + b'":1}', {"x" * 64}),
        (
            json.dumps({f"name{index:02}": 1 for index in range(30)}).encode(),
            {f"name{index:02}" for index in range(20)},
        ),
    ],
)
def test_unknown_fields_are_named(payload: bytes, expected: set[str]) -> None:
    assert unknown_fields(payload) == expected


# What a busy machine makes slow is no fault of the decoder.
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANYTHING = st.one_of(
    st.integers(),
    st.floats(),
    st.text(max_size=140),
    st.sampled_from([None, True, [], {}, [1], {"status": "ok"}, "", "1e3", "NaN", "EUR", "2026-09-21T14:13:20Z"]),
)
COUNTS = st.sampled_from([-1, 0, 1, 3, 1.0, 2.5, 10**12, 10**12 + 1, 2**63, "7"])
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from([*FIELDS, "page_view", "Order"]),
    "status": st.sampled_from(["success", "failed", "declined"]),
    "ts": st.sampled_from([NOW, int(NOW * 1e3), NOW * 1e9, NOW + 86_400, "2026-09-21T14:13:20.123Z", 9.4e8]),
    "items": st.sampled_from([[], [{"product_id": "a"}], [{"product_id": 1}], [{"productId": "a", "quantity": 0}]]),
    "amount": st.sampled_from([0, 1.5, "12.50", "1_0", " 1 ", "Infinity", -0.0, 10**9, 10**9 + 1]),
}
NAMES = [*Event.__struct_fields__, "productId", "latencyMs", "orderId", "specversion", "data", "time", "surprise"]
NAMES += ["event", "event_type", "eventType", "kind", "service", "OrderId", "Status"]
FIELD = st.one_of(*(st.tuples(st.just(name), FITTING.get(name, COUNTS) | ANYTHING) for name in NAMES))
STATUS = st.tuples(st.just("status"), FITTING["status"])
EVENTS = st.tuples(STATUS, st.lists(FIELD, max_size=6)).map(lambda fields: dict([fields[0], *fields[1]]))


@RELAXED
@given(EVENTS, st.booleans())
def test_strict_and_tolerant_agree_on_any_event(event: dict[str, Any], escaped: bool) -> None:
    payload = json.dumps(event, ensure_ascii=escaped).encode(errors="surrogatepass")
    assert outcome(one(payload)) == tolerant_outcome(payload)


@RELAXED
@given(st.lists(EVENTS, max_size=5))
def test_a_batch_is_read_like_its_events_alone(events: list[dict[str, Any]]) -> None:
    alone = [one(json.dumps(event).encode()) for event in events]
    batch = one(json.dumps(events).encode())
    if any(rejection.reason == "not_json" for decoded in alone for rejection in decoded.rejections):
        return  # NaN and lone surrogates break the array as a whole
    assert [*map(meaning, batch.events)] == [meaning(event) for decoded in alone for event in decoded.events]
    assert batch.rejections == [rejection for decoded in alone for rejection in decoded.rejections]


@RELAXED
@given(st.binary(max_size=200))
def test_any_bytes_are_counted_and_never_raise(payload: bytes) -> None:
    decoded = one(payload)
    assert all(isinstance(rejection, Rejection) for rejection in decoded.rejections)
    assert len(decoded.events) == len(decoded.arrivals)


@RELAXED
@given(EVENTS, st.integers(0), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_event_never_raises(event: dict[str, Any], place: int, patch: bytes, cut: int) -> None:
    payload = json.dumps(event).encode()
    start = place % len(payload)
    decoded = one(payload[:start] + patch + payload[start + cut :])
    assert len(decoded.events) == len(decoded.arrivals)


# Fields that a mapping has read

VALUES_OF_FIELDS = st.one_of(
    st.sampled_from(
        ["success", "PAID", "timeout", "x", "é", "\0", "", "2026-09-21T14:13:20+02:00", "2026-09-21 14:13", "5"]
    ),
    st.sampled_from(
        ["19.90", "1e3", "NaN", "Infinity", "-1", " 1 ", "1_0", "EUR", "eur", "a" * 129, "2026-09-21T14:13:20Z"]
    ),
    st.sampled_from(
        [Decimal("1.5"), Decimal(2), Decimal("Infinity"), Decimal("1E+400"), Decimal("-0.0"), Decimal("1790000000.5")]
    ),
    st.sampled_from([0, 1, 2, -1, 10**9, 10**13, 10**40, 1_790_000_000, 1_790_000_000_500, False, True]),
    st.sampled_from([[], {}, [1], ["a"]]),
)
ITEMS_OF_FIELDS = st.lists(
    st.dictionaries(st.sampled_from(["product_id", "quantity", "amount"]), VALUES_OF_FIELDS, max_size=3), max_size=2
)


@settings(max_examples=300)
@given(
    fields=st.dictionaries(
        st.sampled_from([*FIELDS["order"][1:], "stock", "active", "waiting"]), VALUES_OF_FIELDS, max_size=6
    ),
    status=st.sampled_from(["success", "failed", "paid", "Timeout"]),
    items=ITEMS_OF_FIELDS,
)
def test_fields_that_are_accepted_at_once_are_what_the_tolerant_stage_reads(
    fields: dict[str, Any], status: str, items: list[Any]
) -> None:
    fields = {"status": status, **fields} | ({"items": items} if items else {})
    if isinstance(fields.get("items", []), list) and all(isinstance(item, dict) for item in fields.get("items", [])):
        accepted = accept_fields(fields, NOW)
        if accepted is not None:
            found, adjusted = read(fields, NOW)
            assert (meaning(accepted), accepted.status_word, adjusted) == (meaning(found), found.status_word, ())
