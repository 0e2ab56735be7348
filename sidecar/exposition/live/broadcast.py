"""Updates to WebSocket clients: latest wins. A client gets the newest Snapshot or nothing, and never a backlog.

No update awaits a client. What the kernel does not take at once stays in the transport's buffer, and while that is
not empty the client is left out. A body is rendered once and shared; a small head, and at most a piece, is its own.
"""

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from websockets.protocol import State

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition import documents
from sidecar.exposition.live.handshake import Incoming
from sidecar.exposition.live.schedule import Schedule
from sidecar.exposition.live.subscriptions import SHORTEST_MS, SHORTEST_WITH_PRODUCTS_MS, Subscription, error
from sidecar.exposition.published import Published
from sidecar.process.telemetry import Telemetry

OPEN = State.OPEN  # the enumeration looks its members up each time
CONTINUATION, TEXT, LAST = 0x00, 0x01, 0x80
# Updates with a thousand products, and reports of them, are up to 0.4 MB: a slow reader holds a copy of this of them.
PIECE_BYTES = 64 * 1024
# A write costs 20 us: the loop is held for 4 ms at most.
BEFORE_YIELD = 200

Rest = list[bytes]  # what messages have in common behind their heads

UNAVAILABLE = error("unavailable", "the fleet's metrics cannot be read from Redis now; updates go on when it answers")


class Client:
    """One connection, what it wants, and how it keeps up. Times are the loop's."""

    __slots__ = (
        "authorized",
        "connection",
        "drained_at",
        "joining",
        "pieces",
        "products_at",
        "protocol",
        "seq",
        "skipped",
        "subscription",
        "transport",
        "updated_at",
    )

    def __init__(self, connection: Incoming, *, authorized: bool, now: float) -> None:
        self.connection = connection
        self.transport = connection.transport
        self.protocol = connection.protocol
        self.authorized = authorized
        self.drained_at = now
        self.pieces: Iterator[bytes] | None = None  # the frames of a large message that are not written yet
        self.subscription: Subscription | None = None
        self.joining: asyncio.TimerHandle | None = None
        self.seq = 0
        self.skipped = 0
        # The last update, and the last one with all products: a new subscription does not forget them.
        self.updated_at = self.products_at = -math.inf

    @property
    def open(self) -> bool:
        """Return whether a message may be written."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    def due(self, subscription: Subscription) -> float:
        """Return when a new subscription may begin: the shortest interval there is after the last update."""
        any_at = self.updated_at + SHORTEST_MS / 1000
        return max(any_at, self.products_at + SHORTEST_WITH_PRODUCTS_MS / 1000) if subscription.products else any_at

    def drained(self, now: float) -> bool:
        """Return whether everything written has left, and remember when."""
        if self.transport.get_write_buffer_size():
            return False
        self.drained_at = now
        return True

    def write(self, head: bytes, rest: Rest) -> None:
        """Write a message; a large one piece by piece, as what was written before it leaves."""
        if sum(map(len, rest)) <= PIECE_BYTES:
            self.transport.write(frame(TEXT | LAST, head, *rest))
        else:
            self.pieces = fragments(head, rest)
            self.go_on()

    def go_on(self) -> None:
        """Write pieces until there is no room for more."""
        while self.pieces is not None and not self.connection.paused:
            piece = next(self.pieces, None)
            if piece is None or not self.open:
                self.pieces = None
            else:
                self.transport.write(piece)

    async def answer(self, message: bytes) -> None:
        """Send a message, but not between the pieces of another, nor to who is gone. Raises `ConnectionClosed`."""
        await self.wait()
        if self.open:  # if not, the library may abort a transport that is closed, at which asyncio fails
            await self.connection.send(message, text=True)

    async def wait(self) -> None:
        """Wait until it has read nearly all that it was sent, or is gone."""
        with suppress(OSError):  # how it went
            await self.connection.drain()
            while self.pieces is not None and self.open:
                await self.connection.drain()


class Rests:
    """What the updates of one Snapshot have in common, by topics: the document and the end of the message."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.known: dict[frozenset[str], Rest] = {}
        self._sections = documents.Sections(snapshot)

    def of(self, topics: frozenset[str]) -> Rest:
        """Return what updates of these topics have in common."""
        if topics not in self.known:
            rest = [*self._sections.of(topics), b"}"]
            self.known[topics] = [b"".join(rest)] if sum(map(len, rest)) <= PIECE_BYTES else rest
        return self.known[topics]


