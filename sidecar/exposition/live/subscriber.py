"""One who gets updates: the subscription, how it keeps up, and the connection behind it, whatever its protocol."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from websockets.frames import CloseCode

from sidecar.exposition.live.subscriptions import SHORTEST_MS, SHORTEST_WITH_PRODUCTS_MS, RequestId, Subscription

# Updates and reports with a thousand products have up to 0.4 MB. A slow client keeps a copy of this much of them.
PIECE_BYTES = 64 * 1024
# How long a client that is told to go may take to read it.
CLOSING_SECONDS = 1.0
STOP_SECONDS = 0.5  # for all connections of a listener together to close
PING_SECONDS = 20.0  # from ping to ping, and for the answer
MAX_MESSAGE_BYTES = 4096
# With the kernel's default, 1,900 updates fit before a client that reads nothing is noticed; with this, 29.
SEND_BUFFER_BYTES = 16 * 1024

Body = list[bytes]  # the JSON of `data`, which messages share, in parts


class LiveTransport(Protocol):
    """A connection. Writing waits for nobody."""

    authorized: bool

    @property
    def address(self) -> str:
        """The address of the client."""
        ...

    @property
    def open(self) -> bool:
        """Whether a message may be written."""
        ...

    @property
    def idle(self) -> bool:
        """Whether everything written was sent."""
        ...

    def update(self, seq: int, skipped: int, document: Body) -> None:
        """Write a `metrics-update`; a large one in pieces of `PIECE_BYTES`, each when there is room."""
        ...

    def answer(self, event: str, id: RequestId, document: Body) -> None:
        """Write another message; `id` is that of the message it answers."""
        ...

    async def wait(self) -> None:
        """Wait until the client has read nearly everything, or has left."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close it in order, and say why."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...


class Subscriber:
    """A transport, its subscription, and how it keeps up. Times are the loop's."""

    __slots__ = (
        "drained_at",
        "joining",
        "products_at",
        "seq",
        "skipped",
        "subscription",
        "transport",
        "updated_at",
    )

    def __init__(self, transport: LiveTransport, *, now: float) -> None:
        self.transport = transport
        self.drained_at = now
        self.subscription: Subscription | None = None
        self.joining: asyncio.TimerHandle | None = None
        self.seq = 0
        self.skipped = 0
        # The last update, and the last one with all products, also of earlier subscriptions.
        self.updated_at = self.products_at = -math.inf

    def due(self, subscription: Subscription) -> float:
        """Return when a new subscription may begin: the shortest allowed interval after the last update."""
        any_at = self.updated_at + SHORTEST_MS / 1000
        return max(any_at, self.products_at + SHORTEST_WITH_PRODUCTS_MS / 1000) if subscription.products else any_at

    def drained(self, now: float) -> bool:
        """Return whether everything written was sent, and remember when."""
        if self.transport.idle:
            self.drained_at = now
        return self.transport.idle


async def expel(transport: LiveTransport, code: int, reason: str) -> None:
    """Close with a reason; cut the connection if that takes longer than a second."""
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            if transport.open:
                await transport.close(code, reason)
    except TimeoutError:
        pass
    finally:
        transport.cut()


async def close_all(transports: Iterable[LiveTransport]) -> None:
    """Close all with 1001; cut those that are still open after `STOP_SECONDS`."""
    open_ones = tuple(transports)
    closing = [one.close(CloseCode.GOING_AWAY, "the sidecar stops") for one in open_ones]
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await asyncio.gather(*closing, return_exceptions=True)
    for one in open_ones:
        one.cut()
