"""What a stream lost. Two things show it: the stream's counter of added entries, and holes in sequence numbers.

A loss counts once. The counter shows it at once, a hole 5 s after the producer's next number: a missed number that a
lost entry may have had is not counted again. Conversely, a hole may show a loss that the counter shows only once the
stream is read to its end. An entry may have several events, so the larger of the two counts.
"""

import msgspec
from msgspec import Struct

from sidecar.core.checkpoint.codec import seal, unseal
from sidecar.core.counts.parts import MOST
from sidecar.errors import CheckpointError

LOSS = "l:"


class Loss(Struct, array_like=True):
    """What one of the two has shown and the other may still show.

    `entries` are lost entries that no hole has shown yet. `numbers` were missed since the stream was last read to its
    end, and no lost entry explains them yet. `forgotten` are like `entries`, but were lost before a clear.
    """

    entries: int = 0
    numbers: int = 0
    forgotten: int = 0

    def lose(self, entries: int) -> int:
        """Take entries that the counter shows as lost; return how many of them are newly missed."""
        known = min(entries, self.numbers)
        self.numbers -= known
        self.entries = min(self.entries + entries - known, MOST)
        return entries - known

    def miss(self, numbers: int) -> int:
        """Take numbers that never came; return how many of them are newly missed."""
        known = min(numbers, self.entries)
        self.entries -= known
        self.numbers = min(self.numbers + numbers - known, MOST)
        return numbers - known

    def forgive(self, numbers: int) -> int:
        """Take numbers that never came; return how many of them no entry lost before a clear explains."""
        known = min(numbers, self.forgotten)
        self.forgotten -= known
        return numbers - known

    def forget(self, entries: int) -> None:
        """Note a clear; `entries` of the lost ones were counted before it."""
        counted = min(entries, self.entries)
        self.entries -= counted
        self.forgotten = min(self.forgotten + counted, MOST)

    def recover(self, numbers: int) -> None:
        """Take missed numbers that were recovered: they were not in lost entries."""
        self.numbers = max(self.numbers - numbers, 0)

    def dump(self, source: str) -> bytes:
        """Return the entry `l:<source>` of the checkpoint."""
        return seal(LOSS + source, msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, source: str, stored: bytes) -> "Loss":
        """Return the dumped losses. Raises CheckpointError if they are damaged."""
        try:
            return _decode(unseal(LOSS + source, stored))
        except msgspec.MsgspecError as exc:
            raise CheckpointError(f"the stored losses of {source!r} cannot be read: {exc}") from exc


_decode = msgspec.msgpack.Decoder(Loss).decode
