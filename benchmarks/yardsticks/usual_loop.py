"""The loop everybody writes: redis-py's `pubsub.listen()`, `json.loads`, and prometheus-client.

For each order one counter with labels product and status, and a histogram each of latency and processing time.
No sequence check, no persistence, no window.
"""

import asyncio
import json
import sys

from prometheus_client import Counter, Histogram
from redis.asyncio import Redis

from benchmarks.events import CHANNEL

orders = Counter("orders", "Orders.", ["product_id", "status"])
latency = Histogram("latency_seconds", "Latency.")
processing = Histogram("processing_seconds", "Processing time.")


async def main(port: int, count: int) -> None:
    """Subscribe and count for ever."""
    pubsub = Redis(port=port).pubsub()
    await pubsub.subscribe(CHANNEL)
    taken = 0
    async for message in pubsub.listen():
        if message["type"] != "message":
            print("ready", flush=True)
            continue
        event = json.loads(message["data"])
        if event["type"] == "order":
            orders.labels(event["product_id"], event["status"]).inc()
            latency.observe(event["latency_ms"] / 1000)
            processing.observe(event["processing_ms"] / 1000)
        taken += event["type"] != "heartbeat"
        if taken and taken % count == 0 and event["type"] != "heartbeat":
            print("done", flush=True)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
