"""Updates to WebSocket clients: latest wins. A client gets the newest Snapshot or nothing, never a backlog.

No update awaits a client. What the kernel does not take at once stays in the transport's buffer, and until that is
empty the client is skipped. Bodies are rendered once and shared; a client has only a small head, and at most one piece,
of its own.
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

OPEN = State.OPEN  # an attribute of the enumeration is looked up each time
CONTINUATION, TEXT, LAST = 0x00, 0x01, 0x80
# Updates and reports with a thousand products have up to 0.4 MB. A slow client keeps a copy of this much of them.
PIECE_BYTES = 64 * 1024
# A write costs 20 us: this blocks the loop for 4 ms at most.
BEFORE_YIELD = 200

Body = list[bytes]  # what messages have in common after their heads

UNAVAILABLE = error("unavailable", "the fleet's metrics cannot be read from Redis now; updates resume when it answers")


class Client:
    """One connection, its subscription, and how it keeps up. Times are the loop's."""

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
        # The last update, and the last one with all products, also of earlier subscriptions.
        self.updated_at = self.products_at = -math.inf

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    def due(self, subscription: Subscription) -> float:
        """Return when a new subscription may begin: the shortest allowed interval after the last update."""
        any_at = self.updated_at + SHORTEST_MS / 1000
        return max(any_at, self.products_at + SHORTEST_WITH_PRODUCTS_MS / 1000) if subscription.products else any_at

    def drained(self, now: float) -> bool:
        """Return whether everything written was sent, and remember when."""
        if self.transport.get_write_buffer_size():
            return False
        self.drained_at = now
        return True

    def write(self, head: bytes, body: Body) -> None:
        """Write a message; a large one in pieces, each when there is room."""
        if sum(map(len, body)) <= PIECE_BYTES:
            self.transport.write(frame(TEXT | LAST, head, *body))
        else:
            self.pieces = fragments(head, body)
            self.write_pieces()

    def write_pieces(self) -> None:
        """Write pieces until there is no room for more."""
        while self.pieces is not None and not self.connection.paused:
            piece = next(self.pieces, None)
            if piece is None or not self.open:
                self.pieces = None
            else:
                self.transport.write(piece)

    async def answer(self, message: bytes) -> None:
        """Send a message, after all pieces of another, if the client is still there. Raises `ConnectionClosed`."""
        await self.wait()
        if self.open:  # otherwise the library may abort a closed transport, which fails in asyncio
            await self.connection.send(message, text=True)

    async def wait(self) -> None:
        """Wait until it has read nearly everything, or has left."""
        with suppress(OSError):  # it left
            await self.connection.drain()
            while self.pieces is not None and self.open:
                await self.connection.drain()


class SharedBodies:
    """The bodies of the updates of one Snapshot, by topics: the document and the end of the message."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.known: dict[frozenset[str], Body] = {}
        self._sections = documents.Sections(snapshot)

    def of(self, topics: frozenset[str]) -> Body:
        """Return the body of updates with these topics."""
        if topics not in self.known:
            body = [*self._sections.of(topics), b"}"]
            self.known[topics] = [b"".join(body)] if sum(map(len, body)) <= PIECE_BYTES else body
        return self.known[topics]


class Broadcast:
    """Send the updates of one scope, each client at its own phase."""

    def __init__(self, newest: Callable[[], Awaitable[Published | None]], telemetry: Telemetry) -> None:
        """`newest` returns the newest published values, `None` while they are unavailable."""
        self._newest = newest
        self._sent = telemetry.websocket_updates.labels("sent")
        self._skipped = telemetry.websocket_updates.labels("skipped")
        self._failed = telemetry.websocket_updates.labels("failed")
        self._schedule: Schedule[Client, Subscription] = Schedule()
        self._woken = asyncio.Event()

    def add(self, client: Client, subscription: Subscription) -> None:
        """Send updates to the client, the first as soon as its last one allows."""
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
        bodies = None if published is None else published.rendered(SharedBodies)
        written = 0
        for group, clients in self._schedule.take(now):
            if bodies and group.wish.topics not in bodies.known:
                written = BEFORE_YIELD  # a rendering takes about as long as this many writes
            body = None if bodies is None else bodies.of(group.wish.topics)
            while clients:
                some, clients = clients[:BEFORE_YIELD], clients[BEFORE_YIELD:]
                self._update(some, body, now)
                written += len(some)
                if written >= BEFORE_YIELD:
                    written = 0
                    await asyncio.sleep(0)
                    clients = [client for client in clients if self._schedule.has(group, client)]

    def _update(self, clients: list[Client], body: Body | None, now: float) -> None:
        """Write each client its update, unless the last one is not sent yet. One loop, since this is the cost."""
        sent = skipped = failed = 0
        for client in clients:
            transport = client.transport
            if not client.open:
                failed += 1
            elif client.pieces is not None or transport.get_write_buffer_size():
                client.skipped += 1
                skipped += 1
            elif body is None:
                client.write(UNAVAILABLE, [])
                failed += 1
            else:
                client.drained_at = client.updated_at = now
                client.seq += 1
                head = b'{"event":"metrics-update","seq":%d,"skipped":%d,"data":' % (client.seq, client.skipped)
                client.write(head, body)
                client.skipped = 0
                sent += 1
        self._sent.inc(sent)
        self._skipped.inc(skipped)
        self._failed.inc(failed)


def frame(first: int, *payload: bytes) -> bytes:
    """Return an unmasked frame of a server (RFC 6455, 5.2); `first` is its first byte, the opcode and the final bit.

    It bypasses the library, which would copy and inspect the shared body for each client. That is safe because
    compression is off, and because only control frames are written while a message has pieces left.
    """
    size = sum(map(len, payload))
    if size < 126:
        header = struct.pack("!BB", first, size)
    elif size < 65536:
        header = struct.pack("!BBH", first, 126, size)
    else:
        header = struct.pack("!BBQ", first, 127, size)
    return b"".join((header, *payload))


def fragments(head: bytes, body: Body) -> Iterator[bytes]:
    """Yield the frames of a large message, the first with the head. The body is shared until its pieces are yielded."""
    pieces = [(part, start) for part in body for start in range(0, len(part), PIECE_BYTES)]
    for left, (part, start) in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
        piece = part[start : start + PIECE_BYTES]
        if head:
            yield frame(TEXT, head, piece)
            head = b""
        else:
            yield frame(CONTINUATION if left else CONTINUATION | LAST, piece)
