"""The current state, once a second. The numbers are absolute, so the next one replaces a lost one: no outbox."""

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from .channel import Channel
from .stockroom import Stockroom


class Reporter:
    """Reports the queue, the stock and the open connections. One producer per process, numbered from 1."""

    def __init__(self, stockroom: Stockroom, channel: Channel, connections: Callable[[], int]) -> None:
        self._stockroom = stockroom
        self._channel = channel
        self._connections = connections
        self._producer = f"{socket.gethostname()}:{os.getpid()}"
        self._epoch = time.time_ns()
        self._seq = 0

    async def step(self) -> None:
        """Publish the current state."""
        now = time.time()
        waiting, active = await self._stockroom.jobs()
        stock = await self._stockroom.stock()
        events = [self._event(now, type="queue", queue="orders", waiting=waiting, active=active)]
        events += [self._event(now, type="inventory", product_id=name, stock=units) for name, units in stock.items()]
        events.append(self._event(now, type="connections", active=self._connections()))
        await self._channel.send(events)

    def _event(self, now: float, **fields: Any) -> str:
        self._seq += 1
        return json.dumps({**fields, "ts": now, "producer": self._producer, "epoch": self._epoch, "seq": self._seq})
