"""Frames and phases; what clients see of them is in test_websocket."""

from functools import partial
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from websockets.frames import Frame, Opcode

from sidecar.exposition.broadcast import Broadcast, Client, _next, newest, text_frame
from sidecar.exposition.latest import Latest
from sidecar.exposition.subscriptions import Subscription
from sidecar.telemetry import Telemetry


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_the_one_the_library_writes(size: int) -> None:
    head, body = b"h" * (size // 2), b"b" * (size - size // 2)
    assert text_frame(head, body) == Frame(Opcode.TEXT, head + body).serialize(mask=False)


@pytest.mark.parametrize(
    ("due", "now", "following"),
    [(10.0, 10.0, 12.0), (10.0, 10.5, 12.0), (10.0, 11.9, 12.0), (10.0, 12.0, 14.0), (10.0, 17.5, 18.0)],
)
def test_the_next_update_keeps_its_phase_and_leaves_out_what_was_late(due: float, now: float, following: float) -> None:
    assert _next(due, 2.0, now) == following


async def test_subscribing_in_a_loop_leaves_little_behind() -> None:
    telemetry = Telemetry(CollectorRegistry(), version="0", sources=())
    broadcast = Broadcast(partial(newest, Latest()), telemetry)
    client = Client(cast(Any, None), authorized=True, now=0.0)
    for _ in range(5000):
        broadcast.add(client, Subscription())
        broadcast.remove(client)
    broadcast.add(client, Subscription())
    assert len(broadcast._due) < 500
    assert broadcast._due[-1][2] == client.ticket
