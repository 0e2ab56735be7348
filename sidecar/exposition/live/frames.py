"""Messages -> frames of a WebSocket, past the library, which would copy and inspect a shared body for each client.

That is safe because compression is off, and because only control frames are written while a message has pieces left.
"""

import struct
from collections.abc import Iterator

from sidecar.exposition.live.subscriber import PIECE_BYTES, Body

CONTINUATION, TEXT, LAST = 0x00, 0x01, 0x80
WHOLE = TEXT | LAST
_SHORT, _MEDIUM, _LONG = (struct.Struct(form).pack for form in ("!BB", "!BBH", "!BBQ"))


def frame(first: int, size: int, *payload: bytes) -> bytes:
    """Return an unmasked frame of a server (RFC 6455, 5.2) with a payload of `size` bytes in parts.

    `first` is its first byte: the opcode and the final bit.
    """
    if size < 126:
        header = _SHORT(first, size)
    elif size < 65536:
        header = _MEDIUM(first, 126, size)
    else:
        header = _LONG(first, 127, size)
    return b"".join((header, *payload))


def fragments(head: bytes, body: Body) -> Iterator[bytes]:
    """Yield the frames of a large message, the first with the head. The body is shared until its pieces are yielded."""
    pieces = [(part, start) for part in body for start in range(0, len(part), PIECE_BYTES)]
    for left, (part, start) in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
        piece = part[start : start + PIECE_BYTES]
        if head:
            yield frame(TEXT, len(head) + len(piece), head, piece)
            head = b""
        else:
            yield frame(CONTINUATION if left else CONTINUATION | LAST, len(piece), piece)
