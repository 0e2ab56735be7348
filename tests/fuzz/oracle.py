"""What must become of a payload, written down a second time and plainly: with json of the standard library and the
contract, and without a line of the sidecar.

`judge(payload, arrival)` gives one verdict for each event: the set of reasons for which it may be refused, empty
where it must be accepted. An event with two faults may be refused for either.
"""

import base64
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

Verdict = frozenset[str]
ACCEPTED: Verdict = frozenset()

OURS = ("order", "queue", "inventory", "connections", "heartbeat")
WORDS = [
    "success",
    "paid",
    "completed",
    "confirmed",
    "ok",
    "failed",
    "error",
    "rejected",
    "declined",
    "timeout",
    "pending",
    "created",
    "accepted",
    "queued",
    "reserved",
    "cancelled",
    "canceled",
    "refunded",
    "expired",
]
CAMEL = {"orderId": "order_id", "productId": "product_id", "latencyMs": "latency_ms", "processingMs": "processing_ms"}
CAMEL |= {"traceId": "trace_id"}
NAMES = [
    *("type", "ts", "producer", "epoch", "seq", "status", "order_id", "product_id", "quantity", "items", "latency_ms"),
    *("processing_ms", "reason", "amount", "currency", "trace_id", "queue", "waiting", "active", "delayed", "failed"),
    *("completed", "stock", "event", "event_type", "kind", "service"),
]
QUEUE_NUMBERS = ("waiting", "active", "delayed", "failed", "completed")
MEBIBYTE = 1024 * 1024
LONGEST_NUMBER = 4300  # digits that the interpreter reads; more in any field cost the event
DEEPEST = 150  # brackets within brackets; beyond, each reader has its own limit
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?"
    r"(?: ?([Zz]|UTC|GMT|([+-])(\d\d)(?::?(\d\d))?)( [A-Z]{1,5}|\[[A-Za-z0-9_/+-]+\])?)?",
    re.ASCII,
)


class Unknowable(Exception):
    """The contract does not say: only that nothing stops."""


def judge(payload: bytes, arrival: float) -> list[Verdict]:
    """Return a verdict for each event of a payload."""
    if len(payload) > MEBIBYTE:
        return [frozenset({"too_large"})]
    text = payload.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if re.search(rf"[0-9]{{{LONGEST_NUMBER}}}", text) or _depth(text) > DEEPEST:
        raise Unknowable
    try:
        content = json.loads(text, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_object)
    except ValueError:
        return [frozenset({"not_json"})]
    if not isinstance(content, list):
        return [_event(content, arrival)]
    if len(content) > 10_000:
        return [frozenset({"too_large"})]
    return [_event(element, arrival) for element in content]


def _depth(text: str) -> int:
    """Return how deep brackets nest, at most: those in strings too."""
    depth = deepest = 0
    for char in re.findall(r"[\[\]{}]", text):
        depth += 1 if char in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("inf")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of a name that is there twice the first value is no text either, if it is none."""
    known = dict(pairs)
    return known if all(_is_text(list(pair)) for pair in pairs) else {**known, "\ud800": None}


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _event(event: Any, arrival: float) -> Verdict:
    if not _is_text(event):
        return frozenset({"not_json"})
    if not isinstance(event, dict):
        return frozenset({"not_object"})
    if "specversion" not in event:
        return frozenset(_faults(_named(_respelled(event)), arrival))
    data = _data(event)
    if not isinstance(data, dict):
        if data is not None and _word(event.get("type")):
            return frozenset({"not_object"})
        data = {}
    return frozenset(_faults(_unwrapped(event, _respelled(data)), arrival))


def _data(envelope: dict[str, Any]) -> Any:
    """Return what a CloudEvent holds: an object, JSON in a string, or JSON in base64."""
    data = envelope.get("data")
    if data is None and (data := envelope.get("data_base64")) is not None and isinstance(data, str):
        try:
            data = base64.b64decode(data).decode()
        except ValueError:
            return data
    for _ in range(2):
        if isinstance(data, str):
            try:
                read = json.loads(data, parse_float=_decimal, parse_constant=_no_constant)
            except ValueError:
                return data
            if not _is_text(read):
                return data
            data = read
    return data


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _respelled(event: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the sidecar's names, if it has neither `status` nor `type` under these names."""
    if not _absent(event.get("status")) or not _absent(event.get("type")):
        return event
    meant = {_letters(name): name for name in NAMES}
    found: dict[str, Any] = {}
    for name, value in event.items():
        ours = meant.get(_letters(name), name)
        if ours == name or _absent(found.get(ours)):
            found[ours] = value
    return found


