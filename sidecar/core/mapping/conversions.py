"""Conversions of one field. Decimals are never floats.

A value that cannot be converted stays unchanged: `tolerant` then rejects or adjusts it, as it does for all events.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sidecar.core.events.event import MAX_ID_BYTES
from sidecar.core.events.values import Unfit, timestamp, unix_time
from sidecar.core.mapping.conditions import as_number, as_text
from sidecar.core.mapping.definition import Unit, Value
from sidecar.core.mapping.paths import Getter
from sidecar.core.mapping.shapes import Lookup

Convert = Callable[[Any], Any]

LARGEST_ID = 10**MAX_ID_BYTES
UNREADABLE = False  # no field takes a boolean: it is left out, and that is counted
IDS = ("order_id", "product_id", "trace_id", "reason", "producer", "queue")
DURATIONS = ("latency_ms", "processing_ms")
MS_PER_UNIT: dict[str, Decimal] = {
    **dict.fromkeys(("us", "µs", "μs"), Decimal("0.001")),
    "ns": Decimal("0.000001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "m": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
}
WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?", re.ASCII)
# With a comma for decimals, thousands may be apart by dots or spaces, which may be narrow or not break.
WITH_COMMA = re.compile(r"[+-]?(?:\d{1,18}|\d{1,3}(?:[. \u00a0\u202f]\d{3}){1,5})(?:,\d{1,18})?", re.ASCII)
LONGEST_UNSCALED = 64  # in base64: no decimal of a database is longer
LONGEST_DURATION = 64
EXACT_IN_A_FLOAT = 2**53
UNSET_TIME = "0001-01-01"  # what Go and .NET write for a time that was never set
TIME_PARTS = (5, 7)  # year to minute, then perhaps seconds and nanoseconds: a LocalDateTime of Jackson

_NUMBER = r"\d{1,18}(?:\.\d{1,18})?"
_UNITS = re.compile(rf"({_NUMBER})(h|ms|m|s|us|µs|μs|ns)")  # 1m2.5s of Go, 0.0425s of Protobuf
_ISO = re.compile(rf"P(?:({_NUMBER})D)?(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?")
_CLOCK = re.compile(r"(?:(\d{1,9})\.)?(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,18})?)")  # TimeSpan of .NET


def compiled(name: str, value: Value, zone: str, lookup: Lookup) -> Getter:
    """Return a function from a decoded payload to the value of the field `name`; `zone` is the mapping's time zone."""
    if value.value is not None:
        constant = value.value
        return lambda payload: constant
    get = lookup.get(*value.path)
    steps = [step for step in _steps(name, value, zone) if step is not None]
    by = lookup.get(*value.times) if value.times else None
    if value.since:
        return _difference(get, lookup.get(*value.since), _zone(value.zone or zone))
    missing = value.otherwise
    if not steps and by is None and missing is None:
        return get

    if len(steps) == 1 and by is None and missing is None:
        (only,) = steps
        return lambda payload: None if (found := get(payload)) is None or found == "" else only(found)

    def convert(payload: Any) -> Any:
        found = get(payload)
        if found is None or found == "":
            return missing
        for step in steps:
            found = step(found)
        return found if by is None else _product(found, by(payload))

    return convert


def _steps(name: str, value: Value, zone: str) -> list[Convert | None]:
    """Return the conversions in the order in which they are applied."""
    return [
        _last_part(value.after) if value.after else None,
        _word(value.words, value.otherwise) if value.words else None,
        _money(value) if name == "amount" else None,
        _divided(value.divide_by) if value.divide_by is not None else None,
        _time(_zone(value.zone or zone)) if name == "ts" else None,
        _duration(value.unit) if name in DURATIONS else None,
        _text_of_id if name in IDS else None,
    ]


def _last_part(separator: str) -> Convert:
    return lambda found: found.rpartition(separator)[2] if isinstance(found, str) else found


def _text_of_id(found: Any) -> Any:
    return str(found) if type(found) is int and abs(found) < LARGEST_ID else found


def _word(words: dict[str, str], otherwise: str | None) -> Convert:
    """Replace a word, in any case; a word that is not in the map stays, or becomes the value of `else`."""
    known = {word.lower(): becomes for word, becomes in words.items()}

    def convert(found: Any) -> Any:
        text = as_text(found)
        return known.get((text or "").lower(), found if otherwise is None else otherwise)

    return convert


# Money


def _money(value: Value) -> Convert:
    as_it_is = value.scale is None and not value.decimal_comma

    def convert(found: Any) -> Any:
        if as_it_is and found.__class__ is not dict:
            return found
        try:
            return _amount(found, value)
        except (ValueError, ArithmeticError):
            return UNREADABLE

    return convert


def _amount(found: Any, value: Value) -> Any:
    """Return money in one of the supported notations as a decimal, anything else unchanged."""
    if isinstance(found, dict):
        return _structured(found)
    if value.scale is not None and isinstance(found, str) and "." not in found:  # else a decimal as text
        return _unscaled(found, value.scale)
    if value.decimal_comma and isinstance(found, str):
        text = found.strip()
        return Decimal(re.sub(r"[^\d,+-]", "", text).replace(",", ".")) if WITH_COMMA.fullmatch(text) else UNREADABLE
    return found


