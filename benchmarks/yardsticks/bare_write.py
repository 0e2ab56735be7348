"""Bare `transport.write`: a server that answers the WebSocket handshake and writes the same bytes to each every second.

No library, no subscription, no frame of each client's own: what sending alone costs. Clients are spread over the
second: written all at once they cost more, since they read while the server writes. Prints its port, then `ready`.
"""

import asyncio
import itertools
import struct
import sys

# The answer to the one key that benchmarks.clients sends.
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
HEAD = b'{"event":"metrics-update","seq":1,"skipped":0,"data":'
BACKLOG = 1024
TURNS = 25  # a second: five thousand clients are 200 a turn

turns: list[set[asyncio.WriteTransport]] = [set() for _ in range(TURNS)]
places = itertools.cycle(turns)


class Server(asyncio.Protocol):
    """One client; what it sends after the handshake is taken as a subscription."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._turn = next(places)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self._transport.write(ACCEPT)
        else:
            self._transport.write(self._frame)
            self._turn.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._turn.discard(self._transport)


async def main(size: int) -> None:
    """Serve frames of `size` bytes."""
    payload = HEAD + b'"' + b"x" * (size - len(HEAD) - 7) + b'"}'
    frame = struct.pack("!BBH", 0x81, 126, len(payload)) + payload
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(frame), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], "ready", sep="\n", flush=True)
    due = loop.time()
    for turn in itertools.cycle(turns):
        due += 1 / TURNS
        await asyncio.sleep(due - loop.time())
        for client in turn:
            client.write(frame)


asyncio.run(main(int(sys.argv[1])))
