"""A simulated sale as the sidecar would have counted it, for the tests of commands that read."""

import random
import socket
from collections.abc import Iterator

import msgspec

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch
from sidecar.simulation import SimulatedSale
from tests.redis_server import RedisServer

PREFIX = "flash_sale_metrics:"
SOURCE = "stream:flash_sale:events"


def counted(sale: SimulatedSale, *, until: float) -> Aggregator:
    """Count the first `until` seconds of a sale, committed twice a second."""
    aggregator = Aggregator(Rules(), random.Random(0))
    aggregator.begin(sale.start)
    for now, payloads in _ticks(sale, until):
        aggregator.apply(Batch(source=SOURCE, payloads=payloads, arrivals=[now] * len(payloads)), now)
        aggregator.land(aggregator.freeze(now), now)
    return aggregator


def keep(server: RedisServer, aggregator: Aggregator, prefix: str = PREFIX) -> None:
    """Write the checkpoint where commands look for it."""
    command: list[bytes] = [b"HSET", f"{prefix}checkpoint".encode(), b"n", b"7", b"gen", b""]
    for name, value in aggregator.fields().items():
        command += [name.encode(), value]
    packed = b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(packed)
        assert connection.recv(100).startswith(b":")


def _ticks(sale: SimulatedSale, until: float) -> Iterator[tuple[float, list[bytes]]]:
    payloads: list[bytes] = []
    tick = 0.5
    for offset, event in sale:
        while offset > tick:
            yield sale.start + tick, payloads
            payloads, tick = [], tick + 0.5
        if offset > until:
            return
        payloads.append(msgspec.json.encode(event))
    yield sale.start + tick, payloads
