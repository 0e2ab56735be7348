"""Who gets which update, over any transport; what clients of the WebSocket see is in test_websocket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from sidecar.exposition.live import subscriber
from sidecar.exposition.live.broadcast import BEFORE_YIELD, Broadcast, SharedBodies
from sidecar.exposition.live.subscriber import Body, Subscriber, expel
from sidecar.exposition.live.subscriptions import RequestId, Subscription
from sidecar.exposition.published import Latest
from sidecar.process.telemetry import Telemetry
from tests.exposition.monitors import MemoryMonitor
from tests.exposition.snapshots import snapshot
from tests.waiting import eventually


class Memory:
    """A transport that keeps what is written, and tells of each write."""

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self.open = self.idle = self.authorized = True
        self.address = "here"
        self.written: list[bytes] = []
        self._told = told

    def update(self, seq: int, skipped: int, document: Body) -> None:
        self.written.append(b"%d %d %s" % (seq, skipped, b"".join(document)))
        self._told()

    def answer(self, event: str, id: RequestId, document: Body) -> None:
        raise AssertionError(event)

    async def wait(self) -> None:
        raise AssertionError

    async def close(self, code: int, reason: str) -> None:
        self.open = False
        self.written.append(b"%d %s" % (code, reason.encode()))

    def cut(self) -> None:
        self.written.append(b"cut")


@asynccontextmanager
async def broadcasting() -> AsyncIterator[Broadcast]:
    """Send updates of one Snapshot."""
    latest = Latest()
    latest.publish(snapshot())
    health = MemoryMonitor().health
    telemetry = Telemetry(CollectorRegistry(), version="0", sources=())
    broadcast = Broadcast(latest.newest, lambda snapshot: SharedBodies(snapshot, health), health, telemetry)
    running = asyncio.create_task(broadcast.run())
    yield broadcast
    running.cancel()


async def test_who_leaves_while_the_others_are_served_gets_nothing_more() -> None:
    """All leave as soon as the loop turns, which it does after the first 200."""
    written_then: list[int] = []

    def leave() -> None:
        if not written_then:
            written_then.append(len(transport.written))
            for client in clients:
                broadcast.remove(client)

    transport = Memory(lambda: asyncio.get_running_loop().call_soon(leave))
    clients = [Subscriber(transport, now=0.0) for _ in range(BEFORE_YIELD + 50)]
    async with broadcasting() as broadcast:
        for client in clients:
            broadcast.add(client, Subscription(interval_ms=60_000))
        await eventually(lambda: written_then)
    assert written_then == [len(transport.written)]


async def test_every_rendering_gives_way_to_the_loop() -> None:
    """All leave as soon as the loop turns, which it does after the first of two that want different topics."""

    def leave() -> None:
        for client in clients:
            broadcast.remove(client)

    transport = Memory(lambda: asyncio.get_running_loop().call_soon(leave))
    clients = [Subscriber(transport, now=0.0) for _ in range(2)]
    async with broadcasting() as broadcast:
        for client, topic in zip(clients, ("orders", "inventory"), strict=True):
            broadcast.add(client, Subscription(topics=frozenset({topic}), interval_ms=60_000))
        await eventually(lambda: transport.written)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(transport.written) == 1


async def test_who_has_not_read_the_last_update_is_skipped_and_told_how_often() -> None:
    transport = Memory()
    client = Subscriber(transport, now=0.0)
    transport.idle = False
    async with broadcasting() as broadcast:
        broadcast.add(client, Subscription(interval_ms=100))
        await eventually(lambda: client.skipped)
        assert not transport.written
        skipped, transport.idle = client.skipped, True
        await eventually(lambda: transport.written)
    assert transport.written[0].startswith(b"1 %d {" % skipped)


async def test_who_is_expelled_is_told_why_and_cut() -> None:
    transport = Memory()
    await expel(transport, 1013, "too slow")
    await expel(transport, 1013, "too slow")
    assert transport.written == [b"1013 too slow", b"cut", b"cut"]


async def test_who_does_not_let_itself_be_closed_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "CLOSING_SECONDS", 0.01)

    class Deaf(Memory):
        async def close(self, code: int, reason: str) -> None:
            await asyncio.Event().wait()

    transport = Deaf()
    await expel(transport, 1013, "too slow")
    assert transport.written == [b"cut"]
