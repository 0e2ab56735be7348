"""The schema agrees with the decoder about what a backend may publish."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sidecar.core.events.decode import decode
from sidecar.core.events.event import FIELDS, SaleEvent
from sidecar.core.events.schema import json_schema

NOW = 1_790_000_000.0

VALID: list[Any] = [
    {"status": "success"},
    {"status": "failed", "reason": "sold_out", "product_id": 7, "order_id": "o-1", "trace_id": None},
    {"type": "order", "ts": 1_790_000_000_123, "producer": "api-1", "epoch": 1, "seq": 1, "status": "pending"},
    {"status": "success", "ts": "2026-09-21T13:33:20Z", "epoch": "run-2", "amount": "12.50", "currency": "EUR"},
    {"status": "success", "latency_ms": 12.5, "processing_ms": 0, "amount": 3, "quantity": 2, "unheard_of": 1},
    {"status": "cancelled", "items": [{"product_id": "a", "quantity": 2, "amount": 1.5}, {"product_id": 2}]},
    {"type": "queue", "waiting": 3, "active": 1, "delayed": 0, "failed": 0, "completed": 8, "queue": "orders"},
    {"type": "inventory", "product_id": "sku-1", "stock": -3},
    {"type": "connections", "active": 120},
    {"type": "heartbeat"},
    {"type": "heartbeat", "seq": 0, "producer": "api-1"},
    {"type": "page_view", "status": 3, "seq": 9},
    {"type": "sale", "action": "start", "sale": "2026-11-27-drop", "producer": "api-1", "seq": 1},
    {"type": "sale", "action": "stop"},
    [],
    [{"status": "success"}, {"type": "heartbeat"}],
]
INVALID: list[Any] = [
    {},
    3,
    {"status": "shipped"},
    {"status": None},
    {"status": "success", "quantity": 0},
    {"status": "success", "seq": 0},
    {"status": "success", "ts": 12},
    {"status": "success", "latency_ms": -1},
    {"status": "success", "latency_ms": True},
    {"status": "success", "amount": "a lot"},
    {"status": "success", "amount": -1},
    {"status": "success", "items": []},
    {"status": "success", "items": [{"quantity": 2}]},
    {"status": "success", "items": [{"product_id": None}]},
    {"status": "success", "order_id": "x" * 129},
    {"type": "queue", "queue": "a"},
    {"type": "inventory", "stock": 3},
    {"type": "inventory", "product_id": "sku-1", "stock": 10**13},
    {"type": "connections"},
    {"type": "heartbeat", "seq": -1},
    {"type": "page_view", "seq": 0},
    {"type": "sale", "action": "pause"},
    {"type": "sale", "action": "stop", "sale": "Drop"},
    {"type": 3},
    [{"status": "success"}, 3],
]


def is_decoded(payload: Any) -> bool:
    """Return whether the decoder accepts all of a payload as it is."""
    decoded = decode([json.dumps(payload).encode()], [NOW])
    return not decoded.rejections and not decoded.adjusted


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("payload", VALID, ids=json.dumps)
def test_valid_payloads_pass_both_the_schema_and_the_decoder(payload: Any) -> None:
    assert list(Draft202012Validator(json_schema()).iter_errors(payload)) == []
    assert is_decoded(payload)


@pytest.mark.parametrize("payload", INVALID, ids=lambda payload: json.dumps(payload)[:60])
def test_invalid_payloads_pass_neither(payload: Any) -> None:
    assert not Draft202012Validator(json_schema()).is_valid(payload)
    assert not is_decoded(payload)


def test_every_field_of_every_type_is_described() -> None:
    branches = {branch["then"]["title"]: branch["then"] for branch in json_schema()["$defs"]["Event"]["allOf"]}
    assert set(branches) == {*FIELDS, "any other type"}
    for kind, fields in FIELDS.items():
        assert {"type", *branches[kind]["properties"]} == set(fields)
        assert all(one["description"] for one in branches[kind]["properties"].values())
    assert {name for fields in FIELDS.values() for name in fields} == {*SaleEvent.__struct_fields__} - {"status_word"}


def test_the_schema_survives_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
