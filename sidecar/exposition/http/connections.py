"""The connections of the HTTP server: so many and no more, each within limits of time.

A full house turns nobody away who knows the way in: a newcomer takes the place of the connection that has waited
longest for its client. What is being answered stays, for a while.
"""

import asyncio
import socket
from typing import Any

from aiohttp import web

from sidecar.exposition.http.problem import ALWAYS, CODES, Problem

# A few readers keep one or two each. With the usual 1,024 file descriptors of a process this leaves half to the others.
MAX_CONNECTIONS = 512
# How long an answer that is on its way protects its connection from a newcomer.
PROTECTED_SECONDS = 5.0
# The longest answer is a megabyte; whoever is slower reads nothing.
ANSWER_SECONDS = 30.0
# The kernel ends a connection whose client takes nothing, closed or not; asyncio would wait without end.
DEAF_MS = 10_000


class OpenConnections:
    """Those that are open, in the order in which they were last heard: connected, let in, or answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heard: dict[Connection, float] = {}

    def enter(self, connection: "Connection", now: float) -> None:
        """Take one in; `now` is the loop's time. One that has to go for it, which may be itself, is cut."""
        if len(self._heard) >= self._most:
            leaving = next(
                (one for one, at in self._heard.items() if not one.answering or now - at > PROTECTED_SECONDS),
                connection,
            )
            leaving.cut()
            self.leave(leaving)
        self._heard[connection] = now

    def heard(self, connection: "Connection", now: float) -> None:
        """Note that it is no stranger, or has its answer."""
        if self._heard.pop(connection, None) is not None:
            self._heard[connection] = now

    def leave(self, connection: "Connection") -> None:
        """Forget one that is closed."""
        self._heard.pop(connection, None)


class Connection(web.RequestHandler):
    """aiohttp's protocol, with limits; its own errors (a request that is no HTTP) are JSON like all others."""

    def __init__(self, *arguments: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.answering = False
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place among the others."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAF_MS)
        self._connections.enter(self, self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._connections.leave(self)
        super().connection_lost(exc)

    def let_in(self) -> None:
        """Note that the request in progress may be answered."""
        self.answering = True
        self._connections.heard(self, self._loop.time())

    def cut(self) -> None:
        """End it at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, within a time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.cut()
            return resp, True
        finally:
            self.answering = False
            self._connections.heard(self, self._loop.time())

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with our body; log only what is our fault: anybody can send what is no HTTP, or go, in floods."""
        if isinstance(exc, UnicodeEncodeError):  # aiohttp quoted an `Expect` that is no UTF-8
            status = 400
        if status >= 500 and not isinstance(exc, ConnectionError):
            super().handle_error(request, status, exc, message)
        code, text = CODES.get(status, ("internal", "the sidecar failed to answer this"))
        return Problem(status, code, text, ALWAYS).response()
