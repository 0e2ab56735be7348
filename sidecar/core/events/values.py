"""The value of one field: a plain JSON value in, its canonical form out, or Unfit.

Floats are Decimal, so that no digit is lost. Numbers may be strings, integers may be written `1.0`; a boolean is never
a number.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from sidecar.core.events.event import (
    MAX_AMOUNT,
    MAX_COUNT,
    MAX_DURATION_MS,
    MAX_EPOCH,
    MAX_ID_BYTES,
    MAX_QUANTITY,
    MAX_STOCK,
    STATUSES,
    RejectionReason,
    Status,
)
from sidecar.core.events.sale_event import ACTIONS, ID_RULE, Action, is_id

STATUS_WORDS: dict[str, Status] = {
    **dict.fromkeys(("success", "paid", "completed", "confirmed", "ok"), "success"),
    **dict.fromkeys(("failed", "error", "rejected", "declined", "timeout"), "failed"),
    **dict.fromkeys(("pending", "created", "accepted", "queued", "reserved"), "pending"),
    **dict.fromkeys(("cancelled", "canceled", "refunded", "expired"), "cancelled"),
}
# Times accepted in addition to RFC 3339: without seconds, with a comma, `UTC`, `+01`, a space before the zone, or the
# name of the zone after its offset.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"(?: ?(?:[Zz]|UTC|GMT|([+-])(\d\d)(?::?([0-5]\d))?)(?: [A-Z]{1,5}|\[[\w/+-]+\])?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # as in JSON, with a sign
_WORDS_WITHOUT_REASON = ("failed", "error")
_SHOWN_CHARACTERS = 40  # enough to recognise a value in a log line
_LARGEST = 10**MAX_ID_BYTES  # no number has more digits than an id


class Unfit(Exception):
    """The value does not fit its field; `reason` says why."""

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason)
        self.reason: RejectionReason = reason


class Rejected(Exception):
    """The event cannot be read. It becomes a Rejection, and never leaves the core."""

    def __init__(self, reason: RejectionReason, name: str, expected: str, found: Any) -> None:
        self.reason: RejectionReason = reason
        self.detail = f"{name}: expected {expected}, got {shown(found)}"
        super().__init__(self.detail)


def shown(value: Any) -> str:
    """Return a value as a rejection shows it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = msgspec.json.encode(value).decode() if isinstance(value, str | bool) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def seconds(ts: float) -> float:
    """Convert a Unix time to seconds, by its size from milli-, micro- or nanoseconds."""
    if ts > 1e17:
        return ts / 1e9
    if ts > 1e14:
        return ts / 1e6
    return ts / 1e3 if ts > 1e11 else ts


def unix_time(moment: datetime) -> float:
    """Return a time in Unix seconds; without a zone it is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def reason_of(status: Any) -> str | None:
    """Return the failure reason that a status word implies, if any."""
    word = status.lower() if isinstance(status, str) else ""
    return word if STATUS_WORDS.get(word) == "failed" and word not in _WORDS_WITHOUT_REASON else None


def status_word(status: str) -> str:
    """Return a status word in lower case, "" if it is canonical."""
    word = status.lower()
    return "" if word in STATUSES else word


def decimal(text: str) -> Decimal:
    """Read a number; one that Decimal cannot hold is Infinity, which is beyond every limit."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("Infinity")


decode_plainly = msgspec.json.Decoder(float_hook=decimal).decode  # JSON -> plain values, exactly


def _number(value: Any, low: int, high: int) -> int | Decimal:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Unfit("wrong_type")
        value = decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unfit("wrong_type")
    if not low <= value <= high:
        raise Unfit("out_of_range")
    return value


def _whole(value: Any, low: int, high: int) -> int:
    number = _number(value, low, high)  # check the range first: 1e999999 as an integer would take all memory
    if int(number) != number:
        raise Unfit("wrong_type")
    return int(number)


def _integer(low: int, high: int) -> Callable[[Any], int]:
    return lambda value: _whole(value, low, high)


def _duration(value: Any) -> float:
    return float(_number(value, 0, MAX_DURATION_MS))


def _amount(value: Any) -> Decimal:
    """Read an amount. A string may be whatever Decimal reads, as in the strict stage: `39.` and `1_000` too."""
    if isinstance(value, str) and value.isascii():
        try:
            value = Decimal(value)
        except ArithmeticError:
            raise Unfit("wrong_type") from None
        if value.is_nan():
            raise Unfit("wrong_type")
    return Decimal(_number(value, 0, MAX_AMOUNT))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else str(_whole(value, -_LARGEST, _LARGEST))
    if len(text.encode()) > MAX_ID_BYTES:
        raise Unfit("out_of_range")
    return text


