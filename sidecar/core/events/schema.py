"""The JSON Schema of what a backend publishes, generated from the types of the strict decoder.

It describes the canonical spelling only, which is enough for authors of events. What else the sidecar understands
(camelCase names, numbers in strings, status words, CloudEvents) is left out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sidecar.core.events.event import (
    EARLIEST,
    FIELDS,
    HEADER_FIELDS,
    MAX_AMOUNT,
    MAX_BATCH_EVENTS,
    MAX_ID_BYTES,
    QUEUE_FIELDS,
    REQUIRED,
    Event,
    SaleEvent,
)

Schema = dict[str, Any]

_TYPES: dict[str | None, str] = {
    None: "Counted as ignored, by name; other fields do not matter.",
    "order": "An order that was created or decided. The default type.",
    "queue": "A snapshot of one queue; the newest per name counts.",
    "inventory": "The units left of one product; the newest `ts` per product counts.",
    "connections": "The open connections of one producer; it counts for 60 seconds.",
    "sale": "Announces that a sale starts or stops, whatever its orders show.",
    "heartbeat": "A sign of life; `seq` repeats the last number sent and takes none.",
}
_FIELDS = {
    "type": "What kind of event this is; `order` if absent. Other names are counted as ignored, by name.",
    "ts": "When it happened: Unix time in seconds, milli-, micro- or nanoseconds (by size), or RFC 3339; "
    "UTC without a zone. Absent: when it arrived.",
    "producer": "The publishing process; sequence numbers are counted per producer.",
    "epoch": "The start time of the producer, or anything else that identifies this run of it.",
    "seq": "Counts up by 1 from 1, per source published to. Holes show as missed events.",
    "status": "How the order stands.",
    "order_id": "Identifies the order; it does not deduplicate.",
    "product_id": "The product.",
    "quantity": "Units ordered.",
    "items": "One order of several products; its own product_id and quantity are then ignored, its amount is not.",
    "latency_ms": "From accepted to decided, as the customer waits, in milliseconds.",
    "processing_ms": "Time the worker spent, in milliseconds.",
    "reason": "Why the order failed: sold_out, payment_declined, timeout, ... `unknown` if absent.",
    "amount": "Money, as a number or a decimal string; successful orders add it to revenue.",
    "currency": "ISO 4217 code.",
    "trace_id": "Trace of this order; shown as an exemplar.",
    "queue": "Name of the queue; `orders` if absent.",
    "waiting": "Jobs waiting.",
    "active": "Jobs being worked on; open connections.",
    "delayed": "Jobs scheduled for later.",
    "failed": "Jobs that failed.",
    "completed": "Jobs done.",
    "action": "What the sale does: `start` or `stop`.",
    "sale": "The id of the sale; a stop without it means the present one.",
    "stock": "Units left, absolute; below 0 is an oversell.",
}
# Fields that accept more than their type in memory.
_NULL: Schema = {"type": "null"}  # the same as absent
_ID: list[Schema] = [{"type": "string", "maxLength": MAX_ID_BYTES}, {"type": "integer"}]
_WIDER: dict[str, list[Schema]] = {
    "ts": [{"type": "number", "minimum": EARLIEST}, {"type": "string", "format": "date-time"}, _NULL],
    "amount": [
        {"type": "number", "minimum": 0, "maximum": MAX_AMOUNT},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
        _NULL,
    ],
    "order_id": [*_ID, _NULL],
    "product_id": [*_ID, _NULL],
}


def json_schema() -> Schema:
    """Return the JSON Schema (2020-12) of a payload: one event, or an array of events."""
    _, parts = msgspec.json.schema_components([Event, SaleEvent], ref_template="#/$defs/{name}")
    own, item = parts["SaleEvent"]["properties"] | parts["Event"]["properties"], parts["Item"]
    event = {
        "title": "Event",
        "description": "One event. Unknown fields are ignored.",
        "type": "object",
        "properties": _properties(["type"], own, ()),
        "allOf": [_of_type(kind, own) for kind in (*FIELDS, None)],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flash Sale Metrics Sidecar: payload",
        "description": 'One event, or an array of events. The smallest: {"status":"success"}',
        "anyOf": [
            {"$ref": "#/$defs/Event"},
            {"title": "Batch", "type": "array", "items": {"$ref": "#/$defs/Event"}, "maxItems": MAX_BATCH_EVENTS},
        ],
        "$defs": {
            "Event": event,
            "Item": {
                "title": "Item",
                "description": "One line of an order of several products.",
                "type": "object",
                "properties": _properties(item["properties"], item["properties"], item["required"]),
                "required": item["required"],
            },
        },
    }


def _of_type(kind: str | None, own: Schema) -> Schema:
    """Return the rules for one of the sidecar's types, or (None) for any other; without `type` it is an order."""
    required = ("action",) if kind == "sale" else REQUIRED.get(kind or "", ())
    then: Schema = {
        "title": kind or "any other type",
        "description": _TYPES[kind],
        "properties": _properties(FIELDS.get(kind or "", HEADER_FIELDS)[1:], own, required),
        "required": list(required),
    }
    if kind == "queue":
        then["anyOf"] = [{"required": [name]} for name in QUEUE_FIELDS]
    if kind != "heartbeat":
        then["properties"]["seq"]["anyOf"][0]["minimum"] = 1
    this_type = {"const": kind} if kind else {"not": {"enum": list(FIELDS)}}
    when = {"properties": {"type": this_type}, "required": [] if kind == "order" else ["type"]}
    return {"if": when, "then": then}


def _properties(names: Iterable[str], own: Schema, required: Sequence[str]) -> Schema:
    return {name: _property(name, own[name], name in required) for name in names}


def _property(name: str, own: Schema, required: bool) -> Schema:
    variants = _WIDER.get(name) or own.get("anyOf") or [{key: own[key] for key in own if key != "default"}]
    if required:
        variants = [variant for variant in variants if variant != _NULL]
    default = {"default": own["default"]} if own.get("default") is not None else {}
    return {"description": _FIELDS[name], **default, "anyOf": [dict(variant) for variant in variants]}
