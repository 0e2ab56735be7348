"""Text -> values: how a setting is written in a file, a variable or a flag, by the type of its field."""

import math
import re
from collections.abc import Callable
from typing import Any

from sidecar.config.structs import Seconds, Secret

# As read from a source: the text of a scalar, or the texts of a list.
Raw = str | list[str]

UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|)")
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
_LIST = re.compile(r"""\s*\[\s*['"]""")
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def convert(raw: Raw, kind: Any) -> Any:
    """Convert to the type `kind`. Raises `ValueError` that says what the value must be, and does not quote it."""
    if kind in (tuple[str, ...], tuple[float, ...]):
        parts = raw if isinstance(raw, list) else _parts(raw)
        for part in parts:
            _forbid_quotes(part)
        return tuple(parts if kind == tuple[str, ...] else map(_number, parts))
    if isinstance(raw, list):
        raise ValueError("must be a single value, not a list")
    if kind is str:
        _forbid_quotes(raw)
    return SCALARS[kind](raw)


def _parts(text: str) -> list[str]:
    """Split the list `a,b` of a variable or a flag."""
    if _LIST.match(text):
        raise ValueError("must be names separated by commas, as in a,b, without brackets and quotes")
    return [part.strip() for part in text.split(",") if part.strip()]


def _forbid_quotes(text: str) -> None:
    """Raise ValueError for a quoted value: Docker and systemd keep the quotes of an environment file."""
    if _QUOTED.fullmatch(text):
        raise ValueError("has quotes around it, which become part of the value: leave them out")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("must be a list of numbers")
    return value


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text.replace("_", ""), re.ASCII):
        raise ValueError("must be a whole number")
    return int(text.replace("_", ""))


def _boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError("must be true or false")
    return BOOLEANS[text.lower()]


def _seconds(text: str) -> Seconds:
    found = DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError("must be a duration such as 500ms, 5s, 2m or 1h, or a number of seconds")
    return Seconds(float(found[1]) * UNITS[found[2]])


SCALARS: dict[Any, Callable[[str], Any]] = {
    str: str,
    Secret: Secret,
    int: _integer,
    bool: _boolean,
    Seconds: _seconds,
}
