"""The WebSocket server: handshakes, requests and answers, slow and silent clients, shutdown.

`subscriptions` decides what a message means; `broadcast` sends the updates.
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from sidecar.config import WsConfig
from sidecar.core.snapshot.snapshot import Scope
from sidecar.errors import SidecarError
from sidecar.exposition import documents
from sidecar.exposition.access.guard import WRONG_SECONDS, Guard
from sidecar.exposition.access.listen import cannot_listen, parse_listen, where
from sidecar.exposition.access.tls import listening
from sidecar.exposition.live.broadcast import BEFORE_YIELD, Broadcast
from sidecar.exposition.live.connection import Incoming, address, tracked
from sidecar.exposition.live.handshake import Handshake, choose_bearer
from sidecar.exposition.live.subscriber import CLOSING_SECONDS, Subscriber, expel
from sidecar.exposition.live.subscriptions import (
    Authenticate,
    Decision,
    Reply,
    ReportRequest,
    Subscribe,
    Unsubscribe,
    decide,
    error,
    frame,
    head,
)
from sidecar.exposition.published import Latest, Monitor, Published
from sidecar.process.logs import RateLimit
from sidecar.process.supervision import restarted
from sidecar.process.telemetry import Telemetry

AUTHENTICATE_WITHIN_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0
STOP_SECONDS = 0.5  # for all connections together to close
MAX_MESSAGE_BYTES = 4096
# Requests are small and rare; more of them wait in the kernel.
MAX_QUEUED_MESSAGES = 4
# With the kernel's default, 1,900 updates fit before a client that reads nothing is noticed; with this, 29.
SEND_BUFFER_BYTES = 16 * 1024
# Clients that reconnect all at once after a restart wait in the kernel; asyncio accepts this many in one iteration.
BACKLOG = 1024
ACCEPTED_AT_ONCE = 100

log = logging.getLogger(__name__)


class WebSocketServer:
    """Serve the WebSocket (docs/reference/websocket.md) on `config.listen`."""

    def __init__(
        self,
        config: WsConfig,
        *,
        guard: Guard,
        latest: Latest,
        monitor: Monitor,
        telemetry: Telemetry,
    ) -> None:
        """Prepare; nothing is bound before `start`."""
        self._config = config
        self._host, self._port = parse_listen(config.listen, "ws.listen")
        self._latest = latest
        self._telemetry = telemetry
        self._gauge = telemetry.websocket_clients
        self._monitor = monitor
        self._guard = guard
        self._handshake = Handshake(
            config, guard, host=self._host, taken=lambda: (len(self._clients), self._unauthorized)
        )
        self._unauthorized = 0
        self._fault_limit = RateLimit()
        self._broadcasts: dict[Scope, Broadcast] = {
            "instance": Broadcast(latest.newest, telemetry),
            "fleet": Broadcast(self._fleet, telemetry),
        }
        self._clients: set[Subscriber] = set()
        self._connections: set[ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
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
        for scope, broadcast in self._broadcasts.items():
            self._spawn(restarted(self._telemetry, f"broadcast:{scope}", broadcast.run))
        self._spawn(restarted(self._telemetry, "expel", self._expel_slow))

    async def stop(self) -> None:
        """Close every connection with 1001; cut those still open after `STOP_SECONDS`."""
        if self._server is None:
            return
        for task in self._tasks:
            task.cancel()
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
            process_request=self._handshake.denial,
            select_subprotocol=choose_bearer,
            compression=None,
            server_header=None,
            open_timeout=HANDSHAKE_SECONDS,
            close_timeout=CLOSING_SECONDS,
            ping_interval=20,
            ping_timeout=20,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUED_MESSAGES,
            # The library logs a traceback for every client that vanishes in the handshake.
            logger=logging.Logger("websockets", logging.CRITICAL + 1),
            create_connection=tracked(self._connections, SEND_BUFFER_BYTES, handshakes=self._config.max_clients),
            backlog=ACCEPTED_AT_ONCE,
            **listening(self._guard.tls),
        )

    async def _fleet(self) -> Published | None:
        """Return the fleet's newest values; `None` while Redis does not answer."""
        await self._latest.newest()
        with suppress(SidecarError):
            return await self._latest.fleet(self._monitor.fleet)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        """Serve one client until it leaves."""
        assert isinstance(connection, Incoming)
        connection.handshake_done()
        loop = asyncio.get_running_loop()
        client = Subscriber(connection, now=loop.time())
        self._clients.add(client)
        self._unauthorized += not connection.authorized
        self._gauge.inc()
        deadline = loop.call_later(AUTHENTICATE_WITHIN_SECONDS, self._expel_unauthorized, connection)
        try:
            async for message in connection:
                await connection.wait()  # ignore a client that does not read
                if not connection.open:
                    break  # ignore what it sent before it left
                await self._obey(connection, client, decide(message, authorized=connection.authorized))
        except ConnectionClosed:
            pass
        except Exception:
            if (suppressed := self._fault_limit.allow("fault", loop.time())) is not None:
                log.exception(
                    "a WebSocket client was dropped because of a fault of the sidecar", extra={"suppressed": suppressed}
                )
            raise
        finally:
            deadline.cancel()
            connection.pieces = None  # do not keep a Snapshot that was sent in part
            self._unsubscribe(client)
            self._clients.discard(client)
            self._unauthorized -= not connection.authorized
            self._gauge.dec()

    async def _obey(self, connection: Incoming, client: Subscriber, decision: Decision) -> None:
        match decision:
            case Reply(answer):
                await connection.answer(answer)
            case Subscribe(answer, subscription):
                self._unsubscribe(client)
                await connection.answer(answer)
                self._broadcasts[subscription.scope].add(client, subscription)
            case Unsubscribe(answer):
                self._unsubscribe(client)
                await connection.answer(answer)
            case ReportRequest(id):
                await self._report(connection, id)
            case Authenticate(id, token):
                await connection.answer(await self._authenticate(connection, id, token))

    def _unsubscribe(self, client: Subscriber) -> None:
        if client.subscription is not None:
            self._broadcasts[client.subscription.scope].remove(client)

    async def _report(self, connection: Incoming, id: Any) -> None:
        await connection.wait()
        published = self._latest.published
        if published is None:
            await connection.answer(self._no_report(id))
        elif connection.open:
            connection.write(head("benchmark-report", id), [published.reported(documents.report_json), b"}"])

    def _no_report(self, id: Any) -> bytes:
        if self._monitor.ready()[1] == "standby":
            return error("standby", "this instance is a standby; the active one has the numbers", id)
        return error("not_ready", "there are no metrics yet; try again in a moment", id)

    async def _authenticate(self, connection: Incoming, id: Any, token: str) -> bytes:
        if not self._guard.open and not self._guard.knows(f"Bearer {token}"):
            self._guard.denied("websocket", "token", address(connection), sent="something wrong")
            await asyncio.sleep(WRONG_SECONDS)
            return error("unauthorized", "the token is not the one configured as http.read_token", id)
        self._unauthorized -= not connection.authorized
        connection.authorized = True
        return frame("authenticated", {}, id)

    def _expel_unauthorized(self, connection: Incoming) -> None:
        if not connection.authorized:
            self._spawn(expel(connection, CloseCode.POLICY_VIOLATION, "authenticate within 5 seconds"))

    async def _expel_slow(self) -> None:
        """Close with 1013 every client whose write buffer has not emptied for too long."""
        loop = asyncio.get_running_loop()
        timeout = self._config.slow_client_timeout
        pause = min(1.0, timeout / 4)
        while True:
            await asyncio.sleep(pause)
            for count, client in enumerate(tuple(self._clients), 1):
                if count % BEFORE_YIELD == 0:
                    await asyncio.sleep(0)
                now = loop.time()
                if now - client.drained_at < pause:
                    continue  # an update was just written
                if not client.drained(now) and now - client.drained_at >= timeout:
                    client.drained_at = now
                    self._spawn(expel(client.transport, CloseCode.TRY_AGAIN_LATER, "too slow to read the updates"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("the WebSocket server lost one of its tasks", exc_info=exc)
