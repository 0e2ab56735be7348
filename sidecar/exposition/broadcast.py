"""Updates to WebSocket clients: latest wins. A client gets the newest Snapshot or nothing, and never a backlog.

Nothing here awaits a client. What the kernel does not take at once stays in the transport's buffer, and while
that is not empty the client is left out. A body is rendered once and shared; only a small head is the client's own.
"""

import asyncio
import heapq
import itertools
import struct
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from sidecar.core.snapshot import Snapshot
from sidecar.errors import SidecarError
from sidecar.exposition import document
from sidecar.exposition.latest import Latest, Monitor
from sidecar.exposition.subscriptions import Subscription, error
from sidecar.telemetry import Telemetry

# A write costs 20 us: the loop is held for 4 ms at most.
BEFORE_YIELD = 200
# Updates due within 20 ms leave together, so that thousands of phases do not cost thousands of wake-ups a second.
GRAIN_SECONDS = 0.02

UNAVAILABLE = error("unavailable", "the fleet's metrics cannot be read from Redis now; updates go on when it answers")


class Client:
    """One connection, what it wants, and how it keeps up. Times are the loop's."""

    __slots__ = ("authorized", "connection", "drained_at", "seq", "skipped", "subscription", "ticket")

    def __init__(self, connection: ServerConnection, *, authorized: bool, now: float) -> None:
        self.connection = connection
        self.authorized = authorized
        self.drained_at = now
        self.subscription: Subscription | None = None
        self.ticket = 0
        self.seq = 0
        self.skipped = 0

    def drained(self, now: float) -> bool:
        """Tell whether everything written has left, and remember when."""
        if self.connection.transport.get_write_buffer_size():
            return False
        self.drained_at = now
        return True


class Broadcast:
    """Send the updates of one scope, each client at its own phase."""

    def __init__(self, newest: Callable[[], Awaitable[Snapshot | None]], telemetry: Telemetry) -> None:
        """Take what gives the newest Snapshot, or `None` while it cannot be had."""
        self._newest = newest
        self._sent = telemetry.websocket_updates.labels("sent")
        self._skipped = telemetry.websocket_updates.labels("skipped")
        self._failed = telemetry.websocket_updates.labels("failed")
        # (when, order of arrival, the client's ticket then, client)
        self._due: list[tuple[float, int, int, Client]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._woken = asyncio.Event()
        self._rendered: Snapshot | None = None
        self._bodies: dict[frozenset[str], bytes] = {}

    def add(self, client: Client, subscription: Subscription) -> None:
        """Send updates to the client, the first at once."""
        client.subscription = subscription
        client.seq = client.skipped = 0
        self._push(client, asyncio.get_running_loop().time())
        self._woken.set()

    def remove(self, client: Client) -> None:
        """Send the client nothing more."""
        client.subscription = None
        client.ticket += 1
        self._cancelled += 1
        # What is cancelled would stay until it is due; who subscribes in a loop must not fill the memory with it.
        if self._cancelled > BEFORE_YIELD and self._cancelled > len(self._due) // 2:
            self._due = [entry for entry in self._due if entry[2] == entry[3].ticket]
            heapq.heapify(self._due)
            self._cancelled = 0

    def _push(self, client: Client, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), client.ticket, client))

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            await self._until_due()
            await self._send_due(await self._newest())
            await asyncio.sleep(GRAIN_SECONDS)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._due or self._due[0][0] > loop.time():
            self._woken.clear()
            timer = loop.call_at(self._due[0][0], self._woken.set) if self._due else None
            try:
                await self._woken.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _send_due(self, snapshot: Snapshot | None) -> None:
        now = asyncio.get_running_loop().time()
        for count in itertools.count(1):
            if not self._due or self._due[0][0] > now:
                return
            due, _, ticket, client = heapq.heappop(self._due)
            if ticket == client.ticket and client.subscription is not None:
                self._push(client, _next(due, client.subscription.interval_ms / 1000, now))
                self._update(client, client.subscription, snapshot, now)
            else:
                self._cancelled -= 1
            if count % BEFORE_YIELD == 0:
                await asyncio.sleep(0)

    def _update(self, client: Client, wanted: Subscription, snapshot: Snapshot | None, now: float) -> None:
        """Write the client its update, unless the last one has not left yet."""
        if client.connection.state is not State.OPEN or client.connection.transport.is_closing():
            self._failed.inc()
        elif not client.drained(now):
            client.skipped += 1
            self._skipped.inc()
        elif snapshot is None:
            client.connection.transport.write(text_frame(UNAVAILABLE))
            self._failed.inc()
        else:
            client.seq += 1
            head = b'{"event":"metrics-update","seq":%d,"skipped":%d,"data":' % (client.seq, client.skipped)
            client.connection.transport.write(text_frame(head, self._body(snapshot, wanted.topics), b"}"))
            client.skipped = 0
            self._sent.inc()

    def _body(self, snapshot: Snapshot, topics: frozenset[str]) -> bytes:
        if snapshot is not self._rendered:
            self._rendered = snapshot
            self._bodies = {}
        body = self._bodies.get(topics)
        if body is None:
            body = self._bodies[topics] = document.topics(snapshot, topics)
        return body


def _next(due: float, interval: float, now: float) -> float:
    """Return the next time of the same phase after now."""
    return due + interval * max(1, (now - due) // interval + 1)


def text_frame(*parts: bytes) -> bytes:
    """Return an unfragmented text frame of a server (RFC 6455, 5.2), which is never masked.

    Written past the library, which would copy and inspect the shared body for each client. It holds because
    compression is off, and because nothing here sends fragments between which a frame could fall.
    """
    size = sum(map(len, parts))
    if size < 126:
        return b"".join((struct.pack("!BB", 0x81, size), *parts))
    if size < 65536:
        return b"".join((struct.pack("!BBH", 0x81, 126, size), *parts))
    return b"".join((struct.pack("!BBQ", 0x81, 127, size), *parts))


async def newest(latest: Latest) -> Snapshot:
    """Return the newest Snapshot of this instance; wait for the first."""
    return latest.snapshot or await latest.newer()


class Fleet:
    """The merged Snapshot of the fleet, read at most once per tick and only when somebody asks."""

    def __init__(self, latest: Latest, monitor: Monitor) -> None:
        self._latest = latest
        self._monitor = monitor
        self._tick: Snapshot | None = None
        self._merged: Snapshot | None = None

    async def newest(self) -> Snapshot | None:
        """Return the newest merged Snapshot; `None` while Redis does not answer."""
        tick = await newest(self._latest)
        if tick is not self._tick:
            try:
                self._merged = await self._monitor.fleet()
            except SidecarError:
                self._merged = None
            self._tick = tick
        return self._merged
