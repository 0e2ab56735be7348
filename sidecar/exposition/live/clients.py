"""All live clients, whatever their transport: who is connected, what they ask, who is too slow.

`subscriptions` decides what a message means; `broadcast` sends the updates.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from websockets.frames import CloseCode

from sidecar.config import WsConfig
from sidecar.core.snapshot.snapshot import Scope, Snapshot
from sidecar.errors import SidecarError
from sidecar.exposition import documents
from sidecar.exposition.access.guard import WRONG_SECONDS, Guard
from sidecar.exposition.live.broadcast import BEFORE_YIELD, Broadcast, SharedBodies
from sidecar.exposition.live.handshake import Handshake
from sidecar.exposition.live.subscriber import LiveTransport, Subscriber, expel
from sidecar.exposition.live.subscriptions import (
    Answer,
    Authenticate,
    Decision,
    Reply,
    ReportRequest,
    RequestId,
    Subscribe,
    Unsubscribe,
    error,
)
from sidecar.exposition.published import Latest, Monitor, Published
from sidecar.process.logs import RateLimit
from sidecar.process.supervision import restarted
from sidecar.process.telemetry import Telemetry

AUTHENTICATE_WITHIN_SECONDS = 5.0

Line = tuple[Scope, bool]  # `Subscription.line`
Newest = Callable[[], Awaitable[Published | None]]

log = logging.getLogger(__name__)


class LiveClients:
    """The live clients of all listeners, and the work for them."""

    def __init__(
        self, config: WsConfig, *, guard: Guard, latest: Latest, monitor: Monitor, telemetry: Telemetry
    ) -> None:
        """Prepare; nothing runs before `start`."""
        self.config = config
        self.guard = guard
        self._latest = latest
        self._monitor = monitor
        self._telemetry = telemetry
        self._gauge = telemetry.websocket_clients
        self._fault_limit = RateLimit()
        newest: dict[Line, Newest] = {
            ("instance", False): latest.newest,
            ("instance", True): self._present,
            ("fleet", False): self._fleet,
            ("fleet", True): self._present_fleet,
        }
        self._broadcasts = {
            line: Broadcast(source, self._render, monitor.health, telemetry) for line, source in newest.items()
        }
        self._clients: set[Subscriber] = set()
        self._unauthorized = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to send updates."""
        for (scope, health), broadcast in self._broadcasts.items():
            name = f"broadcast:{scope}{':health' if health else ''}"
            self._spawn(restarted(self._telemetry, name, broadcast.run))
        self._spawn(restarted(self._telemetry, "expel", self._expel_slow))

    def stop(self) -> None:
        """Send nothing more; the listeners close the connections."""
        for task in self._tasks:
            task.cancel()

    def handshake(self, host: str) -> Handshake:
        """Return what decides about handshakes of a listener that is bound to this host."""
        return Handshake(self.config, self.guard, host=host, taken=lambda: (len(self._clients), self._unauthorized))

    @contextmanager
    def attend(self, transport: LiveTransport) -> Iterator[Subscriber]:
        """Count a client while it is connected; log a fault of the sidecar, which ends its connection."""
        loop = asyncio.get_running_loop()
        client = Subscriber(transport, now=loop.time())
        self._clients.add(client)
        self._unauthorized += not transport.authorized
        self._gauge.inc()
        deadline = loop.call_later(AUTHENTICATE_WITHIN_SECONDS, self._expel_unauthorized, transport)
        try:
            yield client
        except Exception:
            self.report_fault()
            raise
        finally:
            deadline.cancel()
            self._unsubscribe(client)
            self._clients.discard(client)
            self._unauthorized -= not transport.authorized
            self._gauge.dec()

    def report_fault(self) -> None:
        """Log the exception that is being handled; a client cannot flood the log."""
        suppressed = self._fault_limit.allow("fault", asyncio.get_running_loop().time())
        if suppressed is not None:
            log.exception(
                "a live client was dropped because of a fault of the sidecar", extra={"suppressed": suppressed}
            )

    async def obey(self, client: Subscriber, decision: Decision) -> None:
        """Do what a message of the client asks for."""
        match decision:
            case Reply(answer):
                await self._answer(client, answer)
            case Subscribe(answer, subscription):
                self._unsubscribe(client)
                await self._answer(client, answer)
                if client.transport.open:  # it may have left meanwhile
                    self._broadcasts[subscription.line].add(client, subscription)
            case Unsubscribe(answer):
                self._unsubscribe(client)
                await self._answer(client, answer)
            case ReportRequest(id):
                await self._report(client, id)
            case Authenticate(id, token):
                await self._answer(client, await self._authenticate(client.transport, id, token))

    async def _answer(self, client: Subscriber, answer: Answer) -> None:
        await client.transport.wait()
        if client.transport.open:
            client.transport.answer(answer.event, answer.id, [msgspec.json.encode(answer.data)])

    def _unsubscribe(self, client: Subscriber) -> None:
        if client.subscription is not None:
            self._broadcasts[client.subscription.line].remove(client)

    async def _report(self, client: Subscriber, id: RequestId) -> None:
        await client.transport.wait()
        published = self._latest.published
        if published is None:
            await self._answer(client, self._no_report(id))
        elif client.transport.open:
            client.transport.answer("benchmark-report", id, [published.reported(documents.report_json)])

    def _no_report(self, id: RequestId) -> Answer:
        if self._monitor.ready()[1] == "standby":
            return error("standby", "this instance is a standby; the active one has the numbers", id)
        return error("not_ready", "there are no metrics yet; try again in a moment", id)

    async def _authenticate(self, transport: LiveTransport, id: RequestId, token: str) -> Answer:
        if not await self.admit(transport, token):
            return error("unauthorized", "the token is not the one configured as http.read_token", id)
        return Answer("authenticated", {}, id)

    async def admit(self, transport: LiveTransport, token: str) -> bool:
        """Authorize a client by its token; a wrong one is answered late."""
        if not self.guard.open and not self.guard.knows(f"Bearer {token}"):
            self.guard.denied("websocket", "token", transport.address, sent="something wrong")
            await asyncio.sleep(WRONG_SECONDS)
            return False
        self._unauthorized -= not transport.authorized
        transport.authorized = True
        return True

    def _render(self, snapshot: Snapshot) -> SharedBodies:
        return SharedBodies(snapshot, self._monitor.health)

    async def _present(self) -> Published | None:
        """Return the newest values; `None` while there are none: not loaded yet, or a standby."""
        return self._latest.published

    async def _present_fleet(self) -> Published | None:
        return await self._fleet() if self._latest.published else None

    async def _fleet(self) -> Published | None:
        """Return the fleet's newest values; `None` while Redis does not answer."""
        await self._latest.newest()
        with suppress(SidecarError):
            return await self._latest.fleet(self._monitor.fleet)
        return None

    def _expel_unauthorized(self, transport: LiveTransport) -> None:
        if not transport.authorized:
            self._spawn(expel(transport, CloseCode.POLICY_VIOLATION, "authenticate within 5 seconds"))

    async def _expel_slow(self) -> None:
        """Close with 1013 every client whose write buffer has not emptied for too long."""
        loop = asyncio.get_running_loop()
        timeout = self.config.slow_client_timeout
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
            log.error("the live feed lost one of its tasks", exc_info=exc)
