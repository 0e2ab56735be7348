"""Updates to subscribers: latest wins. A client gets the newest Snapshot or nothing, never a backlog.

No update awaits a client. What the kernel does not take at once stays in the transport's buffer, and until that is
empty the client is skipped. Bodies are rendered once and shared; a client has only a small head, and at most one piece,
of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property

import msgspec

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition import documents
from sidecar.exposition.live.schedule import Schedule
from sidecar.exposition.live.subscriber import PIECE_BYTES, Body, Subscriber
from sidecar.exposition.live.subscriptions import Subscription, error
from sidecar.exposition.published import Health, Published
from sidecar.process.telemetry import Telemetry

# A write costs 20 us: this blocks the loop for 4 ms at most.
BEFORE_YIELD = 200

UNAVAILABLE = error("unavailable", "the fleet's metrics cannot be read from Redis now; updates resume when it answers")
UNAVAILABLE_BODY = [msgspec.json.encode(UNAVAILABLE.data)]


class SharedBodies:
    """The documents in the updates of one Snapshot, by topics."""

    def __init__(self, snapshot: Snapshot, health: Callable[[], Health]) -> None:
        self.known: dict[frozenset[str], Body] = {}
        self._sections = documents.Sections(snapshot)
        self._health = health

    def of(self, topics: frozenset[str]) -> Body:
        """Return the body of updates with these topics."""
        if topics not in self.known:
            body = self._sections.of(topics)
            if documents.HEALTH in topics:
                body[-1:] = [b',"health":', self._state, b"}"]
            self.known[topics] = [b"".join(body)] if sum(map(len, body)) <= PIECE_BYTES else body
        return self.known[topics]

    @cached_property
    def _state(self) -> bytes:
        return msgspec.json.encode(self._health())


class Broadcast:
    """Send the updates of one scope, each client at its own phase."""

    def __init__(
        self,
        newest: Callable[[], Awaitable[Published | None]],
        render: Callable[[Snapshot], SharedBodies],
        health: Callable[[], Health],
        telemetry: Telemetry,
    ) -> None:
        """`newest` returns the newest published values, `None` while they are unavailable."""
        self._newest = newest
        self._render = render
        self._health = health
        self._sent = telemetry.websocket_updates.labels("sent")
        self._skipped = telemetry.websocket_updates.labels("skipped")
        self._failed = telemetry.websocket_updates.labels("failed")
        self._schedule: Schedule[Subscriber, Subscription] = Schedule()
        self._woken = asyncio.Event()

    def add(self, client: Subscriber, subscription: Subscription) -> None:
        """Send updates to the client, the first as soon as its last one allows."""
        client.subscription = subscription
        client.seq = client.skipped = 0
        loop = asyncio.get_running_loop()
        client.joining = loop.call_at(max(loop.time(), client.due(subscription)), self._join, client, subscription)

    def remove(self, client: Subscriber) -> None:
        """Send the client nothing more."""
        if client.joining is not None:
            client.joining.cancel()
        if client.seq and client.subscription is not None and client.subscription.products:
            client.products_at = client.updated_at
        client.subscription = None
        self._schedule.leave(client)

    def _join(self, client: Subscriber, subscription: Subscription) -> None:
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
        bodies = None if published is None else published.rendered(self._render)
        written = 0
        for group, clients in self._schedule.take(now):
            if bodies and group.wish.topics not in bodies.known:
                written = BEFORE_YIELD  # a rendering takes about as long as this many writes
            body = self._without_numbers(group.wish) if bodies is None else bodies.of(group.wish.topics)
            while clients:
                some, clients = clients[:BEFORE_YIELD], clients[BEFORE_YIELD:]
                self._update(some, body, now)
                written += len(some)
                if written >= BEFORE_YIELD:
                    written = 0
                    await asyncio.sleep(0)
                    clients = [client for client in clients if self._schedule.has(group, client)]

    def _without_numbers(self, wish: Subscription) -> Body | None:
        """Return what is sent while there are no numbers: at least why, to those who want to know."""
        return [msgspec.json.encode({"health": self._health()})] if wish.health else None

    def _update(self, clients: list[Subscriber], body: Body | None, now: float) -> None:
        """Write each client its update, unless the last one is not sent yet. One loop, since this is the cost."""
        sent = skipped = failed = 0
        for client in clients:
            transport = client.transport
            if not transport.open:
                failed += 1
            elif not transport.idle:
                client.skipped += 1
                skipped += 1
            elif body is None:
                transport.answer(UNAVAILABLE.event, UNAVAILABLE.id, UNAVAILABLE_BODY)
                failed += 1
            else:
                client.drained_at = client.updated_at = now
                client.seq += 1
                transport.update(client.seq, client.skipped, body)
                client.skipped = 0
                sent += 1
        self._sent.inc(sent)
        self._skipped.inc(skipped)
        self._failed.inc(failed)
