"""The numbers of events in a payload that is rejected whole: a number that was received is not missed.

The bytes are searched, since they cannot be parsed: a number that is not JSON, an array that was cut, half a character,
several objects in a row, JSON within a string. A value that may itself be cut is not taken. If there is a sequence
field without a number, there may have been one that cannot be read; a payload without such a field was not numbered.
"""

import re
from collections.abc import Iterator
from typing import Any

from sidecar.core.events.event import MAX_BATCH_EVENTS, MAX_PAYLOAD_BYTES, Number
from sidecar.core.events.values import VALUES, Unfit

_FIELD = re.compile(
    rb'\\?"(producer|epoch|seq)\\?"\s*:\s*(?:\\?"([^"\\]*)\\?"|(-?[0-9]{1,30})(?:\.0+)?(?=[\s,}\]]))', re.IGNORECASE
)
_HAD_ONE = re.compile(rb'producer|\\?"(?:epoch|seq)\\?"|\xa3seq', re.IGNORECASE)


def numbers_in(payload: bytes) -> tuple[Number, ...] | None:
    """Return the numbers in a broken payload, at most as many as a batch has; `None` if some may be unreadable."""
    found: list[Number] = []
    for fields in _objects(payload[:MAX_PAYLOAD_BYTES]):
        if fields.get("producer") is not None and fields.get("seq"):
            found.append(Number(fields["producer"], fields.get("epoch"), fields["seq"]))
        if len(found) == MAX_BATCH_EVENTS:
            break
    return tuple(found) if found or not _HAD_ONE.search(payload) else None


def _objects(payload: bytes) -> Iterator[dict[str, Any]]:
    """Yield the sequence fields of each object: a repeated name begins the next object."""
    fields: dict[str, Any] = {}
    for match in _FIELD.finditer(payload):
        name = match[1].decode().lower()
        if name in fields:
            yield fields
            fields = {}
        fields[name] = _value(name, match[2], match[3])
    yield fields


def _value(name: str, text: bytes | None, number: bytes | None) -> Any:
    try:
        return VALUES[name][0](text.decode() if text is not None else int(number or 0))
    except (Unfit, UnicodeDecodeError):
        return None
