"""Socket.IO: its packets here, its two transports (polling, WebSocket) by python-engineio.

Updates for a WebSocket are written past the library, which would take a task and a copy for each; those of a client
that polls wait in the library's queue. Either way a client gets the next update when it has the last: latest wins.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from functools import partial
from secrets import token_urlsafe
from typing import Any

import engineio
import msgspec
from aiohttp import WSMsgType, web
from engineio.packet import MESSAGE, Packet
from websockets.frames import CloseCode

from sidecar.exposition.access.guard import preflight
from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.handshake import Denial
from sidecar.exposition.live.subscriber import (
    CLOSING_SECONDS,
    MAX_MESSAGE_BYTES,
    PING_SECONDS,
    Body,
    Subscriber,
    close_all,
)
from sidecar.exposition.live.subscriptions import RequestId, decide_event
from sidecar.exposition.live.upgrade import Upgraded, denied, offer_of

# Type, namespace, number of the acknowledgement, JSON. No client of this protocol sends binary packets.
PACKET = re.compile(r"([0-4])(?:(/[^,]*)(?:,|$))?(\d{1,15})?(.*)", re.DOTALL)
CONNECT, DISCONNECT, EVENT = "0", "1", "2"
WANTED = "connect with the token of http.read_token, as in io(url, {auth: {token}})"
# How often a session that waits is looked at: it may have ended.
POLL_SECONDS = 1.0
AUTHORIZED: ContextVar[bool] = ContextVar("authorized")  # whether the request in progress is


class Session:
    """A client of Socket.IO, over whichever transport it has. It is a `LiveTransport`."""

    def __init__(self, engine: Any, address: str, *, authorized: bool) -> None:
        """`engine` is the library's socket."""
        self.authorized = authorized
        self.address = address
        self.websocket: Upgraded | None = None  # also while the client still tries it
        self.client: Subscriber
        self.connected = False  # to the namespace, the only one
        self.obeying = False  # a message; no client sends another one before this is answered
        self.stack = ExitStack()
        self.ping: asyncio.Task[Any] | None = None  # sends the next ping
        self._engine = engine

    @property
    def _direct(self) -> Upgraded | None:
        """The WebSocket, once it is what the client reads."""
        return self.websocket if self._engine.upgraded else None

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        ended = self._engine.closed or self._engine.closing
        return not ended and (self._direct is None or self._direct.open)

    @property
    def idle(self) -> bool:
        """Whether everything written was sent."""
        queued = self._engine.upgrading or not self._engine.queue.empty()
        return not queued and (self._direct is None or self._direct.idle)

    def update(self, seq: int, skipped: int, document: Body) -> None:
        """Write a `metrics-update`: the document, and how the client keeps up."""
        self.write(b'2["metrics-update",', [*document, b',{"seq":%d,"skipped":%d}]' % (seq, skipped)])

    def answer(self, event: str, id: RequestId, document: Body) -> None:
        """Write an event, or the acknowledgement if the client asked with one."""
        if id is None:
            self.write(b'2["%s",' % event.encode(), [*document, b"]"])
        elif event == "error":
            self.write(b'3%s[{"error":' % bytes(id), [*document, b"}]"])
        else:
            self.write(b"3%s[" % bytes(id), [*document, b"]"])

    def write(self, head: bytes, body: Body) -> None:
        """Write a packet."""
        if self._direct is not None and self._engine.queue.empty():
            self._direct.write(b"4" + head, body)
        else:
            self._engine.queue.put_nowait(Packet(MESSAGE, b"".join((head, *body)).decode()))

    async def wait(self) -> None:
        """Wait until the client has read nearly everything, or has left."""
        while self.open and not self._engine.queue.empty():
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._engine.queue.join()
        if self._direct is not None:
            await self._direct.wait()

    async def close(self, code: int, reason: str) -> None:
        """Close the transport: the client connects again, which it would not after a packet that says so."""
        if self._direct is not None:
            await self._direct.close(code, reason)
        else:
            await self._engine.close(wait=False)

    def cut(self) -> None:
        """Close it at once."""
        if self.websocket is not None:
            self.websocket.cut()


