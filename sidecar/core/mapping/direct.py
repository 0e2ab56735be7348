"""Mappings that only rename fields: their payloads are decoded like events of our own, many at once."""

from collections.abc import Iterable

from sidecar.core.mapping.definition import Definition, Value
from sidecar.core.mapping.paths import steps_of
from sidecar.core.mapping.shapes import can_be_read


def names_of(mapping: Definition) -> dict[str, str] | None:
    """Return the name of each field in the payload, if a mapping does nothing but rename; otherwise `None`."""
    if mapping.inner or mapping.each or mapping.repeats or mapping.drop_payloads or len(mapping.rules) != 1:
        return None
    rule, names = mapping.rules[0], {}
    if rule.when or rule.drop:
        return None
    for field, value in {**mapping.event, **rule.event}.items():
        if len(value.path) != 1 or value != Value(path=value.path) or (field == "ts" and mapping.zone):
            return None
        first, *others = steps_of(value.path[0])
        if others or not can_be_read(first):
            return None
        names[field] = first
    return names if len(set(names.values())) == len(names) else None


def first_names(paths: Iterable[str]) -> list[str] | None:
    """Return the names with which paths begin, if fields of a struct can have them; otherwise `None`."""
    firsts = sorted({first if can_be_read(first := steps_of(path)[0]) else "" for path in paths})
    return None if "" in firsts else firsts
