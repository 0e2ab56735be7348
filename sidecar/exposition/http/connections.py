"""The connections of the HTTP server: a bounded number, each with deadlines.

At the limit, a new connection replaces the one that has been idle longest, so idle connections keep nobody out. One
whose request is being answered is protected for a while.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sidecar.exposition.http.problem import ALWAYS, CODES, Problem

# A reader keeps one or two. Of the usual 1,024 file descriptors of a process this leaves half to others.
MAX_CONNECTIONS = 512
# How long an answer in progress protects its connection from being replaced.
PROTECTED_SECONDS = 5.0
# The longest answer is a megabyte; a slower client is not reading.
ANSWER_SECONDS = 30.0
# The kernel ends a connection whose client acknowledges nothing; asyncio would wait forever.
UNACKNOWLEDGED_MS = 10_000


def _nothing() -> None:
    """Do nothing."""


class OpenConnections:
    """The open connections, ordered by their last activity: connected, allowed, or answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._active_at: dict[Connection, float] = {}

    def enter(self, connection: "Connection", now: float) -> None:
        """Add a connection; `now` is the loop's time. At the limit one is cut, which may be the new one."""
        if len(self._active_at) >= self._most:
            leaving = next(
                (one for one, at in self._active_at.items() if not one.answering or now - at > PROTECTED_SECONDS),
                connection,
            )
            leaving.cut()
            self.leave(leaving)
        self._active_at[connection] = now

    def renew(self, connection: "Connection", now: float) -> None:
        """Note that a request was allowed or answered."""
        if self._active_at.pop(connection, None) is not None:
            self._active_at[connection] = now

    def leave(self, connection: "Connection") -> None:
        """Remove a closed connection."""
        self._active_at.pop(connection, None)


class Connection(web.RequestHandler):
    """aiohttp's protocol with limits; its own errors (a request that is no HTTP) are JSON like all others."""

    def __init__(self, *arguments: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.answering = False
        self.full = False  # whether the transport has no room for more
        self.resumed: Callable[[], None] = _nothing
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS
            )
        self._connections.enter(self, self._loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.leave(self)
        super().connection_lost(exc)
        self.resumed()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.full = False
        self.resumed()

    def leave(self) -> None:
        """Count no more as a connection of the HTTP server: it becomes a WebSocket, which has limits of its own."""
        self._connections.leave(self)

    def allow(self) -> None:
        """Note that the request in progress is allowed."""
        self.answering = True
        self._connections.renew(self, self._loop.time())

    def cut(self) -> None:
        """Close it at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, with a deadline."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.cut()
            return resp, True
        finally:
            self.answering = False
            self._connections.renew(self, self._loop.time())

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with JSON; log only the sidecar's own errors: anybody can send bad HTTP, or hang up, in floods."""
        if isinstance(exc, UnicodeEncodeError):  # aiohttp quoted an `Expect` that is no UTF-8
            status = 400
        if status >= 500 and not isinstance(exc, ConnectionError):
            super().handle_error(request, status, exc, message)
        code, text = CODES.get(status, ("internal", "the sidecar failed to answer this"))
        return Problem(status, code, text, ALWAYS).response()
