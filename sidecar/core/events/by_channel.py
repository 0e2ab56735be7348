"""The messages of a pattern, by channel."""

from itertools import groupby

from msgspec import Struct

from sidecar.core.events.channels import label
from sidecar.core.events.decode import Decoder
from sidecar.core.events.event import Decoded


class Origins(Struct, frozen=True):
    """The channels of events and rejections, in order."""

    events: list[str]
    rejections: list[str]


def decode_by_channel(
    decode: Decoder, payloads: list[bytes], arrivals: list[float], channels: list[bytes]
) -> tuple[Decoded, Origins]:
    """Decode the messages of a pattern; also return the channels of events and rejections."""
    names = list(map(label, channels))
    decoded = decode(payloads, arrivals)
    if decoded.paired:
        return decoded, Origins(names, [])
    decoded, origins, start = Decoded([], [], []), Origins([], []), 0
    for name, run in groupby(names):
        end = start + len(list(run))
        part = decode(payloads[start:end], arrivals[start:end])
        decoded.extend(part)
        origins.events.extend([name] * len(part.events))
        origins.rejections.extend([name] * len(part.rejections))
        start = end
    return decoded, origins
