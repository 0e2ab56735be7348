"""Run the backend: python -m examples.flash_sale_backend."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from . import api
from .channel import Channel
from .orders import Orders
from .relay import Relay
from .report import Reporter
from .sale import Sale, Worker
from .settings import Settings
from .stockroom import Stockroom

OUTAGE = (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)
SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
ONE_AT_A_TIME = 0x5A1E  # backends that start together must not create the same table twice
log = logging.getLogger("flash_sale_backend")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Sell until `stop` is set; then accept no more orders, drain the waiting ones, and publish the last event."""
    async with connected(settings) as (pool, redis):
        channel, stockroom = Channel(redis, settings), Stockroom(redis)
        sale, relay = Sale(Orders(pool), stockroom, settings), Relay(pool, channel)
        await sale.resume()
        runner = web.AppRunner(api.build(sale), access_log=None, shutdown_timeout=5)
        await runner.setup()
        reporter = Reporter(stockroom, channel, lambda: len(runner.server.connections) if runner.server else 0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(repeat(Worker(sale).step)) for _ in range(settings.workers)]
            tasks += [group.create_task(repeat(relay.step, every_seconds=0.1))]
            tasks += [group.create_task(repeat(step, every_seconds=1)) for step in (reporter.step, relay.beat)]
            await web.TCPSite(runner, settings.host, settings.port).start()
            log.info("selling on http://%s:%d", settings.host, settings.port)
            await stop.wait()
            await runner.cleanup()
            await drain(sale, settings.drain_seconds)
            for task in tasks:
                task.cancel()
        try:
            await relay.step()
            await relay.beat()
            await reporter.step()
        except OUTAGE as exc:
            log.warning("%s; what is unsent waits in the outbox", exc or type(exc).__name__)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[tuple[asyncpg.Pool, Redis]]:
    """Connect to Postgres and Redis, and create the tables."""
    # One retry, on a new connection, instead of redis-py's ten: every command here may be repeated.
    redis = Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 1))
    async with asyncpg.create_pool(settings.database_url, max_size=settings.workers + 8) as pool, redis:
        async with pool.acquire() as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", ONE_AT_A_TIME)
            await db.execute(SCHEMA)
        yield pool, redis


async def repeat(step: Callable[[], Awaitable[None]], *, every_seconds: float = 0) -> None:
    """Repeat a step; an outage is logged and waited out, a bug ends the process."""
    while True:
        try:
            await step()
            await asyncio.sleep(every_seconds)
        except OUTAGE as exc:
            log.warning("%s; trying again in a second", exc or type(exc).__name__)
            await asyncio.sleep(1)


async def drain(sale: Sale, patience_seconds: float) -> None:
    """Wait until the queue is empty, up to a limit: the next start handles orders that still wait."""
    try:
        async with asyncio.timeout(patience_seconds):
            await sale.drain()
    except (TimeoutError, RedisError):
        log.warning("stopped with orders waiting")


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(Settings.from_environment(), stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main())
