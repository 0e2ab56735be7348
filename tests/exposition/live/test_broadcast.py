"""Frames, and who leaves while updates are written; what clients see of them is in test_websocket."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from sidecar.exposition.live.broadcast import (
    BEFORE_YIELD,
    LAST,
    PIECE_BYTES,
    TEXT,
    Broadcast,
    Client,
    fragments,
    frame,
)
from sidecar.exposition.live.subscriptions import Subscription
from sidecar.exposition.published import Latest
from sidecar.process.telemetry import Telemetry
from tests.exposition.snapshots import snapshot
from tests.waiting import eventually


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_the_one_the_library_writes(size: int) -> None:
    head, body = b"h" * (size // 2), b"b" * (size - size // 2)
    assert frame(TEXT | LAST, head, body) == Frame(Opcode.TEXT, head + body).serialize(mask=False)


@pytest.mark.parametrize("size", [PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_a_large_message_is_fragments_of_one_text(size: int) -> None:
    head, body = b"head", bytes(range(256)) * (size // 256) + b"b" * (size % 256)
    pieces = [body[start : start + PIECE_BYTES] for start in range(0, size, PIECE_BYTES)]
    frames = [Frame(Opcode.TEXT, head + pieces[0], fin=False)]
    frames += [Frame(Opcode.CONT, piece, fin=False) for piece in pieces[1:-1]]
    frames.append(Frame(Opcode.CONT, pieces[-1]))
    assert list(fragments(head, [body])) == [one.serialize(mask=False) for one in frames]


class Roomy:
    """A transport that always has room; it keeps what is written, and tells of each write."""

    def __init__(self, told: Callable[[], object]) -> None:
        self.frames: list[bytes] = []
        self._told = told

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._told()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_who_leaves_while_the_others_are_served_gets_nothing_more() -> None:
    """All leave as soon as the loop turns, which it does after the first 200."""
    latest = Latest()
    latest.publish(snapshot())
    broadcast = Broadcast(latest.newest, Telemetry(CollectorRegistry(), version="0", sources=()))
    written_then: list[int] = []

    def leave() -> None:
        if not written_then:
            written_then.append(len(transport.frames))
            for client in clients:
                broadcast.remove(client)

    transport = Roomy(lambda: asyncio.get_running_loop().call_soon(leave))
    connection: Any = SimpleNamespace(transport=transport, protocol=SimpleNamespace(state=State.OPEN))
    clients = [Client(connection, authorized=True, now=0.0) for _ in range(BEFORE_YIELD + 50)]
    for client in clients:
        broadcast.add(client, Subscription(interval_ms=60_000))
    running = asyncio.create_task(broadcast.run())
    await eventually(lambda: written_then)
    running.cancel()
    assert written_then == [len(transport.frames)]


async def test_every_rendering_gives_way_to_the_loop() -> None:
    """All leave as soon as the loop turns, which it does after the first of two that want different topics."""
    latest = Latest()
    latest.publish(snapshot())
    broadcast = Broadcast(latest.newest, Telemetry(CollectorRegistry(), version="0", sources=()))

    def leave() -> None:
        for client in clients:
            broadcast.remove(client)

    transport = Roomy(lambda: asyncio.get_running_loop().call_soon(leave))
    connection: Any = SimpleNamespace(transport=transport, protocol=SimpleNamespace(state=State.OPEN))
    clients = [Client(connection, authorized=True, now=0.0) for _ in range(2)]
    for client, topic in zip(clients, ("orders", "inventory"), strict=True):
        broadcast.add(client, Subscription(topics=frozenset({topic}), interval_ms=60_000))
    running = asyncio.create_task(broadcast.run())
    await eventually(lambda: transport.frames)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    assert len(transport.frames) == 1


async def test_no_update_falls_into_a_message_of_which_pieces_are_left() -> None:
    latest = Latest()
    latest.publish(snapshot())
    broadcast = Broadcast(latest.newest, Telemetry(CollectorRegistry(), version="0", sources=()))
    transport = Roomy(lambda: None)
    connection: Any = SimpleNamespace(paused=False, transport=transport, protocol=SimpleNamespace(state=State.OPEN))
    client = Client(connection, authorized=True, now=0.0)
    client.pieces = iter((b"the rest",))
    broadcast.add(client, Subscription(interval_ms=100))
    running = asyncio.create_task(broadcast.run())
    await eventually(lambda: client.skipped)
    assert not transport.frames
    client.write_pieces()
    await eventually(lambda: transport.frames[1:])
    assert transport.frames[0] == b"the rest"
    running.cancel()
