"""Messages -> frames on a transport of asyncio, past the library that reads them: large ones in pieces."""

import asyncio
from collections.abc import Iterator

from sidecar.exposition.live.frames import WHOLE, fragments, frame
from sidecar.exposition.live.subscriber import PIECE_BYTES, Body
from sidecar.exposition.live.subscriptions import RequestId, head


class FrameWriter:
    """Writes the messages of the WebSocket protocol; a class that has it says whether the buffer is `full`."""

    transport: asyncio.Transport
    pieces: Iterator[bytes] | None = None  # the frames of a large message that are not written yet

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Whether the transport has no room for more."""
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """Whether everything written was sent."""
        return self.pieces is None and not self.transport.get_write_buffer_size()

    def update(self, seq: int, skipped: int, document: Body) -> None:
        """Write a `metrics-update`."""
        self.write(b'{"event":"metrics-update","seq":%d,"skipped":%d,"data":' % (seq, skipped), [*document, b"}"])

    def answer(self, event: str, id: RequestId, document: Body) -> None:
        """Write another message."""
        self.write(head(event, id), [*document, b"}"])

    def write(self, head: bytes, body: Body) -> None:
        """Write a message; a large one in pieces, each when there is room."""
        size = sum(map(len, body))
        if size <= PIECE_BYTES:
            self.transport.write(frame(WHOLE, len(head) + size, head, *body))
        else:
            self.pieces = fragments(head, body)
            self.write_pieces()

    def write_pieces(self) -> None:
        """Write pieces until there is no room for more."""
        while self.pieces is not None and not self.full:
            piece = next(self.pieces, None)
            if piece is None or not self.open:
                self.pieces = None
            else:
                self.transport.write(piece)
