"""Rejections: why a payload is no event, and which sequence numbers are known of it all the same."""

from sidecar.core.events.event import (
    MAX_BATCH_EVENTS,
    MAX_PAYLOAD_BYTES,
    MAX_REJECTED_BYTES,
    Rejection,
    RejectionReason,
)
from sidecar.core.events.hidden_numbers import numbers_in
from sidecar.core.events.lookalikes import looks_like, plain
from sidecar.core.events.spelling import respelled
from sidecar.core.events.tolerant import numbers_of

# Syntax, surrogates and UTF-8 are ValueErrors; then depth, and in the strict stage an exponent beyond Decimal.
UNREADABLE = (ValueError, RecursionError, ArithmeticError)
MAX_NAMES = 20
MAX_NAME_CHARACTERS = 64


def unread(reason: RejectionReason, detail: str, payload: bytes, arrival: float, *, whole: bool = False) -> Rejection:
    """Reject a payload; search its bytes for numbers. In a `whole` payload none is hidden."""
    numbers = numbers_in(payload)
    return Rejection(
        reason, detail, payload[:MAX_REJECTED_BYTES], arrival, () if numbers is None and whole else numbers
    )


def too_large(payload: bytes, arrival: float) -> Rejection:
    """Reject a payload that is longer than the limit."""
    detail = f"payload: expected at most {MAX_PAYLOAD_BYTES} bytes, got {len(payload)}"
    return unread("too_large", detail, payload, arrival)


def too_many(events: int, payload: bytes, arrival: float) -> Rejection:
    """Reject a batch of more events than the limit."""
    detail = f"payload: expected at most {MAX_BATCH_EVENTS} events in a batch, got {events}"
    return unread("too_large", detail, payload, arrival, whole=True)


def not_json(payload: bytes, arrival: float, error: Exception) -> Rejection:
    """Reject a payload that cannot be decoded."""
    cut = "; was it cut? publish the whole of it" if "truncated" in str(error) else ""
    detail = looks_like(payload) or plain(payload) or f"payload: expected JSON: {error}{cut}"
    return unread("not_json", detail, payload, arrival)


def not_object(payload: bytes, arrival: float) -> Rejection:
    """Reject a value that is neither an object nor a list of objects."""
    detail = looks_like(payload) or "event: expected a JSON object or an array of objects"
    return unread("not_object", detail, payload, arrival, whole=True)


def without_event(entry_id: str, fields: list[bytes], arrival: float, *, mapped: bool = False) -> Rejection:
    """Reject a stream entry without the event field; its other fields may be the event or hold it.

    `mapped`: the field is one that a mapping names.
    """
    names = [name.decode("utf-8", "backslashreplace")[:MAX_NAME_CHARACTERS] for name in fields[::2]]
    shown = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    detail = "e: the stream entry has no such field; put the JSON into it: XADD NAME * e '{...}'"
    if mapped:
        detail = "entry: the stream entry has no field that `entry` of its mapping names"
    payload = f"{entry_id} has {'the fields ' if shown else 'no fields'}{shown}".encode()
    named = dict(zip(names, (value.decode("utf-8", "replace") for value in fields[1::2]), strict=False))
    numbers = numbers_of(respelled(named)) or numbers_in(b"\n".join(fields[1::2]))
    return Rejection("missing_field", detail, payload[:MAX_REJECTED_BYTES], arrival, numbers)
