"""The life of an order, step by step. Postgres is the source of truth; Redis is only fast, and is restored from it."""

import asyncio
import time
from typing import Literal

from redis.exceptions import RedisError

from .orders import Orders
from .payment import charge
from .settings import Settings
from .stockroom import Stockroom

Answer = Literal["pending", "sold_out", "unavailable"]


class Sale:
    """Takes orders, settles them, cancels them."""

    def __init__(self, orders: Orders, stockroom: Stockroom, settings: Settings) -> None:
        self.orders = orders
        self.stockroom = stockroom
        self._settings = settings

    async def place(self, product_id: str, quantity: int) -> tuple[str, Answer] | None:
        """Accept an order, or return why not; None if there is no such product.

        It is stored as pending first: after a crash before the reservation, `resume` reserves for it.
        """
        order_id = await self.orders.accept(product_id, quantity)
        return None if order_id is None else (order_id, await self._reserve(order_id, product_id, quantity))

    async def _reserve(self, order_id: str, product_id: str, quantity: int) -> Answer:
        try:
            if await self.stockroom.reserve(order_id, product_id, quantity):
                return "pending"
        except RedisError:
            # It may still hold units, if only the answer was lost: then a worker returns them.
            await self.orders.decide(order_id, "failed", "stock_unavailable")
            return "unavailable"
        await self.orders.decide(order_id, "failed", "sold_out")
        return "sold_out"

    async def settle(self, order_id: str) -> None:
        """Charge an order, and decide it. If it is interrupted anywhere and repeated, it still decides once."""
        if await self.orders.status(order_id) == "pending":
            began = time.monotonic()
            reason = await charge(order_id, self._settings)
            spent_ms = (time.monotonic() - began) * 1000
            await self.orders.decide(order_id, "failed" if reason else "success", reason, processing_ms=spent_ms)
        # Check again, because the customer may have cancelled meanwhile. (A real backend refunds the payment.)
        await self.stockroom.finish(order_id, sold=await self.orders.status(order_id) == "success")

    async def cancel(self, order_id: str) -> bool:
        """Cancel a pending order; its worker returns the units."""
        return await self.orders.decide(order_id, "cancelled")

    async def resume(self) -> None:
        """At startup, complete unfinished orders, and give an empty Redis its stock."""
        await self.stockroom.open(await self.orders.unsold())
        for order_id, product_id, quantity in await self.orders.pending():
            await self._reserve(order_id, product_id, quantity)

    async def drain(self) -> None:
        """Wait until every job is done."""
        while any(await self.stockroom.jobs()):  # noqa: ASYNC110 - other backends may share the queue
            await asyncio.sleep(0.05)


class Worker:
    """Does one job after another."""

    def __init__(self, sale: Sale) -> None:
        self._sale = sale
        self._job: str | None = None

    async def step(self) -> None:
        """Do the next job; if an outage interrupts it, the next step resumes it."""
        self._job = self._job or await self._sale.stockroom.take()
        if self._job:
            await self._sale.settle(self._job)
            self._job = None
