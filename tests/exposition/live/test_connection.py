"""What a connection writes: a small message at once, the pieces of a large one as there is room."""

from types import SimpleNamespace
from typing import Any

import pytest
from websockets.protocol import State

from sidecar.exposition.live.connection import Incoming
from sidecar.exposition.live.subscriber import PIECE_BYTES


class Roomy:
    """A transport of asyncio that always has room."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closing = False
        self.waiting = 0

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting


@pytest.fixture
def transport() -> Roomy:
    return Roomy()


@pytest.fixture
def connection(transport: Roomy) -> Incoming:
    made: Any = Incoming.__new__(Incoming)
    made.transport, made.protocol, made.paused = transport, SimpleNamespace(state=State.OPEN), False
    return made  # type: ignore[no-any-return]


def test_a_small_message_is_one_frame(connection: Incoming, transport: Roomy) -> None:
    connection.write(b"head", [b"bo", b"dy"])
    assert transport.frames == [b"\x81\x08headbody"]
    assert connection.idle


def test_the_pieces_of_a_large_message_wait_for_room_and_it_is_busy_until_then(
    connection: Incoming, transport: Roomy
) -> None:
    connection.paused = True
    connection.write(b"head", [bytes(2 * PIECE_BYTES), b"}"])
    assert (transport.frames, connection.idle) == ([], False)
    connection.paused = False
    connection.write_pieces()
    assert len(transport.frames) == 3
    assert connection.idle


def test_what_waits_to_be_sent_makes_it_busy(connection: Incoming, transport: Roomy) -> None:
    transport.waiting = 1
    assert not connection.idle


def test_no_piece_is_written_to_who_is_gone(connection: Incoming, transport: Roomy) -> None:
    transport.closing = True
    connection.write(b"head", [bytes(PIECE_BYTES), b"}"])
    assert (connection.open, connection.idle, transport.frames) == (False, True, [])
