"""WebSocket clients on bare sockets, and a scraper: a program of its own, `python -m benchmarks.clients`.

Prints `ready` when every client is subscribed. Then, for each line it should report on, waits `--seconds`, and prints
one line of JSON: updates, bytes of one, and how late they were. An update is due one interval after the one before it;
a client's phase is that of its most punctual update.
"""

import argparse
import asyncio
import json
import resource
import struct
import time
import urllib.request

ASK = b'{"event":"subscribe-metrics","data":{"interval_ms":1000}}'
INTERVAL = 1.0
SCRAPE_SECONDS = 5.0
AT_ONCE = 50  # handshakes under way


class Client(asyncio.Protocol):
    """Subscribe at 1 Hz and note when updates come."""

    def __init__(self, port: int, subscribed: "asyncio.Future[None]") -> None:
        self._port = port
        self._subscribed = subscribed
        self._buffer = bytearray()
        self._open = False
        self.arrivals: list[float] = []
        self.size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._transport.write(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % self._port
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            self._finish_handshake()
        while self._open and self._take_frame():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._subscribed.done():
            self._subscribed.set_exception(exc or ConnectionError("closed"))

    def _finish_handshake(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end >= 0:
            del self._buffer[: end + 4]
            self._open = True
            self._transport.write(struct.pack("!BB4x", 0x81, 0x80 | len(ASK)) + ASK)  # masked with zeros

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 10:
            return False
        size, start = buffer[1], 2
        if size == 126:
            size, start = struct.unpack_from("!H", buffer, 2)[0], 4
        elif size == 127:
            size, start = struct.unpack_from("!Q", buffer, 2)[0], 10
        if len(buffer) < start + size:
            return False
        if buffer[0] == 0x89:
            self._transport.write(struct.pack("!BB4x", 0x8A, 0x80 | size) + buffer[start : start + size])
        elif buffer.startswith(b'{"event":"metrics-update"', start):
            self.arrivals.append(time.monotonic())
            self.size = size + start
            if not self._subscribed.done():
                self._subscribed.set_result(None)
        del buffer[: start + size]
        return True


async def connect(port: int, count: int) -> list[Client]:
    """Return clients, each of which has had its first update."""
    loop = asyncio.get_running_loop()
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Client:
        await asyncio.sleep(number / count * min(count / 500, 10))  # spread over the second, as real ones are
        async with turns:
            subscribed: asyncio.Future[None] = loop.create_future()
            _, client = await loop.create_connection(lambda: Client(port, subscribed), "127.0.0.1", port)
            await asyncio.wait_for(subscribed, 60)
            return client

    return list(await asyncio.gather(*(one(number) for number in range(count))))


def lateness_ms(arrivals: list[float]) -> list[float]:
    """Return how late each update came, by the phase of the most punctual one."""
    offsets = [at - round((at - arrivals[0]) / INTERVAL) * INTERVAL for at in arrivals]
    return [(offset - min(offsets)) * 1000 for offset in offsets]


async def scrape(url: str) -> None:
    """Read `/metrics` as Prometheus does, for ever."""
    while True:
        await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        await asyncio.sleep(SCRAPE_SECONDS)


async def main() -> None:
    """Do what the arguments say, until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=0.0, help="report after so long; 0 runs on")
    parser.add_argument("--scrape", default="")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    scraper = asyncio.create_task(scrape(given.scrape)) if given.scrape else None
    clients = await connect(given.port, given.count)
    print("ready", flush=True)
    if not given.seconds:
        await (scraper or asyncio.Event().wait())
    for client in clients:
        client.arrivals.clear()
    await asyncio.sleep(given.seconds)
    late = sorted(ms for client in clients if client.arrivals for ms in lateness_ms(client.arrivals))
    told = {"updates": len(late), "bytes": max(c.size for c in clients), "p50": late[len(late) // 2]}
    print(json.dumps({**told, "p99": late[int(len(late) * 0.99)], "max": late[-1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
