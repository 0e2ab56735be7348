"""A mapping says of every payload what became of it; several mappings of one source take turns."""

import json
from typing import Any

import msgspec
import pytest

from sidecar.core.events.event import MAX_BATCH_EVENTS, MAX_PAYLOAD_BYTES, MAX_REJECTED_BYTES, Number
from tests.core.mapping.made import NOW, chain, event, outcomes, rejection, rules_that_took

RULES = """rules: [{name: paid, when: {type: paid}, event: {status: {value: success}, order_id: id}},
    {name: beat, when: {type: beat}, drop: true}]"""
PAID, BEAT, OWN, ODD = ({"type": "paid", "id": 1}, {"type": "beat"}, {"status": "failed"}, {"status": 7})


def kinds(text: str, payload: Any) -> list[tuple[str, str]]:
    return [(outcome.kind, outcome.rule) for outcome in outcomes(text, payload)]


def test_a_payload_is_mapped_dropped_or_read_as_an_event_of_our_own() -> None:
    assert kinds(RULES, PAID) == [("mapped", "paid")]
    assert kinds(RULES, BEAT) == [("dropped", "beat")]
    assert kinds(RULES, OWN) == [("mapped", "otherwise")]
    assert kinds(RULES, ODD) == [("rejected", "otherwise")]


def test_what_no_rule_takes_is_dropped_or_rejected_if_the_mapping_says_so() -> None:
    assert kinds(f"otherwise: drop, {RULES}", OWN) == [("dropped", "otherwise")]
    found = rejection(f"otherwise: reject, {RULES}", OWN)
    assert (found.reason, found.detail) == ("unmapped", "event: no rule takes it (mapping shop0, rule otherwise)")


@pytest.mark.parametrize(
    ("text", "payload", "detail"),
    [
        (RULES, b"no json", "(mapping shop0)"),
        (RULES, b"", "(mapping shop0)"),
        (RULES, b"7", "event: expected a JSON object or an array of objects (mapping shop0, rule otherwise)"),
        (RULES, {"status": 7}, "one of success, failed, pending, cancelled, got 7 (mapping shop0, rule otherwise)"),
        ("rules: [{name: all, event: {status: s}}]", {}, "got nothing (mapping shop0, rule all)"),
        (f"inner: {{b: json}}, {RULES}", {"b": "{"}, "(mapping shop0)"),
        (RULES, b"[" * 10_000, "(mapping shop0)"),
    ],
)
def test_every_rejection_names_the_mapping_and_the_rule_that_took_it(text: str, payload: Any, detail: str) -> None:
    assert rejection(text, payload).detail.endswith(detail)


def test_a_rejection_keeps_the_start_of_the_payload_and_its_number() -> None:
    payload = {"type": "paid", "s": "odd", "p": "api-1", "n": 7, "note": "x" * 2000}
    text = "rules: [{event: {status: s, producer: p, seq: n}}]"
    found = rejection(text, payload)
    assert found.payload == json.dumps(payload).encode()[:MAX_REJECTED_BYTES]
    assert found.numbers == (Number("api-1", None, 7),)


@pytest.mark.parametrize("payload", [[PAID, BEAT, OWN], msgspec.msgpack.encode([PAID, BEAT, OWN])])
def test_a_list_is_several_events_in_order(payload: Any) -> None:
    assert rules_that_took(RULES, payload) == ["paid", "beat", "otherwise"]
    assert rules_that_took(RULES, []) == []


def test_what_is_no_object_in_a_list_is_rejected_by_itself() -> None:
    assert kinds(RULES, [PAID, 7, None, [PAID]]) == [("mapped", "paid")] + [("rejected", "otherwise")] * 3
    constant = "rules: [{event: {status: {value: success}}}]"
    for payload in (b"7", b"null", b'"text"', b"true"):
        assert rejection(constant, payload).reason == "not_object"


def test_a_list_is_one_event_where_paths_count_its_elements() -> None:
    assert event('order_id: "[1].id"', [{"id": 1}, {"id": 2}]).order_id == "2"


