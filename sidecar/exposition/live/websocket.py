"""The WebSocket server: a port of its own, by the library `websockets`."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from sidecar.exposition.access.listen import cannot_listen, parse_listen, where
from sidecar.exposition.access.tls import listening
from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.connection import Incoming, tracked
from sidecar.exposition.live.handshake import Denial, Offer
from sidecar.exposition.live.subscriber import (
    CLOSING_SECONDS,
    MAX_MESSAGE_BYTES,
    PING_SECONDS,
    SEND_BUFFER_BYTES,
    STOP_SECONDS,
)
from sidecar.exposition.live.subscriptions import decide

HANDSHAKE_SECONDS = 5.0
# Requests are small and rare; more of them wait in the kernel.
MAX_QUEUED_MESSAGES = 4
# Clients that reconnect all at once after a restart wait in the kernel; asyncio accepts this many in one iteration.
BACKLOG = 1024
ACCEPTED_AT_ONCE = 100
SOCKET_IO = (
    "This is a plain WebSocket, which a Socket.IO client cannot speak: connect it to http.listen, with the extra "
    "`socketio`, or use `new WebSocket(url)`.\n"
)


class WebSocketServer:
    """Serve the WebSocket (docs/reference/live.md) on `ws.listen`."""

    def __init__(self, clients: LiveClients) -> None:
        """Prepare; nothing is bound before `start`."""
        self._config = clients.config
        self._host, self._port = parse_listen(clients.config.listen, "ws.listen")
        self._clients = clients
        self._handshake = clients.handshake(self._host)
        self._connections: set[ServerConnection] = set()
        self._server: Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port bound, after `start`."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listen. Raises `SidecarError` if the address cannot be bound."""
        try:
            self._server = await self._bind()
        except OSError as exc:
            raise cannot_listen(self._config.listen, "ws.listen", exc) from exc
        for listener in self._server.sockets:
            with socket.fromfd(listener.fileno(), listener.family, listener.type) as same:
                same.listen(BACKLOG)

    async def stop(self) -> None:
        """Close every connection with 1001; cut those still open after `STOP_SECONDS`."""
        if self._server is None:
            return
        self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._server.wait_closed()
        for connection in self._connections:
            connection.transport.abort()
        await self._server.wait_closed()

    async def _bind(self) -> Server:
        return await serve(
            self._serve,
            **where(self._host, self._port),
            process_request=self._admit,
            select_subprotocol=choose_bearer,
            compression=None,
            server_header=None,
            open_timeout=HANDSHAKE_SECONDS,
            close_timeout=CLOSING_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUED_MESSAGES,
            # The library logs a traceback for every client that vanishes in the handshake.
            logger=logging.Logger("websockets", logging.CRITICAL + 1),
            create_connection=tracked(self._connections, SEND_BUFFER_BYTES, handshakes=self._config.max_clients),
            backlog=ACCEPTED_AT_ONCE,
            **listening(self._clients.guard.tls),
        )

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the denial of a handshake, if any. Nothing awaits between it and `_serve`, so limits are exact."""
        assert isinstance(connection, Incoming)
        offer = _offer(connection, request.headers)
        if _is_socket_io(request.path):
            denial = self._handshake.foreign(offer)
            return _response(connection, denial) if denial else connection.respond(400, SOCKET_IO)
        verdict = await self._handshake.judge(offer)
        if isinstance(verdict, Denial):
            return _response(connection, verdict)
        connection.authorized = verdict
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        """Serve one client until it leaves."""
        assert isinstance(connection, Incoming)
        connection.handshake_done()
        try:
            with self._clients.attend(connection) as client, suppress(ConnectionClosed):
                async for message in connection:
                    await connection.wait()  # ignore a client that does not read
                    if not connection.open:
                        break  # ignore what it sent before it left
                    await self._clients.obey(client, decide(message, authorized=connection.authorized))
        finally:
            connection.pieces = None  # do not keep a Snapshot that was sent in part


def choose_bearer(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose the subprotocol with a token."""
    return next((name for name in offered if name.startswith("bearer.")), None)


def _offer(connection: Incoming, headers: Headers) -> Offer:
    names = ("Host", "Origin", "Authorization", "Sec-WebSocket-Protocol")
    return Offer(connection.address, *map(headers.get_all, names))


def _response(connection: Incoming, denial: Denial) -> Response:
    response = connection.respond(denial.status, f"{denial.text}\n")
    response.headers.update(denial.headers)
    return response


def _is_socket_io(path: str) -> bool:
    """Return whether it is a Socket.IO client, which would wait for its own protocol until it times out."""
    parts = urlsplit(path)
    return parts.path.rstrip("/").endswith("/socket.io") or "EIO" in parse_qs(parts.query)
