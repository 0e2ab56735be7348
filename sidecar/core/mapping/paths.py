"""Paths: names joined by dots, `"quoted"` for other characters, and `[0]` or `[-1]` for an element of a list.

They are a subset of JMESPath, without its functions and filters.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

PathStep = str | int
Getter = Callable[[Any], Any]

_STEP = re.compile(
    r"""
      (?P<index> \[ (-?\d{1,9}) \] )
    | (?P<dot> \.? ) (?: "(?P<quoted> [^"]+ )" | (?P<name> [^\s.\[\]"']+ ) )
    """,
    re.VERBOSE,
)


def steps_of(path: str) -> tuple[PathStep, ...]:
    """Return the names and indexes of a path. Raises ValueError, which describes the syntax."""
    steps: list[PathStep] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found["index"] is None and bool(found["dot"]) is not bool(steps)):
            raise ValueError(
                f'is no path: write names joined by dots, "quoted" if need be, and [0] for one of a list: {path}'
            )
        steps.append(int(found[2]) if found["index"] else found["quoted"] or found["name"])
        at = found.end()
    if not steps:
        raise ValueError("is an empty path: name a field")
    return tuple(steps)


def first_of(getters: Sequence[Getter]) -> Getter:
    """Return a getter of the first value that the getters find, else `None`."""
    if len(getters) == 1:
        return getters[0]

    def first(value: Any) -> Any:
        for get in getters:
            if (found := get(value)) is not None and found != "":
                return found
        return None

    return first


def get_by(steps: tuple[PathStep, ...]) -> Getter:
    """Return the getter of a path, for plain values."""

    def get(value: Any) -> Any:
        for step in steps:
            if value.__class__ is not (dict if step.__class__ is str else list):
                return None
            try:
                value = value[step]  # type: ignore[index]  # a name of an object, or an index of a list
            except (KeyError, IndexError):
                return None
        return value

    return get


def replace_at(value: Any, steps: tuple[PathStep, ...], change: Callable[[Any], Any]) -> Any:
    """Change the value at a path, if there is one, in place; return the payload."""
    *before, last = steps
    parent = get_by(tuple(before))(value) if before else value
    there = get_by((last,))(parent)
    if there is not None:
        parent[last] = change(there)
    return value
