"""Fields of payloads that events have no place for, read beside the events where custom metrics ask for them."""

from collections.abc import Collection, Sequence
from typing import Any

from sidecar.core.events.decode import TOGETHER, DecodeEvent, accept_together, decode, decoder_of
from sidecar.core.events.event import Decoded, Event
from sidecar.core.events.rejections import UNREADABLE
from sidecar.core.mapping import payloads as codecs
from sidecar.core.mapping.direct import first_names
from sidecar.core.mapping.shapes import Paths, PlainLookup


class WithExtras:
    """Decode events of our own with what is at some paths of each payload, or of each element of an array.

    Ordinary events are decoded together, and have further attributes. Others are decoded twice.
    """

    def __init__(self, paths: Collection[str]) -> None:
        firsts = first_names(paths)
        self._decode_directly = None if firsts is None else decoder_of(None, firsts)
        self._plain = {path: PlainLookup().get(path) for path in paths}
        named = Paths()
        named.get(*paths)
        shape = named.shape()
        self._decode_shape = shape.decode
        self._shaped = {path: shape.get(path) for path in paths}

    def __call__(self, payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        """Return the events and rejections of payloads, with `extras`; see Decoder."""
        if self._decode_directly is None:
            return self._decode_twice(payloads, arrivals)
        result = Decoded([], [], [])
        for start in range(0, len(payloads), TOGETHER):
            some = slice(start, start + TOGETHER)
            self._decode_some(self._decode_directly, payloads[some], arrivals[some], result)
        return result

    def _decode_some(
        self, directly: DecodeEvent, payloads: Sequence[bytes], arrivals: Sequence[float], result: Decoded
    ) -> None:
        """Decode payloads together; if that fails, decode each half, so that an odd one is soon alone."""
        if accept_together(directly, payloads, arrivals, result):
            return
        if len(payloads) == 1:
            result.extend(self._decode_twice(payloads, arrivals))
            return
        half = len(payloads) // 2
        self._decode_some(directly, payloads[:half], arrivals[:half], result)
        self._decode_some(directly, payloads[half:], arrivals[half:], result)

    def _decode_twice(self, payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        decoded = decode(payloads, arrivals)
        if decoded.paired:
            found = zip(decoded.events, map(self._of_payload, payloads), strict=True)
            decoded.extras = {id(event): extras[0] for event, extras in found if len(extras) == 1}
            return decoded
        result = Decoded([], [], [])
        for payload, arrival in zip(payloads, arrivals, strict=True):
            part = decode([payload], [arrival])
            outcomes, extras = _in_order(part), self._of_payload(payload)
            if len(outcomes) == len(extras):
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
