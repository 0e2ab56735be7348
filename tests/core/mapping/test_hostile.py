"""Whatever a foreign payload holds, mapping it raises nothing."""

from decimal import Decimal

import pytest

from sidecar.core.mapping.definition import Definition, Items, Rule, Value
from sidecar.core.mapping.mapping import Mapping

NOW = 1_796_040_000.0
EVENT: dict[str, Value | Items] = {
    "status": Value(value="success"),
    "amount": Value(path=("amount",), times=("n",), divide_by=Decimal(100), minor_units=True),
    "currency": Value(path=("currency",)),
    "latency_ms": Value(path=("ms",), unit="s"),
    "processing_ms": Value(path=("to",), since=("from",), zone="Europe/Berlin"),
    "ts": Value(path=("ts",), zone="Europe/Berlin"),
    "order_id": Value(path=("id",), after="/"),
    "items": Items(
        path=("lines",), item={"product_id": Value(path=("sku",)), "amount": Value(path=("price",), scale=2)}
    ),
}
MAPPING = Mapping(Definition(name="shop", rules=(Rule(name="all", event=EVENT),)), currency="EUR")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"amount":1e999999,"n":1e999999}',
        b'{"amount":{"scale":[],"value":{}}}',
        b'{"amount":{"scale":"x","value":"AQ=="}}',
        b'{"amount":{"scale":1,"value":7}}',
        b'{"amount":{"units":"1","nanos":[]}}',
        b'{"amount":"NaN","n":"Infinity"}',
        b'{"amount":1,"currency":["EUR"]}',
        b'{"ms":1e999999}',
        b'{"ms":"PT"}',
        b'{"ts":[2026,13,1,0,0]}',
        b'{"ts":"9999-12-31T23:59:59"}',
        b'{"ts":{"a":1}}',
        b'{"from":"2026-11-29T12:00:00","to":[1]}',
        b'{"from":0,"to":1e400}',
        b'{"id":{"a":1},"lines":{"sku":[]}}',
        b'{"lines":[1,null,[],{"sku":null,"price":"!!"}]}',
        b'{"lines":[null]}',
        b'{"lines":"none"}',
        b"[]",
        b"null",
        b"7",
        b"",
    ],
)
def test_a_payload_becomes_an_event_or_a_rejection(payload: bytes) -> None:
    for outcome in MAPPING.outcomes(payload, NOW):
        assert outcome.kind in ("mapped", "rejected")
