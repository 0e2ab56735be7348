"""Orders, in Postgres. A change and its event are one transaction: neither exists without the other.

Publishing right after the commit instead would be simpler, but lose the event in every crash in between.
"""

import json
from typing import Any

import asyncpg

ACCEPT = """
INSERT INTO orders (product_id, quantity, amount, currency)
SELECT id, $2::integer, price * $2::integer, currency FROM products WHERE id = $1 RETURNING *
"""
DECIDE = """
UPDATE orders SET status = $2, reason = $3, decided_at = clock_timestamp()
WHERE id = $1 AND status = 'pending' RETURNING *
"""
UNSOLD = """
SELECT products.id, stock - coalesce(sum(quantity) FILTER (WHERE status = 'success'), 0) AS units
FROM products LEFT JOIN orders ON product_id = products.id GROUP BY products.id
"""


class Orders:
    """The orders of the sale."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def accept(self, product_id: str, quantity: int) -> str | None:
        """Store a new order and return its id; None if there is no such product."""
        async with self._pool.acquire() as db, db.transaction():
            order = await db.fetchrow(ACCEPT, product_id, quantity)
            if order is not None:
                await _tell(db, order)
        return None if order is None else str(order["id"])

    async def decide(self, order_id: str, status: str, reason: str | None = None, **timings: float) -> bool:
        """Decide a pending order; a second call changes nothing, and returns False."""
        async with self._pool.acquire() as db, db.transaction():
            order = await db.fetchrow(DECIDE, order_id, status, reason)
            if order is not None:
                waited = order["decided_at"] - order["created_at"]
                await _tell(db, order, latency_ms=waited.total_seconds() * 1000, **timings)
        return order is not None

    async def status(self, order_id: str) -> str | None:
        """Return the status of an order; None if there is no such order."""
        status: str | None = await self._pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id)
        return status

    async def pending(self) -> list[tuple[str, str, int]]:
        """Return id, product and quantity of every order that is not decided, oldest first."""
        rows = await self._pool.fetch("SELECT * FROM orders WHERE status = 'pending' ORDER BY created_at")
        return [(str(row["id"]), row["product_id"], row["quantity"]) for row in rows]

    async def unsold(self) -> dict[str, int]:
        """Return the units of each product that no order has bought."""
        return {row["id"]: int(row["units"]) for row in await self._pool.fetch(UNSOLD)}


async def _tell(db: asyncpg.Connection, order: asyncpg.Record, **timings: float) -> None:
    """Put the event of an order into the outbox, in the open transaction."""
    event: dict[str, Any] = {"status": order["status"], "order_id": str(order["id"]), **timings}
    event |= {"product_id": order["product_id"], "quantity": order["quantity"], "reason": order["reason"]}
    event["ts"] = (order["decided_at"] or order["created_at"]).timestamp()  # when it happened, not when it is sent
    if order["status"] == "success":
        event |= {"amount": str(order["amount"]), "currency": order["currency"]}  # a string: money is no float
    await db.execute("INSERT INTO outbox (event) VALUES ($1)", json.dumps(event))