def _structured(found: dict[str, Any]) -> Any:
    """Convert `{scale, value}` of Debezium and `{units, nanos}` of Google."""
    if "scale" in found:
        return _unscaled(found.get("value"), _whole(found["scale"]))
    if "units" in found or "nanos" in found:
        return Decimal(_whole(found.get("units"))) + Decimal(_whole(found.get("nanos"))).scaleb(-9)
    return found


def _whole(value: Any) -> int:
    """Return an integer, 0 for nothing. Raises ValueError."""
    number = as_number(0 if value is None else value)
    if number is None or number != int(number):
        raise ValueError("no whole number")
    return int(number)


def _unscaled(text: Any, scale: int) -> Decimal:
    """Convert big-endian bytes in base64; the last `scale` digits are decimals. Raises ValueError."""
    if not isinstance(text, str) or len(text) > LONGEST_UNSCALED:
        raise ValueError("no decimal in base64")
    return Decimal(int.from_bytes(b64decode(text, validate=True), "big", signed=True)).scaleb(-scale)


def _divided(by: Decimal) -> Convert:
    def convert(found: Any) -> Any:
        number = as_number(found)
        return found if number is None else number / by

    return convert


def _product(found: Any, times: Any) -> Any:
    """Multiply a price by a quantity, by default 1."""
    price = as_number(found)
    quantity = times if times.__class__ is int else as_number(1 if times is None or times == "" else times)
    return UNREADABLE if price is None or quantity is None else price * quantity


# Times


def _zone(name: str) -> Any:
    return UTC if name in ("", "UTC") else ZoneInfo(name)


def _time(zone: Any) -> Convert:
    def convert(found: Any) -> Any:
        if _is_unset(found):
            return None
        moment = _moment(found, zone) if isinstance(found, list) or _is_local(found, zone) else None
        return found if moment is None else Decimal(str(moment))

    return convert


def _is_unset(found: Any) -> bool:
    return isinstance(found, str) and found.startswith(UNSET_TIME)


def _is_local(found: Any, zone: Any) -> bool:
    """Return whether a time is by the clocks of a zone other than UTC."""
    return zone is not UTC and isinstance(found, str) and WITHOUT_ZONE.fullmatch(found) is not None


def _moment(found: Any, zone: Any) -> float | None:
    """Return Unix seconds, `None` for a value that is no time. `zone` is for times without a zone."""
    try:
        if isinstance(found, list):
            return _of_parts(found, zone)
        if _is_local(found, zone):
            return unix_time(datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=timestamp(found)))  # by its calendar
        return timestamp(found)
    except (Unfit, ValueError, OverflowError):
        return None


def _of_parts(parts: list[Any], zone: Any) -> float | None:
    if not TIME_PARTS[0] <= len(parts) <= TIME_PARTS[1] or any(type(part) is not int for part in parts):
        return None
    numbers: list[int] = [*parts, *[0] * (TIME_PARTS[1] - len(parts))]
    year, month, day, hour, minute, second, nanosecond = numbers
    return unix_time(datetime(year, month, day, hour, minute, second, tzinfo=zone)) + nanosecond / 1e9


def _difference(end: Getter, start: Getter, zone: Any) -> Getter:
    """Return a function to the milliseconds between two times of the event."""

    def convert(payload: Any) -> Any:
        found = end(payload), start(payload)
        if any(one is None or one == "" or _is_unset(one) for one in found):
            return None
        to, since = (_moment(one, zone) for one in found)
        return UNREADABLE if to is None or since is None else Decimal(str(round((to - since) * 1000, 3)))

    return convert


def _duration(unit: Unit) -> Convert:
    factor = MS_PER_UNIT[unit]

    def convert(found: Any) -> Any:
        if factor == 1 and found.__class__ is Decimal:
            return found
        number = as_number(found)
        if number is not None:
            return number * factor
        milliseconds = _spelled_out(found.strip()) if isinstance(found, str) else None
        return found if milliseconds is None else milliseconds

    return convert


def _spelled_out(text: str) -> Decimal | None:
    """Return the milliseconds of a duration with units."""
    if len(text) > LONGEST_DURATION:
        return None
    if iso := _ISO.fullmatch(text):
        return _sum(zip(iso.groups(), ("d", "h", "m", "s"), strict=True)) if any(iso.groups()) else None
    if clock := _CLOCK.fullmatch(text):
        return _sum(zip(clock.groups(), ("d", "h", "m", "s"), strict=True))
    parts = list(_UNITS.finditer(text))
    if parts and sum(len(part[0]) for part in parts) == len(text):
        return _sum((part[1], part[2]) for part in parts)
    return None


def _sum(parts: Any) -> Decimal:
    return sum((Decimal(number) * MS_PER_UNIT[unit] for number, unit in parts if number), Decimal(0))


def plain(value: Any) -> Any:
    """Convert decoded MessagePack to the values of JSON: floats become decimals, timestamps Unix seconds."""
    if isinstance(value, dict):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return _plain_number(value)
    if isinstance(value, datetime):
        return Decimal(str(unix_time(value)))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if isinstance(value, msgspec.msgpack.Ext) else value


def _plain_number(value: float) -> int | Decimal | None:
    """Return an integer that was written as a float as what it is; JSON has no word for what is no number."""
    if value.is_integer() and abs(value) < EXACT_IN_A_FLOAT:
        return int(value)
    return None if value != value else Decimal(repr(value))
