"""The sequence numbers in a payload that is rejected as a whole: a number that was received is not missed.

The payload cannot be parsed (a cut array, half a character, several objects, JSON in a string), so its bytes are
searched. A value that may be cut is not taken. If there is a sequence field without a readable number, the payload may
have had one; without such a field it was not numbered.
"""

import re
from collections.abc import Iterator
from typing import Any

from sidecar.core.events.event import MAX_BATCH_EVENTS, MAX_PAYLOAD_BYTES, Number
from sidecar.core.events.values import VALUES, Unfit

_FIELD = re.compile(
    rb'\\?"(producer|epoch|seq)\\?"\s*:\s*(?:\\?"([^"\\]*)\\?"|(-?[0-9]{1,30})(?:\.0+)?(?=[\s,}\]]))', re.IGNORECASE
)
_MAY_HAVE_ONE = re.compile(rb'producer|\\?"(?:epoch|seq)\\?"|\xa3seq', re.IGNORECASE)


def numbers_in(payload: bytes) -> tuple[Number, ...] | None:
    """Return the numbers in an invalid payload, up to the limit of a batch; `None` if some may be unreadable."""
    found: list[Number] = []
    for fields in _objects(payload[:MAX_PAYLOAD_BYTES]):
        if fields.get("producer") is not None and fields.get("seq"):
            found.append(Number(fields["producer"], fields.get("epoch"), fields["seq"]))
        if len(found) == MAX_BATCH_EVENTS:
            break
    return tuple(found) if found or not _MAY_HAVE_ONE.search(payload) else None


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
