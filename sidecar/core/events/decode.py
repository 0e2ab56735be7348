"""Payloads -> events, in two stages, so that ordinary events cost a microsecond and odd ones are still understood.

1. Strict: one pass in C checks names, types and ranges; a few lines of Python check what types cannot express.
2. Tolerant: what the strict stage does not accept is read again, each element of a batch by itself, with many spellings
   (tolerant.py). What this stage cannot read is a Rejection: nothing raises.

The strict stage must not read anything differently from the tolerant one. Three things ensure that:
- `_Strict` also has the fields that only the tolerant stage understands, with a type that no value has. This costs
  nothing, while a search for their names would cost as much as decoding. `_CamelCase` is the same with both spellings
  exchanged, since many backends use only that; a mixture is left to the tolerant stage.
- Payloads with escapes or beyond ASCII are left to the tolerant stage: in all others a character is a byte, so the
  limits of ids hold in bytes, and fields that the strict stage skips cannot be invalid UTF-8.
- `_is_sound` never rejects: what it does not accept is left to the tolerant stage.
"""

from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import inf, nextafter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, convert

from sidecar.core.events.event import (
    EARLIEST,
    FIELDS,
    MAX_AMOUNT,
    MAX_BATCH_EVENTS,
    MAX_PAYLOAD_BYTES,
    NOTHING_SHARED,
    QUEUE_FIELDS,
    REQUIRED,
    STATUSES,
    Decoded,
    Event,
    Shared,
    latest,
)
from sidecar.core.events.json_array import elements
from sidecar.core.events.rejections import (
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    UNREADABLE,
    not_json,
    not_object,
    too_large,
    too_many,
    unread,
)
from sidecar.core.events.spelling import CAMEL_CASE, unknown_names
from sidecar.core.events.tolerant import read_into
from sidecar.core.events.values import (
    STATUS_WORDS,
    Rejected,
    decimal,
    decode_plainly,
    reason_of,
    seconds,
    status_word,
    unix_time,
)

_Never = Literal["\0"] | UnsetType  # no payload of the strict stage can hold this character
_UNWRITABLE = "\N{NO-BREAK SPACE}"  # a field name that no payload of the strict stage can have: it is not ASCII
# In these fields an event may also say that it is an order.
_OrderWord = Annotated[str, Meta(pattern=r"(^|[^a-zA-Z])orders?([^a-zA-Z]|$)")] | UnsetType


class _Strict(Event, gc=False, kw_only=True, rename={"status_word": _UNWRITABLE}):
    """An event as the strict stage reads it."""

    ts: Annotated[float, Meta(ge=EARLIEST)] | datetime | None = None  # type: ignore[assignment]  # becomes seconds
    orderId: _Never = UNSET
    productId: _Never = UNSET
    latencyMs: _Never = UNSET
    processingMs: _Never = UNSET
    traceId: _Never = UNSET
    specversion: _Never = UNSET
    status_word: str = ""  # repeated, since `rename` skips inherited fields
    event: _OrderWord = UNSET
    event_type: _OrderWord = UNSET
    eventType: _OrderWord = UNSET
    kind: _OrderWord = UNSET
    service: _OrderWord = UNSET


_CamelCase: Any = msgspec.defstruct(
    "_CamelCase",
    [(field.name, field.type, field.default) for field in msgspec.structs.fields(_Strict)],
    bases=(_Strict,),
    rename=CAMEL_CASE | {camel: name for name, camel in CAMEL_CASE.items()} | {"status_word": _UNWRITABLE},
    gc=False,
    kw_only=True,
)


DecodeEvent = Callable[[bytes], _Strict]
_STRICT_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(_Strict)}
EXTRA = "extra_"  # attributes of events begin with it that are no fields of Event


def extra(name: str) -> str:
    """Return the attribute of events that `decoder_of` makes, with the field of the payload that has this name."""
    return EXTRA + name.encode().hex()


def decoder_of(names: Mapping[str, str] | None, extras: Collection[str] = ()) -> DecodeEvent | None:
    """Return what decodes an event like the strict stage; `None` if an extra field has the name of another.

    With `names` the fields have these names, and no others. `extras` are names of further fields.
    """
    fields = msgspec.structs.fields(_Strict)
    known = _STRICT_NAMES if names is None else {f.name: names.get(f.name, _UNWRITABLE + f.name) for f in fields}
    if not set(known.values()).isdisjoint(extras):
        return None
    made: Any = msgspec.defstruct(
        "_Renamed",
        [
            *((field.name, field.type, field.default) for field in fields),
            *((extra(name), Any, None) for name in extras),
        ],
        bases=(_Strict,),
        rename=known | {extra(name): name for name in extras},
        gc=False,
        kw_only=True,
    )
    return msgspec.json.Decoder(made, float_hook=decimal).decode


