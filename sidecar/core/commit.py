"""What a commit is: the values that go to the store and come back from it."""

from typing import Literal

from msgspec import Struct

from sidecar.core.aggregate import Flight

START = "0-0"
POSITION = "p:"

Outcome = Literal["OK", "CONFLICT", "EMPTY", "CLEARED", "REREAD", "ANEW"]


class Position(Struct, frozen=True, array_like=True):
    """How far a stream was read.

    `seen` entries of it were read; `base` were added before the first of ours or are counted as missed (-1: not known
    yet); `added` is the newest `entries-added`.
    """

    id: str = START
    seen: int = 0
    base: int = -1
    added: int = 0


class Commit(Struct, frozen=True, kw_only=True):
    """One flight with everything the script checks it against. Sent again as it is when no answer came."""

    number: int
    expected: str
    generation: str
    replid: str
    token: str
    full: bool
    positions: dict[str, Position]
    flight: Flight


class Answer(Struct, frozen=True, kw_only=True):
    """What the script found: the outcome, and the number, token, generation and replid it met."""

    outcome: Outcome
    number: int
    token: str
    generation: str
    replid: str
    stream: str = ""


def order(entry_id: str) -> tuple[int, ...]:
    """Return what entry ids compare by."""
    return tuple(map(int, entry_id.split("-")))


def holder_of(token: str) -> str:
    """Return the process that wrote the token."""
    return token.split(" ")[0]


def era_of(token: str) -> str:
    """Return the token's era."""
    return token.split(" ")[1]
