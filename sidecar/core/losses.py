"""What a stream lost. Two can tell: its counter of added entries, and the holes in the numbers of its producers.

One loss is one, whatever shows it. The counter tells at once, the holes 5 s after the next number of a producer: a
missed number that an entry known to be lost may have held is not counted again. The other way round, while a stream
has not been read to its end, holes may show what the counter will tell there. An entry may hold several events: of
both the larger counts.
"""

import msgspec
from msgspec import Struct

from sidecar.core.parts import MOST
from sidecar.core.stored import seal, unseal
from sidecar.errors import CheckpointError

LOSS = "l:"


class Loss(Struct, array_like=True):
    """What one of the two told of a stream and the other may still tell; the rest is settled.

    `entries` are lost and in no hole yet; `numbers` were missed since the stream was last read to its end, and are in
    no lost entry yet; `forgotten` are entries as the first, which were lost before a clear.
    """

    entries: int = 0
    numbers: int = 0
    forgotten: int = 0

    def lose(self, entries: int) -> int:
        """Take entries that the counter shows to be lost; return how many of them are missed besides the known."""
        known = min(entries, self.numbers)
        self.numbers -= known
        self.entries = min(self.entries + entries - known, MOST)
        return entries - known

    def miss(self, numbers: int) -> int:
        """Take numbers that never came; return how many of them are missed besides the known."""
        known = min(numbers, self.entries)
        self.entries -= known
        self.numbers = min(self.numbers + numbers - known, MOST)
        return numbers - known

    def forgive(self, numbers: int) -> int:
        """Take numbers that never came; return how many of them no entry held that was lost before a clear."""
        known = min(numbers, self.forgotten)
        self.forgotten -= known
        return numbers - known

    def forget(self, entries: int) -> None:
        """Learn of a clear, and how many of the lost entries were counted before it."""
        counted = min(entries, self.entries)
        self.entries -= counted
        self.forgotten = min(self.forgotten + counted, MOST)

    def recover(self, numbers: int) -> None:
        """Take missed numbers that still came: no lost entry held them."""
        self.numbers = max(self.numbers - numbers, 0)

    def dump(self, source: str) -> bytes:
        """Return the field `l:<source>` of the checkpoint."""
        return seal(LOSS + source, msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, source: str, stored: bytes) -> "Loss":
        """Return what was dumped. Raises CheckpointError if it is damaged."""
        try:
            return _decode(unseal(LOSS + source, stored))
        except msgspec.MsgspecError as exc:
            raise CheckpointError(f"what is stored of the losses of {source!r} cannot be read: {exc}") from exc


_decode = msgspec.msgpack.Decoder(Loss).decode
