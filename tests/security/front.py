"""Both servers with one guard in front, and raw bytes to throw at them."""

import asyncio
import json
import re
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from sidecar.config import HttpConfig, WsConfig
from sidecar.exposition.access.guard import Guard
from sidecar.exposition.http.server import HttpServer
from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.upgrade import WebSocketPath
from sidecar.exposition.live.websocket import WebSocketServer
from sidecar.exposition.published import Latest
from sidecar.process.telemetry import Telemetry
from tests.exposition.monitors import MemoryMonitor, exposition
from tests.exposition.snapshots import snapshot

Address = tuple[str, int]
LIMIT_SECONDS = 15.0
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n"
)


class Front(Struct):
    """Where the servers listen, and what stands behind them."""

    http: Address
    ws: Address
    guard: Guard
    monitor: MemoryMonitor
    registry: CollectorRegistry
    writers: list[asyncio.StreamWriter] = []

    async def connect(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; the connection ends with the servers."""
        reader, writer = await asyncio.open_connection(*address)
        self.writers.append(writer)
        return reader, writer

    def refused(self, server: str, reason: str) -> float:
        """Return how often somebody was refused."""
        labels = {"server": server, "reason": reason}
        return self.registry.get_sample_value("flash_sale_sidecar_requests_refused_total", labels) or 0


@asynccontextmanager
async def front(http: HttpConfig | None = None, ws: WsConfig | None = None) -> AsyncIterator[Front]:
    """Run both servers on free ports."""
    registry, latest, monitor = CollectorRegistry(), Latest(), MemoryMonitor()
    latest.publish(snapshot())
    telemetry = Telemetry(registry, version="0", sources=())
    guard = Guard(http or HttpConfig(), telemetry=telemetry, clock=time.monotonic)
    free = replace(ws or WsConfig(), listen="127.0.0.1:0")
    clients = LiveClients(free, guard=guard, latest=latest, monitor=monitor, telemetry=telemetry)
    sockets = WebSocketServer(clients)
    live = [WebSocketPath(clients, "127.0.0.1")]
    pages = HttpServer("127.0.0.1:0", guard=guard, latest=latest, monitor=monitor, exposition=exposition(), live=live)
    clients.start()
    await pages.start()
    await sockets.start()
    there = Front(pages.address, sockets.address, guard, monitor, registry)
    try:
        yield there
    finally:
        for writer in there.writers:
            writer.transport.abort()
        clients.stop()
        await asyncio.gather(pages.stop(), sockets.stop())


async def rest(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """Return all that comes until the server closes, which it must within so long."""
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65536):
                answer += piece
    except ConnectionError:
        pass  # closed, with something of ours unread
    return answer


async def throw(
    address: Address, data: bytes, *, quiet: float = LIMIT_SECONDS, tls: ssl.SSLContext | None = None
) -> bytes:
    """Send bytes and return all that comes until the server closes, or says nothing for `quiet` seconds."""
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    answer = b""
    try:
        writer.write(data)
        async with asyncio.timeout(LIMIT_SECONDS):
            while piece := await asyncio.wait_for(reader.read(65536), quiet):
                answer += piece
    except ConnectionError:
        pass
    except TimeoutError:
        assert quiet < LIMIT_SECONDS, f"the connection stays open; it said {answer[:200]!r}"
    finally:
        writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    """Return the status of every response in what a server sent."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def error(answer: bytes) -> dict[str, Any]:
    """Return the error of the last response, which is JSON."""
    found: dict[str, Any] = json.loads(answer.rpartition(b"\r\n\r\n")[2])["error"]
    return found


def masked(opcode: int, payload: bytes, *, final: bool = True, mask: bool = True, reserved: int = 0) -> bytes:
    """Return a frame as a client sends it."""
    first = (0x80 if final else 0) | reserved | opcode
    flag = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (bytes(4) if mask else b"") + payload


def close_code(answer: bytes) -> int | None:
    """Return the code of the close frame that ends what a WebSocket server sent."""
    at = answer.rfind(b"\x88")
    return struct.unpack("!H", answer[at + 2 : at + 4])[0] if at >= 0 and len(answer) >= at + 4 else None