_decode_event = msgspec.json.Decoder(_Strict).decode
_decode_strictly = msgspec.json.Decoder(_Strict | list[_Strict]).decode
_decode_camel_case = msgspec.json.Decoder(_CamelCase | list[_CamelCase]).decode

_JSON_SPACE = b" \t\r\n"  # bytes.strip() strips more
_BACKSLASH = ord("\\")
_SECONDS = nextafter(1e11, 0)  # a later time is not in seconds
# Payloads checked together. To find an odd one by halves costs about as much again.
TOGETHER = 128


# Payloads with their arrivals in Unix seconds -> events and rejections; nothing raises.
Decoder = Callable[[Sequence[bytes], Sequence[float]], Decoded]


def decode(payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
    """Return the events and rejections of payloads; `arrivals[i]` is when `payloads[i]` arrived, in Unix seconds."""
    if len(payloads) != len(arrivals):
        raise ValueError("every payload needs an arrival")
    decoded = Decoded([], [], [])
    for start in range(0, len(payloads), TOGETHER):
        _decode_some(payloads[start : start + TOGETHER], arrivals[start : start + TOGETHER], decoded)
    return decoded


def _decode_some(payloads: Sequence[bytes], arrivals: Sequence[float], decoded: Decoded) -> None:
    """Decode payloads together; if that fails, decode each half, so that an odd one is soon alone."""
    if accept_together(_decode_event, payloads, arrivals, decoded):
        return
    if len(payloads) == 1:
        decoded.shared.merge(NOTHING_SHARED)
        _decode_one(payloads[0], arrivals[0], decoded)
    else:
        half = len(payloads) // 2
        _decode_some(payloads[:half], arrivals[:half], decoded)
        _decode_some(payloads[half:], arrivals[half:], decoded)


def accept_together(
    decode_event: DecodeEvent, payloads: Sequence[bytes], arrivals: Sequence[float], decoded: Decoded
) -> bool:
    """Accept payloads of one ordinary event each, all or none; what they share is checked once."""
    text = b"".join(payloads)
    if len(text) > MAX_PAYLOAD_BYTES or not text.isascii() or _BACKSLASH in text:
        return False
    try:
        events = list(map(decode_event, payloads))
    except UNREADABLE:
        return False
    unlike = [
        event
        for event in events
        if event.type != "order"
        or event.status is None
        or event.seq == 0
        or event.amount is not None
        or event.items is not None
    ]
    times = [event.ts for event in events if event.ts is not None]
    if (ends := _ends(times, min(arrivals))) is not None:
        sound = all(map(_is_sound_but_for_time, unlike))
    else:
        sound = all(_is_sound(event, min(arrivals)) for event in events)
    if sound:
        orders = sum(event.type == "order" for event in unlike)
        dated = ends is not None and len(times) == len(events)
        decoded.shared.merge(Shared(orders == len(unlike), orders > 0, dated, *(ends or ())))
        decoded.events += events
        decoded.arrivals += arrivals
    return sound


def _ends(times: list[Any], arrival: float) -> tuple[float, float] | None:
    """Return the first and the last time, if all are plausible times in seconds."""
    try:
        first, last = min(times, default=inf), max(times, default=-inf)
        return (first, last) if first >= EARLIEST and last <= min(latest(arrival), _SECONDS) else None
    except TypeError:  # some are dates
        return None


def _decode_one(payload: bytes, arrival: float, decoded: Decoded) -> None:
    events = _accept_strictly(payload, arrival)
    if events is None:
        _read_payload(payload, arrival, decoded)
    elif isinstance(events, list):
        decoded.paired = False
        decoded.events += events
        decoded.arrivals += [arrival] * len(events)
    else:
        decoded.events.append(events)
        decoded.arrivals.append(arrival)


def accept_fields(fields: dict[str, Any], arrival: float, *, simple: bool = False) -> Event | None:
    """Return the event that consists of these fields, if all are of the stored types; otherwise `None`.

    The tolerant stage (tolerant.py) must read the same, or say what is wrong. `simple` promises that all texts come
    from a payload for the strict stage: a character is a byte, and none ends a moment.
    """
    if not simple and not _are_simple(fields):
        return None
    word, status = "", fields.get("status")
    if isinstance(status, str) and status not in STATUSES:
        canonical = STATUS_WORDS.get(status.lower())
        fields = {"reason": reason_of(status), **fields, "status": canonical}
        word = status_word(status)
    try:
        event = convert(fields, _Strict)
    except (*UNREADABLE, TypeError):
        return None
    if not _is_sound(event, arrival):
        return None
    event.status_word = word
    return event


def _are_simple(fields: dict[str, Any]) -> bool:
    parts = (fields, *fields.get("items", ()))
    text = "".join([value for part in parts for value in part.values() if value.__class__ is str])
    return text.isascii() and text.isprintable()


def is_simple(payload: bytes) -> bool:
    """Return whether a payload is one for the strict stage."""
    return payload.isascii() and _BACKSLASH not in payload


def _accept_strictly(payload: bytes, arrival: float) -> _Strict | list[_Strict] | None:
    if len(payload) > MAX_PAYLOAD_BYTES or not payload.isascii() or _BACKSLASH in payload:
        return None
    try:
        found = _decode_strictly(payload)
    except UNREADABLE:
        try:
            found = _decode_camel_case(payload)
        except UNREADABLE:
            return None
    if isinstance(found, list):
        return found if len(found) <= MAX_BATCH_EVENTS and all(_is_sound(event, arrival) for event in found) else None
    return found if _is_sound(found, arrival) else None


def _is_sound(event: _Strict, arrival: float) -> bool:
    """Check what types cannot express, and convert `ts` to seconds."""
    ts: float | datetime | None = event.ts
    if ts is not None:
        event.ts = moment = unix_time(ts) if isinstance(ts, datetime) else seconds(ts)
        if not EARLIEST <= moment <= latest(arrival):
            return False
    return _is_sound_but_for_time(event)


def _is_sound_but_for_time(event: _Strict) -> bool:
    if event.seq == 0 and event.type != "heartbeat":
        return False
    if event.type != "order":
        return _is_sound_other(event)
    if event.items is not None:
        event.quantity = 1
        if not all(_is_amount(item.amount) for item in event.items):
            return False
    return event.status is not None and _is_amount(event.amount)


def _is_sound_other(event: _Strict) -> bool:
    if event.type == "queue":
        return any(getattr(event, name) is not None for name in QUEUE_FIELDS)
    required = REQUIRED.get(event.type)
    if required is None:  # the fields of a sale are for the tolerant stage
        return event.type.lower() not in FIELDS
    return all(getattr(event, name) is not None for name in required)


def _is_amount(amount: Decimal | None) -> bool:
    return amount is None or (amount.is_finite() and 0 <= amount <= MAX_AMOUNT)


def _read_payload(payload: bytes, arrival: float, decoded: Decoded) -> None:
    """Read a payload that the strict stage did not accept."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        decoded.reject(too_large(payload, arrival))
        return
    payload = payload.removeprefix(BOM_UTF8)
    if _is_array(payload):
        _read_batch(payload, arrival, decoded)
    else:
        _read_event(payload, arrival, decoded)


def _is_array(payload: bytes) -> bool:
    return payload.lstrip(_JSON_SPACE)[:1] == b"["


def _read_batch(payload: bytes, arrival: float, decoded: Decoded) -> None:
    try:
        found = elements(payload)
    except UNREADABLE as error:
        decoded.reject(not_json(payload, arrival, error))
        return
    if len(found) > MAX_BATCH_EVENTS:
        decoded.reject(too_many(len(found), payload, arrival))
        return
    decoded.paired = False
    for element in found:
        event = _accept_strictly(element, arrival)
        if isinstance(event, _Strict):
            decoded.events.append(event)
            decoded.arrivals.append(arrival)
        else:
            _read_event(element, arrival, decoded)


def _read_event(payload: bytes, arrival: float, decoded: Decoded) -> None:
    """Read one event tolerantly."""
    try:
        fields = decode_plainly(payload)
    except msgspec.ValidationError:
        detail = "event: expected numbers that can be held, got one with too many digits"
        decoded.reject(unread("out_of_range", detail, payload, arrival, whole=True))
    except UNREADABLE as error:
        decoded.reject(not_json(payload, arrival, error))
    else:
        if isinstance(fields, dict):
            read_into(decoded, fields, payload, arrival)
        else:
            decoded.reject(not_object(payload, arrival))


def unknown_fields(payload: bytes) -> set[str]:
    """Return the unknown field names of a payload's first event; this costs ten times as much as decoding it."""
    try:
        payload = payload.removeprefix(BOM_UTF8)
        event = decode_plainly(elements(payload)[0] if _is_array(payload) else payload)
        names = unknown_names(event) if isinstance(event, dict) else set()
    except (*UNREADABLE, Rejected, IndexError):
        return set()
    return {name[:MAX_NAME_CHARACTERS] for name in sorted(names)[:MAX_NAMES]}