class SocketIo:
    """Serve Socket.IO on a path of the HTTP server."""

    def __init__(self, path: str, clients: LiveClients, host: str) -> None:
        """`host` is the one that the HTTP server is bound to."""
        self._path = path
        self._clients = clients
        self._handshake = clients.handshake(host)
        self._sessions: dict[str, Session] = {}
        self._server = engineio.AsyncServer(
            async_mode="aiohttp",
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            http_compression=False,
            cors_allowed_origins=[],  # checked here
            async_handlers=False,
            logger=logging.Logger("engineio", logging.CRITICAL + 1),  # it logs what any client may cause
        )
        driver = {"translate_request": self._environ, "websocket": partial(EngineWebSocket, self._sessions)}
        self._server._async = {**self._server._async, **driver}
        self._server.start_background_task = self._start
        for name, handler in (("connect", self._enter), ("message", self._message), ("disconnect", self._leave)):
            self._server.on(name, handler)

    def routes(self) -> list[web.RouteDef]:
        """List the path with its handlers."""
        return [web.route(method, self._path, self._serve) for method in ("GET", "POST", "OPTIONS")]

    async def stop(self) -> None:
        """Close every connection with 1001; cut those still open after `STOP_SECONDS`."""
        await close_all(self._sessions.values())
        await self._server.shutdown()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of the library's clients, once it is allowed."""
        offer = offer_of(request)
        fresh = request.method == "GET" and not request.query.get("sid")  # the library takes an empty one for none
        verdict = await self._handshake.judge(offer) if fresh else self._handshake.foreign(offer)
        if isinstance(verdict, Denial):
            return denied(verdict)
        headers = {}
        if offer.origins:
            headers = {"Access-Control-Allow-Origin": offer.origins[0], "Vary": "Origin"}
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=headers | preflight("GET, POST"))
        if "j" in request.query:
            return denied(Denial(400, "bad_request", "polling by script elements (JSONP) is not served"))
        AUTHORIZED.set(verdict is True)
        try:
            response: web.StreamResponse = await self._server.handle_request(request)
        except KeyError:  # of the library
            return denied(Denial(400, "bad_request", "the session has just ended"))
        if not response.prepared:
            response.headers.update(headers)
        return response

    async def _environ(self, request: web.Request) -> dict[str, Any]:
        """Return the request in the form of the library; the body was read before."""
        method, query, upgrade = request.method, request.query_string, request.headers.get("Upgrade", "")
        body = await request.read()
        return {
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "HTTP_CONNECTION": request.headers.get("Connection", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": RequestBody(body),
            "aiohttp.request": request,
            **({"HTTP_UPGRADE": upgrade} if upgrade else {}),
        }

    def _enter(self, sid: str, environ: dict[str, Any]) -> None:
        """Begin a session. Nothing awaited since `judge`, so limits are exact."""
        request = environ["aiohttp.request"]
        session = Session(self._server.sockets[sid], request.remote or "unknown", authorized=AUTHORIZED.get())
        session.client = session.stack.enter_context(self._clients.attend(session))
        self._sessions[sid] = session

    def _leave(self, sid: str, reason: str) -> None:
        """End a session."""
        session = self._sessions.pop(sid, None)
        if session is not None:
            session.stack.close()
            if session.ping is not None:
                session.ping.cancel()

    def _start(self, target: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> asyncio.Task[Any]:
        """Start a task of the library; that of a session, which sleeps until the next ping, ends with the session."""
        task = asyncio.get_running_loop().create_task(target(*arguments))
        session = self._sessions.get(getattr(getattr(target, "__self__", None), "sid", ""))
        if session is not None:
            session.ping = task
        return task

    async def _message(self, sid: str, data: Any) -> None:
        """Obey a packet of Socket.IO; close the session if it is none."""
        session = self._sessions.get(sid)
        if session is None:
            return
        if session.obeying:
            await session.close(CloseCode.POLICY_VIOLATION, "one message at a time")
            return
        session.obeying = True
        try:
            await session.wait()  # ignore a client that does not read
            if session.open and not await self._obey(session, data):  # ignore what it sent before it left
                await session.close(CloseCode.PROTOCOL_ERROR, "no packet of Socket.IO")
        except Exception:
            self._clients.report_fault()
            await session.close(CloseCode.INTERNAL_ERROR, "a fault of the sidecar")
        finally:
            session.obeying = False

    async def _obey(self, session: Session, data: Any) -> bool:
        """Do what a packet asks for; return whether it is one."""
        match = PACKET.fullmatch(data) if isinstance(data, str) else None
        if match is None:
            return False
        kind, namespace, id, text = match.groups()
        try:
            value = msgspec.json.decode(text) if text else None
        except (msgspec.DecodeError, RecursionError):
            return False
        if namespace not in (None, "/"):
            if kind == CONNECT:
                session.write(b'4%s,{"message":"Invalid namespace"}' % namespace.encode(), [])
        elif kind == CONNECT:
            await self._connect(session, value)
        elif kind == DISCONNECT:
            await session.close(CloseCode.NORMAL_CLOSURE, "")
        elif kind == EVENT and session.connected:
            event, argument = [*(value if isinstance(value, list) else []), None, None][:2]
            decision = decide_event(event, argument, msgspec.Raw(id.encode()) if id else None, authorized=True)
            await self._clients.obey(session.client, decision)
        return True

    async def _connect(self, session: Session, auth: Any) -> None:
        """Let a client into the namespace if it is authorized, or has the token in `auth`."""
        token = auth.get("token") if isinstance(auth, dict) else None
        if session.authorized or (isinstance(token, str) and await self._clients.admit(session, token)):
            session.connected = True
            session.write(b'0{"sid":"%s"}' % token_urlsafe(15).encode(), [])
        else:
            session.write(b'4{"message":"unauthorized: %s"}' % WANTED.encode(), [])


class RequestBody:
    """The body of a request, as the library reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, length: int) -> bytes:
        """Return all of it."""
        return self._body


class EngineWebSocket:
    """The WebSocket of a session, as the library uses it: not compressed, with a small send buffer."""

    def __init__(self, sessions: dict[str, Session], handler: Callable[[Any], Awaitable[None]], server: Any) -> None:
        self._sessions = sessions
        self._handler = handler
        self._response = web.WebSocketResponse(timeout=CLOSING_SECONDS, compress=False, max_msg_size=MAX_MESSAGE_BYTES)

    async def __call__(self, environ: dict[str, Any]) -> web.StreamResponse:
        """Serve the WebSocket until it ends, and end the session with it."""
        request, engine = environ["aiohttp.request"], self._handler.__self__  # type: ignore[attr-defined]
        session = self._sessions.get(engine.sid)
        if session is None or (session.websocket is not None and session.websocket.open):
            return denied(Denial(400, "bad_request", "the session has a WebSocket already"))
        self._connection = Upgraded(request, self._response, authorized=session.authorized)
        try:
            await self._response.prepare(request)
            self._connection.take()
            session.websocket = self._connection
            with suppress(Exception):  # of the library, which cannot read what the client sent
                await self._handler(self)
        except ConnectionError:  # the client left during the handshake
            pass
        finally:
            self._connection.end()
            if engine.upgraded or not engine.connected:
                engine.queue.put_nowait(None)  # ends the task that writes
                await engine.close(wait=False, abort=True)
        return self._response

    async def send(self, message: str) -> None:
        """Send a packet of the library, after all pieces of another."""
        await self._connection.wait()
        if self._connection.open:
            self._connection.write(message.encode(), [])

    async def wait(self) -> str:
        """Return the next message."""
        message = await self._response.receive()
        if message.type is not WSMsgType.TEXT:
            raise OSError("the client left, or sent what is not text")
        return str(message.data)

    async def close(self) -> None:
        """Close it."""
        await self._response.close()