@pytest.mark.parametrize(
    ("payload", "ids"),
    [
        ({"events": [{"id": 1}, {"id": 2}]}, ["1", "2"]),
        ({"events": {"id": 1}}, ["1"]),
        ({"id": 3}, ["3"]),
        ({"events": []}, []),
        ([{"events": [{"id": 1}]}, {"events": {"id": 2}}], ["1", "2"]),
    ],
)
def test_one_payload_may_hold_several_events_or_one_at_a_path(payload: Any, ids: list[str]) -> None:
    found = outcomes("each: events, rules: [{event: {status: {value: success}, order_id: id}}]", payload)
    assert [outcome.event.order_id for outcome in found if outcome.event is not None] == ids


def test_an_event_of_a_payload_may_read_the_payload_and_hold_encoded_values() -> None:
    rule = """{when: {$.head.shop: s}, event: {status: body.state, order_id: body.id, ts: $.sent,
        product_id: "$.events[1].sku"}}"""
    text = f"each: events, inner: {{body: json, head: json}}, rules: [{rule}], otherwise: drop"
    events = [{"body": '{"state":"paid","id":1}'}, {"body": {"state": "failed", "id": 2}, "sku": "x"}, 7]
    payload = {"head": '{"shop":"s"}', "sent": NOW, "events": events}
    found = [outcome.event for outcome in outcomes(text, payload)]
    assert [one and (one.status, one.order_id, one.product_id, one.ts) for one in found] == [
        ("success", "1", "x", NOW),
        ("failed", "2", "x", NOW),
        None,
    ]
    assert rejection(text, {**payload, "events": [{"body": "{"}]}).detail.startswith("body: expected json")


def test_a_path_may_begin_at_the_payload_without_several_events() -> None:
    assert event("order_id: $.order.id", {"order": {"id": 5}}).order_id == "5"


@pytest.mark.parametrize("text", [RULES, f"each: events, {RULES}"])
def test_too_many_events_in_a_payload_are_rejected_together(text: str) -> None:
    events = [PAID] * (MAX_BATCH_EVENTS + 1)
    found = rejection(text, {"events": events} if "each" in text else events)
    assert (found.reason, found.detail.endswith("(mapping shop0)")) == ("too_large", True)


def test_a_payload_that_is_too_large_is_rejected() -> None:
    payload = b'{"type":"paid","note":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}'
    assert rejection(RULES, payload).reason == "too_large"


def test_payloads_may_be_dropped_as_they_are() -> None:
    text = f"drop_payloads: [default, '{{}}'], {RULES}"
    assert kinds(text, b"default") == kinds(text, b"{}") == [("dropped", "drop_payloads")]
    assert kinds(text, b"{ }") == [("rejected", "otherwise")]


def test_payloads_within_payloads() -> None:
    text = "inner: {body: json}, rules: [{event: {status: body.s, order_id: body.id}}]"
    [found] = outcomes(text, {"body": '{"s":"paid","id":7}'})
    assert found.event is not None
    assert (found.event.status, found.event.order_id) == ("success", "7")


@pytest.mark.parametrize(
    ("paths", "payload", "name"),
    [
        ("id", {"id": "evt_1"}, "shop0\nevt_1"),
        ("[source, id]", {"source": "/shop", "id": 7}, "shop0\n/shop\n7"),
        ("[source, id]", {"id": 7}, ""),
        ("id", {"id": None}, ""),
        ("id", {"id": ""}, ""),
        ("id", {"id": {"a": 1}}, ""),
    ],
)
def test_a_repeated_delivery_is_recognised_by_what_the_mapping_names(paths: str, payload: Any, name: str) -> None:
    for rules in ("rules: [{event: {status: {value: success}}}]", RULES):
        [found] = outcomes(f"repeats: {paths}, {rules}", {"status": "success", **payload})
        assert found.repeats == name


def test_every_rule_is_counted_also_one_that_never_takes_anything() -> None:
    found = chain(RULES)
    assert found.counts == {("shop0", "paid", "mapped"): 0, ("shop0", "beat", "dropped"): 0}
    payloads = [json.dumps(one).encode() for one in (PAID, PAID, OWN)] + [b"{"]
    decoded = found.decode(payloads, [NOW, NOW + 1, NOW + 2, NOW + 3])
    assert [one.status for one in decoded.events] == ["success", "success", "failed"]
    assert (decoded.arrivals, decoded.events_before) == ([NOW, NOW + 1, NOW + 2], [3])
    assert decoded.taken == {
        ("shop0", "paid", "mapped"): 2,
        ("shop0", "otherwise", "mapped"): 1,
        ("shop0", "", "rejected"): 1,
    }


