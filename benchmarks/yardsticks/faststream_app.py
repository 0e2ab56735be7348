"""FastStream: a subscriber with a pydantic model and its Prometheus middleware, the same three metrics as usual_loop.

Its log is off, which is to its advantage: by default it writes two lines per message.
"""

import asyncio
import sys

from faststream.redis import RedisBroker
from faststream.redis.prometheus import RedisPrometheusMiddleware
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel

from benchmarks.events import CHANNEL

registry = CollectorRegistry()
orders = Counter("orders", "Orders.", ["product_id", "status"], registry=registry)
latency = Histogram("latency_seconds", "Latency.", registry=registry)
processing = Histogram("processing_seconds", "Processing time.", registry=registry)


class Event(BaseModel):
    """One event."""

    type: str = "order"
    ts: float = 0.0
    producer: str = ""
    epoch: int = 0
    seq: int = 0
    status: str = ""
    order_id: str = ""
    product_id: str = ""
    quantity: int = 1
    latency_ms: float = 0.0
    processing_ms: float = 0.0


async def main(port: int, count: int) -> None:
    """Subscribe and count for ever."""
    middleware = RedisPrometheusMiddleware(registry=registry)
    broker = RedisBroker(f"redis://127.0.0.1:{port}", middlewares=(middleware,), logger=None)
    taken = 0

    @broker.subscriber(CHANNEL)
    async def handle(event: Event) -> None:
        nonlocal taken
        if event.type == "order":
            orders.labels(event.product_id, event.status).inc()
            latency.observe(event.latency_ms / 1000)
            processing.observe(event.processing_ms / 1000)
        taken += event.type != "heartbeat"
        if taken % count == 0 and event.type != "heartbeat":
            print("done", flush=True)

    await broker.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
