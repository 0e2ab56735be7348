"""Channel names, and the patterns of Redis that match them.

`*` matches any bytes, `?` any one, `[ab]` and `[a-c]` one of these, `[^a]` one other; a backslash escapes the next
byte. A pattern is parsed to steps: each is the set of bytes that may come next, or `None` for a star.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

Step = frozenset[int] | None
BYTES = frozenset(range(256))
# The order in which bytes are chosen for an example: readable ones first.
_READABLE = {byte: rank for rank, byte in enumerate(b"abcdefghijklmnopqrstuvwxyz0123456789")}

LONGEST = 128  # longer channel names are stored cut, with a digest
_PERCENT = ord("%")


def is_pattern(name: str) -> bool:
    """Return whether a configured name is a pattern."""
    return any(sign in name for sign in "*?[")


def example(name: str, filling: str) -> str:
    """Return a channel that a name or pattern matches, with `filling` for each `*`."""
    found = (filling.encode() if step is None else _first(step) for step in _steps(name))
    return b"".join(found).decode(errors="replace")


def shared(one: str, other: str) -> str | None:
    """Return a channel that two names or patterns both match, `None` if there is none.

    A pattern that matches nothing, such as `[]`, shares none even with itself.
    """
    mine, theirs = _steps(one), _steps(other)
    waiting = deque([(0, 0, b"")])
    seen = {(0, 0)}
    while waiting:
        at, to, channel = waiting.popleft()
        if at == len(mine) and to == len(theirs):
            return channel.decode(errors="replace")
        for further_at, further_to, byte in _onward(mine, theirs, at, to):
            if (further_at, further_to) not in seen:
                seen.add((further_at, further_to))
                waiting.append((further_at, further_to, channel + byte))
    return None


def _onward(mine: list[Step], theirs: list[Step], at: int, to: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the pairs of positions that follow a pair of positions, and the byte that leads there, if any."""
    step = mine[at] if at < len(mine) else frozenset()
    other = theirs[to] if to < len(theirs) else frozenset()
    if step is None:
        yield at + 1, to, b""
    if other is None:
        yield at, to + 1, b""
    if both := (BYTES if step is None else step) & (BYTES if other is None else other):
        yield at + (step is not None), to + (other is not None), _first(both)


def _first(step: frozenset[int]) -> bytes:
    return bytes([min(step, key=lambda byte: (_READABLE.get(byte, len(_READABLE)), byte))])


def _steps(name: str) -> list[Step]:
    """Parse a name or pattern, with the quirks of `stringmatchlen` in Redis."""
    text = name.encode()
    if not is_pattern(name):
        return [frozenset([byte]) for byte in text]
    steps: list[Step] = []
    at = 0
    while at < len(text):
        sign = text[at : at + 1]
        if sign == b"*":
            steps.append(None)
        elif sign == b"?":
            steps.append(BYTES)
        elif sign == b"[":
            step, at = _class(text, at + 1)
            steps.append(step)
        else:
            at += sign == b"\\" and at + 1 < len(text)
            steps.append(frozenset([text[at]]))
        at += 1
    return steps


def _class(text: bytes, at: int) -> tuple[frozenset[int], int]:
    """Parse a class from `[` to `]` or the end; return it and the index of its last byte."""
    negated = text[at : at + 1] == b"^"
    at += negated
    found: set[int] = set()
    while at < len(text) and text[at : at + 1] != b"]":
        if text[at : at + 1] == b"\\" and at + 1 < len(text):
            at += 1
            found.add(text[at])
        elif text[at + 1 : at + 2] == b"-" and at + 2 < len(text):
            low, high = sorted((_signed(text[at]), _signed(text[at + 2])))
            found.update(byte for byte in BYTES if low <= _signed(byte) <= high)
            at += 2
        else:
            found.add(text[at])
        at += 1
    return (BYTES - found if negated else frozenset(found)), at


def _signed(byte: int) -> int:
    """Return a byte as a signed C `char`, as Redis compares the ends of a range."""
    return byte - 256 if byte > 127 else byte


@lru_cache(maxsize=4096)
def label(channel: bytes) -> str:
    """Return a printable ASCII name of bounded length, different for every channel."""
    text = "".join(chr(byte) if 32 <= byte < 127 and byte != _PERCENT else f"%{byte:02X}" for byte in channel[:LONGEST])
    return text if len(channel) <= LONGEST else f"{text}%...{sha256(channel).hexdigest()}"
