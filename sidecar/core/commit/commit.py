"""The values of a commit that go to the store and come back."""

from typing import Literal
from zlib import crc32

import msgspec
from msgspec import Struct

from sidecar.core.commit.aggregator import Flight
from sidecar.core.events.batch import EntryId
from sidecar.errors import CheckpointError

START = "0-0"
POSITION = "p:"

CommitOutcome = Literal["OK", "CONFLICT", "EMPTY", "CLEARED", "REREAD", "RESET"]


class Position(Struct, frozen=True, array_like=True):
    """How far a stream was read.

    `seen` entries were read; `base` were added before the first of them, or count as missed (-1: not known yet);
    `added` is the newest `entries-added`. `away`: the stream is known to be missing, or to end before `id`.
    """

    id: str = START
    seen: int = 0
    base: int = -1
    added: int = 0
    away: bool = False

    def dump(self, stream: str) -> bytes:
        """Return the stored form: JSON with a checksum that covers the name of the stream, too."""
        stored = [self.id, self.seen, self.base, self.added, self._checksum(stream)]
        return msgspec.json.encode([*stored, True] if self.away else stored)

    @classmethod
    def load(cls, stream: str, stored: bytes) -> "Position":
        """Return the dumped position. Raises CheckpointError if it is damaged, or of another stream."""
        try:
            read = _decode_position(stored)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise CheckpointError(f"the stored position in stream {stream!r} cannot be read: {exc}") from exc
        position = cls(read.id, read.seen, read.base, read.added, read.away)
        if read.checksum != position._checksum(stream):
            raise CheckpointError(f"the stored position in stream {stream!r} is damaged: its checksum is wrong")
        return position

    def _checksum(self, stream: str) -> int:
        covered = [stream, self.id, self.seen, self.base, self.added]
        return crc32(msgspec.json.encode([*covered, True] if self.away else covered))


class _Stored(Struct, array_like=True, forbid_unknown_fields=True):
    """A Position as it is stored. Before version 0.2 there was no `away`."""

    id: EntryId
    seen: int
    base: int
    added: int
    checksum: int
    away: bool = False


_decode_position = msgspec.json.Decoder(_Stored).decode


class Commit(Struct, frozen=True, kw_only=True):
    """One flight, with everything that the script checks. It is sent again unchanged if no answer came."""

    number: int
    expected: str
    generation: str
    replid: str
    token: str
    full: bool
    positions: dict[str, Position]
    unchecked: frozenset[str] = frozenset()  # streams known to end before their position
    flight: Flight


class CommitAnswer(Struct, frozen=True, kw_only=True):
    """The answer of the script: the outcome, and the number, token, generation and replid that it found."""

    outcome: CommitOutcome
    number: int
    token: str
    generation: str
    replid: str
    stream: str = ""
    said: str = ""  # the last announcement of a sale, as JSON


def order(entry_id: str) -> tuple[int, ...]:
    """Return the sort key of an entry id."""
    return tuple(map(int, entry_id.split("-")))


def owner_of(token: str) -> str:
    """Return the owner in a token."""
    return token.split(" ")[0]


def era_of(token: str) -> str:
    """Return the era in a token."""
    return token.partition(" ")[2].partition(" ")[0]
