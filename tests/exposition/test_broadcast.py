"""Frames; what clients see of them is in test_websocket."""

import pytest
from websockets.frames import Frame, Opcode

from sidecar.exposition.broadcast import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_the_one_the_library_writes(size: int) -> None:
    head, body = b"h" * (size // 2), b"b" * (size - size // 2)
    assert text_frame(head, body) == Frame(Opcode.TEXT, head + body).serialize(mask=False)
