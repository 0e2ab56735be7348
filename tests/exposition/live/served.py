"""The live clients of a server, over the port of the WebSocket or over HTTP, and what real clients do."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sidecar.config import HttpConfig, Secret, WsConfig
from sidecar.core.snapshot.snapshot import Queue, Snapshot
from sidecar.exposition.access.guard import Guard
from sidecar.exposition.http.server import HttpServer
from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.socketio import socket_io
from sidecar.exposition.live.upgrade import WebSocketPath
from sidecar.exposition.live.websocket import WebSocketServer
from sidecar.exposition.published import Latest
from sidecar.process.telemetry import Telemetry
from tests.exposition.monitors import MemoryMonitor, exposition
from tests.exposition.snapshots import snapshot

On = Literal["ws", "http"]
LIMIT = 5.0
# Larger than the buffers of both kernels together, so that a client that does not read is seen at once.
LARGE = {f"queue-{n}": Queue(waiting=n) for n in range(5000)}


class FleetMonitor(MemoryMonitor):
    """A daemon without Redis; `merged` is the fleet's Snapshot, an error is raised."""

    def __init__(self) -> None:
        super().__init__()
        self.merged: Snapshot | Exception = snapshot(scope="fleet", instances=["a", "b"])
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads = 0

    async def fleet(self) -> Snapshot:
        self.reads += 1
        await self.may_answer.wait()
        if isinstance(self.merged, Exception):
            raise self.merged
        return self.merged


class Served:
    """A running server and what it is fed with."""

    def __init__(self, on: On, read_token: str, allowed_hosts: tuple[str, ...], config: dict[str, Any]) -> None:
        self.registry = CollectorRegistry()
        self.latest = Latest()
        self.monitor = FleetMonitor()
        telemetry = Telemetry(self.registry, version="0", sources=())
        http = HttpConfig(read_token=Secret(read_token), admin_token=Secret("admin"), allowed_hosts=allowed_hosts)
        ws = WsConfig(**{"listen": "127.0.0.1:0", **config})
        guard = Guard(http, telemetry=telemetry, clock=time.monotonic)
        common: Any = {"guard": guard, "latest": self.latest, "monitor": self.monitor}
        self.live = LiveClients(ws, telemetry=telemetry, **common)
        self.path = "/ws" if on == "http" else "/"
        self.server: WebSocketServer | HttpServer = WebSocketServer(self.live)
        if on == "http":
            paths = [path(self.live, "127.0.0.1") for path in (WebSocketPath, socket_io)]
            self.server = HttpServer("127.0.0.1:0", exposition=exposition(), live=paths, **common)

    def connect(self, *, narrow: bool = False, **options: Any) -> connect:
        host, port = self.server.address
        if narrow:
            options["sock"] = narrow_socket(self)
        return connect(f"ws://{host}:{port}{self.path}", proxy=None, compression=None, **options)

    def updates(self, outcome: str) -> float:
        return self.registry.get_sample_value("flash_sale_sidecar_websocket_updates_total", {"outcome": outcome}) or 0

    def connections(self) -> int:
        """Return how many connections the server still has."""
        if isinstance(self.server, WebSocketServer):
            return len(self.server._connections)
        assert self.server._runner is not None and self.server._runner.server is not None
        return len(self.server._runner.server.connections)

    def clients(self) -> float | None:
        return self.registry.get_sample_value("flash_sale_sidecar_websocket_clients")


@asynccontextmanager
async def serving(
    first: Snapshot | None = None,
    *,
    on: On = "ws",
    read_token: str = "",
    allowed_hosts: tuple[str, ...] = (),
    **config: Any,
) -> AsyncIterator[Served]:
    served = Served(on, read_token, allowed_hosts, config)
    if first is not None:
        served.latest.publish(first)
    served.live.start()
    try:
        await served.server.start()
        yield served
    finally:
        served.live.stop()
        await served.server.stop()


async def receive(client: ClientConnection) -> Any:
    async with asyncio.timeout(LIMIT):
        return json.loads(await client.recv(decode=True))


async def ask(client: ClientConnection, event: str, data: Any = None, **more: Any) -> Any:
    await client.send(json.dumps({"event": event, "data": data, **more}))
    return await receive(client)


async def closed(client: ClientConnection) -> int | None:
    """Read until the end; return the close code."""
    async with asyncio.timeout(LIMIT):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as exc:
            return exc.rcvd.code if exc.rcvd else None


async def refused(served: Served, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as raised:
        await served.connect(**options)
    return raised.value.response.status_code, (raised.value.response.body or b"").decode()


def narrow_socket(served: Served, buffer_bytes: int = 4096) -> socket.socket:
    """Connect with a small buffer: what is not read stays with the server.

    With the smallest there is, a kernel may take many seconds to tell the server that there is room again.
    """
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    narrow.connect(served.server.address)
    return narrow


def deaf_client(served: Served, *messages: dict[str, Any], buffer_bytes: int = 1) -> socket.socket:
    """Connect, send the messages, and read nothing."""
    deaf = narrow_socket(served, buffer_bytes)
    deaf.sendall(
        b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % served.path.encode()
    )
    for message in messages:
        text = json.dumps(message).encode()
        deaf.sendall(struct.pack("!BBH", 0x81, 0x80 | 126, len(text)) + bytes(4) + text)
    deaf.setblocking(False)
    return deaf
