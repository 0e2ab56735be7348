"""The WebSocket on a path of the HTTP server: the protocol, clients and limits are those of the port of its own."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.log import ws_logger
from websockets.frames import CloseCode

from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.handshake import Denial, Offer
from sidecar.exposition.live.subscriber import (
    CLOSING_SECONDS,
    MAX_MESSAGE_BYTES,
    PING_SECONDS,
    SEND_BUFFER_BYTES,
    Subscriber,
    close_all,
)
from sidecar.exposition.live.subscriptions import decide
from sidecar.exposition.live.writer import FrameWriter

PATH = "/ws"
NO_UPGRADE = (
    "this path is a WebSocket: connect with `new WebSocket(url)`. A proxy in between must speak HTTP/1.1 and pass on "
    "the headers Upgrade and Connection; see docs/how-to/secure.md#behind-a-proxy"
)

# It warns of every client that offers a subprotocol which is no token.
ws_logger.setLevel("ERROR")


class HttpConnection(Protocol):
    """A connection of the HTTP server, as one that upgrades it needs to see it."""

    full: bool
    resumed: Callable[[], None]  # is called when there is room to write again, and when the connection is lost

    @property
    def connected(self) -> bool:
        """Whether the connection is not lost."""
        ...

    def leave(self) -> None:
        """Count no more as a connection of the HTTP server."""
        ...


class Upgraded(FrameWriter):
    """A connection of the HTTP server that became a WebSocket. It is a `LiveTransport`."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse, *, authorized: bool) -> None:
        self.authorized = authorized
        self.address = request.remote or "unknown"
        self.response = response
        assert request.transport is not None
        self.transport = request.transport
        self._connection = cast(HttpConnection, request.protocol)
        self._room = asyncio.Event()

    def take(self) -> None:
        """Take the connection over from the HTTP server."""
        self._connection.leave()
        self._connection.resumed = self._resume
        bare = self.transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)  # ws.slow_client_timeout may be longer

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        return not self.response.closed and not self.transport.is_closing()

    @property
    def full(self) -> bool:
        """Whether the transport has no room for more."""
        return self._connection.full

    async def wait(self) -> None:
        """Wait until the client has read nearly everything, or has left."""
        while self.open and (self.full or self.pieces is not None):
            self._room.clear()
            await self._room.wait()

    async def close(self, code: int, reason: str) -> None:
        """Close it in order: return when the connection has ended."""
        await self.response.close(code=code, message=reason.encode())
        while self._connection.connected:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Keep nothing of a Snapshot that was sent in part, and nobody who does not read the end."""
        self.pieces = None
        asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.cut)

    def cut(self) -> None:
        """Close it at once."""
        if self._connection.connected:
            self.transport.abort()

    def _resume(self) -> None:
        self.write_pieces()
        self._room.set()


class WebSocketPath:
    """Serve the WebSocket on `GET /ws` of the HTTP server."""

    def __init__(self, clients: LiveClients, host: str) -> None:
        """`host` is the one that the HTTP server is bound to."""
        self._clients = clients
        self._handshake = clients.handshake(host)
        self._connections: set[Upgraded] = set()

    def routes(self) -> list[web.RouteDef]:
        """List the path with its handler."""
        return [web.get(PATH, self._serve)]

    async def stop(self) -> None:
        """Close every connection with 1001; cut those still open after `STOP_SECONDS`."""
        await close_all(self._connections)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it leaves."""
        offer = offer_of(request)
        verdict = await self._handshake.judge(offer)
        if isinstance(verdict, Denial):
            return denied(verdict)
        response = web.WebSocketResponse(
            timeout=CLOSING_SECONDS,
            heartbeat=2 * PING_SECONDS,  # aiohttp waits half as long for the answer
            protocols=[offer.bearer] if offer.bearer else [],
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES,
        )
        if not response.can_prepare(request):
            return denied(Denial(426, "upgrade_required", NO_UPGRADE, {"Upgrade": "websocket"}))
        connection = Upgraded(request, response, authorized=verdict)
        with suppress(Exception), self._clients.attend(connection) as client:  # counted before anything awaits
            await self._converse(request, connection, client)
        return response

    async def _converse(self, request: web.Request, connection: Upgraded, client: Subscriber) -> None:
        """Obey a client until it leaves."""
        response = connection.response
        with suppress(ConnectionError):
            await response.prepare(request)
            connection.take()
            self._connections.add(connection)
            try:
                async for message in response:
                    await connection.wait()  # ignore a client that does not read
                    if not connection.open or message.type is WSMsgType.ERROR:
                        break  # ignore what it sent before it left
                    await self._clients.obey(client, decide(message.data, authorized=connection.authorized))
            except Exception:
                await response.close(code=CloseCode.INTERNAL_ERROR)
                raise
            finally:
                connection.end()
                self._connections.discard(connection)


def offer_of(request: web.Request) -> Offer:
    """Return what a handshake over HTTP carries."""
    names = ("Host", "Origin", "Authorization", "Sec-WebSocket-Protocol")
    return Offer(request.remote or "unknown", *(list(request.headers.getall(name, ())) for name in names))


def denied(denial: Denial) -> web.Response:
    """Return the answer to a handshake that is denied, as JSON like all errors over HTTP."""
    body = msgspec.json.encode({"error": {"code": denial.code, "message": denial.text}})
    return web.Response(status=denial.status, body=body, headers=denial.headers, content_type="application/json")
