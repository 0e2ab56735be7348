"""Outbox -> sidecar. An event gets its number first, and keeps it: if it is resent after a crash, it is a duplicate.

Number, commit, publish, delete. If the transaction that publishes also assigned the number, a crash in between could
give the number to another event, and the sidecar would take that one for the duplicate.
"""

import asyncpg

from .channel import Channel

BATCH = 500  # within the 1,024 numbers of the sidecar's sequence window

NUMBER = f"""
UPDATE outbox SET seq = $1 + fresh.place
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM outbox WHERE seq IS NULL ORDER BY id LIMIT {BATCH}) fresh
WHERE outbox.id = fresh.id
"""
TAKE = f"""
WITH batch AS (SELECT id FROM outbox WHERE seq IS NOT NULL ORDER BY seq LIMIT {BATCH} FOR UPDATE SKIP LOCKED),
     taken AS (DELETE FROM outbox USING batch WHERE outbox.id = batch.id RETURNING outbox.seq, event)
SELECT event || jsonb_build_object('producer', name, 'epoch', epoch, 'seq', taken.seq)
FROM taken, producer ORDER BY taken.seq
"""
# The last number, unless it is still in flight: without it the sidecar cannot see a loss at the very end.
BEAT = """
SELECT jsonb_build_object('type', 'heartbeat', 'producer', name, 'epoch', epoch, 'seq', seq)
FROM producer WHERE seq > 0 AND NOT EXISTS (SELECT FROM outbox WHERE seq IS NOT NULL)
"""


class Relay:
    """Publishes the outbox. Several may run: they take turns at numbering, and share the events to publish."""

    def __init__(self, pool: asyncpg.Pool, channel: Channel) -> None:
        self._pool = pool
        self._channel = channel

    async def step(self) -> None:
        """Publish the events in the outbox."""
        while await self._number() + await self._publish():
            pass

    async def beat(self) -> None:
        """Publish a heartbeat."""
        await self._channel.send(row[0] for row in await self._pool.fetch(BEAT))

    async def _number(self) -> int:
        async with self._pool.acquire() as db, db.transaction():
            last = await db.fetchval("SELECT seq FROM producer FOR UPDATE")  # others wait here
            numbered = int((await db.execute(NUMBER, last)).split()[-1])  # "UPDATE 17"
            await db.execute("UPDATE producer SET seq = seq + $1", numbered)
        return numbered

    async def _publish(self) -> int:
        async with self._pool.acquire() as db, db.transaction():
            events = [row[0] for row in await db.fetch(TAKE)]
            await self._channel.send(events)  # if it fails, nothing is deleted
        return len(events)
