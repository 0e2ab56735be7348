"""Read one event tolerantly: plain JSON values in, a canonical Event out, or Rejected.

It understands every spelling (spelling.py, values.py). `null` and `""` count as absent. A rejection names the field,
what was expected and what was found. An order is never rejected for a field without which it can be counted: texts that
are too long are cut, other invalid values are left out, and both are recorded. Fields that the status does not use are
not checked.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from sidecar.core.events.event import (
    EARLIEST,
    FIELDS,
    HEADER_FIELDS,
    MAX_COUNT,
    MAX_REJECTED_BYTES,
    OPTIONAL,
    QUEUE_FIELDS,
    REQUIRED,
    UNUSED,
    Decoded,
    Event,
    Item,
    Number,
    Rejection,
    SaleEvent,
    latest,
)
from sidecar.core.events.spelling import Fields, fields_of, given, respelled, says_a_sale
from sidecar.core.events.values import VALUES, Rejected, Unfit, cut_id, cut_text, reason_of, status_word

_ITEM_FIELDS = Item.__struct_fields__
_NAMES = {kind: frozenset(names) - {"type"} for kind, names in FIELDS.items()}
_SEQUENCE_AND_TIME = frozenset(HEADER_FIELDS) - {"type"}
_CUT = {"order_id": cut_id, "reason": cut_text, "trace_id": cut_text}


def read(fields: Fields, arrival: float) -> tuple[Event, tuple[str, ...]]:
    """Return the event, and the names of what was cut or left out. Raises Rejected.

    `fields` come from spelling.py; floats are Decimal.
    """
    kind = type_of(fields)
    known = kind != "sale" or says_a_sale(fields)
    found = given(fields, _NAMES.get(kind, _SEQUENCE_AND_TIME) if known else _SEQUENCE_AND_TIME)
    for name in REQUIRED.get(kind, ()):
        if name not in found:
            raise Rejected("missing_field", name, VALUES[name][1], None)
    optional = OPTIONAL.get(kind, frozenset())
    values = {name: _read_value(name, value) for name, value in found.items() if name not in optional}
    reading = _FieldReader({name: value for name, value in found.items() if name in optional})
    if kind == "order":
        reading.order(UNUSED[values["status"]])
        reading.values.setdefault("reason", reason_of(found["status"]))
        reading.values["status_word"] = status_word(found["status"])
    elif kind == "queue":
        reading.queue()
    make: Any = SaleEvent if kind == "sale" and known else Event
    event = make(type=kind if known else str(fields["type"]), **values, **reading.values)
    if event.ts is not None and not EARLIEST <= event.ts <= latest(arrival):
        raise Rejected("out_of_range", "ts", VALUES["ts"][1], found["ts"])
    if event.seq == 0 and kind != "heartbeat":
        raise Rejected("out_of_range", "seq", f"an integer from 1 to {MAX_COUNT}", 0)
    return event, tuple(reading.adjusted)


def read_into(decoded: Decoded, fields: Fields, payload: bytes, arrival: float) -> None:
    """Add the event that plain JSON fields describe, or its rejection, which keeps the start of `payload`."""
    try:
        fields = fields_of(fields)
        event, adjusted = read(fields, arrival)
    except Rejected as rejected:
        numbers = numbers_of(fields)
        decoded.reject(Rejection(rejected.reason, rejected.detail, payload[:MAX_REJECTED_BYTES], arrival, numbers))
    else:
        decoded.add(event, arrival, adjusted)


class _FieldReader:
    """Reads the optional fields of one event: their valid values, and what was adjusted."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found
        self.values: dict[str, Any] = {}
        self.adjusted: list[str] = []

    def order(self, unused: Collection[str]) -> None:
        """Read the optional fields of an order; adjustments of `unused` fields are not recorded."""
        if "items" in self._found:
            self._items(self._found["items"], unused)
        if "items" in self.values:
            unused = {*unused, "product_id", "quantity"}
        for name, value in self._found.items():
            if name != "items":
                self._read(name, value, self.values, unused)
        if "items" in self.values:
            self.values.pop("quantity", None)  # the quantities of the items count
        if "currency_left_out" in self.adjusted:
            self._without_amounts()

    def queue(self) -> None:
        """Read the numbers of a queue; at least one must be valid."""
        for name, value in self._found.items():
            self._read(name, value, self.values, ())
        if not self.values:
            name = next(iter(self._found), QUEUE_FIELDS[0])
            _read_value(name, self._found[name]) if self._found else None
            raise Rejected("missing_field", name, VALUES[name][1], None)

    def _read(self, name: str, value: Any, into: dict[str, Any], unused: Collection[str]) -> None:
        try:
            into[name] = VALUES[name][0](value)
        except Unfit:
            if name in unused:
                return
            if name in _CUT and isinstance(value, str):
                into[name] = _CUT[name](value)
                self.adjusted.append(f"{name}_cut")
            else:
                self.adjusted.append(f"{name}_left_out")

    def _items(self, value: Any, unused: Collection[str]) -> None:
        """Read the items; an unreadable one is left out alone."""
        try:
            found = VALUES["items"][0](value)
        except Unfit:
            self.adjusted.append("items_left_out")
            return
        items = [item for one in found if (item := self._item(one, unused)) is not None]
        self.adjusted += ["item_left_out"] * (len(found) - len(items))
        if items:
            self.values["items"] = items

    def _item(self, item: Any, unused: Collection[str]) -> Item | None:
        found = given(respelled(item, ("product_id", "productId")), _ITEM_FIELDS) if isinstance(item, dict) else {}
        try:
            values: dict[str, Any] = {"product_id": VALUES["product_id"][0](found.get("product_id"))}
            if "quantity" in found and "quantity" not in unused:
                values["quantity"] = VALUES["quantity"][0](found["quantity"])
        except Unfit:
            return None
        for name in ("quantity", "amount"):
            if name in found and name not in values:
                self._read(name, found[name], values, unused)
        return Item(**values)

    def _without_amounts(self) -> None:
        """Leave out amounts without a valid currency: they belong to no sum."""
        self.values.pop("amount", None)
        if "items" in self.values:
            self.values["items"] = [msgspec.structs.replace(item, amount=None) for item in self.values["items"]]


def numbers_of(fields: Fields) -> tuple[Number, ...]:
    """Return the number of a rejected event, if it has a valid one."""
    values: dict[str, Any] = {}
    for name, value in given(fields, ("producer", "epoch", "seq")).items():
        try:
            values[name] = VALUES[name][0](value)
        except Unfit:
            continue
    if values.get("producer") is None or not values.get("seq"):  # numbers begin at 1
        return ()
    return (Number(values["producer"], values.get("epoch"), values["seq"]),)


def type_of(fields: Fields) -> str:
    """Return the type of an event, in lower case if it is one of the sidecar's."""
    kind = fields.get("type")
    if kind is None or kind == "":
        return "order"
    name: str = _read_value("type", kind)
    return name.lower() if name.lower() in FIELDS else name


def _read_value(name: str, value: Any) -> Any:
    read_it, expected = VALUES[name]
    try:
        return read_it(value)
    except Unfit as unfit:
        raise Rejected(unfit.reason, name, expected, value) from None
