"""Fields of payloads that events have no place for, read beside the events where custom metrics ask for them."""

from collections.abc import Collection, Sequence
from typing import Any

from sidecar.core.events.decode import Decoder
from sidecar.core.events.event import Decoded, Event
from sidecar.core.events.rejections import UNREADABLE
from sidecar.core.mapping import payloads as codecs
from sidecar.core.mapping.shapes import Paths, PlainLookup


class WithExtras:
    """A decoder that also reads what is at some paths of each payload, or of each element of an array."""

    def __init__(self, decoder: Decoder, paths: Collection[str]) -> None:
        self._decoder = decoder
        self._plain = {path: PlainLookup().get(path) for path in paths}
        named = Paths()
        named.get(*paths)
        shape = named.shape()
        self._decode_shape = shape.decode
        self._shaped = {path: shape.get(path) for path in paths}

    def __call__(self, payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        """Return the events and rejections of payloads, with `extras`; see Decoder."""
        decoded = self._decoder(payloads, arrivals)
        if decoded.paired:
            found = zip(decoded.events, map(self._of_payload, payloads), strict=True)
            decoded.extras = {id(event): extras[0] for event, extras in found if len(extras) == 1}
            return decoded
        result = Decoded([], [], [])
        for payload, arrival in zip(payloads, arrivals, strict=True):
            part = self._decoder([payload], [arrival])
            outcomes, extras = _in_order(part), self._of_payload(payload)
            if len(outcomes) == len(extras):  # a mapping may have dropped some, or made several of one
                pairs = zip(outcomes, extras, strict=True)
                part.extras = {id(event): one for event, one in pairs if event is not None}
            result.extend(part)
        return result

    def _of_payload(self, payload: bytes) -> list[dict[str, Any]]:
        """Return what is at the paths, for each element; nothing if it cannot be decoded."""
        try:
            value = self._decode_shape(payload)
            return [{path: get(value) for path, get in self._shaped.items()}]
        except UNREADABLE:
            pass
        try:
            value = codecs.decoded(codecs.text_of(payload))
        except UNREADABLE:
            return []
        elements = value if isinstance(value, list) else [value]
        return [{path: get(element) for path, get in self._plain.items()} for element in elements]


def _in_order(decoded: Decoded) -> list[Event | None]:
    """Return the events with `None` for each rejection, as they stood in the payload."""
    found: list[Event | None] = []
    start = 0
    for before in decoded.events_before:
        found += [*decoded.events[start:before], None]
        start = before
    return found + decoded.events[start:]
