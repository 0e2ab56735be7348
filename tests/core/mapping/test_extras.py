"""Fields that events have no place for are read beside them, also in arrays and beside rejected events."""

from typing import Any

import pytest

from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.custom_metrics import CustomCounting
from sidecar.core.counts.custom_series import CustomSeries
from sidecar.core.mapping.definition import Condition, Definition, Rule, Value
from sidecar.core.mapping.extras import WithExtras
from sidecar.core.mapping.mapping import Chain, Mapping

NOW = 1_796_040_000.0
EXTRAS = WithExtras({"voucher", "cart.size", "kind"})  # `kind` may say that it is an order: events are decoded twice
A = b'{"status":"success","voucher":"A","cart":{"size":2}}'
B = b'{"status":"failed"}'


def found(*payloads: bytes, decoder: WithExtras = EXTRAS) -> list[Any]:
    decoded = decoder(payloads, [NOW] * len(payloads))
    return [decoded.extras.get(id(event), {}) for event in decoded.events]


def test_each_event_has_its_own() -> None:
    assert found(A, B) == [
        {"voucher": "A", "cart.size": 2, "kind": None},
        {"voucher": None, "cart.size": None, "kind": None},
    ]


@pytest.mark.parametrize("batch", [b"[%b,%b]" % (A, B), b"[%b,7,%b]" % (A, B)])
def test_so_has_each_event_of_an_array(batch: bytes) -> None:
    assert [extras["voucher"] for extras in found(batch)] == ["A", None]


def test_an_array_of_two_beside_an_empty_one_is_no_two_events_of_two_payloads() -> None:
    assert [extras["voucher"] for extras in found(b"[%b,%b]" % (A, B), b"[]")] == ["A", None]


def test_a_rejected_payload_beside_it_changes_nothing() -> None:
    assert [extras["voucher"] for extras in found(b"nonsense", A, b'{"status":"what"}', B)] == ["A", None]


@pytest.mark.parametrize("paths", [{"voucher", "cart.size"}, {"voucher", "cart.size", "kind"}])
def test_ordinary_events_are_decoded_together_and_others_beside_them_alone(paths: set[str]) -> None:
    odd = b'{"status":"success","voucher":"\xc3\xbc"}'
    metric = CustomMetric(name="n", type="counter", labels={"v": "voucher", "s": "cart.size"})
    counting, series = CustomCounting([metric]), {}  # type: ignore[var-annotated]
    decoded = WithExtras(paths)([A, B, A, odd, A], [NOW] * 5)
    counting.count(decoded.events, decoded.extras, series)
    counted = {tuple(key.split("\n")[2:]): part.count for key, part in series.items()}
    assert counted == {("A", "2"): 3, ("", ""): 1, ("\N{LATIN SMALL LETTER U WITH DIAERESIS}", ""): 1}


def test_numbers_with_decimals_stay_exact() -> None:
    counting, series = CustomCounting([CustomMetric(name="n", type="counter", value="tax")]), {}  # type: ignore[var-annotated]
    decoded = WithExtras({"tax"})([b'{"status":"success","tax":0.1}'] * 3, [NOW] * 3)
    counting.count(decoded.events, decoded.extras, series)
    assert [str(part.number) for part in series.values()] == ["0.3"]


# Of mappings: paths begin where those of the mapping do


def of_mapping(*payloads: bytes, **definition: Any) -> list[Any]:
    """Return the voucher of each event that a mapping makes."""
    rules = (Rule(name="paid", when={"kind": Condition(equals="paid")}, event={"status": Value(value="success")}),)
    extras = {"voucher"}
    mapping = Mapping(Definition(**({"name": "m", "rules": rules} | definition)), currency="EUR", extras=extras)
    decoded = Chain([mapping]).decode(payloads, [NOW] * len(payloads))
    get = CustomCounting([CustomMetric(name="n", type="counter", labels={"v": "voucher"})])
    series: dict[str, CustomSeries] = {}
    get.count(decoded.events, decoded.extras, series)
    return [(key.split("\n")[2], part.count) for key, part in series.items()]


PAID_A, PAID_B = b'{"kind":"paid","voucher":"A"}', b'{"kind":"paid","voucher":"B"}'


@pytest.mark.parametrize(
    ("payloads", "definition", "expected"),
    [
        ((PAID_A, PAID_B, b'{"voucher":"C"}', PAID_B), {"otherwise": "drop"}, [("A", 1), ("B", 2)]),
        ((b"[%b,{},%b]" % (PAID_A, PAID_B),), {"otherwise": "drop"}, [("A", 1), ("B", 1)]),
        ((b'{"events":[%b,%b],"voucher":"C"}' % (PAID_A, PAID_B),), {"each": "events"}, [("A", 1), ("B", 1)]),
        ((b'{"status":"success","voucher":"A"}',), {}, [("A", 1)]),
        (
            (b'{"state":"success","voucher":"A"}', b'{"state":"failed"}'),
            {"rules": (Rule(name="r", event={"status": Value(path=("state",))}),)},
            [("A", 1), ("", 1)],
        ),
        (
            (b'{"voucher":"success"}',),
            {"rules": (Rule(name="r", event={"status": Value(path=("voucher",))}),)},
            [("success", 1)],
        ),
    ],
)
def test_each_event_of_a_mapping_has_its_own(
    payloads: tuple[bytes, ...], definition: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    assert of_mapping(*payloads, **definition) == expected
