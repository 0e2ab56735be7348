"""One connection of a WebSocket, to which messages are written past the library."""

import asyncio
import socket
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from sidecar.exposition.live.subscriber import CLOSING_SECONDS
from sidecar.exposition.live.writer import FrameWriter

OPEN = State.OPEN  # an attribute of the enumeration is looked up each time


class Incoming(FrameWriter, ServerConnection):
    """A connection that knows whether its client is authorized, and whether it is over. It is a `LiveTransport`."""

    authorized = False
    ending: asyncio.TimerHandle | None = None
    lost = False

    def handshake_done(self) -> None:
        """Note that the handshake is over."""

    @property
    def address(self) -> str:
        """The address of the client."""
        return str((self.remote_address or ("unknown",))[0])

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def full(self) -> bool:
        """Whether the transport has no room for more."""
        return self.paused

    async def wait(self) -> None:
        """Wait until the client has read nearly everything, or has left."""
        with suppress(OSError):  # it left
            await self.drain()
            while self.pieces is not None and self.open:
                await self.drain()

    def cut(self) -> None:
        """Close it at once, unless it is lost: then asyncio may fail."""
        if not self.lost:
            self.transport.abort()


def tracked(connections: set[ServerConnection], send_buffer_bytes: int, *, handshakes: int) -> type[ServerConnection]:
    """Return a connection class that updates the set of open ones, and cuts the oldest of too many handshakes."""
    waiting: dict[ServerConnection, None] = {}

    class Tracked(Incoming):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            connections.add(self)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            if len(waiting) >= handshakes:
                oldest = next(iter(waiting))
                del waiting[oldest]
                oldest.transport.abort()
            waiting[self] = None

        def handshake_done(self) -> None:
            waiting.pop(self, None)

        def resume_writing(self) -> None:
            super().resume_writing()
            self.write_pieces()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.protocol.close_expected() and self.ending is None:
                self.ending = self.loop.call_later(CLOSING_SECONDS, self.cut)

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost = True
            connections.discard(self)
            waiting.pop(self, None)
            if self.ending is not None:
                self.ending.cancel()
            super().connection_lost(exc)

    return Tracked
