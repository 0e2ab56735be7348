"""Fields that events have no place for are read beside them, also in arrays and beside rejected events."""

from typing import Any

import pytest

from sidecar.core.events.decode import decode
from sidecar.core.mapping.definition import Condition, Definition, Rule, Value
from sidecar.core.mapping.extras import WithExtras
from sidecar.core.mapping.mapping import Chain, Mapping

NOW = 1_796_040_000.0
EXTRAS = WithExtras(decode, {"voucher", "cart.size"})
A = b'{"status":"success","voucher":"A","cart":{"size":2}}'
B = b'{"status":"failed"}'


def found(*payloads: bytes, decoder: WithExtras = EXTRAS) -> list[Any]:
    decoded = decoder(payloads, [NOW] * len(payloads))
    return [decoded.extras.get(id(event), {}) for event in decoded.events]


def test_each_event_has_its_own() -> None:
    assert found(A, B) == [{"voucher": "A", "cart.size": 2}, {"voucher": None, "cart.size": None}]


@pytest.mark.parametrize("batch", [b"[%b,%b]" % (A, B), b"[%b,7,%b]" % (A, B)])
def test_so_has_each_event_of_an_array(batch: bytes) -> None:
    assert [extras["voucher"] for extras in found(batch)] == ["A", None]


def test_an_array_of_two_beside_an_empty_one_is_no_two_events_of_two_payloads() -> None:
    assert [extras["voucher"] for extras in found(b"[%b,%b]" % (A, B), b"[]")] == ["A", None]


def test_a_rejected_payload_beside_it_changes_nothing() -> None:
    assert [extras["voucher"] for extras in found(b"nonsense", A, b'{"status":"what"}', B)] == ["A", None]


def test_of_a_mapping_that_makes_fewer_events_none_is_guessed() -> None:
    drops = Mapping(Definition(name="m", rules=(Rule(name="all", drop=True),)), currency="EUR")
    assert found(A, decoder=WithExtras(Chain([drops]).decode, {"voucher"})) == []


def test_two_events_of_one_payload_have_no_fields_of_another_that_was_dropped() -> None:
    paid = Rule(name="paid", when={"kind": Condition(equals="paid")}, event={"status": Value(value="success")})
    rules = (paid, Rule(name="other", drop=True))
    several = Chain([Mapping(Definition(name="m", each="events", rules=rules), currency="EUR")])
    two, none = b'{"events":[{"kind":"paid"},{"kind":"paid"}],"voucher":"A"}', b'{"events":[{}],"voucher":"B"}'
    assert found(two, none, decoder=WithExtras(several.decode, {"voucher"})) == [{}, {}]
    one = b'{"events":[{"kind":"paid"}],"voucher":"A"}'
    assert found(one, one, decoder=WithExtras(several.decode, {"voucher"})) == [{"voucher": "A"}] * 2
