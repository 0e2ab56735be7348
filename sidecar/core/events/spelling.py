"""Spellings and envelopes of events -> fields under the sidecar's names.

- Names: the sidecar's, or camelCase. An object without `status` and `type` may have another spelling throughout, such
  as PascalCase, the default of Go and .NET. The strict stage (decode.py) accepts no such object.
- CloudEvents 1.0: `data` has the fields, as an object, as a JSON string, or in base64. Only a type that contains one of
  the sidecar's types counts.
- A plain object without `type` may say in `event`, `event_type`, `kind` or `service` that it is not an order.
"""

import re
from base64 import b64decode
from collections.abc import Container, Mapping
from typing import Any

from sidecar.core.events.event import FIELDS, Event
from sidecar.core.events.values import STATUS_WORDS, Rejected, cut_text, decode_plainly

Fields = Mapping[str, Any]

CAMEL_CASE = {
    name: re.sub("_(.)", lambda found: found[1].upper(), name) for name in Event.__struct_fields__ if "_" in name
}
_FROM_CAMEL_CASE = {camel: name for name, camel in CAMEL_CASE.items()}
SAYS_WHAT_IT_IS = ("event", "event_type", "eventType", "kind", "service")
_BY_LETTERS = {name.replace("_", ""): name for names in (*FIELDS.values(), SAYS_WHAT_IT_IS) for name in names}
_TYPES = FIELDS.keys() - {"sale"}
_CLOUD_EVENT_ATTRIBUTES = frozenset(
    ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data", "data_base64")
)
_OF_ORDERS = ("order_id", "product_id", "items", "amount", "currency", "quantity")


def fields_of(event: Fields) -> Fields:
    """Return the fields of an event; `type` is set if it is not an order. Raises Rejected."""
    if "specversion" in event:
        return _unwrapped(event)
    fields = respelled(event)
    if not _is_absent(fields.get("type")) or given(fields, _OF_ORDERS):
        return fields
    for name in SAYS_WHAT_IT_IS:
        said = fields.get(name)
        if isinstance(said, str) and said:
            return fields if _names_an_order(said) else {**fields, "type": _foreign(name, said)}
    return fields


def data_of(envelope: Fields) -> Any:
    """Return the data of a CloudEvent, decoded if it is a JSON string or base64."""
    data = envelope.get("data")
    try:
        if data is None and isinstance(data := envelope.get("data_base64"), str):
            data = b64decode(data)
        for _ in range(2):  # once encoded, or twice
            data = decode_plainly(data) if isinstance(data, str | bytes) else data
    except (ValueError, RecursionError):
        if isinstance(data, bytes):
            return envelope["data_base64"]
    return data


def type_words(kind: Any) -> list[str]:
    """Return the words of a name that are types of the sidecar, in order; `sale` is not, as in `flash.sale.order`."""
    words = re.split(r"[\W_]+", re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", kind).lower()) if isinstance(kind, str) else []
    return [word for word in ("order" if word == "orders" else word for word in words) if word in _TYPES]


def says_a_sale(fields: Fields) -> bool:
    """Return whether an event of type `sale` is an announcement: other systems use that type for something else."""
    return bool(given(fields, ("action",)))


def given(fields: Fields, names: Container[str]) -> dict[str, Any]:
    """Return the fields of these names that are present; the sidecar's spelling takes precedence over camelCase."""
    found = {}
    for key, value in fields.items():
        name = _FROM_CAMEL_CASE.get(key, key)
        if name in names and not _is_absent(value) and (name == key or name not in found):
            found[name] = value
    return found


def respelled(fields: Fields, marks: tuple[str, ...] = ("status", "type")) -> Fields:
    """Return the fields under the sidecar's names, unless one of `marks` already has its name."""
    if any(not _is_absent(fields.get(mark)) for mark in marks):
        return fields
    found: dict[str, Any] = {}
    for key, value in fields.items():
        name = _BY_LETTERS.get(re.sub("[-_]", "", key).lower(), key)
        if name == key or _is_absent(found.get(name)):
            found[name] = value
    return found


def unknown_names(event: Fields) -> set[str]:
    """Return the unknown field names of an event, none if its type is unknown."""
    fields = fields_of(event)
    kind = fields.get("type") or "order"
    kind = kind.lower() if isinstance(kind, str) else ""
    if kind not in FIELDS or (kind == "sale" and not says_a_sale(fields)):
        return set()
    names = set(fields) - {*FIELDS[kind], *(CAMEL_CASE.get(name, name) for name in FIELDS[kind])}
    if "specversion" in event:
        return names | (set(event) - _CLOUD_EVENT_ATTRIBUTES)
    return names.difference(SAYS_WHAT_IT_IS)


def _unwrapped(envelope: Fields) -> Fields:
    data, kind = data_of(envelope), envelope.get("type")
    known_types = type_words(kind)
    if not isinstance(data, dict):
        if data is not None and known_types:
            name = "data" if envelope.get("data") is not None else "data_base64"
            raise Rejected("not_object", name, "an object with the fields of the event", data)
        data = {}
    data = respelled(data)
    inner = given(data, ("type", "ts", "status"))
    said = inner.get("type")
    if isinstance(said, str) and said.lower() in FIELDS:
        kind = said
    elif known_types:
        kind = known_types[-1]
    elif _is_absent(kind):
        kind = "order" if "status" in inner else said
    return {**data, "type": kind, "ts": inner.get("ts", envelope.get("time"))}


def _names_an_order(said: str) -> bool:
    return "order" in type_words(said) or said.lower() in STATUS_WORDS


def _foreign(name: str, said: str) -> str:
    """Return a type that is not mistaken for one of the sidecar's, even if a service has such a name."""
    return cut_text(f"{name}:{said}" if said.lower() in FIELDS else said)


def _is_absent(value: Any) -> bool:
    return value is None or value == ""
