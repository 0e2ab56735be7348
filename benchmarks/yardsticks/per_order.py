"""The usual design, in Python: five Redis commands for every order, pipelined by redis-py, fifty orders under way.

LPUSH and LTRIM keep the newest samples, INCR counts the second, EXPIRE lets it go, SET keeps the order's status.
Prints `done` after `count` orders and ends.
"""

import asyncio
import sys
import time

from redis.asyncio import BlockingConnectionPool, Redis

UNDER_WAY = 50


async def record(client: Redis, number: int) -> None:
    """Write one order."""
    second = f"per_order:throughput:{int(time.time())}"
    pipe = client.pipeline(transaction=False)
    pipe.lpush("per_order:latency", 12.5)
    pipe.ltrim("per_order:latency", 0, 9999)
    pipe.incr(second)
    pipe.expire(second, 3600)
    pipe.set(f"per_order:status:ord-{number:08}", "success", ex=3600)
    await pipe.execute()


async def main(port: int, count: int) -> None:
    """Record all orders."""
    pool = BlockingConnectionPool.from_url(f"redis://127.0.0.1:{port}", max_connections=UNDER_WAY, timeout=None)
    client = Redis(connection_pool=pool)
    await client.ping()
    print("ready", flush=True)

    async def some(first: int) -> None:
        for number in range(first, count, UNDER_WAY):
            await record(client, number)

    await asyncio.gather(*(some(first) for first in range(UNDER_WAY)))
    print("done", flush=True)
    await client.aclose()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