def cut_text(value: str) -> str:
    """Cut a text to the length of an id."""
    return value.encode()[:MAX_ID_BYTES].decode(errors="ignore")


def cut_id(value: str) -> str:
    """Cut an id to the allowed length, with a digest that keeps different ids different."""
    digest = blake2b(value.encode(), digest_size=8).hexdigest()
    return f"{value.encode()[: MAX_ID_BYTES - 1 - len(digest)].decode(errors='ignore')}~{digest}"


def _epoch(value: Any) -> str | int:
    return _text(value) if isinstance(value, str) else _whole(value, 0, MAX_EPOCH)


def timestamp(value: Any) -> float:
    """Return a time in Unix seconds. Raises Unfit."""
    if isinstance(value, str) and "\0" not in value:  # msgspec takes that character for the end of a moment
        try:
            return unix_time(msgspec.convert(value, datetime))
        except msgspec.ValidationError:
            if found := _MOMENT.fullmatch(value):
                return _moment(found)
    return seconds(float(_number(value, -_LARGEST, _LARGEST)))


def _moment(found: re.Match[str]) -> float:
    day, clock, second, fraction, sign, hours, minutes = found.groups()
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else "+00:00"
    leap = second == "60"  # Unix time has no leap seconds: this is the first second of the next minute
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}:{'59' if leap else second or '00'}{zone}").timestamp()
    except (ValueError, OverflowError):
        raise Unfit("wrong_type") from None
    return moment + leap + float(f"0.{fraction or 0}")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("wrong_type")
    return value


def _type(value: Any) -> str:
    return _text(_string(value))


def _status(value: Any) -> Status:
    status = STATUS_WORDS.get(_string(value).lower())
    if status is None:
        raise Unfit("unknown_status")
    return status


def _action(value: Any) -> Action:
    for action in ACTIONS:
        if _string(value).lower() == action:
            return action
    raise Unfit("out_of_range")


def _sale(value: Any) -> str:
    if not is_id(_text(value)):
        raise Unfit("out_of_range")
    return _text(value)


def _currency(value: Any) -> str:
    if not re.fullmatch("[A-Za-z]{3}", _string(value)):
        raise Unfit("out_of_range")
    return str(value).upper()


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit("wrong_type")
    if not value:
        raise Unfit("out_of_range")
    return value


_ID = (_text, f"a string or an integer, at most {MAX_ID_BYTES} bytes")
_COUNT = (_integer(0, MAX_COUNT), f"an integer from 0 to {MAX_COUNT}")
_DURATION = (_duration, f"a number of milliseconds from 0 to {MAX_DURATION_MS}")

# For each field: how to read it, and what to expect in messages.
VALUES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "type": (_type, f"a string of at most {MAX_ID_BYTES} bytes"),
    "ts": (timestamp, "a Unix time or RFC 3339 from the year 2000 to a day ahead"),
    "producer": _ID,
    "epoch": (_epoch, f"a string of at most {MAX_ID_BYTES} bytes or an integer from 0 to {MAX_EPOCH}"),
    "seq": _COUNT,
    "status": (_status, f"one of {', '.join(STATUSES)}"),
    "order_id": _ID,
    "product_id": _ID,
    "quantity": (_integer(1, MAX_QUANTITY), f"an integer from 1 to {MAX_QUANTITY}"),
    "items": (_list, "a non-empty array of objects with a product_id"),
    "latency_ms": _DURATION,
    "processing_ms": _DURATION,
    "reason": _ID,
    "amount": (_amount, f"a decimal number from 0 to {MAX_AMOUNT}"),
    "currency": (_currency, "three letters of ISO 4217"),
    "trace_id": _ID,
    "queue": _ID,
    "waiting": _COUNT,
    "active": _COUNT,
    "delayed": _COUNT,
    "failed": _COUNT,
    "completed": _COUNT,
    "action": (_action, " or ".join(ACTIONS)),
    "sale": (_sale, ID_RULE),
    "stock": (_integer(-MAX_STOCK, MAX_STOCK), f"an integer from {-MAX_STOCK} to {MAX_STOCK}"),
}
