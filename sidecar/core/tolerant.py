"""The tolerant reading of one event: plain JSON values in, a canonical Event out, or Refused.

It knows every spelling that the sidecar understands: camelCase names, the values of values.py, CloudEvents.
`null` and `""` are absent. What is refused says which field, what was expected and what was found.
"""

import re
from collections.abc import Container, Mapping
from typing import Any

import msgspec

from sidecar.core.events import (
    EARLIEST,
    FIELDS,
    HEADER_FIELDS,
    MAX_AHEAD_SECONDS,
    MAX_COUNT,
    QUEUE_FIELDS,
    REQUIRED,
    Event,
    Item,
    Reason,
)
from sidecar.core.values import VALUES, Unfit, reason_of, word_of

Fields = Mapping[str, Any]

_ITEM_FIELDS = Item.__struct_fields__
CAMEL_CASE = {
    name: re.sub("_(.)", lambda found: found[1].upper(), name) for name in Event.__struct_fields__ if "_" in name
}
_FROM_CAMEL_CASE = {camel: name for name, camel in CAMEL_CASE.items()}
_NAMES = {kind: frozenset(names) - {"type"} for kind, names in FIELDS.items()}
_SEQUENCE_AND_TIME = frozenset(HEADER_FIELDS) - {"type"}
_CLOUD_EVENT_ATTRIBUTES = frozenset(
    ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data")
)
_SHOWN_CHARACTERS = 40  # enough to recognise a value in a log line


class Refused(Exception):
    """The event cannot be read; ends up as a Rejection and never leaves the core."""

    def __init__(self, reason: Reason, name: str, expected: str, found: Any) -> None:
        self.reason: Reason = reason
        self.detail = f"{name}: expected {expected}, got {_shown(found)}"
        super().__init__(self.detail)


def read(fields: Fields, arrival: float) -> Event:
    """Return the event that the fields describe; floats come as Decimal. Raise Refused."""
    kind = type_of(fields)
    given = _given(fields, _NAMES.get(kind, _SEQUENCE_AND_TIME))
    if "items" in given:  # the order's own quantity is not used, so it cannot be wrong
        given.pop("quantity", None)
    if kind == "queue" and not any(name in given for name in QUEUE_FIELDS):
        raise Refused("missing_field", "waiting", VALUES["waiting"][1], None)
    for name in REQUIRED.get(kind, ()):
        if name not in given:
            raise Refused("missing_field", name, VALUES[name][1], None)
    values = {name: _read_value(name, value) for name, value in given.items()}
    if "items" in values:
        values["items"] = [_item(f"items[{index}]", item) for index, item in enumerate(values["items"])]
    if kind == "order":
        values.setdefault("reason", reason_of(given["status"]))
        values["word"] = word_of(given["status"])
    event = Event(type=kind, **values)
    if event.ts is not None and not EARLIEST <= event.ts <= arrival + MAX_AHEAD_SECONDS:
        raise Refused("out_of_range", "ts", VALUES["ts"][1], given["ts"])
    if event.seq == 0 and kind != "heartbeat":
        raise Refused("out_of_range", "seq", f"an integer from 1 to {MAX_COUNT}", 0)
    return event


def sequence_fields(fields: Fields) -> dict[str, Any]:
    """Return producer, epoch and seq of an event that was refused, as far as they are valid."""
    found = {}
    for name, value in _given(fields, ("producer", "epoch", "seq")).items():
        try:
            found[name] = VALUES[name][0](value)
        except Unfit:
            continue
    return found


def type_of(fields: Fields) -> str:
    """Return the type of an event, ours in lower case."""
    kind = fields.get("type")
    if kind is None or kind == "":
        return "order"
    name: str = _read_value("type", kind)
    return name.lower() if name.lower() in FIELDS else name


def unwrap(envelope: Fields) -> Fields:
    """Return the fields of a CloudEvents 1.0 envelope, or the event itself if it is none."""
    if "specversion" not in envelope:
        return envelope
    data, kind = envelope.get("data"), envelope.get("type")
    ours = [word for word in re.split(r"[\W_]+", kind.lower()) if word in FIELDS] if isinstance(kind, str) else []
    if not isinstance(data, dict):
        if data is not None and ours:
            raise Refused("not_object", "data", "an object with the fields of the event", data)
        data = {}
    inner = _given(data, ("type", "ts", "status"))
    outer = ours[-1] if ours else "order" if "status" in inner else kind
    return {**data, "type": inner.get("type", outer), "ts": inner.get("ts", envelope.get("time"))}


def unknown_names(event: Fields) -> set[str]:
    """Return the names of an event that mean nothing to the sidecar; of another type than ours, none."""
    fields = unwrap(event)
    kind = type_of(fields)
    if kind not in FIELDS:
        return set()
    known = {*FIELDS[kind], *(CAMEL_CASE.get(name, name) for name in FIELDS[kind])}
    names = set(fields) - known
    return names if fields is event else names | (set(event) - _CLOUD_EVENT_ATTRIBUTES)


def _given(fields: Fields, names: Container[str]) -> dict[str, Any]:
    """Return the fields of these names that are there, by their own spelling; it goes before camelCase."""
    given = {}
    for key, value in fields.items():
        name = _FROM_CAMEL_CASE.get(key, key)
        if name in names and value is not None and value != "" and (name == key or name not in given):
            given[name] = value
    return given


def _read_value(name: str, value: Any, inside: str = "") -> Any:
    read_it, expected = VALUES[name]
    try:
        return read_it(value)
    except Unfit as unfit:
        raise Refused(unfit.reason, inside + name, expected, value) from None


def _item(path: str, item: Any) -> Item:
    if not isinstance(item, dict):
        raise Refused("wrong_type", path, "an object with a product_id", item)
    given = _given(item, _ITEM_FIELDS)
    if "product_id" not in given:
        raise Refused("missing_field", f"{path}.product_id", VALUES["product_id"][1], None)
    return Item(**{name: _read_value(name, value, f"{path}.") for name, value in given.items()})


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = msgspec.json.encode(value).decode() if isinstance(value, str | bool) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
