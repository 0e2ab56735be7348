"""Bare `transport.write`: a server that answers the WebSocket handshake and writes the same bytes to all once a second.

No library, no subscription, no frame of each client's own: what sending alone costs. Prints its port, then `ready`.
"""

import asyncio
import struct
import sys

# The answer to the one key that benchmarks.clients sends.
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
HEAD = b'{"event":"metrics-update","seq":1,"skipped":0,"data":'
BEFORE_YIELD = 200
BACKLOG = 1024

clients: set[asyncio.WriteTransport] = set()


class Server(asyncio.Protocol):
    """One client; what it sends after the handshake is taken as a subscription."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self._transport.write(ACCEPT)
        else:
            self._transport.write(self._frame)
            clients.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        clients.discard(self._transport)


async def main(size: int) -> None:
    """Serve frames of `size` bytes."""
    payload = HEAD + b'"' + b"x" * (size - len(HEAD) - 7) + b'"}'
    frame = struct.pack("!BBH", 0x81, 126, len(payload)) + payload
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(frame), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], "ready", sep="\n", flush=True)
    due = loop.time()
    while True:
        due += 1
        await asyncio.sleep(due - loop.time())
        for number, client in enumerate(list(clients), 1):
            client.write(frame)
            if number % BEFORE_YIELD == 0:
                await asyncio.sleep(0)


asyncio.run(main(int(sys.argv[1])))
