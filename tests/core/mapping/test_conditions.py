"""Conditions compare as a person who writes them would; all of them must hold."""

from typing import Any

import msgspec
import pytest

from tests.core.mapping.made import rules_that_took


def takes(when: str, payload: Any) -> bool:
    """Return whether a rule with a condition takes a payload."""
    text = f"otherwise: drop, rules: [{{name: it, when: {{{when}}}, event: {{status: {{value: success}}}}}}]"
    return rules_that_took(text, payload) == ["it"]


@pytest.mark.parametrize(
    ("when", "payload"),
    [
        ("type: paid", {"type": "paid"}),
        ("type: {equals: paid}", {"type": "paid"}),
        ("kind: 1", {"kind": 1}),
        ("kind: 1", {"kind": "1"}),
        ("done: true", {"done": True}),
        ("done: false", {"done": False}),
        ("rate: 1.5", {"rate": 1.5}),
        ("op: [c, r]", {"op": "r"}),
        ("op: {one_of: [c, r]}", {"op": "c"}),
        ("type: {starts_with: com.shop.order.}", {"type": "com.shop.order.paid"}),
        ("code: {starts_with: 4}", {"code": 402}),
        ("cancelled_at: {exists: true}", {"cancelled_at": 0}),
        ("cancelled_at: {exists: true}", {"cancelled_at": {}}),
        ("cancelled_at: {exists: false}", {}),
        ("cancelled_at: {exists: false}", {"cancelled_at": None}),
        ("cancelled_at: {exists: false}", {"cancelled_at": ""}),
        ("quantity: {above: 0}", {"quantity": 1}),
        ("quantity: {above: 0}", {"quantity": "0.5"}),
        ("price: {above: 9.99}", {"price": 10}),
        ("after.status: {differs_from: before.status}", {"after": {"status": "paid"}, "before": {"status": "new"}}),
        ("after.status: {differs_from: before.status}", {"after": {"status": "paid"}, "before": None}),
        ("a: {exists: true}, b: x", {"a": 1, "b": "x"}),
        ("a: {exists: true, starts_with: x}", {"a": "xy"}),
        ('"detail-type": OrderPaid', {"detail-type": "OrderPaid"}),
        ('"[0].type": order', [{"type": "order"}]),
    ],
)
def test_a_rule_takes_what_fulfils_its_condition(when: str, payload: Any) -> None:
    assert takes(when, payload)


@pytest.mark.parametrize(
    ("when", "payload"),
    [
        ("type: paid", {"type": "Paid"}),
        ("type: paid", {}),
        ("type: paid", {"type": None}),
        ("type: paid", {"type": ["paid"]}),
        ("type: paid", {"type": {"paid": 1}}),
        ("done: true", {"done": False}),
        ("kind: 1", {"kind": True}),
        ("op: [c, r]", {"op": "u"}),
        ("type: {starts_with: order.}", {"type": "orders"}),
        ("type: {starts_with: order.}", {"type": None}),
        ("at: {exists: true}", {"at": None}),
        ("at: {exists: true}", {"at": ""}),
        ("at: {exists: false}", {"at": False}),
        ("n: {above: 0}", {"n": 0}),
        ("n: {above: 0}", {"n": "many"}),
        ("n: {above: 0}", {"n": True}),
        ("n: {above: 0}", {"n": "NaN"}),
        ("n: {above: 0}", {"n": []}),
        ("n: {above: 0}", {}),
        ("a.s: {differs_from: b.s}", {"a": {"s": "paid"}, "b": {"s": "paid"}}),
        ("a.s: {differs_from: b.s}", {}),
        ("a: {exists: true}, b: x", {"a": 1, "b": "y"}),
        ("a: {exists: true, starts_with: x}", {"a": "y"}),
    ],
)
def test_a_rule_leaves_what_does_not(when: str, payload: Any) -> None:
    assert not takes(when, payload)


def test_a_number_that_messagepack_has_as_a_float_is_the_whole_number_it_is() -> None:
    assert takes("kind: 2", msgspec.msgpack.encode({"kind": 2.0}))
    assert takes("rate: 2.5", msgspec.msgpack.encode({"rate": 2.5}))