def _named(event: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the type that another field gives it, if that is not an order."""
    given = {CAMEL.get(name, name) for name, value in event.items() if not _absent(value)}
    if given & {"type", "order_id", "product_id", "items", "amount", "currency", "quantity"}:
        return event
    for name in ("event", "event_type", "eventType", "kind", "service"):
        said = event.get(name)
        if isinstance(said, str) and said:
            order = "order" in _words(said) or said.lower() in WORDS
            return event if order else {**event, "type": "something else"}
    return event


def _is_text(value: Any) -> bool:
    """Tell whether every string within can be written as UTF-8."""
    if isinstance(value, str):
        return not re.search("[\ud800-\udfff]", value)
    if isinstance(value, dict):
        return all(_is_text(key) and _is_text(one) for key, one in value.items())
    return not isinstance(value, list) or all(map(_is_text, value))


def _unwrapped(envelope: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a CloudEvent."""
    fields = dict(data)
    said, kind = fields.get("type"), envelope.get("type")
    if isinstance(said, str) and said.lower() in OURS:
        fields["type"] = said
    elif word := _word(kind):
        fields["type"] = word
    elif not _absent(kind):
        fields["type"] = kind
    elif not _absent(fields.get("status")):
        fields["type"] = "order"
    if _absent(fields.get("ts")):
        fields["ts"] = envelope.get("time")
    return fields


def _word(kind: Any) -> str | None:
    """Return the last word of a type that is one of ours."""
    return next(reversed(_words(kind)), None) if isinstance(kind, str) else None


def _words(name: str) -> list[str]:
    """Return the words of a name that are types of the sidecar; camelCase has words too."""
    apart = re.sub("([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    words = re.split(r"[^0-9a-z]+" if name.isascii() else r"[\W_]+", apart)
    return [word.replace("orders", "order") for word in words if word in (*OURS, "orders")]


def _absent(value: Any) -> bool:
    return value is None or value == ""


def _faults(event: dict[str, Any], arrival: float) -> set[str]:
    """Return every reason to refuse an event."""
    kind = event.get("type")
    if _absent(kind):
        kind = "order"
    if not isinstance(kind, str):
        return {"wrong_type"}
    if len(kind.encode()) > 128:
        return {"out_of_range"}
    kind = kind.lower() if kind.lower() in OURS else kind
    given = {name: value for name, value in event.items() if not _absent(value)}
    for camel, name in CAMEL.items():
        if camel in given:
            given.setdefault(name, given[camel])
    faults = _header(given, arrival, heartbeat=kind == "heartbeat")
    match kind:
        case "order":
            faults |= _order(given)
        case "queue":
            faults |= _each(given, ["queue"], _id)
            numbers = [_integer(given[name], 0, 10**12) for name in QUEUE_NUMBERS if name in given]
            if not numbers:
                faults.add("missing_field")
            elif all(numbers):
                faults |= set().union(*numbers)
        case "inventory":
            faults |= _each(given, ["product_id"], _id) | _each(
                given, ["stock"], lambda v: _integer(v, -(10**12), 10**12)
            )
            if "product_id" not in given or "stock" not in given:
                faults.add("missing_field")
        case "connections":
            faults |= _each(given, ["active"], lambda v: _integer(v, 0, 10**12))
            if "active" not in given:
                faults.add("missing_field")
    return faults


def _each(given: dict[str, Any], names: Any, faults_of: Any) -> set[str]:
    return {fault for name in names if name in given for fault in faults_of(given[name])}


def _header(given: dict[str, Any], arrival: float, *, heartbeat: bool) -> set[str]:
    faults = _each(given, ["producer"], _id) | _each(given, ["ts"], lambda v: _time(v, arrival))
    faults |= _each(given, ["seq"], lambda v: _integer(v, 0 if heartbeat else 1, 10**12))
    return faults | _each(given, ["epoch"], lambda v: _id(v) if isinstance(v, str) else _integer(v, 0, 2**63 - 1))


def _order(given: dict[str, Any]) -> set[str]:
    """Return what is wrong with a status: an order needs nothing else to be counted."""
    return _each(given, ["status"], _status) if "status" in given else {"missing_field"}


def _number(value: Any, low: int, high: int) -> set[str]:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = _decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return {"wrong_type"}
    return set() if low <= value <= high else {"out_of_range"}


def _integer(value: Any, low: int, high: int) -> set[str]:
    faults = _number(value, low, high)
    number = _decimal(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
    if isinstance(number, Decimal) and number.is_finite() and number.adjusted() < 200 and number != int(number):
        faults.add("wrong_type")
    return faults


def _id(value: Any) -> set[str]:
    if isinstance(value, str):
        return {"out_of_range"} if len(value.encode()) > 128 else set()
    faults = _integer(value, -(10**128), 10**128)
    if not faults and len(str(int(value))) > 128:
        faults.add("out_of_range")
    return faults


def _status(value: Any) -> set[str]:
    if not isinstance(value, str):
        return {"wrong_type"}
    return set() if value.lower() in WORDS else {"unknown_status"}


def _time(value: Any, arrival: float) -> set[str]:
    moment = _moment(value) if isinstance(value, str) else None
    if moment is None:
        faults = _number(value, -(10**128), 10**128)
        if faults:
            return faults
        moment = float(_decimal(value) if isinstance(value, str) else value)
        for above, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
            if moment > above:
                moment /= unit
                break
    return set() if 946_684_800 <= moment <= arrival + 86_400 else {"out_of_range"}


def _moment(text: str) -> float | None:
    """Read a moment of RFC 3339; without a zone it is UTC."""
    found = MOMENT.fullmatch(text)
    if found is None:
        return None
    day, clock, second, fraction, _, sign, hours, minutes, _ = found.groups()
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        if int(minutes or 0) > 59 or (fraction and not second):
            return None
        zone = timezone(offset) if sign else UTC
        leap = second == ":60"
        moment = datetime.fromisoformat(f"{day}T{clock}{':59' if leap else second or ':00'}").replace(tzinfo=zone)
    except ValueError:
        return None
    return moment.timestamp() + leap + float(f"0.{fraction or 0}")
