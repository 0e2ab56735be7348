"""Stock and jobs, in Redis: every order needs them, and one order at a time may change them.

`sale:stock` has the units left of each product, `sale:held` the units that each order holds, including sold ones:
together they are the stock at the start. `sale:jobs` are the waiting orders, `sale:active` those in progress.
"""

from collections.abc import Mapping

from redis.asyncio import Redis

STOCK, HELD, JOBS, ACTIVE = KEYS = "sale:stock", "sale:held", "sale:jobs", "sale:active"

# Checking and taking is one atomic step. An order that holds units already has its job, too, so repeating the call
# (after a lost answer, or a crash) changes nothing.
RESERVE = """
local order_id, product_id, quantity = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HEXISTS', KEYS[2], order_id) == 1 then return 1 end
if tonumber(redis.call('HGET', KEYS[1], product_id) or '0') < quantity then return 0 end
redis.call('HINCRBY', KEYS[1], product_id, -quantity)
redis.call('HSET', KEYS[2], order_id, quantity .. ' ' .. product_id)
redis.call('RPUSH', KEYS[3], order_id)
return 1
"""
# The job is done; unsold units are returned, once.
FINISH = """
local order_id, sold = ARGV[1], ARGV[2] == '1'
local held = redis.call('HGET', KEYS[2], order_id)
if held and not sold then
  local quantity, product_id = string.match(held, '(%d+) (.*)')
  redis.call('HINCRBY', KEYS[1], product_id, quantity)
  redis.call('HDEL', KEYS[2], order_id)
end
redis.call('LREM', KEYS[4], 1, order_id)
"""


class Stockroom:
    """The stock of the sale and its queue of jobs. Every call may be repeated."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reserve = redis.register_script(RESERVE)
        self._finish = redis.register_script(FINISH)

    async def reserve(self, order_id: str, product_id: str, quantity: int) -> bool:
        """Take units for an order and queue its job; False if it is sold out."""
        return bool(await self._reserve(keys=KEYS, args=[order_id, product_id, quantity]))

    async def take(self) -> str | None:
        """Wait a second for the next job; it stays in `sale:active` until it is finished."""
        job = await self._redis.blmove(JOBS, ACTIVE, 1, "LEFT", "RIGHT")
        return None if job is None else str(job)

    async def finish(self, order_id: str, *, sold: bool) -> None:
        """Remove a finished job, and return the units that it did not sell."""
        await self._finish(keys=KEYS, args=[order_id, int(sold)])

    async def open(self, unsold: Mapping[str, int]) -> None:
        """Set the stock of products that Redis does not know, and requeue jobs that a crash left unfinished."""
        for product_id, units in unsold.items():
            await self._redis.hsetnx(STOCK, product_id, str(units))
        while await self._redis.lmove(ACTIVE, JOBS, "RIGHT", "LEFT"):
            pass

    async def jobs(self) -> tuple[int, int]:
        """Return how many jobs wait, and how many are in progress."""
        return await self._redis.llen(JOBS), await self._redis.llen(ACTIVE)

    async def stock(self) -> dict[str, int]:
        """Return the units left of each product."""
        return {str(product_id): int(units) for product_id, units in (await self._redis.hgetall(STOCK)).items()}
