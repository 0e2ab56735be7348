"""Compiled rules: payload -> does the rule take it, and the fields of its event."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from sidecar.core.events.currencies import DECIMALS
from sidecar.core.mapping import conditions, conversions
from sidecar.core.mapping.conditions import as_number
from sidecar.core.mapping.definition import Items, Rule, Value
from sidecar.core.mapping.paths import Getter
from sidecar.core.mapping.shapes import Lookup

MINOR_DECIMALS = 2  # of most currencies

EventFields = dict[str, Any]


class CompiledRule:
    """One rule of a mapping."""

    def __init__(
        self, rule: Rule, event: Mapping[str, Value | Items], zone: str, currency: str, lookup: Lookup
    ) -> None:
        """`event` has the fields of the mapping, overridden by those of the rule."""
        self.name = rule.name
        self.drops = rule.drop
        self.takes: conditions.Test | None = conditions.compiled(rule.when, lookup) if rule.when else None
        status = event.get("status")
        self.decides_status = isinstance(status, Value) and (bool(status.words) or status.value is not None)
        self._getters = _getters({n: one for n, one in event.items() if isinstance(one, Value)}, zone, lookup)
        items = event.get("items")
        self._items = _items(items, zone, lookup) if isinstance(items, Items) else None
        self._minor = _minor(event, currency)

    def fields_of(self, payload: Any) -> EventFields:
        """Return the fields of the event that have a value."""
        fields = {name: found for name, get in self._getters if (found := get(payload)) or _is_value(found)}
        if self._items is not None and (items := self._items(payload)):
            fields["items"] = items
        if self._minor is not None:
            self._minor(fields)
        return fields


def _is_value(found: Any) -> bool:
    """Return whether what is false is a value: 0 is."""
    return found is not None and found != ""


def _getters(values: Mapping[str, Value], zone: str, lookup: Lookup) -> list[tuple[str, Getter]]:
    return [(name, conversions.compiled(name, value, zone, lookup)) for name, value in values.items()]


def _items(items: Items, zone: str, lookup: Lookup) -> Getter:
    """Return a function from a payload to its items; an object instead of a list is one item."""
    elements = lookup.elements(*items.path)
    get = lookup.exists(*items.path)
    counts = conditions.compiled(items.when, elements) if items.when else None
    getters = _getters(items.item, zone, elements)

    def read(payload: Any) -> Any:
        found = get(payload)
        there = found if isinstance(found, list) else [] if found is None else [found]
        return [
            {name: value for name, one in getters if (value := one(element)) or _is_value(value)}
            for element in there
            if counts is None or counts(element)
        ]

    return read


def _minor(event: Mapping[str, Value | Items], currency: str) -> Callable[[EventFields], None] | None:
    """Return a function that converts amounts in minor units to major ones, by the currency of the event."""
    amount, items = event.get("amount"), event.get("items")
    of_items = items.item.get("amount") if isinstance(items, Items) else None
    whole = isinstance(amount, Value) and amount.minor_units
    parts = of_items is not None and of_items.minor_units
    if not (whole or parts):
        return None
    decimals = dict(DECIMALS)
    for one in (amount, of_items):
        decimals |= one.decimals if isinstance(one, Value) else {}

    def convert(fields: EventFields) -> None:
        code = fields.get("currency", currency)
        digits = decimals.get(code.upper(), MINOR_DECIMALS) if isinstance(code, str) else MINOR_DECIMALS
        if whole:
            _to_major(fields, digits)
        if parts:
            for item in fields.get("items", ()):
                _to_major(item, digits)

    return convert


def _to_major(fields: EventFields, digits: int) -> None:
    number = as_number(fields.get("amount"))
    if number is not None:
        fields["amount"] = number * Decimal(1).scaleb(-digits)
