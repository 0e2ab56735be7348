"""A rule says which fields an event has, and which elements of a list are its items."""

from decimal import Decimal
from typing import Any

import pytest

from sidecar.core.events.event import Item
from tests.core.mapping.made import event, outcomes, rules_that_took

ITEMS = "items: {path: lines, item: {product_id: [sku, id], quantity: n, amount: {path: price, times: n}}}"


def test_what_is_not_there_is_left_out() -> None:
    found = event("order_id: id, product_id: sku, amount: total", {"id": "", "sku": None})
    assert (found.order_id, found.product_id, found.amount) == (None, None, None)


def test_what_a_rule_says_replaces_what_the_mapping_says_of_all() -> None:
    text = "event: {status: {value: success}, order_id: id}, rules: [{event: {order_id: number}}]"
    [found] = outcomes(text, {"id": "1", "number": "2"})
    assert found.event is not None
    assert (found.event.status, found.event.order_id) == ("success", "2")


def test_a_list_becomes_items() -> None:
    lines = [{"sku": "a", "n": 2, "price": "9.95"}, {"id": 7, "price": 5}]
    assert event(ITEMS, {"lines": lines}).items == [Item("a", 2, Decimal("19.90")), Item("7", 1, Decimal(5))]


def test_paths_go_into_elements() -> None:
    items = "items: {path: lines.edges, item: {product_id: node.variant.id}}"
    found = event(
        items, {"lines": {"edges": [{"node": {"variant": {"id": "a"}}}, {"node": {"variant": None, "id": 3}}]}}
    )
    assert found.items == [Item("a")]


def test_an_object_in_place_of_the_list_is_one_item() -> None:
    assert event(ITEMS, {"lines": {"sku": "a", "n": 2}}).items == [Item("a", 2)]


def test_only_elements_that_fulfil_the_condition_are_items() -> None:
    items = "items: {path: lines, when: {parent: {exists: false}, n: {above: 0}}, item: {product_id: sku, quantity: n}}"
    lines = [{"sku": "a", "n": 1}, {"sku": "b", "n": 1, "parent": 7}, {"sku": "c", "n": 0}, {"sku": "d", "n": "2"}]
    assert event(items, {"lines": lines}).items == [Item("a", 1), Item("d", 2)]


@pytest.mark.parametrize("lines", [None, [], {}, [{}], [None], [[]], "none", 7, [{"n": 1}], [{"sku": None}]])
def test_an_order_whose_items_are_missing_or_have_no_product_counts(lines: Any) -> None:
    assert event(ITEMS, {"lines": lines}).items is None
    assert event(ITEMS, {}).items is None


def test_one_item_without_a_product_costs_only_itself() -> None:
    [found] = outcomes(
        f"rules: [{{event: {{status: {{value: success}}, {ITEMS}}}}}]", {"lines": [{"sku": "a"}, {"n": 2}, 5]}
    )
    assert found.event is not None
    assert found.event.items == [Item("a")]
    assert found.adjusted == ("item_left_out", "item_left_out")


def test_the_total_of_the_order_stands_beside_its_items() -> None:
    found = event(f"amount: total, {ITEMS}", {"total": "17.90", "lines": [{"sku": "a", "price": "19.90"}]})
    assert (found.amount, found.items) == (Decimal("17.90"), [Item("a", 1, Decimal("19.90"))])


def test_the_first_rule_that_matches_takes_it() -> None:
    text = """rules: [{name: paid, when: {type: paid}, event: {status: {value: success}}},
        {name: beat, when: {type: {starts_with: worker.}}, drop: true}, {name: rest, event: {status: type}}]"""
    payloads = [{"type": "paid"}, {"type": "worker.heartbeat"}, {"type": "failed"}]
    assert rules_that_took(text, *payloads) == ["paid", "beat", "rest"]


@pytest.mark.parametrize(
    ("fields", "payload", "word"),
    [
        ("status: {path: s, words: {processing: success}}", {"s": "processing"}, "success"),
        ("status: {value: success}", {}, "success"),
        ("status: {path: s, words: {refunded: refunded}}", {"s": "refunded"}, "refunded"),
        ("status: s", {"s": "paid"}, "paid"),
        ("status: s", {"s": "success"}, ""),
    ],
)
def test_a_status_that_a_mapping_decides_names_a_state(fields: str, payload: Any, word: str) -> None:
    assert event(fields, payload).status_word == word


def test_other_events_have_no_state() -> None:
    found = event("type: {value: inventory}, product_id: {path: p}, stock: {path: s}", {"p": "a", "s": 1})
    assert found.status_word == ""
