"""Recorded events -> events of now: with other times, and numbers that are new to whoever counts them."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec

from sidecar.core.events.batch import Batch
from sidecar.core.events.event import MAX_EPOCH
from sidecar.core.events.source import key_of
from sidecar.core.events.values import Unfit, decode_plainly, timestamp

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Shift:
    """Moves what began at `began` to `now` (Unix seconds), at `speed` times its pace."""

    def __init__(self, *, began: float, now: float, speed: float) -> None:
        self._began = began
        self._now = now
        self._speed = speed
        self._epochs: dict[tuple[str, str], int] = {}

    def at(self, then: float) -> float:
        """Return the new time of a recorded one."""
        return self._now + (then - self._began) / self._speed

    def payload(self, payload: bytes) -> bytes:
        """Return a payload with new times and epochs; one that is no JSON object stays as it is."""
        try:
            value = decode_plainly(payload)
            for one in value if isinstance(value, list) else [value]:
                for event in (one, one.get("data")) if isinstance(one, dict) else ():
                    if isinstance(event, dict):
                        self._move(event)
            return _encode(value)
        except (ValueError, RecursionError):
            return payload

    def _move(self, event: dict[str, Any]) -> None:
        names = {name.lower(): name for name in event}
        for time in (names.get("ts"), "time" if "specversion" in event else None):
            try:
                if time is not None:
                    event[time] = self.at(timestamp(event.get(time)))
            except Unfit:
                pass
        if "seq" in names:
            epoch = names.get("epoch", "epoch")
            event[epoch] = self._epoch(str(event.get(names.get("producer", ""))), str(event.get(epoch)))

    def _epoch(self, producer: str, epoch: str) -> int:
        """Return a new epoch for each known one, larger than those before."""
        first = int(self._now * 1000)
        return min(self._epochs.setdefault((producer, epoch), first + len(self._epochs)), MAX_EPOCH)


def destinations(batch: Batch) -> Iterator[tuple[str, str, list[bytes]]]:
    """Yield transport, channel or stream, and the payloads that went there together, in order."""
    transport, name = batch.source.partition(":")[0], key_of(batch.source)
    if batch.channels is None:
        yield transport, name, batch.payloads
        return
    for channel, pairs in groupby(zip(batch.channels, batch.payloads, strict=True), lambda pair: pair[0]):
        yield transport, channel.decode("utf-8", "surrogateescape"), [payload for _, payload in pairs]
