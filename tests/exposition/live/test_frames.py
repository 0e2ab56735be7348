"""Frames are those that the library would write."""

import pytest
from websockets.frames import Frame, Opcode

from sidecar.exposition.live.frames import WHOLE, fragments, frame
from sidecar.exposition.live.subscriber import PIECE_BYTES


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_the_one_the_library_writes(size: int) -> None:
    head, body = b"h" * (size // 2), b"b" * (size - size // 2)
    assert frame(WHOLE, size, head, body) == Frame(Opcode.TEXT, head + body).serialize(mask=False)


@pytest.mark.parametrize("size", [PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_a_large_message_is_fragments_of_one_text(size: int) -> None:
    head, body = b"head", bytes(range(256)) * (size // 256) + b"b" * (size % 256)
    pieces = [body[start : start + PIECE_BYTES] for start in range(0, size, PIECE_BYTES)]
    frames = [Frame(Opcode.TEXT, head + pieces[0], fin=False)]
    frames += [Frame(Opcode.CONT, piece, fin=False) for piece in pieces[1:-1]]
    frames.append(Frame(Opcode.CONT, pieces[-1]))
    assert list(fragments(head, [body])) == [one.serialize(mask=False) for one in frames]