def test_what_is_adjusted_and_by_what_it_repeats_stands_with_the_event() -> None:
    found = chain("repeats: id, rules: [{event: {status: {value: success}, quantity: n}}]")
    decoded = found.decode([b'{"id":1,"n":"x"}', b'{"n":2}'], [NOW, NOW])
    first, second = decoded.events
    assert decoded.adjusted == {id(first): ("quantity_left_out",)}
    assert decoded.repeats == {id(first): "shop0\n1"}
    assert (second.quantity, decoded.worded) == (2, True)


def test_the_first_mapping_of_a_source_of_which_a_rule_takes_it_has_a_payload_the_last_one_the_rest() -> None:
    other = "rules: [{name: other, when: {kind: x}, event: {status: {value: failed}}}]"
    found = chain(RULES, other)
    payloads = [json.dumps(one).encode() for one in (PAID, {"kind": "x"}, OWN, BEAT)] + [b"{"]
    taken = [(outcome.mapping, outcome.rule) for one in payloads for outcome in found.outcomes(one, NOW)]
    assert taken == [("shop0", "paid"), ("shop1", "other"), ("shop1", "otherwise"), ("shop0", "beat"), ("shop1", "")]


def test_two_mappings_that_only_rename_are_both_asked() -> None:
    found = chain(
        "otherwise: drop, rules: [{when: {a: {exists: true}}, event: {status: a}}]", "rules: [{event: {status: b}}]"
    )
    decoded = found.decode([b'{"a":"paid"}', b'{"b":"failed"}'], [NOW, NOW])
    assert [one.status for one in decoded.events] == ["success", "failed"]


def test_nothing_is_made_of_nothing() -> None:
    decoded = chain(RULES).decode([], [])
    assert (decoded.events, decoded.rejections) == ([], [])


# Mappings that only rename fields decode many payloads at once


@pytest.mark.parametrize(
    ("text", "renames"),
    [
        ("rules: [{event: {status: state, order_id: id}}]", True),
        ("event: {status: state}, rules: [{event: {order_id: id}}]", True),
        ("rules: [{event: {status: order.state}}]", False),
        ('rules: [{event: {status: "[0]"}}]', False),
        ("rules: [{event: {status: [state, status]}}]", False),
        ("rules: [{event: {status: {value: success}}}]", False),
        ("rules: [{event: {status: s, latency_ms: {path: t, unit: s}}}]", False),
        ("rules: [{event: {status: s, order_id: s}}]", False),
        ("rules: [{when: {a: b}, event: {status: s}}]", False),
        ("rules: [{when: {a: b}, event: {status: s}}, {event: {status: t}}]", False),
        ("rules: [{event: {status: s, items: {path: l, item: {product_id: p}}}}]", False),
        ("rules: [{drop: true}]", False),
        ("repeats: id, rules: [{event: {status: s}}]", False),
        ("each: e, rules: [{event: {status: s}}]", False),
        ("zone: UTC, rules: [{event: {status: s, ts: t}}]", False),
        ("zone: UTC, rules: [{event: {status: s}}]", True),
        ("drop_payloads: x, rules: [{event: {status: s}}]", False),
        ("inner: {x: json}, rules: [{event: {status: s}}]", False),
    ],
)
def test_a_mapping_that_only_renames_is_recognised(text: str, renames: bool) -> None:
    decoded = chain(text).decode([b'{"state":"success","s":"success"}'] * 2, [NOW] * 2)
    assert decoded.shared.only_orders is renames  # what is decoded together shows what it has in common


def test_payloads_that_are_renamed_at_once_are_counted_and_share_their_times() -> None:
    found = chain("rules: [{name: all, event: {status: state, ts: at, amount: total}}]")
    payload = b'{"state":"success","at":1796040000,"total":"19.90","status":"failed","type":"x"}'
    decoded = found.decode([payload] * 300, [NOW] * 300)
    assert {(one.status, one.type, str(one.amount)) for one in decoded.events} == {("success", "order", "19.90")}
    assert (decoded.shared.dated, decoded.shared.first, decoded.shared.last) == (True, NOW, NOW)
    assert decoded.taken == {("shop0", "all", "mapped"): 300}
    decoded = found.decode([payload] * 3 + [b'{"state":"paid"}', b"{"], [NOW] * 5)
    assert decoded.taken == {("shop0", "all", "mapped"): 4, ("shop0", "", "rejected"): 1}
