"""Conditions on decoded payloads. Words are compared as text: 1 equals "1", and true equals "true"."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any

from sidecar.core.events.event import MAX_ID_BYTES
from sidecar.core.events.values import decimal
from sidecar.core.mapping.definition import Condition
from sidecar.core.mapping.shapes import Lookup

Test = Callable[[Any], bool]


def compiled(when: Mapping[str, Condition], lookup: Lookup) -> Test:
    """Return a function that checks whether a decoded payload fulfils all conditions."""
    tests = [test for path, condition in when.items() for test in _tests(path, condition, lookup)]
    return reduce(_both, tests)


def _both(first: Test, second: Test) -> Test:
    return lambda value: first(value) and second(value)


def as_text(value: Any) -> str | None:
    """Return a plain value as the configuration spells it; `None` for an object, a list or null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, int | Decimal) else None


def as_number(value: Any) -> Decimal | None:
    """Return the exact value of a number, or of a string that contains one; `None` also if no field can hold it."""
    kind = value.__class__
    if kind is str:
        number = decimal(value)
    elif kind is int or kind is Decimal:
        number = Decimal(value)
    elif kind is float:  # a duration or a time of an event
        number = Decimal(repr(value))
    else:
        return None
    return number if number.is_finite() and number.adjusted() < MAX_ID_BYTES else None


def _tests(path: str, condition: Condition, lookup: Lookup) -> list[Test]:
    tests: list[Test] = []
    if (exists := condition.exists) is not None:
        there = lookup.exists(path)
        tests.append(lambda value: (there(value) not in (None, "")) is exists)
        if condition == Condition(exists=exists):
            return tests
    get = lookup.get(path)
    words = {*condition.one_of} | ({condition.equals} if condition.equals is not None else set())
    if words:
        tests.append(lambda value: as_text(get(value)) in words)
    if (start := condition.starts_with) is not None:
        tests.append(lambda value: (as_text(get(value)) or "").startswith(start))
    if (limit := condition.above) is not None:
        tests.append(lambda value: (number := as_number(get(value))) is not None and number > limit)
    if condition.differs_from is not None:
        other = lookup.get(condition.differs_from)
        tests.append(lambda value: get(value) != other(value))
    return tests
