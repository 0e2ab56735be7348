"""Somebody who speaks InfluxDB's write APIs, and does with a batch what a test wants."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from msgspec import Struct


class Write(Struct, frozen=True):
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    lines: list[str]

    @property
    def at(self) -> int:
        """The time of its points, in nanoseconds."""
        (at,) = {line.rpartition(" ")[2] for line in self.lines}
        return int(at)


class FakeInflux:
    """Answers 204, or what `answers` says next; while `silent` is set nothing at all."""

    def __init__(self) -> None:
        self.port = 0
        self.writes: list[Write] = []
        self.answers: list[tuple[int, str]] = []
        self.silent = False
        self.headers: dict[str, str] = {}  # of every answer
        self.server: web.Server | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        assert self.server is not None
        return len(self.server.connections)

    def url(self, scheme: str = "http") -> str:
        """Where it listens."""
        return f"{scheme}://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.Response:
        """Keep what was written."""
        raw = await request.read()  # aiohttp has unpacked it
        assert request.headers["Content-Encoding"] == "gzip"
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
        self.writes.append(Write(request.path, dict(request.query), dict(request.headers), text.splitlines()))
        while self.silent:
            await asyncio.sleep(0.01)
        status, body = self.answers.pop(0) if self.answers else (204, "")
        return web.Response(status=status, text=body or None, headers=self.headers)


@asynccontextmanager
async def fake_influx(*, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeInflux]:
    """Run one on a free port."""
    fake = FakeInflux()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    fake.port, fake.server = runner.addresses[0][1], runner.server
    try:
        yield fake
    finally:
        fake.silent = False
        await runner.cleanup()