class Broadcast:
    """Send the updates of one scope, each client at its own phase."""

    def __init__(self, newest: Callable[[], Awaitable[Published | None]], telemetry: Telemetry) -> None:
        """`newest` returns what is published, or `None` while it cannot be had."""
        self._newest = newest
        self._sent = telemetry.websocket_updates.labels("sent")
        self._skipped = telemetry.websocket_updates.labels("skipped")
        self._failed = telemetry.websocket_updates.labels("failed")
        self._schedule: Schedule[Client, Subscription] = Schedule()
        self._woken = asyncio.Event()

    def add(self, client: Client, subscription: Subscription) -> None:
        """Send updates to the client, the first at once or as soon as its last one allows."""
        client.subscription = subscription
        client.seq = client.skipped = 0
        loop = asyncio.get_running_loop()
        client.joining = loop.call_at(max(loop.time(), client.due(subscription)), self._join, client, subscription)

    def remove(self, client: Client) -> None:
        """Send the client nothing more."""
        if client.joining is not None:
            client.joining.cancel()
        if client.seq and client.subscription is not None and client.subscription.products:
            client.products_at = client.updated_at
        client.subscription = None
        self._schedule.leave(client)

    def _join(self, client: Client, subscription: Subscription) -> None:
        now = asyncio.get_running_loop().time()
        self._schedule.join(client, subscription, subscription.interval_ms / 1000, now)
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            await self._until_due()
            await self._send_due(await self._newest())

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while (due := self._schedule.next_due()) is None or due > loop.time():
            self._woken.clear()
            timer = loop.call_at(due, self._woken.set) if due is not None else None
            try:
                await self._woken.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _send_due(self, published: Published | None) -> None:
        now = asyncio.get_running_loop().time()
        rests = None if published is None else published.rendered(Rests)
        written = 0
        for group, clients in self._schedule.take(now):
            if rests and group.wish.topics not in rests.known:
                written = BEFORE_YIELD  # a rendering takes about as long as so many writes
            rest = None if rests is None else rests.of(group.wish.topics)
            while clients:
                some, clients = clients[:BEFORE_YIELD], clients[BEFORE_YIELD:]
                self._update(some, rest, now)
                written += len(some)
                if written >= BEFORE_YIELD:
                    written = 0
                    await asyncio.sleep(0)
                    clients = [client for client in clients if self._schedule.holds(group, client)]

    def _update(self, clients: list[Client], rest: Rest | None, now: float) -> None:
        """Write each client its update, unless the last one has not left yet. All in one loop: here is the cost."""
        sent = skipped = failed = 0
        for client in clients:
            transport = client.transport
            if not client.open:
                failed += 1
            elif client.pieces is not None or transport.get_write_buffer_size():
                client.skipped += 1
                skipped += 1
            elif rest is None:
                client.write(UNAVAILABLE, [])
                failed += 1
            else:
                client.drained_at = client.updated_at = now
                client.seq += 1
                head = b'{"event":"metrics-update","seq":%d,"skipped":%d,"data":' % (client.seq, client.skipped)
                client.write(head, rest)
                client.skipped = 0
                sent += 1
        self._sent.inc(sent)
        self._skipped.inc(skipped)
        self._failed.inc(failed)


def frame(first: int, *payload: bytes) -> bytes:
    """Return a frame of a server (RFC 6455, 5.2), which is never masked; `first` is its opcode and whether it is last.

    Written past the library, which would copy and inspect the shared body for each client. It holds because
    compression is off, and because nothing but control frames is written while a message has pieces left.
    """
    size = sum(map(len, payload))
    if size < 126:
        header = struct.pack("!BB", first, size)
    elif size < 65536:
        header = struct.pack("!BBH", first, 126, size)
    else:
        header = struct.pack("!BBQ", first, 127, size)
    return b"".join((header, *payload))


def fragments(head: bytes, rest: Rest) -> Iterator[bytes]:
    """Yield the frames of a large message, the first with the head. What is not yielded yet is shared."""
    pieces = [(part, start) for part in rest for start in range(0, len(part), PIECE_BYTES)]
    for left, (part, start) in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
        piece = part[start : start + PIECE_BYTES]
        if head:
            yield frame(TEXT, head, piece)
            head = b""
        else:
            yield frame(CONTINUATION if left else CONTINUATION | LAST, piece)
